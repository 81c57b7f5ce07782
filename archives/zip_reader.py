"""Reading a ZIP through ranged reads: its directory, and single members, without the rest.

Used where the index beside an archive is missing or damaged, so it believes nothing: an archive may come from anywhere.
Source: APPNOTE 6.3.10, sections 4.3.7 to 4.3.16.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime

from archives import zip_format
from archives.blocks import unpack_stream
from archives.entry import Entry
from archives.zip_format import LIMIT_16, LIMIT_32
from errors import DamagedArchiveError
from model import Member, MemberKind

ReadRange = Callable[[int, int], Iterator[bytes]]
"""``(offset, length)`` -> the bytes there, in chunks. Raises StorageError."""

# The end record is 22 bytes and may be followed by a comment of up to 65,535 (APPNOTE 4.3.16).
_LONGEST_TAIL = 22 + LIMIT_16
_DIRECTORY_PIECE = 4 << 20
_LONGEST_LINK = 1 << 16


class ZipReader:
    """One archive of ``size`` bytes. Every method raises DamagedArchiveError, and what ``read`` raises."""

    def __init__(self, read: ReadRange, size: int) -> None:
        self._read = read
        self._size = size

    def entries(self) -> Iterator[Entry]:
        """The members in the order of the central directory. Their ``header_size`` is not known yet: it is 0."""
        count, directory_size, directory_offset = self._end_record()
        buffer, position = b"", 0
        pieces = self._pieces(directory_offset, directory_size)
        for _ in range(count):
            entry = None
            while entry is None:
                entry, used = _parse_central_header(buffer, position)
                if entry is None:
                    piece = next(pieces, b"")
                    if not piece:
                        raise DamagedArchiveError("the central directory ends before its last entry")
                    buffer, position = buffer[position:] + piece, 0
            position += used
            if entry.offset + entry.packed_size > directory_offset:
                raise DamagedArchiveError("an entry of the central directory points outside of the archive")
            if entry.member.kind is MemberKind.SYMLINK:
                if entry.size > _LONGEST_LINK:
                    raise DamagedArchiveError("a symbolic link is longer than any system allows")
                entry.member.link_target = b"".join(self.content(entry))
            yield entry

    def content(self, entry: Entry) -> Iterator[bytes]:
        """The content of one member, in chunks; its size and CRC-32 are checked before the last one is handed on."""
        crc, size, held = 0, 0, b""
        for chunk in unpack_stream(self._packed(entry), entry.method):
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            if size > entry.size:
                break
            if held:
                yield held
            held = chunk
        if size != entry.size or crc != entry.crc32:
            raise DamagedArchiveError("its content is not what it was when it was packed (CRC-32 or size differ)")
        if held:
            yield held

    def _packed(self, entry: Entry) -> Iterator[bytes]:
        header = self._exactly(entry.offset, zip_format.LOCAL_HEADER.size)
        fields = zip_format.LOCAL_HEADER.unpack(header)
        if fields[0] != zip_format.LOCAL_SIGNATURE:
            raise DamagedArchiveError("there is no member where the central directory says")
        entry.header_size = len(header) + fields[-2] + fields[-1]
        if entry.packed_size:
            yield from self._read(entry.data_offset, entry.packed_size)

    def _end_record(self) -> tuple[int, int, int]:
        """``(count, size, offset)`` of the central directory."""
        tail_size = min(self._size, _LONGEST_TAIL)
        tail = self._exactly(self._size - tail_size, tail_size)
        position = tail.rfind(zip_format.END_SIGNATURE)
        if position < 0 or position + zip_format.END_RECORD.size > len(tail):
            raise DamagedArchiveError("it has no end record: it is no ZIP file, or its end is missing")
        _, _, _, _, count, size, offset, _ = zip_format.END_RECORD.unpack_from(tail, position)
        if count == LIMIT_16 or LIMIT_32 in (size, offset):
            count, size, offset = self._end_record_64(self._size - tail_size + position) or (count, size, offset)
        if offset + size > self._size:
            raise DamagedArchiveError("its end record points outside of the archive")
        return count, size, offset

    def _end_record_64(self, end_offset: int) -> tuple[int, int, int] | None:
        locator_offset = end_offset - zip_format.END_LOCATOR_64.size
        if locator_offset < 0:
            return None
        locator = zip_format.END_LOCATOR_64.unpack(self._exactly(locator_offset, zip_format.END_LOCATOR_64.size))
        if locator[0] != zip_format.END_LOCATOR_SIGNATURE_64:
            return None
        if locator[2] + zip_format.END_RECORD_64.size > locator_offset:
            raise DamagedArchiveError("its ZIP64 end record points outside of the archive")
        record = zip_format.END_RECORD_64.unpack(self._exactly(locator[2], zip_format.END_RECORD_64.size))
        if record[0] != zip_format.END_SIGNATURE_64:
            raise DamagedArchiveError("its ZIP64 end record is not where it should be")
        return record[-3], record[-2], record[-1]

    def _pieces(self, offset: int, size: int) -> Iterator[bytes]:
        while size:
            length = min(size, _DIRECTORY_PIECE)
            yield self._exactly(offset, length)
            offset, size = offset + length, size - length

    def _exactly(self, offset: int, length: int) -> bytes:
        data = b"".join(self._read(offset, length))
        if len(data) != length:
            raise DamagedArchiveError(f"it ends at byte {offset + len(data)}, in the middle of a record")
        return data


def _parse_central_header(buffer: bytes, start: int) -> tuple[Entry | None, int]:
    """The entry at ``start`` and its length; ``(None, 0)`` where the buffer does not hold all of it."""
    layout = zip_format.CENTRAL_HEADER
    if len(buffer) - start < layout.size:
        return None, 0
    fields = layout.unpack_from(buffer, start)
    if fields[0] != zip_format.CENTRAL_SIGNATURE:
        raise DamagedArchiveError("the central directory is damaged")
    _, _, _, _, method, time_field, date_field, crc32, packed_size, size, *lengths = fields[:13]
    name_length, extra_length, comment_length = lengths
    attributes, offset = fields[15], fields[16]
    total = layout.size + name_length + extra_length + comment_length
    if len(buffer) - start < total:
        return None, 0
    name_end = start + layout.size + name_length
    name = buffer[start + layout.size : name_end]
    extra = dict(_extra_fields(buffer[name_end : name_end + extra_length]))
    size, packed_size, offset = _zip64_numbers(extra, size, packed_size, offset)
    member = _member(name, attributes >> 16, size)
    member.modified_ns = _modified_ns(extra, time_field, date_field)
    owner = extra.get(zip_format.EXTRA_UNIX_OWNER, b"")
    if len(owner) == 11:
        member.uid, member.gid = struct.unpack_from("<I", owner, 2)[0], struct.unpack_from("<I", owner, 7)[0]
    return Entry(member, method, size, packed_size, crc32, offset), total


def _member(name: bytes, unix_mode: int, size: int) -> Member:
    kind = MemberKind.FILE
    if name.endswith(b"/"):
        kind = MemberKind.DIRECTORY
    elif stat.S_ISLNK(unix_mode):
        kind = MemberKind.SYMLINK
    mode = stat.S_IMODE(unix_mode) if unix_mode else (0o755 if kind is MemberKind.DIRECTORY else 0o644)
    return Member(name.removesuffix(b"/"), kind, mode, size=size)


def _extra_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, position)
        yield kind, data[position + 4 : position + 4 + length]
        position += 4 + length


def _zip64_numbers(extra: dict[int, bytes], *short: int) -> tuple[int, int, int]:
    """``(size, packed size, offset)``: each that does not fit 32 bits stands in the extra field, in this order."""
    field = extra.get(zip_format.EXTRA_ZIP64, b"")
    numbers = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
    size, packed_size, offset = (next(numbers, value) if value == LIMIT_32 else value for value in short)
    return size, packed_size, offset


def _modified_ns(extra: dict[int, bytes], time_field: int, date_field: int) -> int:
    timestamp = extra.get(zip_format.EXTRA_TIMESTAMP, b"")
    if len(timestamp) >= 5 and timestamp[0] & 1:
        return int(struct.unpack_from("<i", timestamp, 1)[0]) * 1_000_000_000
    ntfs = extra.get(zip_format.EXTRA_NTFS, b"")
    if len(ntfs) == 32:
        return zip_format.ns_of_filetime(struct.unpack_from("<Q", ntfs, 8)[0])
    try:
        moment = datetime(
            1980 + (date_field >> 9),
            date_field >> 5 & 15,
            date_field & 31,
            time_field >> 11,
            time_field >> 5 & 63,
            min((time_field & 31) * 2, 59),
        )
    except ValueError:
        return 0
    return int(moment.timestamp()) * 1_000_000_000
