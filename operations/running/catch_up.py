"""What ``main.py sync`` does after the crontab is right: tell the catalog what is scheduled, and see what was missed.

It may run every minute, so the catalog (0.2 s to import) is opened only where it can have something new to say: the
schedule changed, a slot went by since the last look, or a run was still under way then. What the last look saw is kept
in ``<state>/schedule.json``: ``{"recorded": <SHA-256 of the schedule>, "checked": <time>}``. Losing it costs one look.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from errors import HoldfastError
from model import Backup, Configuration, RunStatus
from operations.log_files import rotate_if_full
from operations.running.missed import missed_runs, sole_catch_up
from schedules.times import GRACE, next_runs
from utils import format_timestamp, make_private_directory, parse_timestamp, replace_private_file


@dataclass(frozen=True, slots=True)
class _Look:
    """The last look into the catalog: the schedule that it holds, and when missed runs were looked for."""

    recorded: str = ""
    checked: datetime | None = None


def find_missed(configuration: Configuration, now: datetime, *, is_new: bool = False) -> list[tuple[Backup, datetime]]:
    """The backups that ``backup.py --missed`` must be started for now, with the slot (UTC) that each missed.

    The same slots are given once, and none while another process makes up for them. The catalog learns what is
    scheduled; ``is_new`` says that nothing was until now, so that nothing from before can have been missed.
    Raises CatalogError, HoldfastError.
    """
    schedule = {backup.id: backup.intervals for backup in configuration.enabled_backups}
    digest = hashlib.sha256(json.dumps(schedule).encode()).hexdigest()
    path = configuration.state_directory / "schedule.json"
    look = _read(path)
    if not is_new and look.recorded == digest and not _slot_went_by(schedule, look.checked, now):
        return []

    from catalog import open_catalog

    with closing(open_catalog(configuration.state_directory, configuration.catalog_url)) as catalog:
        if is_new:
            catalog.record_schedule({}, now)
        catalog.record_schedule(schedule, now)
        missed = missed_runs(configuration, catalog, now)
        is_running = any(
            runs.last is not None and runs.last.status is RunStatus.RUNNING
            for runs in catalog.last_runs(schedule).values()
        )
    if missed:
        with sole_catch_up(configuration.state_directory) as is_sole:
            if not is_sole:
                missed = []
    # A run under way may still be interrupted, which would make its slot a missed one without a new slot.
    _write(path, _Look(digest, look.checked if is_running and not missed else now))
    return missed


def start_in_background(command: list[str], log: Path) -> None:
    """Start a program that outlives this process and its terminal; what it prints is appended to ``log``,
    which is begun anew where it is full.

    Raises HoldfastError.
    """
    try:
        make_private_directory(log.parent)
        rotate_if_full(log)
        with log.open("ab") as output:
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
            )
    except OSError as error:
        raise HoldfastError(f"{command[0]} cannot be started, or {log} not be written: {error.strerror}.") from error


def _slot_went_by(schedule: Mapping[str, tuple[str, ...]], checked: datetime | None, now: datetime) -> bool:
    """Whether a slot became old enough to be missed since the last look. A clock that was set back makes a new look."""
    if checked is None or checked > now:
        return True
    return any(
        next_run <= now - GRACE
        for intervals in set(schedule.values())
        for next_run in next_runs(intervals, checked - GRACE, 1)
    )


def _read(path: Path) -> _Look:
    """What was written, or nothing where the file is missing, damaged or from another version."""
    try:
        document = json.loads(path.read_bytes())
        return _Look(str(document["recorded"]), parse_timestamp(document["checked"]) if document["checked"] else None)
    except (OSError, ValueError, KeyError, TypeError):
        return _Look()


def _write(path: Path, look: _Look) -> None:
    document = {"recorded": look.recorded, "checked": format_timestamp(look.checked) if look.checked else None}
    try:
        make_private_directory(path.parent)
        replace_private_file(path, json.dumps(document) + "\n")
    except OSError as error:
        raise HoldfastError(f"{path} cannot be written: {error.strerror}. Check STATE_DIR.") from error
