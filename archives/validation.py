"""Members that no run of Holdfast could have written are refused before anything is done with them.

The hashes that a manifest confirms say that an index is what somebody stored, not that it was an honest somebody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archives.blocks import BLOCK_SIZE
from archives.entry import Entry
from archives.zip_format import LOCAL_HEADER, stored_name
from errors import HostileArchiveError
from utils import printable

_LARGEST_SIZE = (1 << 63) - 1
_LARGEST_OWNER = (1 << 32) - 1
_LARGEST_TIME = (1 << 63) * 10**9

# Packed data is larger than its content only by the headers of its packing: 80 bytes of a MiB with deflate.
_LARGEST_BLOCK = BLOCK_SIZE + (64 << 10)


def validated(entries: Iterable[Entry], *, with_blocks: bool) -> Iterator[Entry]:
    """The same entries, in the order of the archive, whose data may not overlap. Raises HostileArchiveError.

    ``with_blocks``: they come from an index, so each has its blocks where it is larger than one. What the ZIP itself
    says of a member knows none.
    """
    end = 0
    for entry in entries:
        reason = _unbelievable_number(entry) or (_unbelievable_block(entry) if with_blocks else None)
        if reason is None and entry.offset < end:
            reason = "lies in the place of another member"
        if reason is not None:
            raise HostileArchiveError(
                f"The archive's member '{printable(entry.member.path)}' {reason}, which no backup writes. "
                "Somebody else made or changed the archive, so no more of it is read."
            )
        header_size = entry.header_size or LOCAL_HEADER.size + len(stored_name(entry.member))
        end = entry.offset + header_size + entry.packed_size
        yield entry


def _unbelievable_number(entry: Entry) -> str | None:
    member = entry.member
    if max(entry.offset + entry.header_size + entry.packed_size, entry.size) > _LARGEST_SIZE:
        return "has a size or place that no file can have"
    if not (0 <= member.mode <= 0o7777 and 0 <= member.uid <= _LARGEST_OWNER and 0 <= member.gid <= _LARGEST_OWNER):
        return "has a mode or an owner that no file can have"
    if abs(member.modified_ns) >= _LARGEST_TIME:
        return "has a time that no file can have"
    return None


def _unbelievable_block(entry: Entry) -> str | None:
    if len(entry.blocks):
        if len(entry.blocks) != -(-entry.size // BLOCK_SIZE) or sum(entry.blocks) > entry.packed_size:
            return "has blocks that do not add up to its size"
        if max(entry.blocks) > _LARGEST_BLOCK:
            return "has a block that is larger than any"
    elif max(entry.size, entry.packed_size) > _LARGEST_BLOCK:
        return "is large and has no blocks"
    return None
