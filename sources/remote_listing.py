"""What lies below a path on a host: the names and kinds that ``find`` sees there, and which of them are wanted.

BusyBox's ``find`` knows no ``-printf``, so how often in a row a path is printed says what it is. A folder comes before
what is in it, and all that is in it comes in a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from errors import HostError
from hosts.command import Command, CommandHost
from model import FileSource, Note, NoteKind
from sources.exclusion import Exclusion
from sources.path_list import PathList
from sources.tar_program import ENVIRONMENT
from utils import printable

_FOLDER, _CACHE_TAG = 2, 7
_SPECIAL_KINDS = {3: "a named pipe", 4: "a socket", 5: "a character device", 6: "a block device"}
_SPECIAL_TYPES = {3: "p", 4: "s", 5: "c", 6: "b"}

_CACHE_TAG_NAME = b"CACHEDIR.TAG"
# The first bytes of a valid one: https://bford.info/cachedir/
_IS_CACHE_TAG = (
    'IFS= read -r line <"$1"; '
    'case $line in "Signature: 8a477f597d28d172789f06886806bc55"*) ;; *) false ;; esac 2>/dev/null'
)

# After the paths an empty one, the exit status, and what find said.
_SCRIPT = """
exec 3>&1
said=$(find "$@" 2>&1 >&3 3>&-)
printf '\\0%d\\0%s\\0' "$?" "$said"
"""

_FOR_GLOB = re.compile(rb"([*?\[\\])")
_ESCAPE = re.compile(rb"\\(?:[0-7]{3}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Root:
    """A path to back up. ``closed`` are the folders below it that are not entered, with the reasons."""

    path: bytes
    closed: Mapping[bytes, str]


@dataclass(slots=True)
class _Listing:
    """Everything below a root: each path with its kind (a digit) before it."""

    paths: PathList = field(default_factory=PathList)
    left_out: dict[bytes, str] = field(default_factory=dict)
    errors: dict[bytes, str] = field(default_factory=dict)


class Selection:
    """Collects the paths of all roots that belong to a backup, in ``paths``."""

    def __init__(self, source: FileSource, host: CommandHost, note: Callable[[Note], None]) -> None:
        self.paths = PathList()
        self._source = source
        self._host = host
        self._note = note
        self._exclude = Exclusion(source.exclude) if source.exclude else None
        self._markers = frozenset(name.encode("utf-8", "surrogateescape") for name in source.exclude_if_present)

    def add(self, root: Root, roots: Iterable[bytes]) -> None:
        """Add what lies at and below one root, but for what lies below others. Raises HostError."""
        listing = self._listing(root)
        others = frozenset(roots) - {root.path}
        skipped: bytes | None = None
        for record in listing.paths:
            kind, path = record[0] - ord("0"), record[1:]
            if skipped is not None:
                if path.startswith(skipped):
                    continue
                skipped = None
            error = listing.errors.pop(path, None)
            is_folder = kind == _FOLDER
            if path in others or self._is_excluded(path, root.path, is_folder=is_folder):
                skipped = path + b"/"
            elif kind in _SPECIAL_KINDS:
                self._note(Note(NoteKind.SPECIAL, path[1:], f"it is {_SPECIAL_KINDS[kind]}"))
            else:
                if path != b"/":
                    self.paths.add(path)
                reason = is_folder and (root.closed.get(path) or listing.left_out.get(path))
                if reason:
                    self._note(Note(NoteKind.LEFT_OUT, path[1:], reason))
                    skipped = path.rstrip(b"/") + b"/"
                elif error is not None:
                    self._note_error(path, error)
        for path, error in listing.errors.items():
            if not self._lies_in_excluded(path, root.path):
                self._note_error(path, error)

    def _is_excluded(self, path: bytes, root: bytes, *, is_folder: bool) -> bool:
        if self._exclude is None or path == root:
            return False
        return self._exclude.covers(path[len(root.rstrip(b"/")) + 1 :], is_folder=is_folder)

    def _lies_in_excluded(self, path: bytes, root: bytes) -> bool:
        end = len(root.rstrip(b"/"))
        while (end := path.find(b"/", end + 1)) >= 0:
            if self._is_excluded(path[:end], root, is_folder=True):
                return True
        return path.startswith(root) and self._is_excluded(path, root, is_folder=True)

    def _note_error(self, path: bytes, reason: str) -> None:
        if reason == "No such file or directory":
            vanished = "it vanished, or became something else, before it was read"
            self._note(Note(NoteKind.VANISHED, path[1:], vanished))
        else:
            self._note(Note(NoteKind.UNREADABLE, path[1:], reason))

    def _listing(self, root: Root) -> _Listing:
        listing = _Listing()
        command = Command(("sh", "-c", _SCRIPT, "sh", *self._find_arguments(root)), ENVIRONMENT, "find")
        with self._host.start(command) as running:
            records = _records(running.chunks())
            for path, times in groupby(records):
                if not path:
                    break
                self._add_path(path, sum(1 for _ in times), listing)
            status, said = next(records, b""), next(records, b"")
            for _ in records:
                pass
        if status != b"0":
            self._add_errors(status, said, listing)
        return listing

    def _add_path(self, path: bytes, kind: int, listing: _Listing) -> None:
        listing.paths.add(b"%d%b" % (kind, path))
        if self._markers or kind == _CACHE_TAG:
            folder, _, name = path.rpartition(b"/")
            if name in self._markers:
                listing.left_out[folder or b"/"] = f"it holds {printable(name)} (EXCLUDE_IF_PRESENT)"
            elif kind == _CACHE_TAG:
                listing.left_out.setdefault(folder or b"/", "it holds a CACHEDIR.TAG (EXCLUDE_CACHES)")

    def _add_errors(self, status: bytes, said: bytes, listing: _Listing) -> None:
        for line in said.split(b"\n"):
            name, _, reason = line.removeprefix(b"find: ").rpartition(b": ")
            path = _unquoted(name)
            if path.startswith(b"/"):
                listing.errors[path] = printable(reason)
        if status != b"1" or not listing.errors:
            raise HostError(
                f"The program find on {self._host.name} ended with exit status {printable(status)}:\n"
                f"{printable(said[-2000:])}"
            )

    def _find_arguments(self, root: Root) -> Iterator[str]:
        """An expression that prints a path as often as its kind says."""
        yield root.path.decode("utf-8", "surrogateescape")
        yield from ("-type", "d", "(")
        for path in root.closed:
            yield from ("-path", _FOR_GLOB.sub(rb"\\\1", path).decode("utf-8", "surrogateescape"), "-prune", "-o")
        yield from ("-path", "*", ")", *_FOLDER * ["-print0"])
        for kind, letter in _SPECIAL_TYPES.items():
            yield from ("-o", "-type", letter, *kind * ["-print0"])
        if self._source.exclude_caches:
            yield from ("-o", "-type", "f", "-name", _CACHE_TAG_NAME.decode())
            yield from ("-exec", "sh", "-c", _IS_CACHE_TAG, "sh", "{}", ";", *_CACHE_TAG * ["-print0"])
        yield from ("-o", "-print0")


def _records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What stands between NULs."""
    rest = b""
    for chunk in chunks:
        *records, rest = (rest + chunk).split(b"\0")
        yield from records


def _unquoted(name: bytes) -> bytes:
    """A path of a message of GNU find, which quotes it, or of another, which does not."""
    if len(name) < 2 or not (name.startswith(b"'") and name.endswith(b"'")):
        return name
    return _ESCAPE.sub(_character, name[1:-1])


def _character(escape: re.Match[bytes]) -> bytes:
    letters = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
    code = escape[0][1:]
    return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else letters.get(code, code)
