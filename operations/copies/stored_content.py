"""An object of a copy as content that can be put elsewhere: read in one stream, and hashed on its way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from archives.manifest import FilePart
from errors import DamagedArchiveError, HoldfastError
from storages.storage import KnownContent, Storage


class StoredContent(KnownContent):
    """What a manifest says of an object is what is handed out, or an error is raised before its last byte is.

    ``error`` is what reading raised: it tells a bad copy from a storage that does not take a good one. Read from one
    thread at a time, and at least once in order from the beginning; any other order costs a new request for each jump.
    """

    def __init__(self, storage: Storage, key: str, part: FilePart, on_read: Callable[[int], None]) -> None:
        """``on_read`` is told how many of the bytes have been read; of what is read again, nothing."""
        self.size = part.size
        self.sha256 = part.sha256
        self.error: HoldfastError | None = None
        self._storage = storage
        self._key = key
        self._on_read = on_read
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._chunks: Iterator[bytes] = iter(())
        self._position = -1
        self._held = b""

    def read(self, offset: int, length: int) -> bytes:
        """See KnownContent. Raises DamagedArchiveError, and what the storage raises."""
        try:
            block = self._taken(offset, min(length, self.size - offset))
            self._hash(offset, block)
        except HoldfastError as error:
            self.error = error
            self._position = -1
            raise
        return block

    def _taken(self, offset: int, length: int) -> bytes:
        if offset != self._position:
            self._chunks = self._storage.get(self._key, offset, self.size - offset)
            self._held = b""
        parts, missing = [], length
        while missing > 0:
            chunk = self._held or next(self._chunks, None)
            if chunk is None:
                found = offset + length - missing
                raise DamagedArchiveError(
                    f"{self._key} in the storage {self._storage.name} has {found:,} bytes where {self.size:,} were "
                    "stored."
                )
            parts.append(chunk[:missing])
            self._held = chunk[missing:]
            missing -= len(parts[-1])
        self._position = offset + length
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hash(self, offset: int, block: bytes) -> None:
        end = offset + len(block)
        if end <= self._hashed or offset > self._hashed:
            return
        self._digest.update(block[self._hashed - offset :])
        self._hashed = end
        if end == self.size and self._digest.hexdigest() != self.sha256:
            raise DamagedArchiveError(
                f"{self._key} in the storage {self._storage.name} is not what was stored (its SHA-256 differs)."
            )
        self._on_read(end)
