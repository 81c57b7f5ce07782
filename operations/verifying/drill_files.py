"""The drill of files: restored as a person would restore them, read again from there, and compared with the index."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from archives.blocks import BLOCK_SIZE, crc32
from archives.entry import Entry
from errors import DrillError, HoldfastError
from hosts.local_tree import mode_for_another_owner
from model import MemberKind, OnProgress
from operations.copies.stored_copies import StoredCopy, read_entries
from operations.parallel import map_in_threads
from operations.restoring.restore import RestoreReport, restore_files
from operations.verifying.drill_report import DrillReport
from operations.verifying.scratch_folder import require_room
from utils import format_count, printable

_COMPARED_AT_ONCE = 64
_BLOCK_OF_FILE_SYSTEM = 4096

_KINDS = {
    MemberKind.FILE: (stat.S_ISREG, "a file"),
    MemberKind.DIRECTORY: (stat.S_ISDIR, "a folder"),
    MemberKind.SYMLINK: (stat.S_ISLNK, "a symbolic link"),
}


def drill_files(copy: StoredCopy, folder: Path, report: DrillReport, on_progress: OnProgress) -> None:
    """Restore all of a copy below ``folder``, and compare it.

    Raises DrillError where the folder cannot take it, and what reading the copy raises.
    """
    require_room(folder, _size_on_disk(copy, folder))
    restored = _restored(copy, folder / "files", on_progress)
    report.problems += restored.problems
    report.remarks += restored.remarks
    if not report.problems:
        comparison = _Comparison(folder / "files", restored.refused_attributes, report)
        try:
            comparison.run(copy)
        finally:
            comparison.close()


def _restored(copy: StoredCopy, folder: Path, on_progress: OnProgress) -> RestoreReport:
    try:
        return restore_files(copy, folder, (), on_progress=on_progress)
    except HoldfastError as error:
        if isinstance(error.__cause__, OSError):  # the disk is full, or fails
            raise DrillError(str(error)) from error
        raise


def _size_on_disk(copy: StoredCopy, folder: Path) -> int:
    """About, in bytes. The index, which knows holes and hard links, is asked only where it matters."""
    if copy.manifest is None:
        return 0
    content = copy.manifest.content
    size = content.size + (content.files + content.folders) * _BLOCK_OF_FILE_SYSTEM
    status = os.statvfs(folder)
    if size <= status.f_bavail * status.f_frsize:
        return size
    return sum(_size_of(entry) for entry in read_entries(copy))


def _size_of(entry: Entry) -> int:
    if entry.member.hard_link_to is not None:
        return 0
    extents = entry.member.data_extents
    return _BLOCK_OF_FILE_SYSTEM + (entry.size if extents is None else sum(length for _, length in extents))


class _Comparison:
    """What lies in a folder, against the index of a copy."""

    def __init__(self, folder: Path, refused_attributes: Iterable[str], report: DrillReport) -> None:
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._refused = set(refused_attributes)
        self._report = report
        self._is_root = os.geteuid() == 0
        self._other_times = 0

    def close(self) -> None:
        os.close(self._root)

    def run(self, copy: StoredCopy) -> None:
        for entry in read_entries(copy):
            if entry.member.kind is MemberKind.DIRECTORY:
                self._note(entry, self._differences(entry))
        others = (entry for entry in read_entries(copy) if entry.member.kind is not MemberKind.DIRECTORY)
        for compared in map_in_threads(self._compared, _batches(others)):
            for entry, found in compared:
                self._note(entry, found)
        if self._other_times:
            self._report.remarks.append(
                f"The times of {format_count(self._other_times, 'member')} are not exactly what they were: the file "
                "system of the drill keeps them otherwise."
            )

    def _note(self, entry: Entry, differences: list[str]) -> None:
        name = printable(entry.member.path)
        self._report.problems += [f"{name}: {difference}" for difference in differences]
        compared = self._report.compared
        compared.folders += entry.member.kind is MemberKind.DIRECTORY
        compared.links += entry.member.kind is MemberKind.SYMLINK
        if entry.member.kind is MemberKind.FILE:
            compared.files += 1
            compared.size += entry.size

    def _compared(self, entries: list[Entry]) -> list[tuple[Entry, list[str]]]:
        return [(entry, self._differences(entry)) for entry in entries]

    def _differences(self, entry: Entry) -> list[str]:
        try:
            return list(self._found_differences(entry))
        except OSError as error:
            return [f"it was restored, but cannot be read back: {error.strerror}"]

    def _found_differences(self, entry: Entry) -> Iterator[str]:
        member = entry.member
        status = os.stat(member.path, dir_fd=self._root, follow_symlinks=False)
        is_kind, kind = _KINDS[member.kind]
        if not is_kind(status.st_mode):
            yield f"it is not {kind} after the restore"
            return
        if member.kind is not MemberKind.SYMLINK:
            yield from self._differences_of_mode(entry, status)
        self._other_times += "time" not in self._refused and status.st_mtime_ns != member.modified_ns
        if member.kind is MemberKind.FILE:
            yield from self._differences_of_content(entry, status)
        elif member.kind is MemberKind.SYMLINK and os.readlink(member.path, dir_fd=self._root) != member.link_target:
            yield "the link leads elsewhere after the restore"

    def _differences_of_mode(self, entry: Entry, status: os.stat_result) -> Iterator[str]:
        member = entry.member
        is_owner = self._is_root and "owner" not in self._refused
        mode, expected = stat.S_IMODE(status.st_mode), member.mode if is_owner else mode_for_another_owner(member)
        if mode != expected and "mode" not in self._refused:
            yield f"its mode is {mode:04o} after the restore, and was {expected:04o}"
        if not self._is_root and mode & stat.S_IRWXU != stat.S_IRWXU:
            # What even its owner may not read or enter has to be read all the same.
            os.chmod(member.path, mode | stat.S_IRWXU, dir_fd=self._root)

    def _differences_of_content(self, entry: Entry, status: os.stat_result) -> Iterator[str]:
        member = entry.member
        if status.st_size != entry.size:
            yield f"it has {status.st_size:,} bytes after the restore, and had {entry.size:,}"
        elif self._crc32(member.path) != entry.crc32:
            yield "its content is another one after the restore (its CRC-32 differs)"
        if member.hard_link_to is not None:
            first = os.stat(member.hard_link_to, dir_fd=self._root, follow_symlinks=False)
            if first.st_ino != status.st_ino:
                yield f"it is no hard link to {printable(member.hard_link_to)} any more"

    def _crc32(self, path: bytes) -> int:
        found = 0
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._root), "rb", buffering=0) as file:
            while block := file.read(BLOCK_SIZE):
                found = crc32(block, found)
        return found


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while batch := list(islice(entries, _COMPARED_AT_ONCE)):
        yield batch
