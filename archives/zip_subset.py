"""A ZIP of some members of another archive: their packed data is checked and taken over, and not packed again.

Only what was packed with Zstandard is packed anew, with deflate, because the programs that people double-click a ZIP
with do not know it. Streaming, one segment of the other archive at a time: some megabytes of memory, whatever the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from archives import zip_format
from archives.blocks import BLOCK_SIZE, DEFLATE_END, DeflateCodec, combine_crc32, crc32
from archives.entry import Entry
from archives.segments import Piece, RunningCrc, Segment, UnpackedBlock, plan_segments
from archives.zip_format import LIMIT_32, METHOD_DEFLATE, METHOD_STORE
from archives.zip_writer import ZIP64_FROM, CentralDirectory, in_blocks
from model import MemberKind

Unpacked = Callable[[Segment], Iterable[tuple[Piece, bytes, Iterator[UnpackedBlock]]]]
"""The pieces of a segment with their packed data, and their content, which raises where that is damaged."""

_ORDINARY = (METHOD_STORE, METHOD_DEFLATE)


class ZipSubset:
    """One such ZIP: one of the two methods is called, once, and what it yields is taken by one thread."""

    def __init__(self) -> None:
        self._position = 0
        self._directory = CentralDirectory()
        self._codec = DeflateCodec(1)

    def from_segments(self, entries: Iterable[Entry], unpacked: Unpacked) -> Iterator[bytes]:
        """The ZIP of members that an index describes, in the order of their archive.

        Raises DamagedArchiveError, and what ``unpacked`` raises; what was yielded until then is no ZIP.
        """
        for segment in plan_segments(entries, blocks_at_once=1):
            for piece, packed, blocks in unpacked(segment):
                if piece.block_count:
                    chunks = self._part(piece, packed, blocks)
                elif piece.entry.method in _ORDINARY:
                    content = b"".join(block.data for block in blocks)
                    chunks = self._small(piece.entry, piece.entry.method, len(content), packed)
                else:
                    chunks = self._packed_anew(piece.entry, b"".join(block.data for block in blocks))
                yield from self._counted(chunks)
        yield from self._directory.chunks(self._position)

    def from_contents(self, members: Iterable[tuple[Entry, Iterator[bytes]]]) -> Iterator[bytes]:
        """The ZIP of members whose place is not known, from the content of each. What that raises passes."""
        for entry, content in members:
            if entry.size <= BLOCK_SIZE:
                yield from self._counted(self._packed_anew(entry, b"".join(content)))
                continue
            yield from self._counted(self._begin(entry, repacks=True))
            for data in in_blocks(content):
                yield from self._counted(iter([self._block_anew(data, crc32(data))]))
            yield from self._counted(self._end())
        yield from self._directory.chunks(self._position)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._position += len(chunk)

    # --- small members ---

    def _packed_anew(self, entry: Entry, content: bytes) -> Iterator[bytes]:
        packed = self._codec.pack(content) if content and entry.member.kind is not MemberKind.SYMLINK else content
        if len(packed) < len(content):
            return self._small(entry, METHOD_DEFLATE, len(content), packed)
        return self._small(entry, METHOD_STORE, len(content), content)

    def _small(self, entry: Entry, method: int, size: int, packed: bytes) -> Iterator[bytes]:
        new = Entry(entry.member, method, size, len(packed), entry.crc32, self._position)
        self._directory.add(zip_format.central_header(new))
        yield zip_format.local_header(new)
        yield packed

    # --- large ones, which come in parts ---

    def _part(self, piece: Piece, packed: bytes, blocks: Iterator[UnpackedBlock]) -> Iterator[bytes]:
        if piece.first_block == 0:
            yield from self._begin(piece.entry, repacks=piece.entry.method not in _ORDINARY)
        anew = []
        for block in blocks:
            self._crc.add(block.crc32, len(block.data))
            if self._repacks:
                anew.append(self._block_anew(block.data, block.crc32))
        if piece.is_last:
            self._crc.check()  # before the last of it is handed on
        yield b"".join(anew) if self._repacks else packed
        if piece.is_last:
            yield from self._end()

    def _begin(self, entry: Entry, *, repacks: bool) -> Iterator[bytes]:
        self._crc, self._repacks = RunningCrc(entry), repacks
        if repacks:
            is_huge = entry.size >= ZIP64_FROM
            new = Entry(entry.member, METHOD_DEFLATE, offset=self._position, needs_descriptor=True, zip64=is_huge)
        else:
            end_size = len(DEFLATE_END) if entry.method == METHOD_DEFLATE else 0
            packed_size = sum(entry.blocks) + end_size
            is_huge = max(entry.size, packed_size) >= LIMIT_32
            new = Entry(entry.member, entry.method, entry.size, packed_size, entry.crc32, self._position, zip64=is_huge)
        self._new = new
        yield zip_format.local_header(new)

    def _block_anew(self, data: bytes, checksum: int) -> bytes:
        new, packed = self._new, self._codec.pack_block(data)
        new.crc32 = combine_crc32(new.crc32, checksum, len(data))
        new.size += len(data)
        new.packed_size += len(packed)
        return packed

    def _end(self) -> Iterator[bytes]:
        new = self._new
        if self._repacks:
            new.packed_size += len(DEFLATE_END)
        self._directory.add(zip_format.central_header(new))
        if new.method == METHOD_DEFLATE:
            yield DEFLATE_END
        if self._repacks:
            yield zip_format.data_descriptor(new)
