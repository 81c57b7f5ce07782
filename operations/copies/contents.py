"""What is in a copy, without reading the archive: from its index, or from the ZIP's own directory by ranged reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archives.entry import Entry
from archives.validation import validated
from archives.zip_reader import ZipReader
from errors import DamagedArchiveError, HoldfastError, ObjectNotFoundError
from model import MemberKind
from operations.copies.path_patterns import PathPattern, is_pattern
from operations.copies.stored_copies import StoredCopy, entries_of, index_chunks
from utils import printable


def list_contents(copy: StoredCopy, paths: Sequence[bytes]) -> Iterator[Entry]:
    """The members at and below ``paths`` (all, where there are none), in the order of the archive.

    Raises StorageError, DamagedArchiveError where neither index nor directory can be read, HostileArchiveError, and
    HoldfastError at the end where a path leads to nothing.
    """
    selection = Selection(Contents(copy), paths)
    yield from selection.entries()
    if selection.unmatched:
        raise HoldfastError(nothing_at(copy, selection.unmatched))


class Contents:
    """The members of a copy, as often as they are asked for; the index is held as it is packed.

    Where it is missing or damaged, ``index_error`` says so, and ``zip`` reads the archive as a plain ZIP instead.
    Raises StorageError, DamagedArchiveError where neither can be read, and HostileArchiveError.
    """

    def __init__(self, copy: StoredCopy) -> None:
        self.index_error: HoldfastError | None = None
        self.zip: ZipReader | None = None
        self._index: list[bytes] = []
        try:
            self._index = index_chunks(copy)
        except (DamagedArchiveError, ObjectNotFoundError) as error:
            self.index_error = error
            self.zip = zip_directory(copy)

    def entries(self) -> Iterator[Entry]:
        """In the order of the archive."""
        return entries_of(self._index) if self.zip is None else zip_entries(self.zip)


def zip_directory(copy: StoredCopy) -> ZipReader:
    """The archive as a plain ZIP. Raises ObjectNotFoundError where it is not there."""
    return ZipReader(copy.read, copy.content_size())


def zip_entries(reader: ZipReader) -> Iterator[Entry]:
    """The members as the ZIP's own directory has them. Raises DamagedArchiveError and HostileArchiveError."""
    return validated(reader.entries(), with_blocks=False)


class Selection:
    """The members at or below any of some paths (all, where there are none), of which some may be patterns.

    A path may begin with a slash, as it did on its host, and end with one. One with ``*``, ``?`` or ``[`` in it is a
    pattern (``operations.copies.path_patterns``), unless something of just that name is there.
    """

    def __init__(self, contents: Contents, paths: Sequence[bytes]) -> None:
        """Reads the contents once where there are patterns. Raises as they do."""
        self._contents = contents
        self._wanted = {path.strip(b"/"): path for path in paths}
        self._unmatched = dict(self._wanted)
        self._patterns = self._compiled({path for path in self._wanted if is_pattern(path)})

    @property
    def unmatched(self) -> list[bytes]:
        """The paths at which there was nothing, once all entries have passed."""
        return list(self._unmatched.values())

    def entries(self) -> Iterator[Entry]:
        """In the order of the archive. Raises as the contents do."""
        for entry in self._contents.entries():
            if not self._wanted or self._is_wanted(entry.member.path):
                yield entry

    def size(self) -> int:
        """The bytes of its files, unpacked. Reads the contents once more, where that is not all of them."""
        return sum(entry.size for entry in self.entries() if entry.member.kind is MemberKind.FILE)

    def _compiled(self, candidates: set[bytes]) -> dict[bytes, PathPattern]:
        """Those that are no names of members or of folders above them."""
        literal: set[bytes] = set()
        for entry in self._contents.entries() if candidates else ():
            literal.update(path for path in candidates - literal if _is_at_or_below(entry.member.path, path))
            if literal == candidates:
                break
        return {path: PathPattern(path) for path in candidates - literal}

    def _is_wanted(self, path: bytes) -> bool:
        matching = [wanted for wanted in self._wanted if self._covers(wanted, path)]
        for wanted in matching:
            self._unmatched.pop(wanted, None)
        return bool(matching)

    def _covers(self, wanted: bytes, path: bytes) -> bool:
        pattern = self._patterns.get(wanted)
        return _is_at_or_below(path, wanted) if pattern is None else pattern.covers(path)


def _is_at_or_below(path: bytes, wanted: bytes) -> bool:
    return not wanted or path == wanted or path.startswith(wanted + b"/")


def nothing_at(copy: StoredCopy, paths: Sequence[bytes]) -> str:
    """The sentence for paths that a copy does not hold."""
    named = ", ".join(printable(path) for path in paths)
    command = f"restore.py show {copy.backup_id}@{copy.keys.timestamp}"
    return f"{copy} holds nothing at {named}. {command} lists what it holds."
