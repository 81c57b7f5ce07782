"""What worker threads do for an archive: read, check-sum and pack one piece. No order and no offset is known here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archives.blocks import BlockCodec, crc32
from archives.entry import Entry
from archives.zip_format import METHOD_STORE, local_header
from model import Member, MemberKind, Note, NoteKind, OpenContent, SeekableContent


@dataclass(slots=True)
class PackedBatch:
    """Small members with their headers, as they lie in the archive; offsets count from the batch's first byte."""

    data: bytes
    entries: list[Entry]
    notes: list[Note]


@dataclass(slots=True)
class PackedBlock:
    """One block of a large member; ``size`` is that of its content."""

    data: bytes
    crc32: int
    size: int


def pack_batch(members: Sequence[Member], codec: BlockCodec) -> PackedBatch:
    """Read and pack small members. One that cannot be read becomes a note and leaves no trace in the archive."""
    pieces: list[bytes] = []
    entries: list[Entry] = []
    notes: list[Note] = []
    offset = 0
    for member in members:
        try:
            content, change = _read(member)
        except OSError as error:
            notes.append(Note.of_error(member.path, error))
            continue
        if change is not None:
            notes.append(Note(NoteKind.CHANGED, member.path, change))
        method, packed = METHOD_STORE, content
        # libarchive opens no link whose target is packed with Zstandard.
        if content and member.kind is not MemberKind.SYMLINK:
            smaller = codec.pack(content)
            if len(smaller) < len(content):
                method, packed = codec.method, smaller
        entry = Entry(member, method, len(content), len(packed), crc32(content), offset, note=change)
        header = local_header(entry)
        entry.header_size = len(header)
        pieces += (header, packed)
        entries.append(entry)
        offset += len(header) + len(packed)
    return PackedBatch(b"".join(pieces), entries, notes)


def pack_file_block(content: OpenContent, offset: int, length: int, codec: BlockCodec) -> PackedBlock:
    """Read and pack one block of a file; it is short where the file has become shorter. Raises OSError."""
    return pack_data_block(content.read_at(offset, length), codec)


def pack_data_block(data: bytes, codec: BlockCodec) -> PackedBlock:
    """Pack one block that was read already."""
    return PackedBlock(codec.pack_block(data) if data else b"", crc32(data), len(data))


def _read(member: Member) -> tuple[bytes, str | None]:
    """The whole content of a small member, and how it changed meanwhile."""
    if member.kind is MemberKind.SYMLINK:
        return member.link_target or b"", None
    if isinstance(member.content, SeekableContent):
        return member.content.read(member.size)
    return b"", None
