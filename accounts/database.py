"""``<state>/dashboard.db``: transactions on it, its tables, and what is said where it cannot be used.

Unlike the catalog it is no cache, so a damaged file is never set aside by itself: whoever signs in must be known.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from errors import AccountsError
from utils import make_private_directory

FILE_NAME = "dashboard.db"

# How long a writer waits for the others: `main.py user` writes a row or two.
_BUSY_TIMEOUT_SECONDS = 5

_VERSION = 1

_TABLES = """
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created REAL NOT NULL,
    last_sign_in REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    digest TEXT PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    csrf_token TEXT NOT NULL,
    created REAL NOT NULL,
    last_used REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_user ON sessions (user);

CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    expires REAL,
    last_used REAL
) STRICT, WITHOUT ROWID;
"""


class AccountsDatabase:
    """Safe in several threads and processes. The file and its folder are made where they are missing.

    It is in WAL mode (https://www.sqlite.org/wal.html) and has a connection for reading and one for writing, so that
    who reads never waits for who writes.
    """

    def __init__(self, state_directory: Path) -> None:
        """Raises AccountsError."""
        self._path = state_directory / FILE_NAME
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()
        with self._translated(), ExitStack() as opened:
            make_private_directory(state_directory)
            # SQLite would make it readable by others. Its -wal and -shm files take over the mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._writer = opened.enter_context(closing(self._connect()))
            self._prepare()
            self._reader = opened.enter_context(closing(self._connect()))
            opened.pop_all()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)

    def _prepare(self) -> None:
        self._writer.execute("PRAGMA foreign_keys = ON")
        if self._version() != _VERSION:
            self._writer.execute("PRAGMA journal_mode = WAL")  # stays so in the file
            with self._transaction():
                self._make_tables()

    def _version(self) -> int:
        version: int = self._writer.execute("PRAGMA user_version").fetchone()[0]
        return version

    def _make_tables(self) -> None:
        version = self._version()
        if version == _VERSION:  # another process was quicker
            return
        if version > _VERSION:
            raise AccountsError(f"{self._path} was made by a newer Holdfast. Use that version, or a later one.")
        for statement in _TABLES.split(";"):
            self._writer.execute(statement)
        self._writer.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for questions. Raises AccountsError."""
        with self._read_lock, self._translated():
            yield self._reader

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: what is written in the block is durable at its end, or nothing is. Raises AccountsError."""
        with self._write_lock, self._translated(), self._transaction():
            yield self._writer

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise
        self._writer.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AccountsError(f"The accounts {self._path} cannot be used: {error.strerror}.") from error
        except sqlite3.Error as error:
            raise AccountsError(self._explanation(error)) from error

    def _explanation(self, error: sqlite3.Error) -> str:
        what = f"The accounts {self._path}"
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the rest are refinements of these
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return (
                    f"{what} are damaged ({error}). Move the file away, together with those named {FILE_NAME}-wal and "
                    f"{FILE_NAME}-shm, and add the users and tokens again: main.py user add NAME."
                )
            case sqlite3.SQLITE_FULL:
                return f"{what} cannot be written: the disk is full. Make room on the disk that holds them."
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return f"{what} cannot be written ({error}). Check the rights of the file, and of its folder."
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return (
                    f"{what} were held by another process for {_BUSY_TIMEOUT_SECONDS} seconds. Look for a program that "
                    f"keeps the file open (fuser {self._path}), and try again."
                )
            case _:
                return f"{what} cannot be used ({error}). Look at the disk that holds them: it may be full."

    def close(self) -> None:
        """Let go of the file."""
        with self._read_lock:
            self._reader.close()
        with self._write_lock:
            self._writer.close()
