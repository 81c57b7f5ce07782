"""SQLite databases on this machine, through Python's own sqlite3 module."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from errors import RestoreError, SourceError
from utils import format_size, fsync_directory, make_private_directory

_CHUNK = 1 << 20
_PAGES_AT_ONCE = 1024  # a signal is obeyed between two steps
_PREFIX = "sqlite-"
_RESTORING = ".holdfast-restore-"

SECONDS_FOR_LOCK = 60.0
"""How long another program may hold a lock before a backup or restore gives up."""


class Here:
    """See ``sources.sqlite.Place``. Copies wait in ``spool``, because SQLite cannot write one to a stream."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool

    def inspect(self, path: str) -> tuple[int, str]:
        with _translated(path), closing(_opened(path)) as database:
            _take_snapshot(database)
            ((size,),) = database.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return size, f"SQLite {sqlite3.sqlite_version}"

    def copy(self, path: str) -> Iterator[bytes]:
        with _translated(path), _private_folder(self._spool) as folder:
            self._require_space(path)
            copy = folder / "copy"
            with closing(_opened(path)) as database, closing(sqlite3.connect(copy)) as target:
                # Within one transaction of the source the copying is never begun again because of a writer.
                _take_snapshot(database)
                database.backup(target, pages=_PAGES_AT_ONCE)
            _require_integrity(copy, f"the SQLite database {path}")
            with copy.open("rb") as file:
                copy.unlink()
                while chunk := file.read(_CHUNK):
                    yield chunk

    def _require_space(self, path: str) -> None:
        size, free = os.path.getsize(path), shutil.disk_usage(self._spool).free
        if size > free:
            raise SourceError(
                f"The SQLite database {path} on this machine was not backed up: its copy of {format_size(size)} has to "
                f"wait in {self._spool}, where {format_size(free)} are free. Free some space, or let STATE_DIR say "
                "another place."
            )

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def leftovers(self, path: str) -> list[str]:
        return sorted(map(str, Path(path).parent.glob(_RESTORING + "*")))

    def put_back(self, chunks: Iterable[bytes], path: str, *, replace: bool) -> None:
        target = Path(path)
        if target.exists() and not replace:
            raise RestoreError(
                f"There is a file {path} on this machine already, so nothing was restored. Give another path, or let "
                "it be replaced with --replace."
            )
        try:
            descriptor, name = tempfile.mkstemp(prefix=_RESTORING, dir=target.parent)
            restored = Path(name)
            try:
                with open(descriptor, "wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
                    file.flush()
                    os.fsync(descriptor)
                _require_integrity(restored, "what was restored")
                _publish(restored, target)
            finally:
                restored.unlink()
        except (OSError, sqlite3.Error, SourceError) as error:
            raise RestoreError(f"The SQLite database {path} was not restored: {_reason(error)}.") from error


def _publish(restored: Path, target: Path) -> None:
    """Into an existing database page by page, in one transaction: programs that have it open see the old or the new."""
    if not target.exists():
        os.link(restored, target)
        fsync_directory(target.parent)
        return
    # SQLite itself does not wait for a lock here, as no signal is obeyed meanwhile; the loop around it does.
    with closing(_opened_alone(restored)) as database, closing(_opened(str(target), "rw", 0.0)) as existing:
        database.backup(existing, progress=_GivingUp())


class _GivingUp:
    """Ends a backup that waits for another program's lock: Python's own loop has no end."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + SECONDS_FOR_LOCK

    def __call__(self, status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > self._deadline:
            raise sqlite3.OperationalError("database is locked")


def _opened(path: str, mode: str = "ro", seconds_for_lock: float | None = None) -> sqlite3.Connection:
    # Python would otherwise make an empty database where there is no file.
    if not os.path.isfile(path):
        raise FileNotFoundError(2, "there is no such file", path)
    timeout = SECONDS_FOR_LOCK if seconds_for_lock is None else seconds_for_lock
    return sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode={mode}", uri=True, timeout=timeout)


def _opened_alone(path: Path) -> sqlite3.Connection:
    """For a file that nobody else has: then SQLite needs no files for its locks beside it."""
    return sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1", uri=True)


def _take_snapshot(database: sqlite3.Connection) -> None:
    database.execute("BEGIN")
    database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _require_integrity(path: Path, what: str) -> None:
    with closing(_opened_alone(path)) as database:
        found = [row[0] for row in database.execute("PRAGMA integrity_check(5)")]
    if found != ["ok"]:
        raise SourceError(f"SQLite finds {what} damaged (PRAGMA integrity_check): " + "; ".join(found))


@contextmanager
def _private_folder(spool: Path) -> Iterator[Path]:
    """A folder that is removed. What a killed process has left is removed here too: its lock went with it."""
    make_private_directory(spool)
    for left in spool.glob(_PREFIX + "*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=spool))
    with _locked(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise SourceError(f"The SQLite database {path} on this machine was not backed up: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error).rstrip(".")
