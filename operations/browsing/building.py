"""A process that makes the two files of a copy's listing from its index, so that no page of the dashboard waits.

Everything is in the second file, which takes some seconds for a copy of 500,000 members. The first has the folder that
is shown first, and is there much sooner: the lines of the index are searched for that folder's children only.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from archives.index import index_text
from archives.index_glance import Glance, glance_at, glances, unescaped
from errors import HoldfastError
from model import MemberKind
from operations.browsing.listing_writer import FILE_RANK, FOLDER_RANK, ListingWriter
from operations.browsing.natural_order import natural_key

INDEX = "index.zst"
FIRST = "first.db"
WHOLE = "members.db"
FAILURE = "failure"

FIRST_COUNT = 200
"""So many children are in the first file, where there are so many."""

# Nobody waits for the second file as for the first.
_NICENESS = 5

_TEXT_SIZE = 256 << 10
_READ_SIZE = 1 << 20
_PATH_BEGINS = b'{"path":"'


def build(folder: Path, *, from_zip: bool, on_first: Callable[[], object] = lambda: None) -> None:
    """Make both files in ``folder`` from the index that lies there; each has its name only once it is finished, and
    ``on_first`` is called between them.

    Raises DamagedArchiveError, OSError and sqlite3.Error.
    """
    index = folder / INDEX
    facts = {"from_zip": b"1" if from_zip else b""}
    start = _start_folder(index)
    if start is not None:
        unfinished = folder / f"{FIRST}.part"
        _write_first(index, start, unfinished, facts)
        unfinished.rename(folder / FIRST)
    on_first()
    unfinished = folder / f"{WHOLE}.part"
    _write_whole(index, unfinished, {**facts, "start": _decoded(start or b"")})
    unfinished.rename(folder / WHOLE)
    index.unlink()


def main(folder: str, from_zip: str) -> int:
    """The process: its exit code, and why it failed in a file."""
    place = Path(folder)
    try:
        build(place, from_zip=bool(from_zip), on_first=lambda: os.nice(_NICENESS))
    except (HoldfastError, OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        (place / FAILURE).write_text(reason, "utf-8")
        return 1
    return 0


def _write_whole(index: Path, path: Path, facts: dict[str, bytes]) -> None:
    writer = ListingWriter(path)
    count = 0
    for text in index_text(_chunks(index), _TEXT_SIZE):
        writer.add_lines(count, text)
        for seen in glances(text):
            writer.add(*seen, count)
            count += 1
    writer.finish(is_complete=b"1", **facts)


def _start_folder(index: Path) -> bytes | None:
    """The deepest folder that everything lies in, up to the first name that is not plain ASCII, with a slash at its end
    (``b""`` is the top), as it stands in the lines. None where these are not written as ours are.
    """
    first: bytes | None = None
    least = greatest = b""
    for text in index_text(_chunks(index), _TEXT_SIZE):
        lines = text[:-1].split(b"\n")
        # A path that begins with a slash is none of ours either.
        if _lines_with(_PATH_BEGINS, text) < len(lines) or _lines_with(_PATH_BEGINS + b"/", text):
            return None
        if first is None:
            first = lines.pop(0)
            if not lines:
                continue
        least = min(least or lines[0], *lines)
        greatest = max(greatest, *lines)
    if first is None:
        return None
    common = _common_beginning(least, greatest) if least else first
    start = _whole_folder(common)
    # The first line is often that of the folder itself.
    path = _path_text(first)
    if not path.startswith(start) and not start.startswith(path + b"/"):
        start = _whole_folder(_common_beginning(common, first))
    return start


def _lines_with(beginning: bytes, text: bytes) -> int:
    """How many lines begin so."""
    return text.count(b"\n" + beginning) + text.startswith(beginning)


def _path_text(line: bytes) -> bytes:
    return re.match(rb'[^"\\]*', line[len(_PATH_BEGINS) :])[0]  # type: ignore[index]  # it matches nothing, too


def _whole_folder(line: bytes) -> bytes:
    """The folders at the beginning of a line's path."""
    text = _path_text(line)
    return text[: text.rfind(b"/") + 1]


def _common_beginning(one: bytes, other: bytes) -> bytes:
    for position, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return one[:position]
    return min(one, other)


def _decoded(start: bytes) -> bytes:
    return start.removesuffix(b"/")


def _write_first(index: Path, start: bytes, path: Path, facts: dict[str, bytes]) -> None:
    first = _FirstChildren(start)
    for text in index_text(_chunks(index), _TEXT_SIZE):
        first.look_at(text)
    writer = ListingWriter(path)
    folder = _decoded(start)
    if folder:
        writer.add(folder, MemberKind.DIRECTORY, 0, None, None)
    for seen in first.chosen():
        writer.add(*seen, None)
    writer.finish(is_complete=b"", start=folder, **facts)


_Child = tuple[int, bytes, Glance]


class _FirstChildren:
    """Of what lies right in the folder ``start``, what comes first in its listing. All lines begin as ours do."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self._begins = _PATH_BEGINS + start
        names = rb'([^"\\/\n]*(?:\\.[^"\\/\n]*)*)'
        self._pattern = re.compile(b"^" + re.escape(self._begins) + names + b'(/|","kind":".)', re.MULTILINE)
        self._best: list[_Child] = []
        self._limit: tuple[int, bytes] | None = None
        self._folders: set[bytes] = set()
        self._last_folder: bytes | None = None

    def look_at(self, text: bytes) -> None:
        """Some whole lines."""
        if self._last_folder is not None:
            line_begins = self._begins + self._last_folder + b"/"
            if _lines_with(line_begins, text) == text.count(b"\n"):
                return  # all of them are below a folder that is known
        found = self._pattern.findall(text) if b'"path_base64"' not in text else []
        if len(found) != text.count(b"\n"):
            self._look_closely(text)
            return
        for name, behind in found:
            if behind == b"/":
                if name not in self._folders:
                    self._see_folder(name, _unescaped(name))
                self._last_folder = name
            else:
                rank = FOLDER_RANK if behind.endswith(b"d") else FILE_RANK
                if self._is_wanted(rank, key := natural_key(_unescaped(name))):
                    self._keep(rank, key, self._seen_in(text, name))

    def chosen(self) -> Iterator[Glance]:
        """The first of them, in their order; of two folders of one name, the one that is a member."""
        self._cut()
        taken: dict[bytes, Glance] = {}
        for _, _, seen in self._best:
            if seen.kind is MemberKind.DIRECTORY:
                if seen.path not in taken or seen.modified_ns is not None:
                    taken[seen.path] = seen
            else:
                yield seen
        yield from taken.values()

    def _look_closely(self, text: bytes) -> None:
        for seen in glances(text):
            if not seen.path.startswith(self._start):
                continue
            name, slash, _ = seen.path[len(self._start) :].partition(b"/")
            if slash:
                if name not in self._folders:
                    self._see_folder(name, name)
                continue
            rank = FOLDER_RANK if seen.kind is MemberKind.DIRECTORY else FILE_RANK
            self._keep(rank, natural_key(name), seen)

    def _see_folder(self, written: bytes, name: bytes) -> None:
        """A folder that something lies in, by its name as it is written and as it is."""
        self._folders.add(written)
        self._keep(FOLDER_RANK, natural_key(name), Glance(self._start + name, MemberKind.DIRECTORY, 0, None))

    def _seen_in(self, text: bytes, name: bytes) -> Glance:
        line_begins = self._begins + name + b'"'
        at = 0 if text.startswith(line_begins) else text.index(b"\n" + line_begins) + 1
        return glance_at(text[at : text.index(b"\n", at)])

    def _is_wanted(self, rank: int, key: bytes) -> bool:
        return self._limit is None or (rank, key) <= self._limit

    def _keep(self, rank: int, key: bytes, seen: Glance) -> None:
        if self._is_wanted(rank, key):
            self._best.append((rank, key, seen))
            if len(self._best) == 8 * FIRST_COUNT:
                self._cut()

    def _cut(self) -> None:
        """Keep the first ones only. A folder may stand there twice: as what it is, and as what something lies in."""
        self._best.sort(key=lambda child: child[:2])
        del self._best[2 * FIRST_COUNT :]
        if len(self._best) == 2 * FIRST_COUNT:
            self._limit = self._best[-1][:2]


def _unescaped(name: bytes) -> bytes:
    return unescaped(name) if b"\\" in name else name


def _chunks(index: Path) -> Iterator[bytes]:
    with index.open("rb") as file:
        while chunk := file.read(_READ_SIZE):
            yield chunk


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
