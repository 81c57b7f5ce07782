"""``BANDWIDTH``: a storage that takes no more than so many bytes in a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from model import StoredObject
from storages.storage import KnownContent, Storage
from storages.workplace import Workplace
from storages.wrapper import StorageWrapper

# How much may pass at once after a rest, in seconds of the rate: enough that short waits of others cost nothing.
_BURST_SECONDS = 0.25

# A large chunk is let through in parts, so that a slow line is used evenly and not in bursts of a MiB.
_LARGEST_PART = 64 << 10


class Bandwidth:
    """A rate that several storages may share: together they pass no more than ``bytes_per_second``.

    A token bucket whose level may go below zero: whoever takes too much waits until it is paid back.
    """

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int, workplace: Workplace) -> None:
        """Wait until so many bytes may pass. Raises StorageError when it is cancelled."""
        with self._lock:
            now = time.monotonic()
            begins = max(self._free_at, now - _BURST_SECONDS)
            self._free_at = begins + count / self._rate
            seconds = self._free_at - now
        if seconds > 0:
            workplace.wait(seconds)


class LimitedStorage(StorageWrapper):
    """What is put passes all of ``bandwidths``. Reading is not limited: it is for the worst day of the year."""

    def __init__(self, storage: Storage, bandwidths: Iterable[Bandwidth], workplace: Workplace) -> None:
        super().__init__(storage)
        self._bandwidths = tuple(bandwidths)
        self._workplace = workplace

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        if isinstance(chunks, KnownContent):
            return super().put(key, _LimitedContent(chunks, self))
        return super().put(key, self._limited(chunks))

    def let_pass(self, count: int) -> None:
        """Wait until so many bytes may pass."""
        for bandwidth in self._bandwidths:
            bandwidth.take(count, self._workplace)

    def _limited(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            for offset in range(0, len(chunk), _LARGEST_PART):
                part = chunk[offset : offset + _LARGEST_PART]
                self.let_pass(len(part))
                yield part


class _LimitedContent(KnownContent):
    def __init__(self, content: KnownContent, storage: LimitedStorage) -> None:
        self._content = content
        self._storage = storage
        self.size = content.size
        self.sha256 = content.sha256
        self.crc32 = content.crc32

    def read(self, offset: int, length: int) -> bytes:
        block = self._content.read(offset, length)
        self._storage.let_pass(len(block))
        return block

    def read_unsent(self, offset: int, length: int) -> bytes:
        return self._content.read_unsent(offset, length)
