"""What is in a copy, without reading the archive: from its index, or from the ZIP's own directory by ranged reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from archives.entry import Entry
from archives.zip_reader import ZipReader
from errors import DamagedArchiveError, ObjectNotFoundError
from operations.copies import StoredCopy, read_entries


def list_contents(copy: StoredCopy, paths: Sequence[bytes]) -> Iterator[Entry]:
    """The members at and below ``paths`` (all, where there are none), in the order of the archive.

    Raises StorageError, and DamagedArchiveError where neither index nor directory can be read.
    """
    try:
        entries = read_entries(copy)
    except (DamagedArchiveError, ObjectNotFoundError):
        entries = zip_directory(copy).entries()
    return select_entries(entries, paths)


def zip_directory(copy: StoredCopy) -> ZipReader:
    """The archive as a plain ZIP. Raises ObjectNotFoundError where it is not there."""
    return ZipReader(copy.read, copy.storage.stat(copy.keys.archive).size)


def select_entries(entries: Iterable[Entry], paths: Sequence[bytes]) -> Iterator[Entry]:
    """The entries at or below any of these paths, which may begin with a slash as they did on their host."""
    wanted = [path.strip(b"/") for path in paths]
    for entry in entries:
        path = entry.member.path
        if not wanted or any(path == start or path.startswith(start + b"/") or not start for start in wanted):
            yield entry
