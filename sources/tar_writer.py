"""Entries of a tar archive, as GNU tar and BusyBox both read them: ustar with GNU's long names and numbers in base 256.

What only GNU tar can put back stands in pax headers: extended attributes, fractions of a second, and the holes of
sparse files. Sources: POSIX.1-2017, pax(1); GNU tar's manual, "Basic Tar Format" and "Storing Sparse Files".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from model import Member
from sources.tar_header import BLOCK, FILE, FOLDER, HARD_LINK, LONG_LINK, LONG_NAME, PAX, SYMLINK

END = bytes(2 * BLOCK)
"""What an archive ends with."""

# name mode uid gid size mtime checksum type link magic user group
_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s183x")
_MAGIC = b"ustar\x0000"
_LONGEST_NAME = 100
_LONGEST_OWNER = 31

Extents = Sequence[tuple[int, int]]


@dataclass(slots=True)
class NewEntry:
    """What is to be made. ``path`` is relative; ``size`` is how much content follows the header in the archive."""

    path: bytes
    type: bytes
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    modified_ns: int = 0
    size: int = 0
    link: bytes = b""
    records: dict[bytes, bytes] = field(default_factory=dict)


class TarWriter:
    """Makes the header of each entry. ``with_pax``: whether what reads them understands pax headers."""

    def __init__(self, *, with_pax: bool) -> None:
        self._with_pax = with_pax

    def file(self, member: Member, path: bytes, size: int) -> bytes:
        """``size`` bytes of content and its :func:`padding` follow."""
        return self._header(self._entry_of(member, path, FILE, size))

    def sparse_file(self, member: Member, path: bytes, size: int, extents: Extents) -> bytes:
        """A file of ``size`` bytes; the content of its extents, which are in rising order, and padding follow."""
        numbers = [number for extent in (*extents, (size, 0)) for number in extent]
        text = b"".join(b"%d\n" % number for number in (len(numbers) // 2, *numbers))
        places = text + padding(len(text))
        entry = self._entry_of(member, path, FILE, len(places) + sum(length for _, length in extents))
        entry.records |= {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": path,
            b"GNU.sparse.realsize": b"%d" % size,
        }
        return self._header(entry) + places

    def hard_link(self, path: bytes, existing: bytes) -> bytes:
        return self._header(NewEntry(path, HARD_LINK, link=existing))

    def symlink(self, member: Member) -> bytes:
        entry = self._entry_of(member, member.path, SYMLINK)
        entry.link = member.link_target or b""
        return self._header(entry)

    def folder(self, member: Member) -> bytes:
        return self._header(self._entry_of(member, member.path + b"/", FOLDER))

    def _entry_of(self, member: Member, path: bytes, kind: bytes, size: int = 0) -> NewEntry:
        entry = NewEntry(
            path=path,
            type=kind,
            mode=member.mode,
            uid=member.uid,
            gid=member.gid,
            user=member.user,
            group=member.group,
            modified_ns=member.modified_ns,
            size=size,
        )
        if self._with_pax:
            if member.modified_ns % 10**9:
                entry.records[b"mtime"] = _pax_time(member.modified_ns)
            for name, value in (member.extended_attributes or {}).items():
                if name and "\0" not in name:
                    entry.records[b"SCHILY.xattr." + _keyword(name)] = value
        return entry

    def _header(self, entry: NewEntry) -> bytes:
        before = b""
        if entry.records:
            before += _extension(PAX, _pax_records(entry.records))
        if len(entry.link) > _LONGEST_NAME:
            before += _extension(LONG_LINK, entry.link + b"\0")
        if len(entry.path) > _LONGEST_NAME:
            before += _extension(LONG_NAME, entry.path + b"\0")
        return before + _block(entry)


def padding(size: int) -> bytes:
    """What follows content of this size up to the next block."""
    return bytes(-size % BLOCK)


def _extension(kind: bytes, content: bytes) -> bytes:
    entry = NewEntry(b"././@" + {PAX: b"PaxHeader"}.get(kind, b"LongLink"), kind, size=len(content))
    return _block(entry) + content + padding(len(content))


def _block(entry: NewEntry) -> bytes:
    parts = [
        entry.path[:_LONGEST_NAME],
        _number(entry.mode, 8),
        _number(entry.uid, 8),
        _number(entry.gid, 8),
        _number(entry.size, 12),
        _number(entry.modified_ns // 10**9, 12),
        b" " * 8,
        entry.type,
        entry.link[:_LONGEST_NAME],
        _MAGIC,
        _owner(entry.user),
        _owner(entry.group),
    ]
    parts[6] = b"%06o\0 " % sum(_FIELDS.pack(*parts))
    return _FIELDS.pack(*parts)


def _number(number: int, width: int) -> bytes:
    """Octal digits, or in base 256 what is too large for them, or negative: then all of the first byte is set."""
    if 0 <= number < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, number)
    encoded = bytearray(number.to_bytes(width, "big", signed=True))
    if number >= 0:
        encoded[0] |= 0x80
    return bytes(encoded)


def _owner(name: str) -> bytes:
    """A name that does not fit is left out: the number says the same."""
    encoded = name.encode("utf-8", "surrogateescape")
    return encoded if len(encoded) <= _LONGEST_OWNER and b"\0" not in encoded else b""


def _pax_records(records: Mapping[bytes, bytes]) -> bytes:
    return b"".join(_pax_record(key, value) for key, value in records.items())


def _pax_record(key: bytes, value: bytes) -> bytes:
    """``length key=value`` and a newline, where the length counts all of that, and its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _pax_time(nanoseconds: int) -> bytes:
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    return b"%b%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, fraction)


def _keyword(name: str) -> bytes:
    """GNU tar 1.30 and later: xattr_encode_keyword() in xheader.c."""
    return name.encode("utf-8", "surrogateescape").replace(b"%", b"%25").replace(b"=", b"%3D")
