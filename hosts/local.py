"""This machine as a host: what a source needs of its file system.

Paths are ``bytes``, as the kernel has them. Every method raises OSError; the source decides what that means.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from model import SeekableContent

# proc(5), sysfs and their like: files without an end, or whose reading does something. Never data of the user.
PSEUDO_FILE_SYSTEMS = frozenset(
    {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "configfs", "bpf"}
    | {"pstore", "efivarfs", "mqueue", "binfmt_misc", "fusectl", "hugetlbfs", "autofs", "rpc_pipefs", "nsfs"}
)


class LocalHost:
    """The machine that Holdfast runs on."""

    def lstat(self, path: bytes) -> os.stat_result:
        return os.lstat(path)

    def real_path(self, path: bytes) -> bytes:
        """The path with every symbolic link in it followed."""
        return os.path.realpath(path, strict=True)

    def list_directory(self, path: bytes) -> list[bytes]:
        """The names in a folder, in no order."""
        return os.listdir(path)

    def read_link(self, path: bytes) -> bytes:
        return os.readlink(path)

    def read_start(self, path: bytes, length: int) -> bytes:
        """The first bytes of a regular file."""
        with open(_open_to_read(path), "rb") as file:
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
        descriptor = _open_to_read(path)
        try:
            extents = []
            position = 0
            while position < size:
                try:
                    start = os.lseek(descriptor, position, os.SEEK_DATA)
                    position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
                except OSError as error:
                    if error.errno == errno.ENXIO:  # no more data, or the file has just become shorter
                        break
                    raise
                if start < size:
                    extents.append((start, position - start))
            return tuple(extents)
        finally:
            os.close(descriptor)

    def content(self, path: bytes) -> LocalContent:
        return LocalContent(path)

    def user_name(self, uid: int) -> str:
        """The name of a user, or ``""`` where the number has none."""
        return _user_name(uid)

    def group_name(self, gid: int) -> str:
        """The name of a group, or ``""`` where the number has none."""
        return _group_name(gid)

    def pseudo_devices(self) -> frozenset[int]:
        """The ``st_dev`` of each mount that shows the kernel as files (/proc, /sys …), from mountinfo (proc(5))."""
        try:
            with open("/proc/self/mountinfo", "rb") as file:
                return frozenset(_pseudo_devices(file))
        except OSError:
            return frozenset()


_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""A path that has become a link, a fifo or a terminal since it was listed must neither be followed nor hang us."""


# The kernel takes a lease away after 45 seconds (/proc/sys/fs/lease-break-time).
_LEASE_PAUSE = 0.1
_LEASE_ATTEMPTS = 500


def _open_to_read(path: bytes) -> int:
    """A descriptor of what lies there. Raises OSError.

    Where a program holds a lease on a file (fcntl(2); Samba does), opening asks it to give that up, and answers at once
    that it is not yet done.
    """
    try:
        return os.open(path, _OPEN_FLAGS)
    except BlockingIOError:
        for _ in range(_LEASE_ATTEMPTS):
            time.sleep(_LEASE_PAUSE)
            with suppress(BlockingIOError):
                return os.open(path, _OPEN_FLAGS)
        raise


class LocalContent(SeekableContent):
    """What a file of this machine holds."""

    __slots__ = ("_path",)
    can_be_sent = True

    def __init__(self, path: bytes) -> None:
        self._path = path

    def open(self, length: int) -> OpenLocalFile:
        return OpenLocalFile(_open_to_read(self._path), length)

    def read(self, length: int) -> tuple[bytes, str | None]:
        # Four system calls a file and no object: with open() and close() a tree of small files takes 10% longer.
        descriptor = _open_to_read(self._path)
        try:
            _require_regular(os.fstat(descriptor))
            # One byte more than it had shows whether it has grown.
            data = os.read(descriptor, length + 1)
            if len(data) == length:
                return data, None
            return self._read_changed(descriptor, data, length)
        finally:
            os.close(descriptor)

    def _read_changed(self, descriptor: int, data: bytes, length: int) -> tuple[bytes, str | None]:
        """The rest of a file that seems to have another length now; read(2) may also just have stopped early."""
        while len(data) <= length and (more := os.read(descriptor, length + 1 - len(data))):
            data += more
        size = len(data) if len(data) < length else os.fstat(descriptor).st_size
        return data[:length], _size_change(length, size)


class OpenLocalFile:
    """An open file of this machine (``model.OpenContent``)."""

    __slots__ = ("_descriptor", "_length", "_modified_ns")

    def __init__(self, descriptor: int, length: int) -> None:
        self._descriptor = descriptor
        self._length = length
        try:
            status = os.fstat(descriptor)
            _require_regular(status)
        except OSError:
            os.close(descriptor)
            raise
        self._modified_ns = status.st_mtime_ns

    def read_at(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length and (more := os.pread(self._descriptor, length - len(data), offset + len(data))):
            data += more
        return data

    def is_hole(self, offset: int, length: int) -> bool:
        try:
            return os.lseek(self._descriptor, offset, os.SEEK_DATA) >= offset + length
        except OSError as error:
            # ENXIO: from here on there is no data, up to an end that may have moved (lseek(2)).
            return error.errno == errno.ENXIO and os.fstat(self._descriptor).st_size >= offset + length

    def close(self) -> str | None:
        try:
            after = os.fstat(self._descriptor)
        finally:
            os.close(self._descriptor)
        if after.st_size == self._length and after.st_mtime_ns != self._modified_ns:
            return "it was written to while it was read"
        return _size_change(self._length, after.st_size)


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "it was replaced by something that is not a file")


def _size_change(before: int, after: int) -> str | None:
    if after > before:
        return f"it grew by {after - before} bytes while it was read"
    if after < before:
        return f"it shrank by {before - after} bytes while it was read"
    return None


def _pseudo_devices(lines: Iterable[bytes]) -> Iterable[int]:
    for line in lines:
        fields, _, after = line.partition(b" - ")
        if after.split(b" ", 1)[0].decode("ascii", "replace") in PSEUDO_FILE_SYSTEMS:
            major, minor = fields.split(b" ")[2].split(b":")
            yield os.makedev(int(major), int(minor))


@cache
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@cache
def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
