"""Files and folders as a source: which of them belong to a backup, and what is known of each.

What is left out is said: every special file, unreadable folder and file that vanished becomes a ``model.Note``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from errors import SourceError
from hosts.local import LocalHost
from model import FileSource, Member, MemberKind, Note, NoteKind
from sources.exclusion import Exclusion
from utils import printable

# The first bytes of a valid CACHEDIR.TAG: https://bford.info/cachedir/
_CACHE_TAG_NAME = b"CACHEDIR.TAG"
_CACHE_TAG_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"

_SPECIAL_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class FileWalk:
    """The members of one ``FileSource`` on one host, in the order of their names, folder by folder."""

    def __init__(
        self,
        source: FileSource,
        host: LocalHost,
        note: Callable[[Note], None],
        own_folders: Iterable[Path] = (),
    ) -> None:
        """``own_folders`` are Holdfast's own: they are not entered from above, or each archive would hold the last."""
        self._source = source
        self._own_folders = frozenset(_identities(own_folders))
        self._host = host
        self._note = note
        self._hard_links: dict[tuple[int, int], bytes] = {}
        self._pseudo_devices = host.pseudo_devices()
        self._exclude = Exclusion(source.exclude) if source.exclude else None
        self._markers = tuple(os.fsencode(name) for name in source.exclude_if_present)

    def members(self) -> Iterator[Member]:
        """Yield every member once, also where paths overlap.

        Raises SourceError before the first member where a configured path is missing or cannot be reached.
        """
        roots = self._roots()
        for root, status in roots.items():
            yield from self._walk(root, status, roots)

    def _roots(self) -> dict[bytes, os.stat_result]:
        """The configured paths, normalised, with the target of each that is itself a symbolic link beside it."""
        roots: dict[bytes, os.stat_result] = {}
        missing = []
        for text in self._source.paths:
            path = b"/" + os.path.normpath(os.fsencode(text)).lstrip(b"/")  # normpath() keeps two slashes (POSIX)
            try:
                status = self._host.lstat(path)
                roots[path] = status
                if stat.S_ISLNK(status.st_mode):
                    # A backup that holds the link alone would hold nothing of what was asked for.
                    target = self._host.real_path(path)
                    roots[target] = self._host.lstat(target)
            except OSError as error:
                missing.append(f"{printable(path)}: {_reason(error)}")
        if missing:
            raise SourceError(
                "These paths of FILE_PATH cannot be read, so nothing was backed up:\n  "
                + "\n  ".join(missing)
                + "\nCorrect them in the configuration, or mount what is missing, and run again."
            )
        return roots

    def _walk(self, root: bytes, status: os.stat_result, roots: dict[bytes, os.stat_result]) -> Iterator[Member]:
        """Depth first with a stack of iterators: a deep tree must not meet Python's limit on recursion."""
        member = self._member(root, status)
        if member is not None and root != b"/":
            yield member
        if not stat.S_ISDIR(status.st_mode):
            return
        start_of_relative = len(root.rstrip(b"/")) + 1
        stack = [self._paths(root)]
        while stack:
            path = next(stack[-1], None)
            if path is None:
                stack.pop()
                continue
            if path in roots:
                continue
            try:
                path_status = self._host.lstat(path)
            except OSError as error:
                # What it is cannot be known, such as a mount point that does not answer: a pattern for folders holds.
                if not self._is_excluded(path[start_of_relative:], is_folder=True):
                    self._note_error(path, error)
                continue
            is_folder = stat.S_ISDIR(path_status.st_mode)
            if self._is_excluded(path[start_of_relative:], is_folder=is_folder):
                continue
            member = self._member(path, path_status)
            if member is None:
                continue
            yield member
            if is_folder and self._enters(path, path_status, status):
                stack.append(self._paths(path))

    def _is_excluded(self, relative: bytes, *, is_folder: bool) -> bool:
        return self._exclude is not None and self._exclude.covers(relative, is_folder=is_folder)

    def _paths(self, folder: bytes) -> Iterator[bytes]:
        """The paths in a folder that is not left out, in the order of their names."""
        try:
            names = self._host.list_directory(folder)
        except OSError as error:
            self._note_error(folder, error)
            return
        reason = self._reason_to_leave_out(folder, names)
        if reason is not None:
            self._note(Note(NoteKind.LEFT_OUT, folder[1:], reason))
            return
        # Names are dropped as they are used: a folder can hold a million of them.
        names.sort(reverse=True)
        start = folder.rstrip(b"/") + b"/"
        while names:
            yield start + names.pop()

    def _reason_to_leave_out(self, folder: bytes, names: list[bytes]) -> str | None:
        if not (self._markers or self._source.exclude_caches):
            return None
        for marker in self._markers:
            if marker in names:
                return f"it holds {printable(marker)} (EXCLUDE_IF_PRESENT)"
        if self._source.exclude_caches and _CACHE_TAG_NAME in names and self._is_cache_tag(folder):
            return "it holds a CACHEDIR.TAG (EXCLUDE_CACHES)"
        return None

    def _is_cache_tag(self, folder: bytes) -> bool:
        path = os.path.join(folder, _CACHE_TAG_NAME)
        try:
            return (
                stat.S_ISREG(self._host.lstat(path).st_mode)
                and self._host.read_start(path, len(_CACHE_TAG_SIGNATURE)) == _CACHE_TAG_SIGNATURE
            )
        except OSError:
            return False

    def _enters(self, path: bytes, status: os.stat_result, root_status: os.stat_result) -> bool:
        if self._source.one_file_system and status.st_dev != root_status.st_dev:
            self._note(Note(NoteKind.LEFT_OUT, path[1:], "it is on another file system (ONE_FILE_SYSTEM)"))
            return False
        if (status.st_dev, status.st_ino) in self._own_folders:
            self._note(Note(NoteKind.LEFT_OUT, path[1:], "Holdfast keeps its copies, or its state, there"))
            return False
        if status.st_dev in self._pseudo_devices and status.st_dev != root_status.st_dev:
            self._note(Note(NoteKind.LEFT_OUT, path[1:], "it is a view of the kernel, not stored data"))
            return False
        return True

    def _member(self, path: bytes, status: os.stat_result) -> Member | None:
        """The member for one path, or None (and a note) where it cannot be one."""
        mode = status.st_mode
        member = Member(
            path=path[1:],
            kind=MemberKind.FILE,
            mode=stat.S_IMODE(mode),
            uid=status.st_uid,
            gid=status.st_gid,
            user=self._host.user_name(status.st_uid),
            group=self._host.group_name(status.st_gid),
            modified_ns=status.st_mtime_ns,
        )
        try:
            if stat.S_ISREG(mode):
                self._describe_file(member, path, status)
            elif stat.S_ISDIR(mode):
                member.kind = MemberKind.DIRECTORY
            elif stat.S_ISLNK(mode):
                member.kind = MemberKind.SYMLINK
                member.link_target = self._host.read_link(path)
            else:
                kind = _SPECIAL_KINDS.get(stat.S_IFMT(mode), "not a file")
                self._note(Note(NoteKind.SPECIAL, path[1:], f"it is {kind}"))
                return None
            member.extended_attributes = self._host.extended_attributes(path)
        except OSError as error:
            self._note_error(path, error)
            return None
        return member

    def _describe_file(self, member: Member, path: bytes, status: os.stat_result) -> None:
        member.size = status.st_size
        member.content = self._host.content(path)
        if status.st_nlink > 1:
            first = self._hard_links.setdefault((status.st_dev, status.st_ino), member.path)
            member.hard_link_to = first if first != member.path else None
        if status.st_blocks * 512 < status.st_size:
            extents = self._host.data_extents(path, status.st_size)
            # Compressing file systems report few blocks without any hole.
            member.data_extents = extents if extents != ((0, status.st_size),) else None

    def _note_error(self, path: bytes, error: OSError) -> None:
        self._note(Note.of_error(path[1:], error))


def _identities(folders: Iterable[Path]) -> Iterator[tuple[int, int]]:
    for folder in folders:
        with suppress(OSError):
            status = folder.stat()
            yield status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
