"""The fragments of an upload: read ahead, and hashed on their way."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from isal.isal_zlib import crc32

from errors import IntegrityError
from storages.onedrive.quick_xor_hash import QuickXorHash
from storages.storage import KnownContent

# A multiple of 320 KiB, as every fragment but the last must be; Microsoft recommends 5 to 10 MiB.
FRAGMENT_SIZE = 32 * 320 << 10

# Both hashes find it in the processor's cache. With each hash over the whole fragment an upload was 10 % slower.
_HASHED_AT_ONCE = 160 << 10


class _Sha256:
    """Whether content is that with this SHA-256."""

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._digest = hashlib.sha256()

    def update(self, content: memoryview) -> None:
        self._digest.update(content)

    def is_right(self) -> bool:
        return self._digest.hexdigest() == self._expected


class _Crc32:
    """The same by its CRC-32, for what this process wrote and only a disk can have changed since."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._checksum = 0

    def update(self, content: memoryview) -> None:
        self._checksum = crc32(content, self._checksum)

    def is_right(self) -> bool:
        return self._checksum == self._expected


class Fragments:
    """Content in pieces of ``FRAGMENT_SIZE`` from any offset. While one is sent, a thread reads and hashes the next.

    Every byte is hashed once and in order, also where an upload begins in the middle or goes back.
    """

    def __init__(self, key: str, content: KnownContent) -> None:
        self._key = key
        self._content = content
        self._hashed = 0
        self._check = _Crc32(content.crc32) if content.crc32 is not None else _Sha256(content.sha256)
        self._quick_xor_hash = QuickXorHash()
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
        self._ahead: tuple[int, Future[bytes]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.shutdown(cancel_futures=True)

    def at(self, offset: int) -> bytes:
        """The fragment that begins there. Before the last one is handed out, all of the content was found to be right.

        Raises IntegrityError where the content is not what its size and SHA-256 say, and what reading it raises.
        """
        if self._ahead is None or self._ahead[0] != offset:
            self._ahead = (offset, self._reader.submit(self._read, offset))
        fragment = self._ahead[1].result()
        end = offset + len(fragment)
        if end < self._content.size:
            self._ahead = (end, self._reader.submit(self._read, end))
        elif not self._check.is_right():
            raise self._changed()
        return fragment

    def quick_xor_hash(self) -> str:
        """Of the whole content, which was read to its end."""
        if self._hashed < self._content.size:
            self._reader.submit(self._hash_up_to, self._content.size).result()
        return self._quick_xor_hash.base64()

    def _read(self, offset: int) -> bytes:
        self._hash_up_to(offset)
        length = min(FRAGMENT_SIZE, self._content.size - offset)
        fragment = self._checked(self._content.read(offset, length), length)
        self._hash(fragment[self._hashed - offset :])
        return fragment

    def _hash_up_to(self, end: int) -> None:
        while self._hashed < end:
            length = min(FRAGMENT_SIZE, end - self._hashed)
            self._hash(self._checked(self._content.read_unsent(self._hashed, length), length))

    def _hash(self, content: bytes) -> None:
        view = memoryview(content)
        for start in range(0, len(view), _HASHED_AT_ONCE):
            self._check.update(view[start : start + _HASHED_AT_ONCE])
            self._quick_xor_hash.update(view[start : start + _HASHED_AT_ONCE])
        self._hashed += len(content)

    def _checked(self, content: bytes, length: int) -> bytes:
        if len(content) != length:
            raise self._changed()
        return content

    def _changed(self) -> IntegrityError:
        return IntegrityError(
            f"What was read to store {self._key} is not what it was when it was made; nothing was stored. Check the "
            "disk that holds STATE_DIR (dmesg, smartctl), and run the backup again."
        )
