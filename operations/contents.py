"""What is in a copy, without reading the archive: from its index, or from the ZIP's own directory by ranged reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from archives.entry import Entry
from archives.validation import validated
from archives.zip_reader import ZipReader
from errors import DamagedArchiveError, HoldfastError, ObjectNotFoundError
from operations.copies import StoredCopy, read_entries
from utils import printable


def list_contents(copy: StoredCopy, paths: Sequence[bytes]) -> Iterator[Entry]:
    """The members at and below ``paths`` (all, where there are none), in the order of the archive.

    Raises StorageError, DamagedArchiveError where neither index nor directory can be read, HostileArchiveError, and
    HoldfastError at the end where a path leads to nothing.
    """
    try:
        entries = read_entries(copy)
    except (DamagedArchiveError, ObjectNotFoundError):
        entries = zip_entries(zip_directory(copy))
    selection = Selection(paths)
    yield from selection.of(entries)
    if selection.unmatched:
        raise HoldfastError(nothing_at(copy, selection.unmatched))


def zip_directory(copy: StoredCopy) -> ZipReader:
    """The archive as a plain ZIP. Raises ObjectNotFoundError where it is not there."""
    return ZipReader(copy.read, copy.storage.stat(copy.keys.archive).size)


def zip_entries(reader: ZipReader) -> Iterator[Entry]:
    """The members as the ZIP's own directory has them. Raises DamagedArchiveError and HostileArchiveError."""
    return validated(reader.entries(), with_blocks=False)


class Selection:
    """The members at or below any of some paths (all, where there are none).

    A path may begin with a slash, as it did on its host, and end with one.
    """

    def __init__(self, paths: Sequence[bytes]) -> None:
        self._wanted = {path.strip(b"/"): path for path in paths}
        self._unmatched = dict(self._wanted)

    @property
    def unmatched(self) -> list[bytes]:
        """The paths at which there was nothing, once all entries have passed."""
        return list(self._unmatched.values())

    def of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if not self._wanted or self._is_wanted(entry.member.path):
                yield entry

    def _is_wanted(self, path: bytes) -> bool:
        matching = [start for start in self._wanted if not start or path == start or path.startswith(start + b"/")]
        for start in matching:
            self._unmatched.pop(start, None)
        return bool(matching)


def nothing_at(copy: StoredCopy, paths: Sequence[bytes]) -> str:
    """The sentence for paths that a copy does not hold."""
    named = ", ".join(printable(path) for path in paths)
    command = f"restore.py show {copy.backup_id}@{copy.keys.timestamp}"
    return f"{copy} holds nothing at {named}. {command} lists what it holds."
