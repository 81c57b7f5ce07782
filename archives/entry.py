"""A member as it lies in an archive: what the ZIP's records, the index and every reader speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model import Member


@dataclass(slots=True)
class Entry:
    """One member with its place. Not frozen: its place is known before its size is, or the other way round.

    ``offset`` is where its local header begins in the archive, ``header_size`` how long that is; ``packed_size`` bytes
    of data follow. ``blocks`` are the packed sizes of its blocks of ``blocks.BLOCK_SIZE`` bytes; empty for a member
    that was packed in one piece. ``note`` says what happened to it while it was read. ``needs_descriptor`` and
    ``zip64`` say how its header was written (APPNOTE 4.3.9).
    """

    member: Member
    method: int
    size: int = 0
    packed_size: int = 0
    crc32: int = 0
    offset: int = 0
    header_size: int = 0
    blocks: Sequence[int] = ()
    note: str | None = None
    needs_descriptor: bool = False
    zip64: bool = False

    @property
    def data_offset(self) -> int:
        return self.offset + self.header_size
