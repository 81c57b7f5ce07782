"""Writes the file in which the members of one copy can be looked up: SQLite, made once and then only read.

::

    members   a row for each member, and for each folder that is above one and no member itself; the folder that it is
              in is another row, or 0. Folders have the totals of all that is below them.
    lines     the lines of the index, packed, some hundred together, by the number of the first
    facts     ``is_complete``, ``start`` (the folder to be shown first), ``from_zip``
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from archives.index_glance import packed_text
from model import MemberKind
from operations.browsing.natural_order import natural_key

FOLDER_RANK = 0
FILE_RANK = 1

LARGEST_INTEGER = (1 << 63) - 1

_ROWS_AT_ONCE = 4096
_TABLES = """
    CREATE TABLE members (
        id INTEGER PRIMARY KEY,
        folder INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        key BLOB NOT NULL,
        name BLOB NOT NULL,
        is_ascii INTEGER NOT NULL,
        kind TEXT NOT NULL,
        size INTEGER NOT NULL,
        modified_ns INTEGER,
        line INTEGER,
        files INTEGER
    );
    CREATE TABLE lines (first INTEGER PRIMARY KEY, packed BLOB NOT NULL);
    CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_INSERT = "INSERT INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"

_Row = tuple[int, int, int, bytes, bytes, bool, str, int, int | None, int | None]


class ListingWriter:
    """One such file, at ``path``, which must not be there, readable by its owner only. Raises OSError, sqlite3.Error.

    It is of use only once :meth:`finish` has returned: nothing is made durable on the way, as it can be made again.
    """

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")
        self._rows: list[_Row] = []
        self._next_id = 1
        self._folders = _Folders()
        self._last_folder = b""
        self._last_place = 0

    def add(self, path: bytes, kind: MemberKind, size: int, modified_ns: int | None, line: int | None) -> None:
        """A member, and the number of its line; a time that no column can hold is left out."""
        time = modified_ns if modified_ns is not None and abs(modified_ns) <= LARGEST_INTEGER else None
        if kind is MemberKind.DIRECTORY:
            self._add_folder(path, time, line)
            return
        above, _, name = path.rpartition(b"/")
        # A path that begins with a slash lies in a folder without a name: it is shown as it is, and leads nowhere.
        place = self._place_of(above, is_top=len(name) == len(path))
        size = min(size, LARGEST_INTEGER)
        self._folders.count(place, size)
        self._insert(self._folders.id_of(place), FILE_RANK, name, kind, size, time, line)

    def add_lines(self, first: int, text: bytes) -> None:
        """The lines of the index from the number ``first`` on."""
        self._database.execute("INSERT INTO lines VALUES (?, ?)", (first, packed_text(text)))

    def finish(self, **facts: bytes) -> None:
        """Write what is still to be written, and close it."""
        with closing(self._database):
            self._flush()
            self._database.executemany(
                "UPDATE members SET files = ?, size = ? WHERE id = ?",
                ((files, size, number) for number, files, size in self._folders.totals()),
            )
            self._database.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            self._database.execute("CREATE INDEX by_folder ON members (folder, rank, key)")
            self._database.execute("COMMIT")

    def _add_folder(self, path: bytes, modified_ns: int | None, line: int | None) -> None:
        known = self._folders.find(path)
        if known is not None and path:
            self._flush()
            self._database.execute(
                "UPDATE members SET modified_ns = ?, line = ? WHERE id = ?",
                (modified_ns, line, self._folders.id_of(known)),
            )
        elif path:
            self._new_folder(path, modified_ns, line)

    def _place_of(self, path: bytes, *, is_top: bool) -> int:
        """The folder with this path, made where it is not known yet."""
        if is_top:
            return 0
        if path == self._last_folder and self._last_place:
            return self._last_place
        place = self._folders.find(path)
        if place is None:
            place = self._new_folder(path, None, None)
        self._last_folder, self._last_place = path, place
        return place

    def _new_folder(self, path: bytes, modified_ns: int | None, line: int | None) -> int:
        above, _, name = path.rpartition(b"/")
        parent = self._place_of(above, is_top=len(name) == len(path))
        number = self._insert(
            self._folders.id_of(parent), FOLDER_RANK, name, MemberKind.DIRECTORY, 0, modified_ns, line
        )
        return self._folders.add(path, number, parent)

    def _insert(
        self, folder: int, rank: int, name: bytes, kind: MemberKind, size: int, time: int | None, line: int | None
    ) -> int:
        number = self._next_id
        self._next_id += 1
        row = (number, folder, rank, natural_key(name), name, name.isascii(), kind.value, size, time, line)
        self._rows.append(row)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._flush()
        return number

    def _flush(self) -> None:
        self._database.executemany(_INSERT, self._rows)
        self._rows.clear()


class _Folders:
    """The folders so far by their paths, and what lies in them. A folder comes after the one that it is in; 0 is the
    top. In arrays: there may be a million."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._ids = array("q", [0])
        self._parents = array("q", [0])
        self._files = array("q", [0])
        self._sizes = array("d", [0])

    def find(self, path: bytes) -> int | None:
        return self._places.get(path)

    def id_of(self, place: int) -> int:
        return self._ids[place]

    def add(self, path: bytes, number: int, parent: int) -> int:
        place = len(self._ids)
        self._places[path] = place
        self._ids.append(number)
        self._parents.append(parent)
        self._files.append(0)
        self._sizes.append(0)
        return place

    def count(self, place: int, size: int) -> None:
        self._files[place] += 1
        self._sizes[place] += size

    def totals(self) -> Iterator[tuple[int, int, int]]:
        """``(id, files, size)`` of all that is below each, from the last one up."""
        for place in range(len(self._ids) - 1, 0, -1):
            parent = self._parents[place]
            self._files[parent] += self._files[place]
            self._sizes[parent] += self._sizes[place]
            yield self._ids[place], self._files[place], min(int(self._sizes[place]), LARGEST_INTEGER)
