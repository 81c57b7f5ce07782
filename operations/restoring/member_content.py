"""The content of members: fetched in ranges of the archive, unpacked on every core, checked, and handed on in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from archives.entry import Entry
from archives.segments import Piece, RunningCrc, Segment, UnpackedBlock, plan_segments, unpack_piece
from archives.zip_reader import ReadRange, ZipReader
from errors import DamagedArchiveError, HoldfastError, ObjectNotFoundError, StorageError
from operations.copies.contents import zip_directory, zip_entries
from operations.copies.stored_copies import StoredCopy, read_entries
from operations.parallel import map_in_threads


@dataclass(slots=True)
class Part:
    """Content of a member that follows what came before. ``error`` says what is wrong with it, and that it ends here.

    The last part of a member comes without content where its CRC-32 shows that something before it is wrong.
    """

    entry: Entry
    chunks: list[bytes] = field(default_factory=list)
    is_last: bool = False
    error: HoldfastError | None = None


def unpacked_pieces(read: ReadRange, segment: Segment) -> list[tuple[Piece, Iterator[UnpackedBlock]]]:
    """The content of a segment's pieces, unpacked when it is asked for; then DamagedArchiveError or StorageError.

    Raises ObjectNotFoundError where there is no archive.
    """
    try:
        data = _fetched(read, segment.offset, segment.length)
    except ObjectNotFoundError:
        raise
    except (StorageError, DamagedArchiveError):
        # One bad sector must not take all that lies around it, nor one damaged chunk of an encrypted archive.
        return [(piece, _unpacked_alone(read, piece)) for piece in segment.pieces]
    return [(piece, unpack_piece(piece, segment.offset, data)) for piece in segment.pieces]


def parts_in_order(read: ReadRange, entries: Iterable[Entry]) -> Iterator[Part]:
    """The content of these members, which an index describes, one after the other.

    After a part with an error comes the next member. Raises ObjectNotFoundError where there is no archive.
    """
    damaged: Entry | None = None
    crc: RunningCrc | None = None
    for parts in map_in_threads(partial(_parts_of, read), plan_segments(entries)):
        for piece, part, checksums in parts:
            if part.entry is damaged:
                continue
            if piece.block_count:
                crc = RunningCrc(part.entry) if crc is None or piece.first_block == 0 else crc
                part.error = part.error or _mistake(crc, checksums, is_last=piece.is_last)
            if part.error is not None:
                part.is_last, part.chunks, damaged = True, [], part.entry
            yield part


def parts_from_zip(entries: Iterable[Entry], reader: ZipReader) -> Iterator[Part]:
    """The same where only the ZIP's own directory is known."""
    for entry in entries:
        try:
            for chunk in reader.content(entry):
                yield Part(entry, [chunk])
        except ObjectNotFoundError:
            raise
        except (DamagedArchiveError, StorageError) as error:
            yield Part(entry, is_last=True, error=error)
        else:
            yield Part(entry, is_last=True)


class MemberReader:
    """A copy of which a few members are read. ``entries`` has all of them by path, as it is for copies of few members.

    Raises StorageError, DamagedArchiveError and HostileArchiveError.
    """

    def __init__(self, copy: StoredCopy, first: bytes) -> None:
        """``entries`` is empty where ``first`` is not the path of the first member."""
        self._copy = copy
        self._zip: ZipReader | None = None
        try:
            entries = read_entries(copy)
        except (DamagedArchiveError, ObjectNotFoundError):
            self._zip = zip_directory(copy)
            entries = zip_entries(self._zip)
        self.entries: dict[bytes, Entry] = {}
        for entry in entries:
            if not self.entries and entry.member.path != first:
                break
            self.entries[entry.member.path] = entry

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Its content; where that is damaged, DamagedArchiveError or StorageError before the last of it was given."""
        if self._zip is not None:
            yield from self._zip.content(entry)
            return
        for part in parts_in_order(self._copy.read, [entry]):
            if part.error is not None:
                raise part.error
            yield from part.chunks


def _parts_of(read: ReadRange, segment: Segment) -> list[tuple[Piece, Part, list[tuple[int, int]]]]:
    found = []
    for piece, blocks in unpacked_pieces(read, segment):
        part = Part(piece.entry, is_last=piece.is_last)
        checksums = []
        try:
            for block in blocks:
                part.chunks.append(block.data)
                checksums.append((block.crc32, len(block.data)))
        except ObjectNotFoundError:
            raise
        except (DamagedArchiveError, StorageError) as error:
            part.error = error
        found.append((piece, part, checksums))
    return found


def _mistake(crc: RunningCrc, checksums: Iterable[tuple[int, int]], *, is_last: bool) -> HoldfastError | None:
    for checksum, size in checksums:
        crc.add(checksum, size)
    try:
        if is_last:
            crc.check()
    except DamagedArchiveError as error:
        return error
    return None


def _unpacked_alone(read: ReadRange, piece: Piece) -> Iterator[UnpackedBlock]:
    yield from unpack_piece(piece, piece.offset, _fetched(read, piece.offset, piece.packed_size))


def _fetched(read: ReadRange, offset: int, length: int) -> bytes:
    return b"".join(read(offset, length)) if length else b""
