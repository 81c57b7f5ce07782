"""An archive cut into ranges that are fetched and unpacked independently of each other, on every core.

Needs the index: the place and the length of each member's data, and the blocks of the large ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from archives.blocks import BLOCK_SIZE, combine_crc32, crc32, unpack_block
from archives.entry import Entry
from errors import DamagedArchiveError

_SEGMENT_SIZE = 1 << 20
_SEGMENT_PIECES = 128

# Unpacked: a segment may be held whole by each core, and of a file of zeros 1 MiB would become 1 GiB.
_SEGMENT_CONTENT = 16 << 20
_BLOCKS_AT_ONCE = 4

# Bytes between two wanted members are fetched too where a request of their own would cost more.
_LARGEST_GAP = 256 << 10


@dataclass(slots=True)
class Piece:
    """A small member, or some blocks of a large one, and where its packed data lies in the archive."""

    entry: Entry
    offset: int
    packed_size: int
    first_block: int = 0
    block_count: int = 0

    @property
    def content_size(self) -> int:
        """Bytes, once it is unpacked."""
        if not self.block_count:
            return self.entry.size
        begin = self.first_block * BLOCK_SIZE
        return min(self.entry.size - begin, self.block_count * BLOCK_SIZE)

    @property
    def is_last(self) -> bool:
        return self.first_block + self.block_count == len(self.entry.blocks)


@dataclass(slots=True)
class Segment:
    """``length`` bytes of the archive at ``offset``, with the pieces in them in rising order."""

    offset: int
    length: int = 0
    pieces: list[Piece] = field(default_factory=list)
    content_size: int = 0


@dataclass(slots=True)
class UnpackedBlock:
    """Content at a position of its member."""

    offset: int
    data: bytes
    crc32: int


def plan_segments(entries: Iterable[Entry], blocks_at_once: int = _BLOCKS_AT_ONCE) -> Iterator[Segment]:
    """The segments that hold the data of these members, given in the order of the archive and validated.

    Of a large member there are so many blocks in each, at the most.
    """
    segment: Segment | None = None
    for entry in entries:
        for piece in _pieces(entry, blocks_at_once):
            if segment is not None and not _fits(segment, piece):
                yield segment
                segment = None
            if segment is None:
                segment = Segment(piece.offset)
            segment.pieces.append(piece)
            segment.content_size += piece.content_size
            segment.length = piece.offset + piece.packed_size - segment.offset
    if segment is not None:
        yield segment


def unpack_piece(piece: Piece, segment_offset: int, data: bytes) -> Iterator[UnpackedBlock]:
    """The content of one piece, given its segment's data. A small member's CRC-32 is checked here.

    Raises DamagedArchiveError.
    """
    entry, position = piece.entry, piece.offset - segment_offset
    if not piece.block_count:
        content = unpack_block(entry.method, data[position : position + piece.packed_size], entry.size)
        crc = crc32(content)
        if crc != entry.crc32:
            raise DamagedArchiveError("its content is not what it was when it was packed (its CRC-32 differs)")
        yield UnpackedBlock(0, content, crc)
        return
    for number in range(piece.first_block, piece.first_block + piece.block_count):
        packed_size, offset = entry.blocks[number], number * BLOCK_SIZE
        size = min(BLOCK_SIZE, entry.size - offset)
        content = unpack_block(entry.method, data[position : position + packed_size], size)
        yield UnpackedBlock(offset, content, crc32(content))
        position += packed_size


class RunningCrc:
    """The CRC-32 of a large member, from its blocks in their order."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._crc32 = 0

    def add(self, crc: int, size: int) -> None:
        self._crc32 = combine_crc32(self._crc32, crc, size)

    def check(self) -> None:
        """Raises DamagedArchiveError."""
        if self._crc32 != self._entry.crc32:
            raise DamagedArchiveError("its content is not what it was when it was packed (its CRC-32 differs)")


def _pieces(entry: Entry, blocks_at_once: int) -> Iterator[Piece]:
    if not len(entry.blocks):
        yield Piece(entry, entry.data_offset, entry.packed_size)
        return
    offset = entry.data_offset
    for first in range(0, len(entry.blocks), blocks_at_once):
        sizes = entry.blocks[first : first + blocks_at_once]
        packed_size = sum(sizes)
        yield Piece(entry, offset, packed_size, first, len(sizes))
        offset += packed_size


def _fits(segment: Segment, piece: Piece) -> bool:
    end = segment.offset + segment.length
    return (
        0 <= piece.offset - end <= _LARGEST_GAP
        and piece.offset + piece.packed_size - segment.offset <= _SEGMENT_SIZE
        and segment.content_size + piece.content_size <= _SEGMENT_CONTENT
        and len(segment.pieces) < _SEGMENT_PIECES
    )
