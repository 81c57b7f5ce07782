"""The bytes of files: in memory, in a temporary file, or forgotten but for size and hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from .http_messages import BLOCK_SIZE
from .quick_xor_hash import QuickXorHash


class Store(Protocol):
    """Where bytes are kept, in order."""

    def append(self, block: bytes | memoryview) -> None: ...

    def truncate(self, size: int) -> None: ...

    def read(self, offset: int, length: int) -> bytes: ...


class MemoryStore:
    """Bytes in memory."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, block: bytes | memoryview) -> None:
        self._bytes += block

    def truncate(self, size: int) -> None:
        del self._bytes[size:]

    def read(self, offset: int, length: int) -> bytes:
        with memoryview(self._bytes) as view:
            return bytes(view[offset : offset + length])


class FileStore:
    """Bytes in a file without a name, gone with the process."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 — lives as long as this store

    def append(self, block: bytes | memoryview) -> None:
        self._file.write(block)

    def truncate(self, size: int) -> None:
        self._file.truncate(size)
        self._file.seek(size)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)


class Nowhere:
    """Bytes are forgotten: for benchmarks that send more than memory or disk holds."""

    def append(self, block: bytes | memoryview) -> None:
        pass

    def truncate(self, size: int) -> None:
        pass

    def read(self, offset: int, length: int) -> bytes:
        raise ContentForgottenError


class ContentForgottenError(Exception):
    """Somebody asks for the bytes of a file that was kept as size and hash only."""


def store_factory(keep: str, folder: Path | None) -> Callable[[], Store]:
    """What makes stores: ``keep`` is ``memory``, ``disk`` or ``nothing``."""
    if keep == "disk":
        return lambda: FileStore(folder or Path(tempfile.gettempdir()))
    return Nowhere if keep == "nothing" else MemoryStore


class Content:
    """Bytes that arrive in order, and their hash."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hash = QuickXorHash()

    @property
    def size(self) -> int:
        return self._hash.length

    @property
    def quick_xor_hash(self) -> str:
        return self._hash.base64()

    def append(self, block: bytes | memoryview) -> None:
        self._store.append(block)
        self._hash.update(block)

    def mark(self) -> QuickXorHash:
        """Where it stands now, for :meth:`go_back`."""
        return self._hash.copy()

    def go_back(self, mark: QuickXorHash) -> None:
        """Forget what was appended since."""
        self._store.truncate(mark.length)
        self._hash = mark

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        end = min(offset + length, self.size)
        for start in range(offset, end, BLOCK_SIZE):
            yield self._store.read(start, min(BLOCK_SIZE, end - start))

    def sha256(self) -> str | None:
        """None where the bytes were forgotten."""
        digest = hashlib.sha256()
        try:
            for block in self.read(0, self.size):
                digest.update(block)
        except ContentForgottenError:
            return None
        return digest.hexdigest()
