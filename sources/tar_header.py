"""One entry of a tar stream, from its header blocks: POSIX.1-2017, pax(1), and GNU tar's manual, "Basic Tar Format".

What is read is what GNU tar (as ``tar_program`` calls it) and BusyBox write: ustar and pax headers, GNU's long names,
numbers in base 256. Nothing in a header is believed that cannot be.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from zlib import adler32

from utils import printable

BLOCK = 512
NO_BLOCK = bytes(BLOCK)

LONG_NAME, LONG_LINK, PAX = b"L", b"K", b"x"
FILE, HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, FOLDER, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_FILES = (FILE, b"\0", b"7")

# name mode uid gid size mtime checksum type link magic user group device prefix
_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s16x155s12x")
_GNU_MAGIC = b"ustar  \0"
_LARGEST_NUMBER = (1 << 63) - 1
_PAX_TIME = re.compile(rb"(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?")
_EXTENDED_ATTRIBUTE = b"SCHILY.xattr."


class TarFormatError(Exception):
    """Bytes that no tar writes. The text completes: what tar sent is damaged: …"""


@dataclass(slots=True)
class TarEntry:
    """One entry. ``stored`` is how much of the stream is its data; ``size`` that of the file, more where it is sparse.

    ``type`` is FILE for every kind of file. ``extents`` are ``(offset, length)`` of the data of a sparse file.
    ``limit`` is where the content ends that was really read, where tar filled the rest with zeros.
    """

    path: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    modified_ns: int
    stored: int
    size: int
    link: bytes
    extended_attributes: dict[str, bytes] | None = None
    is_sparse: bool = False
    extents: tuple[tuple[int, int], ...] | None = None
    limit: int = field(default=_LARGEST_NUMBER)


def parse_header(
    block: bytes, pax: Mapping[bytes, bytes], long_name: bytes | None, long_link: bytes | None
) -> TarEntry:
    """The entry of a header block; the others are what came before it for this entry. Raises TarFormatError."""
    (name, mode, uid, gid, size, mtime, checksum, kind, link, magic, user, group, prefix) = _FIELDS.unpack(block)
    _check_sum(block, checksum)
    path = _text(name)
    if magic != _GNU_MAGIC and prefix[0]:
        path = _text(prefix) + b"/" + path
    stored = _number(size)
    entry = TarEntry(
        path=long_name if long_name is not None else path,
        type=FILE if kind in _FILES else kind,
        mode=_known_number(mode) & 0o7777,
        uid=_known_number(uid),
        gid=_known_number(gid),
        user=_known_name(user),
        group=_known_name(group),
        modified_ns=_number(mtime, may_be_negative=True) * 10**9,
        stored=stored,
        size=stored,
        link=long_link if long_link is not None else _text(link),
    )
    if pax:
        _apply(pax, entry)
    if entry.type in (HARD_LINK, SYMLINK, FOLDER, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO):
        entry.stored = entry.size = 0
    if b"\0" in entry.path or b"\0" in entry.link:
        raise TarFormatError(f"a NUL in the name {printable(entry.path)}")
    return entry


def extension_size(block: bytes) -> int:
    """How long what belongs to the next entry is: of a header block of the type PAX, LONG_NAME or LONG_LINK."""
    _check_sum(block, block[148:156])
    return _number(block[124:136])


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: ``length key=value`` and a newline, where the length counts all of that."""
    records = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position:space]
        end = position + int(digits) if space > 0 and digits.isdigit() else 0
        equals = data.find(b"=", space, end)
        if equals < 0 or end > len(data) or data[end - 1] != 0x0A:
            raise TarFormatError("a pax header is not made of records")
        records[data[space + 1 : equals]] = data[equals + 1 : end - 1]
        position = end
    return records


def _apply(pax: Mapping[bytes, bytes], entry: TarEntry) -> None:
    for key, value in pax.items():
        if key == b"mtime":
            entry.modified_ns = _pax_time(value)
        elif key == b"path":
            entry.path = value
        elif key == b"linkpath":
            entry.link = value
        elif key == b"size":
            entry.stored = entry.size = _decimal(value)
        elif key == b"uid":
            entry.uid = _decimal(value)
        elif key == b"gid":
            entry.gid = _decimal(value)
        elif key == b"uname":
            entry.user = _decoded(value)
        elif key == b"gname":
            entry.group = _decoded(value)
        elif key.startswith(_EXTENDED_ATTRIBUTE):
            attributes = entry.extended_attributes or {}
            # GNU tar 1.30 and later: xattr_encode_keyword() in xheader.c
            name = key[len(_EXTENDED_ATTRIBUTE) :].replace(b"%3D", b"=").replace(b"%25", b"%")
            attributes[_decoded(name)] = value
            entry.extended_attributes = attributes
    if b"GNU.sparse.major" in pax:
        _apply_sparse(pax, entry)


def _apply_sparse(pax: Mapping[bytes, bytes], entry: TarEntry) -> None:
    """GNU tar's manual, "Storing Sparse Files", PAX format, version 1.0: the map lies before the data."""
    if (pax[b"GNU.sparse.major"], pax.get(b"GNU.sparse.minor")) != (b"1", b"0"):
        raise TarFormatError("a sparse file of a version that is not known")
    entry.is_sparse = True
    entry.path = pax.get(b"GNU.sparse.name", entry.path)
    entry.size = _decimal(pax.get(b"GNU.sparse.realsize", b""))


def _check_sum(block: bytes, checksum: bytes) -> None:
    # The sum counts the eight bytes of its own field as spaces.
    if _number(checksum) != _sum(block[:256]) + _sum(block[256:]) - sum(checksum) + 8 * 0x20:
        raise TarFormatError("a header's sum is wrong")


def _sum(data: bytes) -> int:
    """That of up to 256 bytes: sum() took a tenth of the time for small files. RFC 1950, 8.2: Adler-32 begins with 1,
    and its lower half is a sum modulo 65521, which 256 bytes do not reach."""
    return (adler32(data) & 0xFFFF) - 1


def _number(digits: bytes, *, may_be_negative: bool = False) -> int:
    """Octal digits, or in base 256 where the highest bit is set (and negative where all of the first byte is)."""
    if digits[0] & 0x80:
        number = int.from_bytes(digits, "big", signed=True) if digits[0] == 0xFF else _base_256(digits)
        if number < 0 and not may_be_negative:
            raise TarFormatError(f"the number {number}, which cannot be")
    else:
        stripped = digits.strip(b" \0")
        if not stripped:
            return 0
        try:
            number = int(stripped, 8) if stripped.isdigit() else -1  # int() takes signs and underscores too
        except ValueError:
            number = -1
        if number < 0:
            raise TarFormatError(f"the number {printable(stripped)}, which is none")
    if number > _LARGEST_NUMBER:
        raise TarFormatError(f"the number {number}, which cannot be")
    return number


# The files of a tree have few modes and owners.
_known_number = lru_cache(1024)(_number)


@lru_cache(1024)
def _known_name(padded: bytes) -> str:
    name = _decoded(_text(padded))
    return "" if name.isdigit() else name  # BusyBox writes the number of a user without a name


def _base_256(digits: bytes) -> int:
    return int.from_bytes(bytes([digits[0] & 0x7F]) + digits[1:], "big")


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 19 or int(digits) > _LARGEST_NUMBER:
        raise TarFormatError(f"the number {printable(digits)}, which cannot be")
    return int(digits)


def _pax_time(value: bytes) -> int:
    """Nanoseconds, from seconds with a fraction; both are negative before 1970."""
    found = _PAX_TIME.fullmatch(value)
    if found is None:
        raise TarFormatError(f"the time {printable(value)}, which is none")
    sign, seconds, fraction = found.groups()
    total = int(seconds) * 10**9 + int((fraction or b"").ljust(9, b"0"))
    return -total if sign else total


def _text(padded: bytes) -> bytes:
    return padded.partition(b"\0")[0]


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
