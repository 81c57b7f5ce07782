"""Members in, the bytes of a ZIP out: streaming, on every core, in bounded memory.

The thread that iterates the archive walks the members and puts finished pieces in order; worker threads read and pack
(reading, ISA-L and CRC-32 release the GIL). Work is given out in the order of the archive and taken back in that order,
at most ``_STEPS_PER_WORKER`` pieces per core at a time: a batch of small members, or one block of a large member.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field

import zstandard

from archives import zip_format
from archives.blocks import BLOCK_SIZE, codec_for, combine_crc32
from archives.entry import Entry
from archives.memory import keep_freed_memory
from archives.pack_processes import PackProcesses, can_be_sent
from archives.packing import PackedBatch, PackedBlock, pack_batch, pack_data_block, pack_file_block
from model import Compression, Member, Note, NoteKind, OnProgress, OpenContent, SeekableContent, StreamContent

_BATCH_MEMBERS = 128
_STEPS_PER_WORKER = 6

# Starting the processes costs as much as packing some twenty megabytes.
_BATCHES_BEFORE_PROCESSES = 16

# From here on a member's packed size may not fit 32 bits: incompressible data grows by less than 0.1%.
ZIP64_FROM = 0xFF000000

Step = Callable[[], Iterable[bytes]]
"""The next bytes of the archive; waits for the worker that packs them."""


@dataclass(slots=True)
class _LargeMember:
    """A member that is packed block by block, while it is under way."""

    entry: Entry
    blocks: array[int] = field(default_factory=lambda: array("I"))
    ended: bool = False


class ZipWriter:
    """One archive, taken once. What could not be read is told to ``on_note``, and the archive stays valid.

    ``on_entry`` is called for each member in the order of the archive, ``on_progress`` with each member and the number
    of its bytes that were packed since the last call. What a ``StreamContent`` raises is raised by the iteration: what
    was yielded until then is no archive and must not be kept.
    """

    def __init__(
        self,
        members: Iterable[Member],
        compression: Compression,
        *,
        on_entry: Callable[[Entry], None],
        on_note: Callable[[Note], None],
        on_progress: OnProgress,
    ) -> None:
        self._members = members
        self._compression = compression
        self._codec = codec_for(compression)
        self._on_entry = on_entry
        self._on_note = on_note
        self._on_progress = on_progress
        self._position = 0
        self._directory = CentralDirectory()
        self._open_contents: set[OpenContent] = set()
        self._processes: PackProcesses | None = None
        self._batch_count = 0

    def chunks(self) -> Generator[bytes, None, None]:
        """The archive, from its first byte to its last, in pieces of up to 1 MiB or so."""
        keep_freed_memory()
        workers = os.cpu_count() or 1
        executor = ThreadPoolExecutor(workers, thread_name_prefix="pack")
        try:
            with closing(self._plan(executor)) as plan:
                for step in _look_ahead(plan, _STEPS_PER_WORKER * workers):
                    for chunk in step():
                        yield chunk
                        self._position += len(chunk)
            yield from self._directory.chunks(self._position)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
            if self._processes is not None:
                self._processes.close()
            for content in self._open_contents:
                with suppress(OSError):
                    content.close()

    # --- what is done, in the order of the archive ---

    def _plan(self, executor: ThreadPoolExecutor) -> Generator[Step, None, None]:
        batch: list[Member] = []
        batch_size = 0
        for member in self._members:
            large = isinstance(member.content, StreamContent) or member.size > BLOCK_SIZE
            size = member.size + 2 * len(member.path) + len(member.link_target or b"")
            if batch and (large or len(batch) == _BATCH_MEMBERS or batch_size + size > BLOCK_SIZE):
                yield self._plan_batch(batch, executor)
                batch, batch_size = [], 0
            if isinstance(member.content, StreamContent):
                yield from self._plan_stream(member, member.content, executor)
            elif isinstance(member.content, SeekableContent) and large:
                yield from self._plan_file(member, member.content, executor)
            else:
                batch.append(member)
                batch_size += size
        if batch:
            yield self._plan_batch(batch, executor)

    def _plan_batch(self, batch: list[Member], executor: ThreadPoolExecutor) -> Step:
        self._batch_count += 1
        if self._batch_count > _BATCHES_BEFORE_PROCESSES and can_be_sent(batch):
            if self._processes is None:
                self._processes = PackProcesses(self._compression, _STEPS_PER_WORKER + 2)
            packed = self._processes.pack(batch)
        else:
            packed = executor.submit(pack_batch, batch, self._codec).result
        return lambda: self._batch(packed)

    def _plan_file(self, member: Member, content: SeekableContent, executor: ThreadPoolExecutor) -> Iterator[Step]:
        try:
            opened = content.open(member.size)
        except OSError as error:
            self._on_note(Note.of_error(member.path, error))
            return
        self._open_contents.add(opened)
        large = self._large(member, zip64=member.size >= ZIP64_FROM)
        yield lambda: self._begin(large)
        is_sparse = member.data_extents is not None
        zeros: Future[PackedBlock] | None = None
        for offset in range(0, member.size, BLOCK_SIZE):
            if large.ended:
                break
            length = min(BLOCK_SIZE, member.size - offset)
            if is_sparse and length == BLOCK_SIZE and opened.is_hole(offset, length):
                # The zeros of a hole are packed once: a sparse terabyte costs no more than writing what it packs to.
                zeros = zeros or executor.submit(pack_data_block, bytes(BLOCK_SIZE), self._codec)
                yield self._plan_block(large, zeros, length)
            else:
                block = executor.submit(pack_file_block, opened, offset, length, self._codec)
                yield self._plan_block(large, block, length)
        yield lambda: self._end_file(large, opened)

    def _plan_stream(self, member: Member, content: StreamContent, executor: ThreadPoolExecutor) -> Iterator[Step]:
        large = self._large(member, zip64=True)
        yield lambda: self._begin(large)
        latest: bytes | None = None
        for data in in_blocks(content.chunks()):
            # The zeros of a hole may come as the same object again and again, and are packed once.
            if data is not latest:
                latest, block = data, executor.submit(pack_data_block, data, self._codec)
            yield self._plan_block(large, block, len(data))
        yield lambda: self._end(large)

    def _plan_block(self, large: _LargeMember, block: Future[PackedBlock], length: int) -> Step:
        return lambda: self._block(large, block, length)

    def _large(self, member: Member, *, zip64: bool) -> _LargeMember:
        return _LargeMember(Entry(member, self._codec.method, needs_descriptor=True, zip64=zip64))

    # --- the steps ---

    def _batch(self, packed: Callable[[], PackedBatch]) -> Iterator[bytes]:
        batch = packed()
        for note in batch.notes:
            self._on_note(note)
        for entry in batch.entries:
            header = batch.data[entry.offset : entry.offset + entry.header_size]
            entry.offset += self._position
            self._directory.add(zip_format.central_header_of_small(entry, header))
            self._on_entry(entry)
            self._on_progress(entry.member, entry.size)
        yield batch.data

    def _begin(self, large: _LargeMember) -> Iterator[bytes]:
        header = zip_format.local_header(large.entry)
        large.entry.offset, large.entry.header_size = self._position, len(header)
        yield header

    def _block(self, large: _LargeMember, future: Future[PackedBlock], length: int) -> Iterator[bytes]:
        if large.ended:
            return
        entry = large.entry
        try:
            block = future.result()
        except OSError as error:
            large.ended = True
            entry.note = f"it could be read only up to byte {entry.size} ({error.strerror})"
            self._on_note(Note(NoteKind.UNREADABLE, entry.member.path, entry.note))
            return
        large.ended = block.size < length
        if block.size:
            entry.crc32 = combine_crc32(entry.crc32, block.crc32, block.size)
            entry.size += block.size
            entry.packed_size += len(block.data)
            large.blocks.append(len(block.data))
            self._on_progress(entry.member, block.size)
            yield block.data

    def _end_file(self, large: _LargeMember, opened: OpenContent) -> Iterator[bytes]:
        self._open_contents.discard(opened)
        path = large.entry.member.path
        try:
            change = opened.close()
            note = Note(NoteKind.CHANGED, path, change) if change is not None else None
        except OSError as error:
            note = Note(NoteKind.UNREADABLE, path, f"how it changed cannot be known ({error.strerror})")
        if note is not None and large.entry.note is None:
            large.entry.note = note.reason
            self._on_note(note)
        yield from self._end(large)

    def _end(self, large: _LargeMember) -> Iterator[bytes]:
        entry, end = large.entry, self._codec.stream_end
        entry.packed_size += len(end)
        entry.blocks = large.blocks
        self._directory.add(zip_format.central_header(entry))
        self._on_entry(entry)
        yield end + zip_format.data_descriptor(entry)


class CentralDirectory:
    """The central directory until its turn comes, compressed: a million records take 30 MB rather than 150."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1).compressobj()
        self._compressed: list[bytes] = []
        self._records: list[bytes] = []
        self._count = 0
        self._size = 0

    def add(self, record: bytes) -> None:
        self._records.append(record)
        self._count += 1
        self._size += len(record)
        if len(self._records) == 1024:
            self._compress()

    def chunks(self, position: int) -> Iterator[bytes]:
        """The records and the end of the archive; ``position`` is where they begin."""
        self._compress()
        self._compressed.append(self._compressor.flush())
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        for part in self._compressed:
            records = decompressor.decompress(part)
            if records:
                yield records
        yield zip_format.end_records(self._count, self._size, position)

    def _compress(self) -> None:
        self._compressed.append(self._compressor.compress(b"".join(self._records)))
        self._records.clear()


def _look_ahead(steps: Iterator[Step], count: int) -> Iterator[Step]:
    """The same steps, each handed on only once ``count`` later ones were planned, so that the workers are busy."""
    ahead: deque[Step] = deque()
    for step in steps:
        ahead.append(step)
        if len(ahead) > count:
            yield ahead.popleft()
    yield from ahead


def in_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of BLOCK_SIZE; the last may be shorter."""
    pieces: list[bytes] = []
    missing = BLOCK_SIZE
    for chunk in chunks:
        position = 0
        while len(chunk) - position >= missing:
            end = position + missing
            pieces.append(chunk[position:end])
            yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces, position, missing = [], end, BLOCK_SIZE
        if position < len(chunk):
            pieces.append(chunk[position:])
            missing -= len(chunk) - position
    if pieces:
        yield b"".join(pieces)
