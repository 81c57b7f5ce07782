"""What Holdfast itself would leave in the state folder for ever goes: once a day, after a run.

Each backup bounds its own logs and empties its own part of the spool with its next run; what is here is of backups that
have none any more, and of processes that were killed. A whole copy that waits for its upload is never removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from errors import AlreadyRunningError, HoldfastError
from model import Configuration
from operations.locks import lock_backup
from operations.running.run_log import is_own_log
from operations.running.spooled_copy import SpooledCopy, waiting_copies

# A backup that did not run for so long, and is not configured, needs no log any more.
LOGS_KEPT = timedelta(days=400)

# An upload that is under way for so long has its file open, and goes on without its name.
_UPLOADS_KEPT = timedelta(days=2)

_EVERY = timedelta(days=1)


def tidy_up(configuration: Configuration, now: datetime) -> None:
    """Do it where it was not done since yesterday. Nothing is raised: whoever calls this has done what counts."""
    state = configuration.state_directory
    mark = state / "tidied"
    try:
        if timedelta() <= now - _modified(mark, now) < _EVERY:
            return
        mark.touch(0o600)
        _remove_uploads(state, now)
        for _ in abandoned_copies(configuration):
            pass  # to ask for them removes what is beside them and was never finished
        _remove_logs(configuration, now)
    except (OSError, HoldfastError):
        return


def abandoned_copies(configuration: Configuration) -> Iterator[tuple[str, SpooledCopy]]:
    """The whole copies in the spool that no run will upload, because their backup (its id) is no longer enabled.

    What else lies there of these backups is removed, but where a process is at work on it. Raises HoldfastError.
    """
    state = configuration.state_directory
    enabled = {backup.id for backup in configuration.enabled_backups}
    for folder in sorted((state / "spool").glob("*/*/")):
        backup_id = f"{folder.parent.name}/{folder.name}"
        if backup_id in enabled or folder.is_symlink():
            continue
        try:
            with lock_backup(state, backup_id):
                found = list(waiting_copies(state, backup_id))
        except AlreadyRunningError:
            continue
        with suppress(OSError):  # not empty
            folder.rmdir()
            folder.parent.rmdir()
        yield from ((backup_id, copy) for copy in found)


def _remove_uploads(state: Path, now: datetime) -> None:
    """Those that killed copyings from target to target left: see ``storages.spool``."""
    for path in (state / "spool").glob("upload-*"):
        if now - _modified(path, now) > _UPLOADS_KEPT:
            path.unlink(missing_ok=True)


def _remove_logs(configuration: Configuration, now: datetime) -> None:
    configured = {backup.id for backup in configuration.backups}
    for folder in (configuration.state_directory / "logs").glob("*/*/"):
        if f"{folder.parent.name}/{folder.name}" in configured or folder.is_symlink():
            continue
        logs = [path for path in folder.iterdir() if is_own_log(path)]
        if all(now - _modified(path, now) > LOGS_KEPT for path in logs):
            for path in logs:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # something of somebody else is in it
                folder.rmdir()
                folder.parent.rmdir()


def _modified(path: Path, now: datetime) -> datetime:
    """When it was last written; long ago where it is not there."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo)
    except FileNotFoundError:
        return now - timedelta(days=3650)
