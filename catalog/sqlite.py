"""The catalog in one SQLite file in the state folder: nothing to install, nothing to run.

The file is in WAL mode (https://www.sqlite.org/wal.html), so that readers never wait. Writers wait for each other.
A damaged file is set aside and a new one begun, because the catalog is a cache and the next backup must run.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from catalog.database import Database, Result
from errors import CatalogError
from utils import format_timestamp, make_private_directory, utc_now

FILE_NAME = "catalog.db"

# Of the files that were set aside as damaged, the newest stay: a disk that dies damages each new one, too.
DAMAGED_KEPT = 3

# How long a writer waits for the others. Their transactions are a few rows and one flush of the disk each.
_BUSY_TIMEOUT_SECONDS = 60

_DAMAGED = re.compile(re.escape(FILE_NAME) + r"\.damaged-\d{8}T\d{6}Z(-\d+)?")

_logger = logging.getLogger(__name__)


class _DamagedCatalogError(CatalogError):
    """The file does not hold what SQLite wrote into it."""


class SqliteDatabase(Database):
    """``<state directory>/catalog.db``, mode 0600. It and its folder are made where they are missing."""

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / FILE_NAME
        super().__init__(_engine(self._path))
        with self._translated_os_errors():
            make_private_directory(state_directory)
            self._make_private_file()

    def read(self, work: Callable[[sa.Connection], Result]) -> Result:
        return self._surviving_damage(partial(super().read, work))

    def write(self, work: Callable[[sa.Connection], Result]) -> Result:
        return self._surviving_damage(partial(super().write, work))

    def migrate(self) -> None:
        self._surviving_damage(super().migrate)

    def _surviving_damage(self, work: Callable[[], Result]) -> Result:
        file = self._identity()
        try:
            return work()
        except _DamagedCatalogError as error:
            with self._locked():
                if self._identity() == file:  # else another process has set it aside by now
                    self._set_aside(error)
            super().migrate()
            return work()

    def _set_aside(self, error: CatalogError) -> None:
        aside = _free_name(self._path.with_name(f"{FILE_NAME}.damaged-{format_timestamp(utc_now())}"))
        with self._translated_os_errors():
            # The file itself goes last: a new one beside an old write-ahead log would be mixed with it.
            for suffix in ("-shm", "-wal", ""):
                part = self._path.with_name(FILE_NAME + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            self._make_private_file()
            self._remove_older_damaged()
        _logger.warning(
            "%s It was set aside as %s, and a new, empty one was begun: runs before now are not shown any more. "
            "The copies on the targets are untouched: restore.py rebuild takes the runs in again from there.",
            error,
            aside,
        )

    def _remove_older_damaged(self) -> None:
        found = [path for path in self._path.parent.glob(f"{FILE_NAME}.damaged-*") if _DAMAGED.fullmatch(path.name)]
        for path in sorted(found, key=lambda path: (path.stat().st_ctime_ns, path.name))[:-DAMAGED_KEPT]:
            for suffix in ("-shm", "-wal", ""):
                path.with_name(path.name + suffix).unlink(missing_ok=True)

    def _make_private_file(self) -> None:
        # SQLite would make it readable by others. Its -wal and -shm files take over the mode.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _identity(self) -> tuple[int, int] | None:
        """Which file has the name now."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _migration_lock(self) -> Iterator[None]:
        with self._locked():
            try:
                with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_SECONDS)) as connection:
                    connection.execute("PRAGMA journal_mode = WAL")  # stays so in the file
            except sqlite3.Error as error:
                raise self._explained(error) from error
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._translated_os_errors():
            lock = os.open(self._path.with_name("catalog.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _translated_os_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CatalogError(f"The catalog {self._path} cannot be used: {error.strerror}.") from error

    def _translated(self, error: SQLAlchemyError) -> CatalogError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        return self._explained(cause or error)

    def _explained(self, error: BaseException) -> CatalogError:
        what = f"The catalog {self._path}"
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the rest are refinements of these
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return _DamagedCatalogError(f"{what} is damaged ({error}).")
            case sqlite3.SQLITE_FULL:
                return CatalogError(f"{what} cannot be written: the disk is full. Make room on the disk that holds it.")
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return CatalogError(f"{what} cannot be written ({error}). Check its rights, and those of its folder.")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return CatalogError(
                    f"{what} was held by another process for {_BUSY_TIMEOUT_SECONDS} seconds. Look for a program that "
                    f"keeps it open (fuser {self._path}), and try again."
                )
            case sqlite3.SQLITE_IOERR:
                return CatalogError(f"{what} cannot be used ({error}). Look at the disk that holds it: it may be full.")
            case _:
                return CatalogError(f"{what} cannot be used ({error}).")


def _engine(path: Path) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        connect_args={"timeout": _BUSY_TIMEOUT_SECONDS},
        hide_parameters=True,
    )
    sa.event.listen(engine, "connect", _prepare_connection)
    sa.event.listen(engine, "begin", _begin_transaction)
    return engine


def _prepare_connection(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # Python's own BEGIN comes too late: not before DDL, and never IMMEDIATE
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_transaction(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later is refused at once where another has written in between
    # (SQLITE_BUSY_SNAPSHOT); one that says so at its beginning waits for its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _free_name(path: Path) -> Path:
    candidate, count = path, 1
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{path.name}-{count}")
    return candidate
