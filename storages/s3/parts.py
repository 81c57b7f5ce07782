"""A stream of unknown length cut into the parts of an upload.

An upload has at most 10,000 parts of at most 5 GiB, and nobody knows how long the stream will be. So the parts begin
small and grow: see :class:`PartPlan`. Each part is held until the service has confirmed it, because it may have to be
sent again: in memory while parts are small, else in a file that has no name, so that it goes with the process.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from errors import StorageError, StorageFullError
from utils import make_private_directory

_MIB = 1 << 20

# How much of a part is read, hashed and handed to the socket at once.
_BLOCK = 1 * _MIB

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MOST_PARTS = 10_000
_LARGEST_PART = 5 << 30


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How large each part is, in bytes, how many are sent at once, and where they wait.

    The first ``constant`` parts have ``first`` bytes; then the size doubles with each ``doubling``. As it stands: 8 MiB
    up to 21 GB, 64 MiB from 61 GB, 128 MiB from 115 GB, 512 MiB from 437 GB; 5 TB end with part 9,263, of 4 GiB.

    What is held are the parts under way and the one that is being filled: 5 of 8 MiB = 40 MiB of memory up to 21 GB,
    80 MiB up to 34 GB, then 128 MiB. From 115 GB on they wait on the disk, three at a time: 1.5 GiB at 500 GB, 12 GiB
    at 5 TB.
    """

    first: int = 8 * _MIB
    constant: int = 2_500
    doubling: int = 800
    largest_in_memory: int = 64 * _MIB
    memory: int = 128 * _MIB
    parallel: int = 4
    parallel_from_disk: int = 2

    def size(self, number: int) -> int:
        """Of the part with this number, which counts from 1."""
        return min(self.first << max(0, (number - 1 - self.constant) // self.doubling + 1), _LARGEST_PART)

    def is_in_memory(self, size: int) -> bool:
        return size <= self.largest_in_memory

    def under_way(self, size: int) -> int:
        """How many parts of this size may be under way while the next one is filled."""
        if not self.is_in_memory(size):
            return self.parallel_from_disk
        return max(1, min(self.parallel, self.memory // size - 1))


class Part:
    """The bytes of one part. They can be read as often as the part must be sent."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0

    def append(self, chunk: memoryview) -> None:
        """Add bytes, for which there must be room. Raises StorageError."""
        raise NotImplementedError

    def block(self, offset: int, length: int) -> bytes | memoryview:
        """Up to ``length`` bytes; none at the end. Raises StorageError."""
        raise NotImplementedError

    def blocks(self) -> Iterator[bytes | memoryview]:
        """All of its bytes."""
        offset = 0
        while block := self.block(offset, _BLOCK):
            yield block
            offset += len(block)

    def close(self) -> None:
        """Give back what it took."""


class PartBuffers:
    """Where parts are filled, and wait. Buffers are used again: a fresh one costs a page fault for each 4 kB.

    ``release`` may be called by the threads that send. A context manager.
    """

    def __init__(self, plan: PartPlan, spool_directory: Path) -> None:
        self._plan = plan
        self._spool_directory = spool_directory
        self._free: list[Part] = []
        self._taken: set[Part] = set()

    def __enter__(self) -> PartBuffers:
        return self

    def __exit__(self, *_: object) -> None:
        for buffer in (*self._free, *self._taken):
            buffer.close()

    def fill(self, chunks: Iterable[bytes]) -> Iterator[Part]:
        """The parts, each when it is full; at least one, which may be empty. Each must be released."""
        number = 1
        part = self._take(number)
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                if part.size == part.capacity:
                    yield part
                    number += 1
                    part = self._take(number)
                room = part.capacity - part.size
                part.append(rest[:room])
                rest = rest[room:]
        yield part

    def release(self, part: Part) -> None:
        """It is not needed any more."""
        self._taken.discard(part)
        self._free.append(part)

    def _take(self, number: int) -> Part:
        capacity = self._plan.size(number)
        while self._free:
            part = self._free.pop()
            if part.capacity == capacity:
                part.size = 0
                break
            part.close()
        else:
            part = (
                _MemoryPart(capacity)
                if self._plan.is_in_memory(capacity)
                else _FilePart(capacity, self._spool_directory)
            )
        self._taken.add(part)
        return part


class _MemoryPart(Part):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._bytes = memoryview(bytearray(capacity))

    def append(self, chunk: memoryview) -> None:
        self._bytes[self.size : self.size + len(chunk)] = chunk
        self.size += len(chunk)

    def block(self, offset: int, length: int) -> memoryview:
        return self._bytes[offset : min(self.size, offset + length)]


class _FilePart(Part):
    def __init__(self, capacity: int, directory: Path) -> None:
        super().__init__(capacity)
        self._directory = directory
        try:
            self._file = tempfile.TemporaryFile(dir=make_private_directory(directory), buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._refused(error) from error

    def append(self, chunk: memoryview) -> None:
        while chunk:
            try:
                written = os.pwrite(self._file.fileno(), chunk, self.size)
            except OSError as error:
                raise self._refused(error) from error
            self.size += written
            chunk = chunk[written:]

    def block(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), min(length, self.size - offset), offset)
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        self._file.close()

    def _refused(self, error: OSError) -> StorageError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageFullError(
                f"The disk that holds {self._directory} is full. Of an archive of more than 100 GB, three parts at a "
                "time wait there until the service has them. Make room, or let STATE_DIR name a folder on a larger "
                "disk."
            )
        return StorageError(f"The folder {self._directory} cannot be used: {error.strerror}. Check STATE_DIR.")
