"""The index beside an archive: a line for each member, with what a ZIP cannot carry and where its bytes lie.

Format version 1, written down in docs/formats.md: JSON lines, compressed with Zstandard (RFC 8878). The first line
names the format, every other is one member. The index is never needed to open an archive; it makes that quick and
complete.
"""

from __future__ import annotations

import base64
import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import IO, Any

import zstandard

from archives.entry import Entry
from errors import ArchiveError, DamagedArchiveError
from model import Member, MemberKind

FORMAT = "holdfast-index"
VERSION = 1
_HEADER = {"format": FORMAT, "version": VERSION}

# Level 1 packs 3.2 million of these lines a second, and smaller than levels 2 and 3 (0.94, 0.98 and 1.02 MB).
_ZSTANDARD_LEVEL = 1
_MEMORY_LIMIT = 16 << 20

_PIECE_SIZE = 1 << 10
# A member has some eight characters for each MiB: this is one of 30 TB.
_LONGEST_LINE = 256 << 20


# What reading an index that was not written by us may raise, below DamagedArchiveError.
_WRONG = (
    zstandard.ZstdError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class IndexWriter:
    """Collects the lines of an index, compressed; 16 MiB in memory, what is more in a file in ``spool_directory``."""

    def __init__(self, spool_directory: Path) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_MEMORY_LIMIT, dir=str(spool_directory))  # noqa: SIM115
        self._spool_directory = spool_directory
        self._compressor = zstandard.ZstdCompressor(level=_ZSTANDARD_LEVEL).compressobj()
        self._lines = [json.dumps(_HEADER) + "\n"]

    def add(self, entry: Entry) -> None:
        """Append one member. Raises ArchiveError where the spool's disk is full."""
        self._lines.append(encode_entry(entry))
        if len(self._lines) >= 1024:
            self._flush()

    def chunks(self) -> Iterator[bytes]:
        """The whole index, once no more is added."""
        self._flush()
        self._write(self._compressor.flush())
        self._file.seek(0)
        while chunk := self._file.read(1 << 20):
            yield chunk

    def close(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        self._write(self._compressor.compress("".join(self._lines).encode("ascii")))
        self._lines.clear()

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise ArchiveError(
                f"The index cannot be kept in {self._spool_directory}: {error.strerror}. "
                "Make room there, or let STATE_DIR name a folder on another disk."
            ) from error


def encode_entry(entry: Entry) -> str:
    """The line of one member. The common fields are put together by hand: json.dumps takes three times as long."""
    member = entry.member
    path, more = _encode_path(member.path, "path")
    line = (
        f'{{"path":{path},"kind":"{member.kind}","size":{entry.size},"mode":"{member.mode:04o}",'
        f'"uid":{member.uid},"gid":{member.gid},"user":{encode_basestring_ascii(member.user)},'
        f'"group":{encode_basestring_ascii(member.group)},"modified_ns":{member.modified_ns},'
        f'"crc32":"{entry.crc32:08x}","method":{entry.method},"offset":{entry.offset},'
        f'"header_size":{entry.header_size},"packed_size":{entry.packed_size}'
    )
    if len(entry.blocks):
        more["blocks"] = list(entry.blocks)
    if member.link_target is not None:
        more["link_target_base64"] = _base64(member.link_target)
    if member.hard_link_to is not None:
        more["hard_link_to_base64"] = _base64(member.hard_link_to)
    if member.extended_attributes:
        more["extended_attributes"] = {name: _base64(value) for name, value in member.extended_attributes.items()}
    if member.data_extents is not None:
        more["data_extents"] = member.data_extents
    if entry.note is not None:
        more["note"] = entry.note
    return f"{line},{json.dumps(more)[1:]}\n" if more else line + "}\n"


def read_index(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of an index, in the order of the archive. Raises DamagedArchiveError."""
    try:
        lines = _lines(chunks)
        _check_header(next(lines, b"{}"))
        for line in lines:
            yield _decode_entry(json.loads(line))
    except _WRONG as error:
        raise _damaged(error) from None


def index_text(chunks: Iterable[bytes], least: int) -> Iterator[bytes]:
    """The lines of the members as they stand there, in pieces of at least ``least`` bytes, but for the last.

    For whoever needs little of each line (``archives.index_glance``). Raises DamagedArchiveError.
    """
    try:
        held: list[bytes] = []
        size, is_first = 0, True
        for piece in _whole_lines(chunks):
            if is_first:
                header, _, piece = piece.partition(b"\n")  # noqa: PLW2901 - the members after the first line
                _check_header(header)
                is_first = False
            held.append(piece)
            size += len(piece)
            if size >= least:
                yield b"".join(held)
                held, size = [], 0
        if is_first:
            _check_header(b"{}")
        if size:
            yield b"".join(held)
    except _WRONG as error:
        raise _damaged(error) from None


def entry_of_line(line: bytes) -> Entry:
    """The member of one line. Raises DamagedArchiveError."""
    try:
        return _decode_entry(json.loads(line))
    except _WRONG as error:
        raise _damaged(error) from None


def _check_header(line: bytes) -> None:
    header = json.loads(line)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DamagedArchiveError("the index does not begin as an index of Holdfast does")
    if header.get("version") != VERSION:
        raise DamagedArchiveError(
            f"the index has format version {header.get('version')}, and this Holdfast reads version {VERSION}"
        )


def _damaged(error: Exception) -> DamagedArchiveError:
    return DamagedArchiveError(f"the index is damaged ({type(error).__name__}: {error})")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for piece in _whole_lines(chunks):
        yield from piece[:-1].split(b"\n")


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The unpacked index in pieces that each end with a line."""
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    rest = b""
    for piece in _pieces(chunks):
        rest += decompressor.decompress(piece)
        end = rest.rfind(b"\n") + 1
        if end:
            yield rest[:end]
            rest = rest[end:]
        if len(rest) > _LONGEST_LINE:
            raise DamagedArchiveError("the index has a line that is longer than any honest one")
    if rest or not decompressor.eof:
        raise DamagedArchiveError("the index ends in the middle of a line")


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in small pieces: each is unpacked at once, and Zstandard can pack 128 KiB into 4 bytes."""
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE_SIZE):
            yield chunk[start : start + _PIECE_SIZE]


def _decode_entry(line: dict[str, Any]) -> Entry:
    attributes = line.get("extended_attributes")
    extents = line.get("data_extents")
    member = Member(
        path=_decode_path(line, "path"),
        kind=MemberKind(line["kind"]),
        mode=int(line["mode"], 8),
        uid=int(line["uid"]),
        gid=int(line["gid"]),
        user=str(line["user"]),
        group=str(line["group"]),
        modified_ns=int(line["modified_ns"]),
        size=int(line["size"]),
        link_target=_optional_bytes(line, "link_target_base64"),
        hard_link_to=_optional_bytes(line, "hard_link_to_base64"),
        extended_attributes={name: base64.b64decode(value) for name, value in attributes.items()}
        if attributes
        else None,
        data_extents=tuple((int(offset), int(length)) for offset, length in extents) if extents is not None else None,
    )
    entry = Entry(
        member=member,
        method=int(line["method"]),
        offset=int(line["offset"]),
        header_size=int(line["header_size"]),
        packed_size=int(line["packed_size"]),
        size=member.size,
        crc32=int(line["crc32"], 16),
        blocks=array("I", line.get("blocks", ())),
        note=line.get("note"),
    )
    if min(entry.size, entry.packed_size, entry.offset, entry.header_size) < 0:
        raise ValueError("a size or an offset is negative")
    return entry


def _encode_path(path: bytes, key: str) -> tuple[str, dict[str, Any]]:
    """The path as JSON text; a name that is not UTF-8 is shown with escapes, and its bytes stand beside it."""
    try:
        return encode_basestring_ascii(path.decode("utf-8")), {}
    except UnicodeDecodeError:
        return encode_basestring_ascii(path.decode("utf-8", "backslashreplace")), {f"{key}_base64": _base64(path)}


def _decode_path(line: dict[str, Any], key: str) -> bytes:
    raw = _optional_bytes(line, f"{key}_base64")
    return raw if raw is not None else str(line[key]).encode("utf-8")


def _optional_bytes(line: dict[str, Any], key: str) -> bytes | None:
    return base64.b64decode(line[key]) if key in line else None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
