"""What people take out of a copy while they look at it: one file, or a folder as a ZIP file.

Both stream: a few megabytes are held, and nothing is fetched ahead, so that one who takes it slowly costs no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archives.entry import Entry
from archives.segments import Piece, RunningCrc, Segment, UnpackedBlock, plan_segments, unpack_piece
from archives.zip_reader import ReadRange
from archives.zip_subset import ZipSubset
from hosts.local_tree import split_path
from operations.browsing.listing import Listing, Place
from operations.copies.contents import zip_directory
from operations.copies.stored_copies import StoredCopy


@dataclass(frozen=True, slots=True)
class Download:
    """Content on its way; ``size`` in bytes is None where it is not known before.

    ``chunks`` raises DamagedArchiveError, HostileArchiveError or StorageError before its last bytes where not all of it
    is as it was packed: what came until then must not be taken for whole.
    """

    chunks: Iterator[bytes]
    size: int | None


def download_file(copy: StoredCopy, listing: Listing, place: Place) -> Download:
    """One file. Raises NothingThereError, UsageError where it is none, and as the chunks do."""
    entry = listing.entry(place)
    if listing.is_from_zip:
        return Download(zip_directory(copy).content(entry), entry.size)
    return Download(_content(copy.read, entry), entry.size)


def download_folder(copy: StoredCopy, listing: Listing, folder: Place) -> Download:
    """A folder with all that is in it as a ZIP file, whose members are named as in the copy. Raises NothingThereError,
    and as the chunks do."""
    if folder:
        listing.item(folder)
    entries = _harmless(listing.entries_below(folder))
    if listing.is_from_zip:
        reader = zip_directory(copy)
        return Download(ZipSubset().from_contents((entry, reader.content(entry)) for entry in entries), None)
    read = copy.read
    return Download(ZipSubset().from_segments(entries, lambda segment: _unpacked(read, segment)), None)


def _content(read: ReadRange, entry: Entry) -> Iterator[bytes]:
    """A block at a time: of a file that packs well there are hundreds of megabytes in one segment."""
    crc = RunningCrc(entry)
    for segment in plan_segments([entry], blocks_at_once=1):
        for piece, _, blocks in _unpacked(read, segment):
            for block in blocks:
                if piece.block_count:
                    crc.add(block.crc32, len(block.data))
                    if piece.is_last:
                        crc.check()  # before the last of it is handed on
                yield block.data


def _harmless(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same; raises HostileArchiveError at a name that could lead whoever unpacks it out of their folder."""
    for entry in entries:
        split_path(entry.member.path)
        yield entry


def _unpacked(read: ReadRange, segment: Segment) -> Iterator[tuple[Piece, bytes, Iterator[UnpackedBlock]]]:
    data = b"".join(read(segment.offset, segment.length)) if segment.length else b""
    for piece in segment.pieces:
        at = piece.offset - segment.offset
        yield piece, data[at : at + piece.packed_size], unpack_piece(piece, segment.offset, data)
