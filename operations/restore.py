"""A copy, or some of its members, back into a folder.

The order: folders and files in the order of the archive, then hard links, symbolic links, and the attributes of the
folders last, from the deepest up, because each file that is made in a folder changes its time.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from archives.entry import Entry
from errors import DamagedArchiveError, HoldfastError, ObjectNotFoundError
from hosts.local_tree import LocalTree
from model import Member, MemberKind, OnProgress
from operations.contents import Selection, nothing_at, zip_directory, zip_entries
from operations.copies import StoredCopy, read_entries
from operations.restore_content import FATAL_ERRORS, ContentWriter, Written
from utils import printable

# link(2): a file system without hard links, too many of one file, or a mount between the two.
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


@dataclass(slots=True)
class RestoreReport:
    """What was put back. ``problems`` are what was not, or not wholly; ``remarks`` what else is worth knowing."""

    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def restore_files(
    copy: StoredCopy, folder: Path, paths: Sequence[bytes], *, overwrite: bool, on_progress: OnProgress
) -> RestoreReport:
    """Put the members at and below ``paths`` (all, where there are none) of a copy into ``folder``.

    Without ``overwrite`` the folder must be empty or missing. A member that is damaged is named in the report, and the
    others are restored. Raises HoldfastError where nothing can be done, HostileArchiveError where a name leads outside.
    """
    try:
        _require_empty(folder, overwrite=overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        with closing(LocalTree(folder, overwrite=overwrite)) as tree:
            report = _Restoration(copy, tree, on_progress).run(paths)
    except OSError as error:
        raise HoldfastError(
            f"The files cannot be put into {folder}: {error.strerror}. What was restored until then is left there."
        ) from error
    return report


def _require_empty(folder: Path, *, overwrite: bool) -> None:
    if not overwrite and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HoldfastError(
            f"{folder} is not an empty folder, so nothing was restored into it. Give a new folder to --to, or let "
            "files that lie there be replaced with --overwrite."
        )


class _Restoration:
    """One restore under way."""

    def __init__(self, copy: StoredCopy, tree: LocalTree, on_progress: OnProgress) -> None:
        self._copy = copy
        self._tree = tree
        self._on_progress = on_progress
        self._report = RestoreReport()
        self._folders: list[Member] = []
        self._hard_links: list[Entry] = []
        self._symlinks: list[Member] = []
        self._refused_attributes: set[str] = set()

    def run(self, paths: Sequence[bytes]) -> RestoreReport:
        writer = ContentWriter(self._copy.read, self._tree, self._written)
        selection = Selection(paths)
        try:
            entries = read_entries(self._copy)
        except (DamagedArchiveError, ObjectNotFoundError) as error:
            self._report.remarks.append(
                f"{error} So the archive's own directory was used: hard links, extended attributes and fractions of a "
                "second in times are not restored."
            )
            reader = zip_directory(self._copy)
            writer.write_from_zip(self._files(selection.of(zip_entries(reader))), reader)
        else:
            writer.write(self._files(selection.of(entries)))
            writer.write(self._hard_links_without_a_file())
        self._finish()
        if selection.unmatched:
            self._report.problems.append(nothing_at(self._copy, selection.unmatched))
        return self._report

    def _files(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Of these members the files. Folders are made at once; links, and attributes of folders, wait for the end."""
        for entry in entries:
            member = entry.member
            if member.kind is MemberKind.DIRECTORY:
                with self._problem_of(member):
                    self._tree.make_folder(member.path)
                    self._folders.append(member)
            elif member.kind is MemberKind.SYMLINK:
                self._symlinks.append(member)
            elif member.hard_link_to is not None:
                self._hard_links.append(entry)
            else:
                yield entry

    def _hard_links_without_a_file(self) -> Iterator[Entry]:
        """Make the hard links; those whose first name was not restored become files of their own."""
        for entry in self._hard_links:
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
                self._written(Written(entry, problem=error.strerror))
            else:
                self._written(Written(entry))

    def _finish(self) -> None:
        for member in self._symlinks:
            with self._problem_of(member):
                self._refused_attributes.update(self._tree.make_symlink(member))
                self._report.links += 1
        for member in reversed(self._folders):
            with self._problem_of(member):
                self._refused_attributes.update(self._tree.set_folder_attributes(member))
                self._report.folders += 1
        if self._refused_attributes:
            names = ", ".join(sorted(self._refused_attributes))
            self._report.remarks.append(f"This user or file system cannot set these attributes: {names}.")

    def _written(self, written: Written) -> None:
        self._refused_attributes.update(written.refused_attributes)
        if written.problem is not None:
            self._report.problems.append(f"{printable(written.entry.member.path)}: {written.problem}")
            return
        self._report.files += 1
        self._report.size += written.entry.size
        self._on_progress(written.entry.member, written.entry.size)

    @contextmanager
    def _problem_of(self, member: Member) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FATAL_ERRORS:
                raise
            self._report.problems.append(f"{printable(member.path)}: {error.strerror}")
