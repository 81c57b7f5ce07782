"""A stream kept on this machine's disk for the storages that need to know its size before they take it.

A spooled file has mode 0600 and lies in the spool folder of the state. Whoever made it removes it, whatever happens.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

from isal.isal_zlib import crc32

from errors import StorageError, StorageFullError
from model import StoredObject
from storages.storage import KnownContent, Storage
from storages.workplace import Workplace
from storages.wrapper import StorageWrapper
from utils import format_size, make_private_directory

# What is left to the rest of the machine: a server whose disk is full to the last byte fails in other places too.
_RESERVE = 64 << 20

# How much is written between two looks at the free space.
_LOOK_EVERY = 16 << 20

# Manifests and the like are not worth a file.
_LARGEST_IN_MEMORY = 4 << 20


class MemoryContent(KnownContent):
    """Content that is small enough to be held."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)
        self.sha256 = hashlib.sha256(content).hexdigest()

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]


class SpooledFile(KnownContent):
    """Content in a file of this machine. A context manager that closes it, and leaves the file where it is."""

    def __init__(self, path: Path, sha256: str, crc32: int | None = None) -> None:
        """Raises StorageError where the file cannot be opened."""
        self.path = path
        self.sha256 = sha256
        self.crc32 = crc32
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(path, error) from error
        self.size = os.fstat(self._descriptor).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0:
            try:
                block = os.pread(self._descriptor, length, offset)
            except OSError as error:
                raise _refused(self.path, error) from error
            if not block:
                break
            parts.append(block)
            offset, length = offset + len(block), length - len(block)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class Spooled:
    """What was written to a file: bytes, and their CRC-32."""

    size: int
    crc32: int


def spool(path: Path, chunks: Iterable[bytes], expected_size: int = 0) -> Spooled:
    """Write a stream to a new file of mode 0600 and flush it.

    ``expected_size`` (bytes; what the last one had) is only for an early refusal. Where anything fails, and where
    ``chunks`` raises, the file is removed. Raises StorageFullError, StorageError.
    """
    size = checksum = 0
    try:
        make_private_directory(path.parent)
        _check_free_space(path, expected_size)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refused(path, error) from error
    is_whole = False
    try:
        for chunk in chunks:
            if size // _LOOK_EVERY != (size + len(chunk)) // _LOOK_EVERY:
                _check_free_space(path, len(chunk))
            checksum = crc32(chunk, checksum)
            size += len(chunk)
            _write(descriptor, chunk, path)
        _flush(descriptor, path)
        is_whole = True
    finally:
        os.close(descriptor)
        if not is_whole:
            with suppress(OSError):
                path.unlink()
    return Spooled(size, checksum)


class SpoolingStorage(StorageWrapper):
    """A storage that needs the size first, made to take any chunks: they wait on the disk until all have come."""

    def __init__(self, storage: Storage, workplace: Workplace) -> None:
        super().__init__(storage)
        self._workplace = workplace

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        if isinstance(chunks, KnownContent):
            return super().put(key, chunks)
        first, rest = _take(iter(chunks), _LARGEST_IN_MEMORY)
        if rest is None:
            return super().put(key, MemoryContent(first))
        path = self._spool_directory() / f"upload-{secrets.token_hex(16)}"
        digest = hashlib.sha256()
        spooled = spool(path, _hashed(chain([first], rest), digest))
        try:
            with SpooledFile(path, digest.hexdigest(), spooled.crc32) as content:
                return super().put(key, content)
        finally:
            with suppress(OSError):
                path.unlink()

    def _spool_directory(self) -> Path:
        if self._workplace.state_directory is None:
            return Path(tempfile.gettempdir())
        return self._workplace.state_directory / "spool"


def _hashed(chunks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _take(chunks: Iterator[bytes], length: int) -> tuple[bytes, Iterator[bytes] | None]:
    """The first ``length`` bytes or a little more, and the chunks behind them; None where nothing is behind them."""
    taken = bytearray()
    for chunk in chunks:
        taken += chunk
        if len(taken) > length:
            return bytes(taken), chunks
    return bytes(taken), None


def _write(descriptor: int, chunk: bytes, path: Path) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        raise _refused(path, error) from error


def _flush(descriptor: int, path: Path) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _refused(path, error) from error


def _check_free_space(path: Path, wanted: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < wanted + _RESERVE:
        raise StorageFullError(
            f"The upload needs {format_size(max(wanted, 1))} more of the disk that holds {path.parent}, which has "
            f"{format_size(free)} left: the archive waits there until it is whole, and is uploaded then. "
            "Make room, or let STATE_DIR name a folder on a larger disk."
        )


def _refused(path: Path, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError(
            f"The disk that holds {path.parent} is full. The archive waits there until it is whole, and is uploaded "
            "then. Make room, or let STATE_DIR name a folder on a larger disk."
        )
    return StorageError(f"The file {path} cannot be used: {error.strerror}. Check STATE_DIR.")
