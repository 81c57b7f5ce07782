"""A folder on this machine, or one that is mounted here, as a storage.

The key is the path of a file below the root folder; there is nothing else in it, so the copies can be read, copied
and removed with any program.

An object is written under a hidden name in the folder that it will lie in, so that both names are on one file system
even where a subfolder is a mount point or a symbolic link. Only when its bytes were flushed, dropped from the page
cache, read back and found equal does it get its real name, by a hard link, which the kernel refuses where the name
is taken.

A root on a disk that is not mounted cannot be told from an empty one: the folder is made, and the objects land on
the disk below. Where that matters, let ROOT be a folder inside of the mounted disk, and let its parent (the mount
point) belong to another user, so that making the folder fails while the disk is missing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from isal.isal_zlib import crc32

from errors import IntegrityError, ObjectExistsError, ObjectNotFoundError, StorageError, StorageFullError
from model import StorageDefinition, StoredObject
from storages.settings import required_setting
from storages.storage import UNFINISHED_PREFIX, check_file_key, is_text
from utils import fsync_directory, joined

_BLOCK_SIZE = 1 << 20
# How much is flushed and read back at a time. Larger means fewer flushes; smaller means that less is left to check
# once the last byte is written.
_SEGMENT_SIZE = 64 << 20

# mkfs makes it at the top of a disk, for root alone: where ROOT is a mount point, it must not end each listing.
_OF_THE_FILE_SYSTEM = "lost+found"

# link(2) answers so on file systems without hard links: FAT, exFAT, some CIFS servers, some FUSE file systems.
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


def local_storage(definition: StorageDefinition) -> LocalStorage:
    """The storage of type LOCAL that is configured so."""
    return LocalStorage(definition.name, Path(required_setting(definition, "ROOT")))


class LocalStorage:
    """Objects as files below ``root``. See ``storages.storage.Storage`` for the contract.

    Files have mode 0600 and new folders 0700. Missing folders, the root among them, are made by ``put``.
    Symbolic links to folders are followed, so one project can be moved to another disk.
    """

    needs_size_first = False

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self._root = root

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        path = self._path(key)
        with self._translated(path):
            if os.path.lexists(path):
                raise self._exists(path)
            _make_durable_folder(path.parent)
        temporary = path.parent / (UNFINISHED_PREFIX + secrets.token_hex(16))
        try:
            with self._translated(path):
                file = _ReadBackFile(temporary)
            with file:
                for block in joined(chunks, _BLOCK_SIZE):
                    with self._translated(path):
                        file.write(block)
                with self._translated(path):
                    if not file.is_on_disk():
                        raise self._damaged(path)
            with self._translated(path):
                try:
                    _publish(temporary, path)
                except FileExistsError:
                    raise self._exists(path) from None
                modified = path.stat().st_mtime
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return StoredObject(key, file.size, datetime.fromtimestamp(modified, UTC))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._path(key)
        with self._reading(path):
            # Without O_NONBLOCK the opening of a fifo that lies there would wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._not_found(path)
            end = None if length is None else offset + length
            while end is None or offset < end:
                with self._translated(path):
                    block = os.pread(descriptor, _BLOCK_SIZE if end is None else min(_BLOCK_SIZE, end - offset), offset)
                if not block:
                    return
                yield block
                offset += len(block)
        finally:
            os.close(descriptor)

    def stat(self, key: str) -> StoredObject:
        path = self._path(key)
        with self._reading(path):
            status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise self._not_found(path)
        return _stored_object(key, status)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for key, path in self._files(prefix):
            if path.name.startswith(UNFINISHED_PREFIX) or not key.startswith(prefix):
                continue
            with self._translated(path):
                try:
                    status = path.stat()
                except OSError as error:
                    # Removed since its folder was read, or a symbolic link that leads nowhere.
                    if error.errno in (errno.ENOENT, errno.ELOOP):
                        continue
                    raise
            if stat.S_ISREG(status.st_mode):
                yield _stored_object(key, status)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._translated(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # no object has this key
                return
            _fsync_folder(path.parent)

    def clean_up(self, prefix: str) -> int:
        """See the contract. An unfinished object belongs to its folder: ``a/b/`` is that folder and all below it."""
        removed = 0
        for key, path in self._files(prefix):
            if path.name.startswith(UNFINISHED_PREFIX) and key.removesuffix(path.name).startswith(prefix):
                with self._translated(path):
                    path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, key: str) -> Path:
        check_file_key(self.name, key)
        return self._root.joinpath(*key.split("/"))

    def _files(self, prefix: str) -> Iterator[tuple[str, Path]]:
        """What is no folder, in each folder whose keys can start with ``prefix``, as key and path, ordered by key."""
        folder = prefix.rpartition("/")[0]
        path = self._path(folder) if folder else self._root
        return self._files_below(path, f"{folder}/" if folder else "", prefix, frozenset())

    def _files_below(
        self, folder: Path, folder_key: str, prefix: str, parents: frozenset[tuple[int, int]]
    ) -> Iterator[tuple[str, Path]]:
        with self._translated(folder):
            try:
                status = folder.stat()
                # "a/b" stands behind "a.b", so a folder is sorted with its slash.
                names = sorted(_names_with_slash(folder))
            except (FileNotFoundError, NotADirectoryError):
                return
            except PermissionError:
                if folder.name == _OF_THE_FILE_SYSTEM:
                    return
                raise
        identity = (status.st_dev, status.st_ino)
        if identity in parents:  # a symbolic link to a folder that it lies in
            return
        for name in names:
            key = folder_key + name
            if not name.endswith("/"):
                yield key, folder / name
            elif key.startswith(prefix):
                yield from self._files_below(folder / name, key, prefix, parents | {identity})

    @contextmanager
    def _translated(self, path: Path) -> Iterator[None]:
        """Turn an OSError into the StorageError that says what to do."""
        try:
            yield
        except OSError as error:
            raise self._refused(path, error) from error

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        with self._translated(path):
            try:
                yield
            except (FileNotFoundError, NotADirectoryError):
                raise self._not_found(path) from None

    def _refused(self, path: Path, error: OSError) -> StorageError:
        where = f"The storage {self.name} cannot use {path}: {error.strerror}."
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                return StorageFullError(f"{where} Make room on the disk that holds {self._root}, or keep fewer copies.")
            case errno.EACCES | errno.EPERM:
                return StorageError(f"{where} Give user {os.geteuid()} (uid) the right to it, or choose another ROOT.")
            case errno.EROFS:
                return StorageError(f"{where} Mount it writable, or choose another ROOT.")
            case errno.EEXIST:
                return StorageError(
                    f"{where} A file lies where a folder must be. Move it away, or choose another path."
                )
            case errno.ENOENT:
                return StorageError(f"{where} Something removed it while it was being written. Run the backup again.")
            case errno.ENAMETOOLONG:
                return StorageError(f"{where} Give the backup or its project a shorter NAME.")
            case _:
                return StorageError(f"{where} Look at the disk that holds {self._root}.")

    def _not_found(self, path: Path) -> ObjectNotFoundError:
        return ObjectNotFoundError(f"The storage {self.name} has no object {path}.")

    def _exists(self, path: Path) -> ObjectExistsError:
        return ObjectExistsError(f"{path} exists already in the storage {self.name}, and is never overwritten.")

    def _damaged(self, path: Path) -> IntegrityError:
        return IntegrityError(
            f"What was read back of {path} in the storage {self.name} is not what was written; it was removed. "
            f"Check the disk that holds {self._root} (dmesg, smartctl)."
        )


class _ReadBackFile:
    """A new file whose bytes are read back from the disk while later ones are still being written.

    Dropping the pages first means that the disk answers, and not the memory that the bytes were just put into. It also
    leaves the page cache to the programs of the server. CRC-32 for this comparison runs at 10 GB/s, SHA-256 at 1.6.
    All methods raise OSError.
    """

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._segment_start = 0
        self._segment_crc = 0
        self._checks: list[Future[bool]] = []
        self._checker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-back")
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._checker.shutdown(cancel_futures=True)
        os.close(self._descriptor)

    def write(self, block: bytes | bytearray) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._segment_crc = crc32(block, self._segment_crc)
        self.size += len(block)
        if self.size - self._segment_start >= _SEGMENT_SIZE:
            self._check_segment()

    def is_on_disk(self) -> bool:
        """Flush all of it, and say whether the disk holds exactly what was written."""
        self._check_segment()
        is_equal = all(check.result() for check in self._checks)
        os.fsync(self._descriptor)
        return is_equal and os.fstat(self._descriptor).st_size == self.size

    def _check_segment(self) -> None:
        start, length = self._segment_start, self.size - self._segment_start
        self._checks.append(self._checker.submit(_disk_holds, self._descriptor, start, length, self._segment_crc))
        self._segment_start, self._segment_crc = self.size, 0


def _disk_holds(descriptor: int, start: int, length: int, expected_crc: int) -> bool:
    os.fdatasync(descriptor)  # a page that is not yet written cannot be dropped
    os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)
    buffer = memoryview(bytearray(min(length, _BLOCK_SIZE)))
    offset, crc = start, 0
    while offset < start + length:
        count = os.preadv(descriptor, [buffer[: start + length - offset]], offset)
        if count == 0:
            return False
        crc = crc32(buffer[:count], crc)
        offset += count
    os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)
    return crc == expected_crc


def _publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name, durably. Raises FileExistsError where the name is taken."""
    try:
        os.link(temporary, path)
        temporary.unlink()
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _rename_where_free(temporary, path)
    try:
        _fsync_folder(path.parent)
    except OSError:
        path.unlink()
        raise


def _rename_where_free(temporary: Path, path: Path) -> None:
    """Rename, which by itself would overwrite, with all our other writers into this folder held off by a lock."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        temporary.rename(path)
    finally:
        os.close(folder)


def _make_durable_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_durable_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _fsync_folder(folder.parent)


def _fsync_folder(folder: Path) -> None:
    try:
        fsync_directory(folder)
    except OSError as error:
        # CIFS and some FUSE file systems cannot flush a folder, and write its entries at once.
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def _names_with_slash(folder: Path) -> Iterator[str]:
    """The names in a folder that can be part of a key; those of folders, and of links to folders, end in a slash."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_text(entry.name):
                yield f"{entry.name}/" if _is_folder(entry) else entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link to itself, or into a folder that may not be read
        return False


def _stored_object(key: str, status: os.stat_result) -> StoredObject:
    return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
