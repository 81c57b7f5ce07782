"""Which scheduled runs were missed while the machine, or its cron, was off.

``backup.py --missed`` makes up for them, one run for each backup however many slots went by: it holds
:func:`sole_catch_up` all the while, and asks :func:`missed_runs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from errors import AlreadyRunningError
from model import Backup, Configuration, Run, RunStatus
from operations.locks import lock_backup
from schedules.times import missed_slot

if TYPE_CHECKING:
    from catalog import Catalog, LastRuns


def missed_runs(configuration: Configuration, catalog: Catalog, now: datetime) -> list[tuple[Backup, datetime]]:
    """Each enabled backup whose latest slot nothing fulfilled, with that slot (UTC), in the order of the configuration.

    What counts is said in :func:`schedules.times.missed_slot`. A run that the catalog still has as running although
    its process died (a power cut) is recorded as interrupted here. Raises CatalogError, HoldfastError.
    """
    since = catalog.schedule_since()
    backups = [backup for backup in configuration.enabled_backups if backup.id in since]
    last_runs = catalog.last_runs(backup.id for backup in backups)
    missed = []
    for backup in backups:
        runs = _runs_in(last_runs.get(backup.id))
        if mark_dead_runs(configuration, catalog, backup, runs.values(), now):
            runs = _runs_in(catalog.last_runs([backup.id]).get(backup.id))
        slot = missed_slot(backup.intervals, now, since[backup.id], runs.values())
        if slot is None:
            continue
        runs |= {run.id: run for run in catalog.slot_runs(backup.id, slot)}
        if missed_slot(backup.intervals, now, since[backup.id], runs.values()) == slot:
            missed.append((backup, slot))
    return missed


@contextmanager
def sole_catch_up(state_directory: Path) -> Iterator[bool]:
    """Whether this process is the only one that makes up for missed runs; it stays so until the block ends.

    After a reboot the crontab's ``@reboot`` line and the minute-wise ``main.py`` begin at about the same moment.
    """
    with ExitStack() as held:
        try:
            held.enter_context(lock_backup(state_directory, "missed"))
            is_sole = True
        except AlreadyRunningError:
            is_sole = False
        yield is_sole


def _runs_in(last: LastRuns | None) -> dict[str, Run]:
    runs = (last.last, last.last_good) if last else ()
    return {run.id: run for run in runs if run is not None}


def mark_dead_runs(
    configuration: Configuration, catalog: Catalog, backup: Backup, runs: Iterable[Run], now: datetime
) -> bool:
    """Whether a run that seemed to be under way turned out to be dead: nobody holds the lock of its backup."""
    if not any(run.status is RunStatus.RUNNING for run in runs):
        return False
    try:
        with lock_backup(configuration.state_directory, backup.id):
            return bool(catalog.mark_dead_runs(backup.id, now))
    except AlreadyRunningError:
        return False
