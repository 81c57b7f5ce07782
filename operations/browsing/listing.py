"""Looking up the members of one copy: the children of a folder, one member, a search. Reads what ``building`` made.

Nothing here is a path of this machine: names are compared with names in a database, and that is all.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archives.entry import Entry
from archives.index import entry_of_line
from archives.index_glance import unpacked_text
from archives.validation import validated
from errors import DamagedArchiveError, HoldfastError, UsageError
from model import MemberKind
from operations.browsing.building import FIRST_COUNT
from operations.browsing.listing_writer import FILE_RANK, FOLDER_RANK, LARGEST_INTEGER
from operations.browsing.natural_order import natural_key
from operations.copies.finding import SearchPattern

_Row = tuple[Any, ...]

Place = tuple[bytes, ...]
"""The names of the folders above a member, and its own. The top is ``()``."""

Cursor = tuple[int, bytes, bytes, int]
"""Rank, key, name and number of the last item of a page."""

_COLUMNS = "id, rank, key, name, kind, size, modified_ns, line, files"
_SEARCHED_AT_ONCE = 20_000


class UnusableListingError(HoldfastError):
    """The file of a listing cannot be read. It can be made again."""


class NothingThereError(HoldfastError):
    """The copy has nothing of this name."""


@dataclass(frozen=True, slots=True)
class Item:
    """One member, or a folder above one. ``size`` and ``files`` of a folder are those of all below it, in bytes; None
    where they are not known yet. ``is_member`` is False for a folder that only has members below it.
    """

    place: Place
    kind: MemberKind
    size: int | None
    modified_ns: int | None
    files: int | None
    is_member: bool

    @property
    def name(self) -> bytes:
        return self.place[-1]

    @property
    def path(self) -> bytes:
        return b"/".join(self.place)


@dataclass(frozen=True, slots=True)
class Page:
    """Some items, and what to ask for the following ones with; None where there are none."""

    items: tuple[Item, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What was found among ``searched`` of ``members`` members, from where the search was begun.

    ``next`` is where it goes on; None where all was searched.
    """

    items: tuple[Item, ...]
    searched: int
    members: int
    next: int | None


class Listing:
    """The members of one copy. Several threads may use it. Raises UnusableListingError where its file is no good."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._database() as database:
            facts = dict(database.execute("SELECT name, value FROM facts"))
        self.is_complete = bool(facts.get("is_complete"))
        self.is_from_zip = bool(facts.get("from_zip"))
        start = bytes(facts.get("start", b""))
        self.start: Place = tuple(start.split(b"/")) if start else ()

    def knows(self, folder: Place, after: object, limit: int) -> bool:
        """Whether it can say what is in a folder, from there on. The first file has one page only."""
        return self.is_complete or (folder == self.start and after is None and limit <= FIRST_COUNT)

    def children(self, folder: Place, after: Cursor | None, limit: int) -> Page:
        """What is in a folder, folders first, in natural order. Raises NothingThereError."""
        with self._database() as database:
            number = self._folder_id(database, folder)
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM members WHERE folder = ? AND (rank, key, name, id) > (?, ?, ?, ?) "  # noqa: S608
                "ORDER BY rank, key, name, id LIMIT ?",
                (number, *(after or (-1, b"", b"", 0)), limit + 1),
            ).fetchall()
        more = len(rows) > limit
        rows = rows[:limit]
        items = tuple(self._item(folder, row) for row in rows)
        if not more:
            return Page(items, None)
        number, rank, key, name = rows[-1][:4]
        # The two files of a copy number their members differently.
        return Page(items, (rank, key, name, number if self.is_complete else LARGEST_INTEGER))

    def item(self, place: Place) -> Item:
        """One member or folder. Raises NothingThereError."""
        with self._database() as database:
            return self._item(place[:-1], self._row(database, place))

    def described(self, place: Place) -> tuple[Item, Entry | None]:
        """One member with all that the index says of it; None for a folder that is no member.

        Raises NothingThereError and DamagedArchiveError.
        """
        with self._database() as database:
            row = self._row(database, place)
            entries = [] if row[7] is None else list(self._entries(database, [int(row[7])]))
        return self._item(place[:-1], row), entries[0] if entries else None

    def totals(self, folder: Place) -> tuple[int, int] | None:
        """Files below a folder, and their bytes; None where they are not known yet. Raises NothingThereError."""
        if not self.is_complete:
            return None
        if folder:
            item = self.item(folder)
            return item.files or 0, item.size or 0
        with self._database() as database:
            question = (
                "SELECT SUM(CASE rank WHEN ? THEN files ELSE 1 END), SUM(CAST(size AS REAL)) "
                "FROM members WHERE folder = 0"
            )
            files, size = database.execute(question, (FOLDER_RANK,)).fetchone()
        return int(files or 0), int(size or 0)

    def entry(self, place: Place) -> Entry:
        """One file, wholly. Raises NothingThereError, and UsageError where it is none; DamagedArchiveError and
        HostileArchiveError."""
        with self._database() as database:
            row = self._row(database, place)
            if row[4] != MemberKind.FILE.value:
                raise UsageError("Only a file can be downloaded so. A folder is downloaded as a ZIP file.")
            (entry,) = self._entries(database, [int(row[7])])
        if entry.member.path != b"/".join(place):
            raise DamagedArchiveError("the index has two names for one member")
        return next(validated([entry], with_blocks=not self.is_from_zip))

    def entries_below(self, folder: Place) -> Iterator[Entry]:
        """All members at and below a folder, in the order of the archive. Raises as :meth:`entry` does."""
        question = (
            "WITH RECURSIVE below (id, line) AS (SELECT id, line FROM members WHERE id = ? OR (? = 0 AND folder = 0) "
            "UNION ALL SELECT members.id, members.line FROM members JOIN below ON members.folder = below.id) "
            "SELECT line FROM below WHERE line IS NOT NULL ORDER BY line"
        )
        with self._database() as database:
            number = self._folder_id(database, folder)
            lines = (int(row[0]) for row in database.execute(question, (number, number)))
            yield from validated(self._entries(database, lines), with_blocks=not self.is_from_zip)

    def search(self, text: bytes, after: int, limit: int, seconds: float) -> SearchPage:
        """Members whose name has ``text`` in it, or that it is a pattern of (see SearchPattern), in the order of the
        archive; it stops once ``limit`` were found, or soon after so many ``seconds``."""
        pattern = SearchPattern(text, ignore_case=True)
        deadline = time.monotonic() + seconds
        found: list[Item] = []
        with self._database() as database:
            places = _Places(database)
            (members,) = database.execute("SELECT COALESCE(MAX(id), 0) FROM members").fetchone()
            position = after
            while position < members and len(found) < limit:
                end = min(position + _SEARCHED_AT_ONCE, members)
                for row, folder in _candidates(database, text, position, end):
                    above = places.of(folder)
                    if pattern.matches(b"/".join((*above, row[3]))):
                        found.append(self._item(above, row))
                        if len(found) == limit:
                            end = int(row[0])
                            break
                position = end
                if time.monotonic() >= deadline:
                    break
        return SearchPage(tuple(found), position - after, members, position if position < members else None)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        try:
            # The file is never changed, so SQLite need not look for locks.
            with closing(
                sqlite3.connect(f"{self._path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
            ) as database:
                yield database
        except sqlite3.Error as error:
            raise UnusableListingError(
                f"The list of what is in the copy cannot be read ({error}). Try it again."
            ) from None

    def _folder_id(self, database: sqlite3.Connection, folder: Place) -> int:
        if not folder:
            return 0
        row = self._row(database, folder)
        if row[1] != FOLDER_RANK:
            raise NothingThereError("That is a file, and nothing is in it.")
        return int(row[0])

    @staticmethod
    def _row(database: sqlite3.Connection, place: Place) -> _Row:
        number = 0
        row: _Row | None = None
        for position, name in enumerate(place):
            ranks = (FOLDER_RANK,) if position < len(place) - 1 else (FOLDER_RANK, FILE_RANK)
            for rank in ranks:
                row = database.execute(
                    f"SELECT {_COLUMNS} FROM members WHERE folder = ? AND rank = ? AND key = ? AND name = ? "  # noqa: S608
                    "ORDER BY id LIMIT 1",
                    (number, rank, natural_key(name), name),
                ).fetchone()
                if row is not None:
                    break
            if row is None:
                raise NothingThereError("The copy has nothing of this name.")
            number = row[0]
        if row is None:
            raise NothingThereError("That is the top of the copy, and no member of it.")
        return row

    def _item(self, folder: Place, row: _Row) -> Item:
        _, rank, _, name, kind, size, modified_ns, line, files = row
        is_unknown = rank == FOLDER_RANK and not self.is_complete
        return Item(
            (*folder, bytes(name)),
            MemberKind(kind),
            None if is_unknown else size,
            modified_ns,
            None if is_unknown else files,
            line is not None,
        )

    @staticmethod
    def _entries(database: sqlite3.Connection, numbers: Iterable[int]) -> Iterator[Entry]:
        """The members of these lines, in rising order."""
        first, lines = 0, list[bytes]()
        for number in numbers:
            if not first <= number < first + len(lines):
                row = database.execute(
                    "SELECT first, packed FROM lines WHERE first <= ? ORDER BY first DESC LIMIT 1", (number,)
                ).fetchone()
                if row is None:
                    raise UnusableListingError("The list of what is in the copy is not whole. Try it again.")
                first, lines = row[0], unpacked_text(row[1])[:-1].split(b"\n")
            yield entry_of_line(lines[number - first])


class _Places:
    """The places of folders by their numbers."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._known: dict[int, Place] = {0: ()}

    def of(self, number: int) -> Place:
        unknown = []
        while number not in self._known:
            folder, name = self._database.execute("SELECT folder, name FROM members WHERE id = ?", (number,)).fetchone()
            unknown.append((number, bytes(name)))
            number = folder
        place = self._known[number]
        for each, name in reversed(unknown):
            place = (*place, name)
            if len(self._known) < _SEARCHED_AT_ONCE:
                self._known[each] = place
        return place


def _candidates(database: sqlite3.Connection, text: bytes, after: int, end: int) -> Iterator[tuple[_Row, int]]:
    """Members by their numbers that may be what is looked for, each with the number of its folder.

    SQLite compares with the letters that stand in ``text`` as they are, which is quick; it knows capital letters of
    ASCII only, so names with others all are candidates.
    """
    question = f"SELECT {_COLUMNS}, folder FROM members WHERE id > ? AND id <= ?"  # noqa: S608
    values: list[object] = [after, end]
    literal = _literal_part(text)
    if literal:
        question += " AND (NOT is_ascii OR CAST(name AS TEXT) LIKE ? ESCAPE '!')"
        escaped = literal
        for special in "!%_":
            escaped = escaped.replace(special, "!" + special)
        values.append(f"%{escaped}%")
    for row in database.execute(question + " ORDER BY id", values):
        yield row[:-1], row[-1]


def _literal_part(text: bytes) -> str:
    """The longest run of ASCII that each name that is found must have in it; ``""`` where that cannot be said."""
    if b"/" in text or b"[" in text or not text.isascii():
        return ""
    runs = text.replace(b"?", b"*").split(b"*")
    return max(runs, key=len).decode("ascii")
