"""The content of members into files of a folder: fetched in ranges, unpacked and written on every core, checked."""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from archives.entry import Entry
from archives.segments import Piece, RunningCrc, Segment, UnpackedBlock, plan_segments
from archives.zip_reader import ReadRange, ZipReader
from errors import DamagedArchiveError, ObjectNotFoundError, StorageError
from hosts.local_tree import LocalTree
from model import Member
from operations.parallel import map_in_threads
from operations.restoring.member_content import unpacked_pieces
from operations.restoring.restore_place import OnWritten, Written
from utils import printable

# With these nothing more can be written, so the restore ends; any other error concerns one member.
FATAL_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}

# ext4 (Linux 6.18) takes larger writes into larger pieces of memory, which cost it more: of a restore of 2.1 GB the
# kernel's part took 6.7 s of processor time in writes of 1 MiB, 2.6 s in 256 KiB, 1.5 s in 128 KiB and 1.1 s in 64 KiB.
_LARGEST_WRITE = 64 << 10


@dataclass(slots=True)
class _WrittenPiece:
    """What a worker did; ``checksums`` are the CRC-32 and size of each block."""

    piece: Piece
    written: Written
    checksums: list[tuple[int, int]] = field(default_factory=list)


class ContentWriter:
    """Writes into ``tree`` what ``read`` gives of an archive, and tells ``on_written`` of each member, in order.

    Raises StorageError, HostileArchiveError, and OSError where nothing more can be written; no file that is not whole
    has its real name then, nor after an interruption.
    """

    def __init__(self, read: ReadRange, tree: LocalTree, on_written: OnWritten) -> None:
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
                large.file.remove()

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
                    written.refused_attributes = file.complete()
                except (DamagedArchiveError, StorageError) as error:
                    written.problem = f"{error}; {file.set_aside()}"
                except BaseException:
                    file.remove()
                    raise
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
        return [self._write_piece(piece, blocks) for piece, blocks in unpacked_pieces(self._read, segment)]

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
                try:
                    file.write(0, content)
                    result.written.refused_attributes = file.complete()
                except BaseException:
                    file.remove()
                    raise
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
        self._descriptor: int | None = tree.create_file(member.path)

    def write(self, offset: int, data: bytes) -> None:
        """Write at an offset; where the original had a hole, leave one.

        A hole may have been filled between its listing and its reading, so only zeros become one.
        """
        for start, end, is_hole in ranges_of(self._member, offset, offset + len(data)):
            view = memoryview(data)[start - offset : end - offset]
            if is_hole and view.tobytes() == bytes(len(view)):
                continue
            while view:
                written = os.pwrite(self._open_descriptor, view[:_LARGEST_WRITE], end - len(view))
                view = view[written:]

    def complete(self) -> list[str]:
        """Give it its attributes and close it; the attributes that could not be set."""
        if self._member.data_extents is not None:
            os.ftruncate(self._open_descriptor, self._member.size)
        refused = self._tree.set_attributes(self._open_descriptor, self._member)
        self._close()
        return refused

    def set_aside(self) -> str:
        """Keep what could be read, under a name that says that it is damaged; the answer says which, for people."""
        self._close()
        return f"what could be read is kept as {printable(self._tree.set_aside(self._member.path))}"

    def remove(self) -> None:
        """Take it back: it is not whole, and nothing is wrong with the archive."""
        with suppress(OSError):
            self._close()
            self._tree.remove_file(self._member.path)

    @property
    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


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
            self._written.problem += f"; {self.file.set_aside()}"
        return self._written


@contextmanager
def _problem_of(written: Written) -> Iterator[None]:
    """Turn what concerns this member alone into its problem."""
    try:
        yield
    except ObjectNotFoundError:
        raise
    except (DamagedArchiveError, StorageError) as error:
        written.problem = str(error)
    except OSError as error:
        if error.errno in FATAL_ERRORS:
            raise
        written.problem = error.strerror or type(error).__name__


def ranges_of(member: Member, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """``start`` to ``end`` in parts ``(start, end, is_hole)``: whether the file had a hole there when it was listed."""
    extents = member.data_extents
    if extents is None:
        yield start, end, False
        return
    position = start
    for number in range(max(bisect_right(extents, (start, end)) - 1, 0), len(extents)):
        offset, length = extents[number]
        if offset >= end:
            break
        if offset > position:
            yield position, offset, True
        data_start, data_end = max(offset, position), min(offset + length, end)
        if data_end > data_start:
            yield data_start, data_end, False
        position = max(position, offset, data_end)
    if position < end:
        yield position, end, True
