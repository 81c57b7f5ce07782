"""SQLite databases as a source: copies by SQLite's own online backup, each a database file again.

A file that is copied while a program writes to it is no database. The online backup takes one consistent state, in
every journal mode, and nobody waits longer than for any other reader; the copy is checked before it is archived.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from errors import RestoreError, SourceError
from hosts.command import CommandHost
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Member, Note, StreamContent
from sources.database import Preflight
from sources.programs import description_member, member_of

# The database header (https://www.sqlite.org/fileformat2.html#the_database_header): where the size of a page stands,
# and the number of pages. The size 1 means 65536.
_HEADER = 100
_PAGE_SIZE = slice(16, 18)
_PAGE_COUNT = slice(28, 32)

PRODUCT = "SQLite"

RESTORE_STEPS = """\
Check the database, which is a whole file of SQLite:

       sqlite3 restored/databases/FILE "PRAGMA integrity_check"

   Put it into the place of the old one, DATABASE_FILE, while no program uses that, and remove what belonged to that:

       rm -f DATABASE_FILE-wal DATABASE_FILE-shm DATABASE_FILE-journal
       cp restored/databases/FILE DATABASE_FILE
"""


class Place(Protocol):
    """Where database files lie. Paths are absolute. What goes wrong with one is a SourceError or RestoreError."""

    def inspect(self, path: str) -> tuple[int, str]:
        """The size of a database in bytes, and the version of SQLite that reads it."""

    def copy(self, path: str) -> Iterator[bytes]:
        """A consistent, checked copy. Nothing of it is left behind."""

    def exists(self, path: str) -> bool:
        """Whether there is anything at the path."""

    def leftovers(self, path: str) -> list[str]:
        """What restores that were killed have left beside the path: absolute paths."""

    def put_back(self, chunks: Iterable[bytes], path: str, *, replace: bool) -> None:
        """Make a database of these bytes, whole or not at all. What ``chunks`` raises passes."""


def open_database(
    source: DatabaseSource, host: CommandHost, _note: Callable[[Note], None], spool: Path
) -> SqliteDatabase:
    """See ``sources.database``."""
    if isinstance(host, LocalCommandHost):
        from sources.sqlite_here import Here

        return SqliteDatabase(source, Here(spool))
    from sources.sqlite_there import There

    return SqliteDatabase(source, There(host))


def member_path(name: str) -> bytes:
    """See ``sources.database``."""
    return b"databases" + posixpath.normpath(name).encode("utf-8", "surrogateescape")


class SqliteDatabase:
    """See ``sources.database.Database``. The names of databases are the paths of their files."""

    accounts_come_first = False

    def __init__(self, source: DatabaseSource, place: Place) -> None:
        self._paths = list(dict.fromkeys(posixpath.normpath(name) for name in source.names))
        self._place = place
        for path in self._paths:
            if not path.startswith("/"):
                raise SourceError(f"The path of a SQLite database must begin with a slash: {path}.")

    def preflight(self) -> Preflight:
        return self._preflight

    @cached_property
    def _preflight(self) -> Preflight:
        inspected = {path: self._place.inspect(path) for path in self._paths}
        return Preflight(
            size=sum(size for size, _ in inspected.values()),
            description={
                "engine": "sqlite",
                "server_version": next(iter(inspected.values()))[1],
                "databases": [
                    {"name": path, "member": member_path(path).decode("utf-8", "surrogateescape"), "size": size}
                    for path, (size, _) in inspected.items()
                ],
            },
        )

    def members(self) -> Iterator[Member]:
        yield description_member(self._preflight.description)
        for path in self._paths:
            yield member_of(member_path(path), _Copy(self._place, path))

    def restore(
        self, chunks: Iterable[bytes], name: str, _original: Mapping[str, Any] | None = None, *, replace: bool = False
    ) -> None:
        self._place.put_back(chunks, _absolute(name), replace=replace)

    def exists(self, name: str) -> bool:
        return self._place.exists(_absolute(name))

    def leftovers(self, name: str) -> list[str]:
        return [
            f"A restore that was killed has left {path}, unless another one is under way now. This removes it: "
            f"rm -rf {shlex.quote(path)}"
            for path in self._place.leftovers(_absolute(name))
        ]

    def restore_accounts(self, _chunks: Iterable[bytes]) -> list[str]:
        return []


class _Copy(StreamContent):
    __slots__ = ("_path", "_place")

    def __init__(self, place: Place, path: str) -> None:
        self._place = place
        self._path = path

    def chunks(self) -> Iterator[bytes]:
        header, size = b"", 0
        for chunk in self._place.copy(self._path):
            header += chunk[: _HEADER - len(header)]
            size += len(chunk)
            yield chunk
        if size != _size_by_header(header):
            raise SourceError(
                f"The copy of the SQLite database {self._path} has {size} bytes, and its header says "
                f"{_size_by_header(header)}, so it is not whole."
            )


def _absolute(name: str) -> str:
    path = posixpath.normpath(name)
    if not path.startswith("/"):
        raise RestoreError(f"The path of a SQLite database must begin with a slash: {path}.")
    return path


def _size_by_header(header: bytes) -> int:
    page_size = int.from_bytes(header[_PAGE_SIZE])
    return (65536 if page_size == 1 else page_size) * int.from_bytes(header[_PAGE_COUNT])
