"""Reading a copy back from its target and checking every byte of it.

Of an encrypted copy the SHA-256 of the bytes as they lie there can always be checked; its members only where something
is at hand that opens it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from archives.age_stream import decrypted
from archives.manifest import FilePart
from archives.segments import Piece, RunningCrc, Segment, plan_segments, unpack_piece
from errors import (
    ArchiveError,
    DamagedArchiveError,
    EncryptionKeyError,
    HostileArchiveError,
    ObjectNotFoundError,
)
from model import OnProgress
from operations.copies.contents import zip_directory, zip_entries
from operations.copies.stored_copies import StoredCopy, read_entries, stored_index
from operations.parallel import map_in_threads
from operations.restoring.member_content import parts_in_order
from utils import printable


@dataclass(slots=True)
class VerifyReport:
    """What was checked. The copy is sound where ``problems`` is empty; ``remarks`` say what else is worth knowing.

    ``size`` is in bytes of content, or of the encrypted archive where that could not be opened.
    """

    members: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def verify_copy(copy: StoredCopy, on_progress: OnProgress) -> VerifyReport:
    """Read the archive once from end to end: its SHA-256 against the manifest, every member against its CRC-32.

    Raises StorageError where it cannot be read at all, and EncryptionKeyError where what is at hand does not open it.
    """
    report = VerifyReport()
    if copy.manifest is None:
        report.problems.append(copy.error or "the manifest cannot be read")
        return report
    if copy.origin is not None and copy.origin.remark is not None:
        report.remarks.append(f"{copy}: {copy.origin.remark}.")
    stored = _StoredBytes(copy)
    if copy.is_encrypted and not copy.keyring.has_identity_for(copy.manifest.opened_by):
        _verify_unopened(copy, stored, report)
        return report
    try:
        entries = read_entries(copy)
    except EncryptionKeyError:
        # A damaged header is opened by no key either, and that is what its hash tells.
        _verify_unopened(copy, stored, report)
        if not report.problems:
            raise
        return report
    except (DamagedArchiveError, ObjectNotFoundError) as error:
        report.problems.append(str(error))
        _verify_without_index(copy, report, on_progress)
        return report
    archive = _ArchiveStream(_plain(copy, stored))
    check = _MemberCheck(report, on_progress)
    try:
        for pieces in map_in_threads(_check_segment, archive.segments(plan_segments(entries))):
            for piece in pieces:
                check.add(piece)
        archive.read_to_end()
    except HostileArchiveError as error:
        report.problems.append(str(error))
        return report
    except ArchiveError as error:
        _name_damaged_members(copy, error, report)
    _compare(stored, copy.manifest.archive, report)
    return report


def _verify_unopened(copy: StoredCopy, stored: _StoredBytes, report: VerifyReport) -> None:
    """Archive and index against the hashes in the manifest, without a key."""
    if copy.manifest is None:
        return
    try:
        stored_index(copy)
    except (DamagedArchiveError, ObjectNotFoundError) as error:
        report.problems.append(str(error))
    try:
        _compare(stored, copy.manifest.archive, report)
    except ObjectNotFoundError as error:
        report.problems.append(str(error))
    report.size = stored.size
    report.remarks.append(
        f"{copy} is encrypted, and no private key is at hand: the encrypted bytes were compared with their SHA-256, "
        "and the members in them were not looked at. With --identity FILE they are."
    )


def _compare(stored: _StoredBytes, expected: FilePart, report: VerifyReport) -> None:
    """What lies there as a whole; what was not read yet is read now."""
    stored.read_to_end()
    if stored.size != expected.size:
        report.problems.append(f"the archive has {stored.size:,} bytes where {expected.size:,} were stored")
    elif stored.sha256 != expected.sha256:
        report.problems.append("the archive is not what was stored (its SHA-256 differs)")


def _plain(copy: StoredCopy, stored: Iterator[bytes]) -> Iterator[bytes]:
    return decrypted(stored, copy.identities()) if copy.is_encrypted else stored


def _name_damaged_members(copy: StoredCopy, error: ArchiveError, report: VerifyReport) -> None:
    """An encrypted stream ends at its first damaged chunk. Each member is read by itself then, so that all that are
    damaged are named."""
    report.problems.append(str(error))
    if not copy.is_encrypted:
        return
    report.members = report.size = 0
    # Where the header is damaged nothing can be opened, and the hash of the whole says so.
    with suppress(EncryptionKeyError):
        for part in parts_in_order(copy.read, read_entries(copy)):
            if part.error is not None:
                report.problems.append(f"{printable(part.entry.member.path)}: {part.error}")
            elif part.is_last:
                report.members += 1
                report.size += part.entry.size


@dataclass(slots=True)
class _CheckedPiece:
    piece: Piece
    checksums: list[tuple[int, int]]
    problem: str | None


class _StoredBytes(Iterator[bytes]):
    """The archive as it lies there, from its beginning to its end, hashed on the way."""

    def __init__(self, copy: StoredCopy) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._chunks = copy.storage.get(copy.keys.archive)

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._digest.update(chunk)
        self.size += len(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read_to_end(self) -> None:
        for _ in self:
            pass


class _ArchiveStream:
    """The ZIP file from its beginning to its end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._position = 0
        self._held = b""

    def segments(self, planned: Iterator[Segment]) -> Iterator[tuple[Segment, bytes]]:
        """Each segment with its bytes, fewer where the archive ends; what lies between them is passed over."""
        for segment in planned:
            self._skip(segment.offset - (self._position - len(self._held)))
            yield segment, self._take(segment.length)

    def read_to_end(self) -> None:
        self._held = b""
        for _ in self._chunks:
            pass

    def _skip(self, length: int) -> None:
        while length > len(self._held) and (chunk := next(self._chunks, None)) is not None:
            length -= len(self._held)
            self._held = chunk
            self._position += len(chunk)
        self._held = self._held[length:]

    def _take(self, length: int) -> bytes:
        parts = [self._held]
        held = len(self._held)
        while held < length:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._position += len(chunk)
            parts.append(chunk)
            held += len(chunk)
        data = b"".join(parts)
        self._held = data[length:]
        return data[:length]


class _MemberCheck:
    """Puts the results of pieces together, member by member, in their order."""

    def __init__(self, report: VerifyReport, on_progress: OnProgress) -> None:
        self._report = report
        self._on_progress = on_progress
        self._crc: RunningCrc | None = None
        self._problem: str | None = None

    def add(self, checked: _CheckedPiece) -> None:
        piece = checked.piece
        if piece.first_block == 0:
            self._crc, self._problem = RunningCrc(piece.entry), None
        self._problem = self._problem or checked.problem
        if piece.block_count and self._crc is not None:
            for crc, size in checked.checksums:
                self._crc.add(crc, size)
            if not piece.is_last:
                return
            if self._problem is None:
                try:
                    self._crc.check()
                except DamagedArchiveError as error:
                    self._problem = str(error)
        member = piece.entry.member
        if self._problem is not None:
            self._report.problems.append(f"{printable(member.path)}: {self._problem}")
            return
        self._report.members += 1
        self._report.size += piece.entry.size
        self._on_progress(member, piece.entry.size)


def _check_segment(item: tuple[Segment, bytes]) -> list[_CheckedPiece]:
    segment, data = item
    return [_check_piece(piece, segment.offset, data) for piece in segment.pieces]


def _check_piece(piece: Piece, segment_offset: int, data: bytes) -> _CheckedPiece:
    try:
        checksums = [(block.crc32, len(block.data)) for block in unpack_piece(piece, segment_offset, data)]
    except DamagedArchiveError as error:
        return _CheckedPiece(piece, [], str(error))
    return _CheckedPiece(piece, checksums, None)


def _verify_without_index(copy: StoredCopy, report: VerifyReport, on_progress: OnProgress) -> None:
    """Member by member from the ZIP alone, so that what can still be had is known."""
    try:
        reader = zip_directory(copy)
        for entry in zip_entries(reader):
            try:
                for _ in reader.content(entry):
                    pass
            except DamagedArchiveError as error:
                report.problems.append(f"{printable(entry.member.path)}: {error}")
                continue
            report.members += 1
            report.size += entry.size
            on_progress(entry.member, entry.size)
    except (ArchiveError, ObjectNotFoundError) as error:
        report.problems.append(str(error))
