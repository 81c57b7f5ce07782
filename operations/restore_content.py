"""The content of members into files of a folder: fetched in ranges, unpacked and written on every core, checked."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from archives.entry import Entry
from archives.segments import Piece, RunningCrc, Segment, UnpackedBlock, plan_segments, unpack_piece
from archives.zip_reader import ReadRange, ZipReader
from errors import DamagedArchiveError
from hosts.local_tree import LocalTree
from model import Member
from operations.parallel import map_in_threads

# With these nothing more can be written, so the restore ends; any other error concerns one member.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


@dataclass(slots=True)
class Written:
    """What became of a member: the extended attributes that were refused, and why it is not, or not wholly, there."""

    entry: Entry
    refused_attributes: list[str] = field(default_factory=list)
    problem: str | None = None


@dataclass(slots=True)
class _WrittenPiece:
    """What a worker did; ``checksums`` are the CRC-32 and size of each block."""

    piece: Piece
    written: Written
    checksums: list[tuple[int, int]] = field(default_factory=list)


class ContentWriter:
    """Writes into ``tree`` what ``read`` gives of an archive, and tells ``on_written`` of each member, in order.

    Raises StorageError, HostileArchiveError, and OSError where nothing more can be written.
    """

    def __init__(self, read: ReadRange, tree: LocalTree, on_written: Callable[[Written], None]) -> None:
        self._read = read
        self._tree = tree
        self._on_written = on_written
        self._large_files: dict[int, _LargeFile] = {}

    def write(self, entries: Iterable[Entry]) -> None:
        """Write these members, which an index describes."""
        try:
            for pieces in map_in_threads(self._write_segment, plan_segments(self._opened(entries))):
                for piece in pieces:
                    self._collect(piece)
        finally:
            for large in self._large_files.values():
                large.file.set_aside()

    def write_from_zip(self, entries: Iterable[Entry], reader: ZipReader) -> None:
        """Write these members, of which only the ZIP's own directory is known, one after the other."""
        for entry in entries:
            written = Written(entry)
            with _problem_of(written):
                file = _OutputFile(entry.member, self._tree)
                try:
                    offset = 0
                    for chunk in reader.content(entry):
                        file.write(offset, chunk)
                        offset += len(chunk)
                except DamagedArchiveError:
                    file.set_aside()
                    raise
                written.refused_attributes = file.complete()
            self._on_written(written)

    def _opened(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The same entries; the files of large ones are made here, because several threads write into each."""
        for entry in entries:
            written = Written(entry)
            if len(entry.blocks):
                with _problem_of(written):
                    self._large_files[entry.offset] = _LargeFile(_OutputFile(entry.member, self._tree), entry)
            if written.problem is None:
                yield entry
            else:
                self._on_written(written)

    def _write_segment(self, segment: Segment) -> list[_WrittenPiece]:
        data = b"".join(self._read(segment.offset, segment.length)) if segment.length else b""
        return [self._write_piece(piece, unpack_piece(piece, segment.offset, data)) for piece in segment.pieces]

    def _write_piece(self, piece: Piece, blocks: Iterator[UnpackedBlock]) -> _WrittenPiece:
        result = _WrittenPiece(piece, Written(piece.entry))
        with _problem_of(result.written):
            if piece.block_count:
                file = self._large_files[piece.entry.offset].file
                for block in blocks:
                    file.write(block.offset, block.data)
                    result.checksums.append((block.crc32, len(block.data)))
            else:
                content = next(blocks).data
                file = _OutputFile(piece.entry.member, self._tree)
                file.write(0, content)
                result.written.refused_attributes = file.complete()
        return result

    def _collect(self, result: _WrittenPiece) -> None:
        """A large member is done with its last piece."""
        if not result.piece.block_count:
            self._on_written(result.written)
            return
        large = self._large_files[result.piece.entry.offset]
        large.add(result)
        if result.piece.is_last:
            del self._large_files[result.piece.entry.offset]
            self._on_written(large.finish())


class _OutputFile:
    """A file under way, with mode 0600 until it is complete."""

    def __init__(self, member: Member, tree: LocalTree) -> None:
        self._member = member
        self._tree = tree
        self._descriptor = tree.create_file(member.path)

    def write(self, offset: int, data: bytes) -> None:
        """Write at an offset; where the original had a hole, leave one."""
        for start, end in _data_ranges(self._member, offset, offset + len(data)):
            view = memoryview(data)[start - offset : end - offset]
            while view:
                view = view[os.pwrite(self._descriptor, view, end - len(view)) :]

    def complete(self) -> list[str]:
        """Give it its attributes and close it; the extended attributes that could not be set."""
        try:
            if self._member.data_extents is not None:
                os.ftruncate(self._descriptor, self._member.size)
            return self._tree.set_attributes(self._descriptor, self._member)
        finally:
            os.close(self._descriptor)

    def set_aside(self) -> None:
        """Keep what could be read, under a name that says that it is damaged."""
        os.close(self._descriptor)
        self._tree.set_aside(self._member.path)


class _LargeFile:
    """A file that is written piece by piece, and the CRC-32 of what was written."""

    def __init__(self, file: _OutputFile, entry: Entry) -> None:
        self.file = file
        self._crc = RunningCrc(entry)
        self._written = Written(entry)

    def add(self, result: _WrittenPiece) -> None:
        self._written.problem = self._written.problem or result.written.problem
        for crc, size in result.checksums:
            self._crc.add(crc, size)

    def finish(self) -> Written:
        with _problem_of(self._written):
            if self._written.problem is None:
                self._crc.check()
                self._written.refused_attributes = self.file.complete()
        if self._written.problem is not None:
            self.file.set_aside()
            self._written.problem += "; what could be read is kept as a file whose name ends in .damaged"
        return self._written


@contextmanager
def _problem_of(written: Written) -> Iterator[None]:
    """Turn what concerns this member alone into its problem."""
    try:
        yield
    except DamagedArchiveError as error:
        written.problem = str(error)
    except OSError as error:
        if error.errno in _FATAL:
            raise
        written.problem = error.strerror or type(error).__name__


def _data_ranges(member: Member, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of ``start`` to ``end`` that are not holes."""
    if member.data_extents is None:
        yield start, end
        return
    for offset, length in member.data_extents:
        if offset < end and offset + length > start:
            yield max(offset, start), min(offset + length, end)
