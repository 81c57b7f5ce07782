"""A copy, or some of its members, back into a folder.

The order: folders and files in the order of the archive, then hard links, symbolic links, and the attributes of the
folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from archives.entry import Entry
from errors import HoldfastError
from hosts.local_tree import NOT_EMPTY, LocalTree
from model import INTO_NEW_FOLDER, MemberKind, OnProgress, Placement
from operations.copies.contents import Contents, Selection, nothing_at
from operations.copies.stored_copies import StoredCopy
from operations.restoring.restore_here import LocalPlace
from operations.restoring.restore_place import OnWritten, Place, Written
from utils import printable

OnExpected = Callable[[int], None]
"""Told how many bytes of files are to come, once that is known."""


@dataclass(slots=True)
class RestoreReport:
    """What was put back. ``problems`` are what was not, or not wholly; ``remarks`` what else is worth knowing.

    ``kept`` is the number of files and links that were there already and stay as they were. ``refused_attributes`` are
    those that the place could not give to a file or folder.
    """

    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0
    kept: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    refused_attributes: set[str] = field(default_factory=set)


def restore_files(
    copy: StoredCopy,
    folder: Path,
    paths: Sequence[bytes],
    placement: Placement = INTO_NEW_FOLDER,
    *,
    on_progress: OnProgress,
    on_expected: OnExpected | None = None,
) -> RestoreReport:
    """Put the members at and below ``paths`` (all, where there are none) of a copy into ``folder``.

    Where ``placement`` has no ``overwrite``, the folder must be empty or missing. A member that is damaged is named in
    the report, and the others are restored. Raises HoldfastError where nothing can be done, HostileArchiveError where
    a name leads outside.
    """
    try:
        if placement.overwrite is None:
            _require_empty(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with closing(LocalTree(folder, placement)) as tree:
            restoration = Restoration(copy, paths, on_progress, on_expected)
            restoration.run(lambda on_written: LocalPlace(copy.read, tree, placement.overwrite, on_written))
    except OSError as error:
        raise HoldfastError(
            f"The files cannot be put into {folder}: {error.strerror}. What was restored until then is left there."
        ) from error
    return restoration.report


def _require_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HoldfastError(f"{folder} is {NOT_EMPTY}")


class Restoration:
    """One restore under way, of the members at and below ``paths``."""

    def __init__(
        self, copy: StoredCopy, paths: Sequence[bytes], on_progress: OnProgress, on_expected: OnExpected | None = None
    ) -> None:
        self.report = RestoreReport()
        self._copy = copy
        self._paths = paths
        self._on_progress = on_progress
        self._on_expected = on_expected
        self._folders: list[Entry] = []
        self._hard_links: list[Entry] = []
        self._symlinks: list[Entry] = []

    def run(self, open_place: Callable[[OnWritten], Place]) -> None:
        """Put them into this place. Raises as its methods do."""
        place = open_place(self._written)
        contents = Contents(self._copy)
        selection = Selection(contents, self._paths)
        if self._on_expected is not None:
            self._on_expected(selection.size())
        if contents.zip is None:
            place.write(self._files(selection.entries(), place))
            place.write(place.link(self._hard_links))
        else:
            self.report.remarks.append(
                f"{contents.index_error} So the archive's own directory was used: hard links, extended attributes and "
                "fractions of a second in times are not restored."
            )
            place.write_from_zip(self._files(selection.entries(), place), contents.zip)
        place.finish(self._symlinks, self._folders)
        if self.report.refused_attributes:
            names = ", ".join(sorted(self.report.refused_attributes))
            self.report.remarks.append(f"This user or file system cannot set these attributes: {names}.")
        if selection.unmatched:
            self.report.problems.append(nothing_at(self._copy, selection.unmatched))

    def _files(self, entries: Iterable[Entry], place: Place) -> Iterator[Entry]:
        """Of these members the files. Folders are made at once; links, and attributes of folders, wait for the end."""
        for entry in entries:
            if entry.member.kind is MemberKind.DIRECTORY:
                place.make_folder(entry)
                self._folders.append(entry)
            elif entry.member.kind is MemberKind.SYMLINK:
                self._symlinks.append(entry)
            elif entry.member.hard_link_to is not None:
                self._hard_links.append(entry)
            else:
                yield entry

    def _written(self, written: Written) -> None:
        member = written.entry.member
        self.report.refused_attributes.update(written.refused_attributes)
        if written.stays:
            self._stays(written.entry)
        elif written.problem is not None:
            self.report.problems.append(f"{printable(member.path)}: {written.problem}")
        elif member.kind is MemberKind.DIRECTORY:
            self.report.folders += 1
        elif member.kind is MemberKind.SYMLINK:
            self.report.links += 1
        else:
            self.report.files += 1
            self.report.size += written.entry.size
            self._on_progress(member, written.entry.size)

    def _stays(self, entry: Entry) -> None:
        """A folder that stays has got what is in it."""
        if entry.member.kind is not MemberKind.DIRECTORY:
            self.report.kept += 1
            self._on_progress(entry.member, entry.size)
