"""The records of a ZIP file as bytes. Pure.

Source: PKWARE APPNOTE.TXT 6.3.10 (sections 4.3 to 4.5); the extra fields 0x5455 and 0x7875 from Info-ZIP's
``extrafld.txt``; 0x000A (NTFS) from APPNOTE 4.5.5.
"""

from __future__ import annotations

import stat
import struct
import time

from archives.entry import Entry
from model import Member, MemberKind

METHOD_STORE = 0
METHOD_DEFLATE = 8
METHOD_ZSTD = 93

FLAG_DATA_DESCRIPTOR = 1 << 3
FLAG_UTF8 = 1 << 11

LIMIT_16 = 0xFFFF
LIMIT_32 = 0xFFFFFFFF

EXTRA_ZIP64 = 0x0001
EXTRA_NTFS = 0x000A
EXTRA_TIMESTAMP = 0x5455
EXTRA_UNIX_OWNER = 0x7875

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
DATA_DESCRIPTOR = struct.Struct("<4s3I")
DATA_DESCRIPTOR_64 = struct.Struct("<4sI2Q")
CENTRAL_HEADER = struct.Struct("<4s6H3I5H2I")
_CENTRAL_START = struct.Struct("<4sH")
_CENTRAL_END = struct.Struct("<3H2I")
END_RECORD = struct.Struct("<4s4H2IH")
END_RECORD_64 = struct.Struct("<4sQ2H2I4Q")
END_LOCATOR_64 = struct.Struct("<4sIQI")
_TIMESTAMP_FIELD = struct.Struct("<HHBi")
_OWNER_FIELD = struct.Struct("<HHBBIBI")
_NTFS_FIELD = struct.Struct("<HHIHHQQQ")
_ZIP64_LOCAL_FIELD = struct.Struct("<HHQQ")

LOCAL_SIGNATURE = b"PK\x03\x04"
DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
CENTRAL_SIGNATURE = b"PK\x01\x02"
END_SIGNATURE = b"PK\x05\x06"
END_SIGNATURE_64 = b"PK\x06\x06"
END_LOCATOR_SIGNATURE_64 = b"PK\x06\x07"

_MADE_BY_UNIX = 3 << 8
_MSDOS_DIRECTORY = 0x10
_FILE_TYPES = {MemberKind.FILE: stat.S_IFREG, MemberKind.DIRECTORY: stat.S_IFDIR, MemberKind.SYMLINK: stat.S_IFLNK}

# 1601-01-01, the zero of a FILETIME (units of 100 ns), before 1970-01-01.
_FILETIME_EPOCH = 116_444_736_000_000_000


def stored_name(member: Member) -> bytes:
    """The name as it stands in the archive: a folder's ends with a slash (APPNOTE 4.3.8)."""
    return member.path + b"/" if member.kind is MemberKind.DIRECTORY else member.path


def local_header(entry: Entry) -> bytes:
    """The local header; with ``needs_descriptor`` its CRC and sizes are left to the data descriptor (APPNOTE 4.4.4)."""
    member = entry.member
    name = stored_name(member)
    time_field, date_field = dos_time(member.modified_ns)
    extra = _common_extra(member)
    crc32, size, packed_size = entry.crc32, entry.size, entry.packed_size
    if entry.needs_descriptor:
        crc32 = size = packed_size = 0
    if entry.zip64:
        extra += _ZIP64_LOCAL_FIELD.pack(EXTRA_ZIP64, 16, size, packed_size)
        size = packed_size = LIMIT_32
    return (
        LOCAL_HEADER.pack(
            LOCAL_SIGNATURE,
            _version_needed(entry),
            _flags(name, entry),
            entry.method,
            time_field,
            date_field,
            crc32,
            packed_size,
            size,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def data_descriptor(entry: Entry) -> bytes:
    """What follows the data of a member whose header was written before its sizes were known (APPNOTE 4.3.9)."""
    layout = DATA_DESCRIPTOR_64 if entry.zip64 else DATA_DESCRIPTOR
    return layout.pack(DESCRIPTOR_SIGNATURE, entry.crc32, entry.packed_size, entry.size)


def central_header(entry: Entry) -> bytes:
    """The member's record in the central directory."""
    member = entry.member
    name = stored_name(member)
    time_field, date_field = dos_time(member.modified_ns)
    extra = _common_extra(member)
    numbers = []
    size, packed_size, short_offset = entry.size, entry.packed_size, entry.offset
    if size >= LIMIT_32 or entry.zip64:
        numbers.append(size)
        size = LIMIT_32
    if packed_size >= LIMIT_32 or entry.zip64:
        numbers.append(packed_size)
        packed_size = LIMIT_32
    if entry.offset >= LIMIT_32:
        numbers.append(entry.offset)
        short_offset = LIMIT_32
    if numbers:
        extra += struct.pack(f"<HH{len(numbers)}Q", EXTRA_ZIP64, 8 * len(numbers), *numbers)
    version = _version_needed(entry)
    if short_offset == LIMIT_32:
        version = max(version, 45)
    return (
        CENTRAL_HEADER.pack(
            CENTRAL_SIGNATURE,
            _MADE_BY_UNIX | version,
            version,
            _flags(name, entry),
            entry.method,
            time_field,
            date_field,
            entry.crc32,
            packed_size,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            _external_attributes(member),
            short_offset,
        )
        + name
        + extra
    )


def central_header_of_small(entry: Entry, header: bytes) -> bytes:
    """The same record for a member with neither descriptor nor ZIP64, from its local header: these share 26 bytes, name
    and extra fields (APPNOTE 4.3.7, 4.3.12). A fourth of the time of :func:`central_header`."""
    if entry.offset >= LIMIT_32:
        return central_header(entry)
    return (
        _CENTRAL_START.pack(CENTRAL_SIGNATURE, _MADE_BY_UNIX | header[4])
        + header[4:30]
        + _CENTRAL_END.pack(0, 0, 0, _external_attributes(entry.member), entry.offset)
        + header[30:]
    )


def end_records(count: int, directory_size: int, directory_offset: int) -> bytes:
    """The end of the central directory, with the ZIP64 records where a number does not fit (APPNOTE 4.3.14 to 16)."""
    end = END_RECORD.pack(
        END_SIGNATURE,
        0,
        0,
        min(count, LIMIT_16),
        min(count, LIMIT_16),
        min(directory_size, LIMIT_32),
        min(directory_offset, LIMIT_32),
        0,
    )
    if count < LIMIT_16 and directory_size < LIMIT_32 and directory_offset < LIMIT_32:
        return end
    record = END_RECORD_64.pack(
        END_SIGNATURE_64,
        END_RECORD_64.size - 12,
        _MADE_BY_UNIX | 45,
        45,
        0,
        0,
        count,
        count,
        directory_size,
        directory_offset,
    )
    locator = END_LOCATOR_64.pack(END_LOCATOR_SIGNATURE_64, 0, directory_offset + directory_size, 1)
    return record + locator + end


def dos_time(modified_ns: int) -> tuple[int, int]:
    """``(time, date)`` in local time, two-second steps, clamped to what the field can hold: 1980 to 2107."""
    return _dos_time(modified_ns // 1_000_000_000)


_dos_times: dict[int, tuple[int, int]] = {}


def _dos_time(seconds: int) -> tuple[int, int]:
    """Many files of a tree share a time, and localtime() is a third of what a header costs."""
    fields = _dos_times.get(seconds)
    if fields is None:
        if len(_dos_times) >= 4096:
            _dos_times.clear()
        fields = _dos_times[seconds] = _compute_dos_time(seconds)
    return fields


def _compute_dos_time(seconds: int) -> tuple[int, int]:
    try:
        year, month, day, hour, minute, second = time.localtime(seconds)[:6]
    except (OverflowError, OSError, ValueError):
        year, month, day, hour, minute, second = (9999 if seconds > 0 else 0), 1, 1, 0, 0, 0
    if year < 1980:
        return 0, (0 << 9) | (1 << 5) | 1
    if year > 2107:
        return (23 << 11) | (59 << 5) | 29, (127 << 9) | (12 << 5) | 31
    return (hour << 11) | (minute << 5) | min(second, 59) // 2, ((year - 1980) << 9) | (month << 5) | day


def ns_of_filetime(ticks: int) -> int:
    """A FILETIME (100 ns since 1601) as nanoseconds since 1970."""
    return (ticks - _FILETIME_EPOCH) * 100


def _common_extra(member: Member) -> bytes:
    """Owner and exact time. A time before 1970 or after 2038 goes into the 64 bits of 0x000A.

    0x5455 could hold one from 1901 on, but 7-Zip and libarchive take its 32 bits for unsigned: 1969 would be 2106.
    """
    seconds = member.modified_ns // 1_000_000_000
    if 0 <= seconds <= 0x7FFFFFFF:
        extra = _TIMESTAMP_FIELD.pack(EXTRA_TIMESTAMP, 5, 1, seconds)
    else:
        ticks = min(max(member.modified_ns // 100 + _FILETIME_EPOCH, 0), 0x7FFFFFFFFFFFFFFF)
        extra = _NTFS_FIELD.pack(EXTRA_NTFS, 32, 0, 1, 24, ticks, ticks, ticks)
    return extra + _OWNER_FIELD.pack(EXTRA_UNIX_OWNER, 11, 1, 4, member.uid & LIMIT_32, 4, member.gid & LIMIT_32)


def _external_attributes(member: Member) -> int:
    directory = _MSDOS_DIRECTORY if member.kind is MemberKind.DIRECTORY else 0
    return (_FILE_TYPES[member.kind] | member.mode) << 16 | directory


def _flags(name: bytes, entry: Entry) -> int:
    """A name that is valid UTF-8 says so; any other is stored as the bytes that it is (APPNOTE appendix D)."""
    flags = FLAG_DATA_DESCRIPTOR if entry.needs_descriptor else 0
    if name.isascii():
        return flags
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return flags
    return flags | FLAG_UTF8


def _version_needed(entry: Entry) -> int:
    """APPNOTE 4.4.3.2."""
    if entry.method == METHOD_ZSTD:
        return 63
    return 45 if entry.zip64 or max(entry.size, entry.packed_size) >= LIMIT_32 else 20
