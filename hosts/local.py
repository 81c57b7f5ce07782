"""This machine as a host: what a source needs of its file system.

Paths are ``bytes``, as the kernel has them. Every method raises OSError; the source decides what that means.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterable

from model import SeekableContent

# proc(5), sysfs and their like: files without an end, or whose reading does something. Never data of the user.
_PSEUDO_FILE_SYSTEMS = frozenset(
    {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "configfs", "bpf"}
    | {"pstore", "efivarfs", "mqueue", "binfmt_misc", "fusectl", "hugetlbfs", "autofs", "rpc_pipefs", "nsfs"}
)


class LocalHost:
    """The machine that Holdfast runs on."""

    def __init__(self) -> None:
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def lstat(self, path: bytes) -> os.stat_result:
        return os.lstat(path)

    def real_path(self, path: bytes) -> bytes:
        """The path with every symbolic link in it followed."""
        return os.path.realpath(path, strict=True)

    def list_directory(self, path: bytes) -> list[os.DirEntry[bytes]]:
        """The entries in the order of their names, so that two archives of one tree are alike."""
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    def read_link(self, path: bytes) -> bytes:
        return os.readlink(path)

    def read_start(self, path: bytes, length: int) -> bytes:
        """The first bytes of a regular file."""
        with open(os.open(path, _OPEN_FLAGS), "rb") as file:
            return file.read(length)

    def extended_attributes(self, path: bytes) -> dict[str, bytes] | None:
        """Extended attributes, POSIX ACLs among them (``system.posix_acl_access``); None where there are none."""
        try:
            names = os.listxattr(path, follow_symlinks=False)
            return {name: os.getxattr(path, name, follow_symlinks=False) for name in names} if names else None
        except OSError as error:
            if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EPERM):
                return None
            raise

    def data_extents(self, path: bytes, size: int) -> tuple[tuple[int, int], ...]:
        """The ``(offset, length)`` of a sparse file that hold data (lseek(2), SEEK_DATA and SEEK_HOLE)."""
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            extents = []
            position = 0
            while position < size:
                try:
                    start = os.lseek(descriptor, position, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:
                        break
                    raise
                position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
                if start < size:
                    extents.append((start, position - start))
            return tuple(extents)
        finally:
            os.close(descriptor)

    def content(self, path: bytes) -> LocalContent:
        return LocalContent(path)

    def user_name(self, uid: int) -> str:
        """The name of a user, or ``""`` where the number has none."""
        name = self._users.get(uid)
        if name is None:
            try:
                name = pwd.getpwuid(uid).pw_name
            except KeyError:
                name = ""
            self._users[uid] = name
        return name

    def group_name(self, gid: int) -> str:
        """The name of a group, or ``""`` where the number has none."""
        name = self._groups.get(gid)
        if name is None:
            try:
                name = grp.getgrgid(gid).gr_name
            except KeyError:
                name = ""
            self._groups[gid] = name
        return name

    def pseudo_mount_points(self) -> frozenset[bytes]:
        """Where the kernel shows itself as files (/proc, /sys …), from mountinfo (proc(5))."""
        try:
            with open("/proc/self/mountinfo", "rb") as file:
                return frozenset(_pseudo_mount_points(file))
        except OSError:
            return frozenset()


_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""A path that has become a link, a fifo or a terminal since it was listed must neither be followed nor hang us."""


class LocalContent(SeekableContent):
    """What a file of this machine holds."""

    __slots__ = ("_path",)

    def __init__(self, path: bytes) -> None:
        self._path = path

    def open(self) -> OpenLocalFile:
        descriptor = os.open(self._path, _OPEN_FLAGS)
        return OpenLocalFile(descriptor, os.fstat(descriptor))

    def read(self, length: int) -> tuple[bytes, str | None]:
        # Four system calls a file and no object: with open() and close() a tree of small files takes 10% longer.
        descriptor = os.open(self._path, _OPEN_FLAGS)
        try:
            data = os.read(descriptor, length) if length else b""
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        _require_regular(status)
        return data, _size_change(length, status.st_size)


class OpenLocalFile:
    """An open file of this machine (``model.OpenContent``)."""

    __slots__ = ("_before", "_descriptor")

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self._descriptor = descriptor
        self._before = status
        try:
            _require_regular(status)
        except OSError:
            os.close(descriptor)
            raise

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> str | None:
        try:
            after = os.fstat(self._descriptor)
        finally:
            os.close(self._descriptor)
        if after.st_size == self._before.st_size and after.st_mtime_ns != self._before.st_mtime_ns:
            return "it was written to while it was read"
        return _size_change(self._before.st_size, after.st_size)


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "it was replaced by something that is not a file")


def _size_change(before: int, after: int) -> str | None:
    if after > before:
        return f"it grew by {after - before} bytes while it was read"
    if after < before:
        return f"it shrank by {before - after} bytes while it was read"
    return None


def _pseudo_mount_points(lines: Iterable[bytes]) -> Iterable[bytes]:
    for line in lines:
        fields, _, after = line.partition(b" - ")
        if after.split(b" ", 1)[0].decode("ascii", "replace") in _PSEUDO_FILE_SYSTEMS:
            yield fields.split(b" ")[4].decode("unicode_escape").encode("latin-1")
