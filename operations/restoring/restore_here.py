"""A folder of this machine as the place of a restore.

The attributes of folders come last, from the deepest up, because each file that is made in a folder changes its time.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from archives.entry import Entry
from archives.zip_reader import ReadRange, ZipReader
from hosts.local_tree import LocalTree
from model import Overwrite
from operations.restoring.restore_content import FATAL_ERRORS, ContentWriter
from operations.restoring.restore_look import LocalLook
from operations.restoring.restore_place import Fate, OnWritten, Written

# link(2): a file system without hard links, too many of one file, or a mount between the two.
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class LocalPlace:
    """See ``operations.restoring.restore_place.Place``."""

    def __init__(self, read: ReadRange, tree: LocalTree, overwrite: Overwrite | None, on_written: OnWritten) -> None:
        self._tree = tree
        self._overwrite = overwrite
        self._writer = ContentWriter(read, tree, on_written)
        self._on_written = on_written

    def make_folder(self, entry: Entry) -> None:
        # What lies in its way is said when it should get its attributes.
        with _problem_of(Written(entry)):
            self._tree.make_folder(entry.member.path)

    def write(self, entries: Iterable[Entry]) -> None:
        self._writer.write(self._wanted(entries))

    def write_from_zip(self, entries: Iterable[Entry], reader: ZipReader) -> None:
        self._writer.write_from_zip(self._wanted(entries), reader)

    def link(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        for entry in self._wanted(entries):
            try:
                self._tree.make_hard_link(entry.member.path, entry.member.hard_link_to or b"")
            except FileNotFoundError:
                yield entry
            except OSError as error:
                if error.errno in FATAL_ERRORS:
                    raise
                if error.errno in _NO_HARD_LINKS:
                    yield entry
                    continue
                self._on_written(Written(entry, problem=error.strerror))
            else:
                self._on_written(Written(entry))

    def finish(self, symlinks: Sequence[Entry], folders: Sequence[Entry]) -> None:
        for entry in self._wanted(symlinks):
            written = Written(entry)
            with _problem_of(written):
                written.refused_attributes = self._tree.make_symlink(entry.member)
            self._on_written(written)
        for entry in self._wanted(reversed(folders)):
            written = Written(entry)
            with _problem_of(written):
                written.refused_attributes = self._tree.set_folder_attributes(entry.member)
            self._on_written(written)

    def _wanted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Those that do not stay as they are there; the others are told. Asked only where some may stay."""
        if self._overwrite not in (Overwrite.NEVER, Overwrite.OLDER):
            yield from entries
            return
        for looked in LocalLook(self._tree, self._overwrite).at(entries):
            if looked.problem is not None:
                self._on_written(Written(looked.entry, problem=looked.problem))
            elif looked.fate is Fate.STAYS:
                self._on_written(Written(looked.entry, stays=True))
            else:
                yield looked.entry


@contextmanager
def _problem_of(written: Written) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FATAL_ERRORS:
            raise
        written.problem = error.strerror
