"""A folder of this machine that members are put into, and nothing outside of it, whatever an archive says.

Every path is opened part by part, each relative to its parent's descriptor, and no part of it may be a symbolic link:
neither one that lay there before nor one that the archive itself brought.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

from errors import HostileArchiveError
from model import Found, Member, MemberKind, Overwrite, Owners, Placement
from utils import printable

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_NAME = 255
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


NOT_EMPTY = (
    "not an empty folder, so nothing was restored into it. Give a new folder to --to, or say with --overwrite never, "
    "older or always what becomes of the files that lie there."
)
"""What a folder is that may hold nothing and does, for messages."""


def split_path(path: bytes) -> list[bytes]:
    """The parts of a member's path. Raises HostileArchiveError where it could lead out of the folder."""
    parts = path.split(b"/")
    if any(part in (b"", b".", b"..") or b"\0" in part for part in parts):
        raise HostileArchiveError(
            f"The archive has a member named '{printable(path)}', which could lead out of the folder, as no backup's "
            "does. Somebody else made or changed it, so no more of it is restored."
        )
    return parts


class LocalTree:
    """Puts files, folders and links below ``root``, which exists. Methods raise OSError and HostileArchiveError.

    What lies there is replaced where ``placement`` has ``OLDER`` or ``ALWAYS``: whoever uses it asks :meth:`found_at`
    first where not all of it is to be. A folder is never replaced. Safe to use from several threads. The ``strerror``
    of an OSError says what lies in the way, where something does.
    """

    def __init__(self, root: Path, placement: Placement) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._may_hold_others = placement.overwrite is not None
        self._replaces = placement.overwrite in (Overwrite.OLDER, Overwrite.ALWAYS)
        self._by_name = placement.owners is Owners.NAME
        self._owners_are_kept = placement.owners is not Owners.NONE
        self._gives_owners = self._owners_are_kept and os.geteuid() == 0
        self._inodes: set[int] = set()
        self._local = threading.local()
        self._descriptors: list[int] = [self._root]

    def close(self) -> None:
        for descriptor in self._descriptors:
            with suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()

    def found_at(self, path: bytes) -> Found | None:
        """What lies in the place of a member, but for what was made here; its folder need not be there.

        Raises NotADirectoryError where what should be its folder is a file or a link.
        """
        parts = split_path(path)
        try:
            with self._folder(parts[:-1], make=False) as folder:
                status = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if status.st_ino in self._inodes:
            return None
        return Found(stat.S_ISDIR(status.st_mode), status.st_mtime_ns)

    def create_file(self, path: bytes) -> int:
        """A new, empty file, open for writing; its mode is 0600 until it gets its attributes."""
        parts = split_path(path)
        with self._folder(parts[:-1]) as folder, _obstacle_named():
            try:
                descriptor = os.open(parts[-1], _FILE_FLAGS, 0o600, dir_fd=folder)
            except FileExistsError:
                if not self._replaces:
                    raise
                os.unlink(parts[-1], dir_fd=folder)
                descriptor = os.open(parts[-1], _FILE_FLAGS, 0o600, dir_fd=folder)
        self._note_own(descriptor)
        return descriptor

    def remove_file(self, path: bytes) -> None:
        """Take back a file that :meth:`create_file` made."""
        parts = split_path(path)
        with self._folder(parts[:-1]) as folder:
            os.unlink(parts[-1], dir_fd=folder)

    def make_folder(self, path: bytes) -> None:
        """The folder, and its parents; one that lies there is left as it is until it gets its attributes."""
        with self._folder(split_path(path)):
            pass

    def make_symlink(self, member: Member) -> list[str]:
        """A symbolic link with all its attributes; the answer names those that were refused."""
        parts = split_path(member.path)
        target = member.link_target or b""
        if b"\0" in target:
            raise HostileArchiveError(
                f"The archive has a link '{printable(member.path)}' whose target no system takes."
            )
        with self._folder(parts[:-1]) as folder:
            self._make_way(parts[-1], folder)
            with _obstacle_named():
                os.symlink(target, parts[-1], dir_fd=folder)
            refused: list[str] = []
            if self._gives_owners:
                with _refusal_noted(refused, "owner"):
                    os.chown(parts[-1], *self._owner(member), dir_fd=folder, follow_symlinks=False)
            # setxattr(2) has no form that is relative to a descriptor before Linux 6.13.
            path = b"/proc/self/fd/%d/%b" % (folder, parts[-1])
            refused += _set_extended_attributes(path, self._extended_attributes(member))
            with _refusal_noted(refused, "time"):
                times = (member.modified_ns, member.modified_ns)
                os.utime(parts[-1], ns=times, dir_fd=folder, follow_symlinks=False)
            return refused

    def make_hard_link(self, path: bytes, existing: bytes) -> None:
        """Raises FileNotFoundError where ``existing`` is no file that was made here."""
        parts, source_parts = split_path(path), split_path(existing)
        source = self._open_folder(source_parts[:-1], make=False)
        try:
            status = os.stat(source_parts[-1], dir_fd=source, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or (self._may_hold_others and status.st_ino not in self._inodes):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), existing)
            with self._folder(parts[:-1]) as folder:
                self._make_way(parts[-1], folder)
                with _obstacle_named():
                    os.link(source_parts[-1], parts[-1], src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)

    def set_aside(self, path: bytes) -> bytes:
        """Give a file that :meth:`create_file` made, and whose content is not whole, a name that says so: its new path.

        The new name ends in ``.damaged``, with a number before that where such a name is taken.
        """
        *above, name = split_path(path)
        with self._folder(above) as folder:
            new_name = next(new_name for new_name in _damaged_names(name) if not _exists(new_name, folder))
            os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=folder)
        return b"/".join([*above, new_name])

    def set_folder_attributes(self, member: Member) -> list[str]:
        """Owner, mode, extended attributes and time of a folder that was made; see :meth:`set_attributes`."""
        with self._folder(split_path(member.path)) as folder:
            return self.set_attributes(folder, member)

    def set_attributes(self, descriptor: int, member: Member) -> list[str]:
        """Owner (as root), mode, extended attributes and time of an open file or folder, in the order that keeps them.

        The answer names those that this file system or user cannot set: a memory stick knows no owner, and a container
        not every user.
        """
        refused: list[str] = []
        if self._gives_owners:
            # chown(2) clears the set-user-ID bit and the capabilities, so it comes first.
            with _refusal_noted(refused, "owner"):
                os.fchown(descriptor, *self._owner(member))
        # A file that its owner may not write takes no attribute from an ordinary user, so the mode comes later.
        refused += _set_extended_attributes(descriptor, self._extended_attributes(member))
        is_owner = self._gives_owners and "owner" not in refused
        with _refusal_noted(refused, "mode"):
            os.fchmod(descriptor, member.mode if is_owner else mode_for_another_owner(member))
        with _refusal_noted(refused, "time"):
            os.utime(descriptor, ns=(member.modified_ns, member.modified_ns))
        return refused

    def _make_way(self, name: bytes, folder: int) -> None:
        if self._replaces:
            with suppress(FileNotFoundError), _obstacle_named():
                os.unlink(name, dir_fd=folder)

    def _owner(self, member: Member) -> tuple[int, int]:
        if not self._by_name:
            return member.uid, member.gid
        return _number_of_user(member.user, member.uid), _number_of_group(member.group, member.gid)

    def _extended_attributes(self, member: Member) -> Mapping[str, bytes]:
        attributes = member.extended_attributes or {}
        return attributes if self._owners_are_kept else attributes_for_another_owner(attributes)

    def _note_own(self, descriptor: int) -> None:
        if self._may_hold_others:
            self._inodes.add(os.fstat(descriptor).st_ino)

    @contextmanager
    def _folder(self, parts: list[bytes], *, make: bool = True) -> Iterator[int]:
        """A descriptor of a folder below the root. Each thread keeps its last one, as neighbours come in a row."""
        if not parts:
            yield self._root
            return
        kept: tuple[list[bytes], int] | None = getattr(self._local, "folder", None)
        if kept is None or kept[0] != parts:
            descriptor = self._open_folder(parts, make=make)
            if kept is not None:
                self._descriptors.remove(kept[1])
                os.close(kept[1])
            self._descriptors.append(descriptor)
            self._local.folder = kept = (parts, descriptor)
        yield kept[1]

    def _open_folder(self, parts: list[bytes], *, make: bool) -> int:
        descriptor = os.dup(self._root)
        for part in parts:
            try:
                below = self._open_part(part, descriptor, make=make)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    def _open_part(self, part: bytes, folder: int, *, make: bool) -> int:
        try:
            return os.open(part, _DIRECTORY_FLAGS, dir_fd=folder)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            reason = f"'{printable(part)}' is no folder there, but a file or a link, and no link is followed"
            raise NotADirectoryError(errno.ENOTDIR, reason) from error
        # Only now: mkdir(2) locks the parent even where the folder exists, and the other threads make files there.
        is_made_here = True
        try:
            os.mkdir(part, 0o700, dir_fd=folder)
        except FileExistsError:
            is_made_here = False
        descriptor = os.open(part, _DIRECTORY_FLAGS, dir_fd=folder)
        if is_made_here:
            self._note_own(descriptor)
        return descriptor


@contextmanager
def _obstacle_named() -> Iterator[None]:
    """Say what lies in the way; the system's words for it speak of levels of links and the like."""
    try:
        yield
    except FileExistsError as error:
        raise FileExistsError(error.errno, "something else lies there already") from error
    except IsADirectoryError as error:
        raise IsADirectoryError(error.errno, "a folder lies there, and a folder is never replaced") from error


@cache
def _number_of_user(name: str, number: int) -> int:
    """The number that the user's name has on this machine; where it has none, the number that it had on the other."""
    try:
        return pwd.getpwnam(name).pw_uid if name else number
    except (KeyError, ValueError):  # ValueError: a name that no system has, such as one with NUL in it
        return number


@cache
def _number_of_group(name: str, number: int) -> int:
    try:
        return grp.getgrnam(name).gr_gid if name else number
    except (KeyError, ValueError):
        return number


def _damaged_names(name: bytes) -> Iterator[bytes]:
    for number in count():
        ending = b".%d.damaged" % number if number else b".damaged"
        yield name[: _LONGEST_NAME - len(ending)] + ending


def _exists(name: bytes, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _refusal_noted(refused: list[str], attribute: str) -> Iterator[None]:
    """An attribute that cannot be set is said, and the content stays."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        refused.append(attribute)


def mode_for_another_owner(member: Member) -> int:
    """An ordinary user becomes the owner of every file: a program that ran as another user must not run as this one."""
    return member.mode & 0o1777 if member.kind is MemberKind.FILE else member.mode


def attributes_for_another_owner(attributes: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those that an ordinary user may give: a program with capabilities is no other than one with a set-user-ID bit."""
    return {name: value for name, value in attributes.items() if not name.startswith(("security.", "trusted."))}


def _set_extended_attributes(file: int | bytes, attributes: Mapping[str, bytes]) -> list[str]:
    """Of an open file, or of the link itself at a path."""
    refused = []
    for name, value in attributes.items():
        try:
            os.setxattr(file, name, value, follow_symlinks=isinstance(file, int))
        except (OSError, ValueError):  # ValueError: a name with NUL in it
            refused.append(name)
    return refused
