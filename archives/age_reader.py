"""Parts of an age file, without the rest: only the chunks of 64 KiB that cover a part are fetched and decrypted.

Source: https://age-encryption.org/v1 (C2SP age.md), section "Payload". It works for every kind of recipient: only the
header differs between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from archives.age_header import Header, parse_header
from archives.age_keys import Identity
from archives.age_payload import (
    CHUNK_SIZE,
    NONCE_SIZE,
    SEALED_CHUNK_SIZE,
    PayloadOpener,
    content_size,
    in_chunks,
)
from archives.age_stream import unwrapped
from errors import DamagedArchiveError

ReadRange = Callable[[int, int], Iterator[bytes]]
"""``(offset, length)`` -> the bytes there, in chunks. Raises StorageError."""

# The header of twenty recipients of age; one request fetches it.
_FIRST_READ = 4 << 10


class AgeReader:
    """The content of an age file of ``size`` bytes; several threads may read at once.

    Making one reads the header and the last chunk: only that says that nothing is missing at the end. Raises
    EncryptionKeyError where no identity opens it, DamagedArchiveError, and what ``read_range`` raises.
    """

    def __init__(
        self, read_range: ReadRange, size: int, identities: Sequence[Identity], *, checks_end: bool = True
    ) -> None:
        """Without ``checks_end`` the last chunk is read when it is asked for: for whoever knows from elsewhere what the
        content must be, so that damage at the end takes nothing else with it."""
        self._read_range = read_range
        header, data = self._read_header(size)
        self._start = header.size + NONCE_SIZE
        self._payload_size = size - self._start
        self.size = content_size(self._payload_size)
        self._opener = PayloadOpener(unwrapped(header, identities), data[header.size : self._start])
        self._chunk_count = -(-self._payload_size // SEALED_CHUNK_SIZE)
        self._last = self._read_last() if checks_end else None

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """The content at ``offset``, at most ``length`` bytes of it. Raises as making a reader does."""
        end = min(offset + length, self.size)
        if offset >= end:
            return
        first, behind = offset // CHUNK_SIZE, -(-end // CHUNK_SIZE)
        position = first * CHUNK_SIZE
        for content in self._contents(first, behind):
            start, stop = max(offset - position, 0), end - position
            yield content if start == 0 and stop >= len(content) else content[start:stop]
            position += len(content)

    def _contents(self, first: int, behind: int) -> Iterator[bytes]:
        """The content of some chunks; the last one of all is here already."""
        last = self._chunk_count - 1
        if first < last:
            yield from self._opened(first, min(behind, last))
        if behind > last:
            yield self._read_last() if self._last is None else self._last

    def _read_last(self) -> bytes:
        return b"".join(self._opened(self._chunk_count - 1, self._chunk_count))

    def _opened(self, first: int, behind: int) -> Iterator[bytes]:
        offset = first * SEALED_CHUNK_SIZE
        length = min(behind * SEALED_CHUNK_SIZE, self._payload_size) - offset
        received = 0

        def counted() -> Iterator[bytes]:
            nonlocal received
            for data in self._read_range(self._start + offset, length):
                received += len(data)
                yield data
            if received != length:
                raise DamagedArchiveError(f"the encrypted file ends at byte {self._start + offset + received:,}")

        number = first
        for pieces, _ in in_chunks(counted(), SEALED_CHUNK_SIZE):
            is_end = number + len(pieces) == self._chunk_count
            yield b"".join(self._opener.open(number, pieces, is_end=is_end))
            number += len(pieces)

    def _read_header(self, size: int) -> tuple[Header, bytes]:
        data, wanted = b"", _FIRST_READ
        while True:
            wanted = min(wanted, size)
            data += b"".join(self._read_range(len(data), wanted - len(data)))
            header = parse_header(data)
            if header is not None and len(data) >= header.size + NONCE_SIZE:
                return header, data
            if len(data) < wanted or wanted == size:
                raise DamagedArchiveError("the encrypted file ends in its header")
            wanted *= 4
