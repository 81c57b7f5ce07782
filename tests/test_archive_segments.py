"""Segments of an archive: every piece once and in order, and none that is large, packed or unpacked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archives.blocks import BLOCK_SIZE
from archives.entry import Entry
from archives.segments import plan_segments
from model import Member, MemberKind

MIB = 1 << 20


def entries_of(sizes: list[tuple[int, int]]) -> list[Entry]:
    """Members of these sizes, each of whose blocks is packed to so many bytes."""
    found, offset = [], 0
    for number, (size, packed_block) in enumerate(sizes):
        blocks = [packed_block] * -(-size // BLOCK_SIZE) if size > BLOCK_SIZE else []
        packed = sum(blocks) if blocks else min(packed_block, size)
        member = Member(b"%d" % number, MemberKind.FILE, 0o644, size=size)
        found.append(Entry(member, 8, size, packed, offset=offset, header_size=50, blocks=blocks))
        offset += 50 + packed
    return found


@given(st.lists(st.tuples(st.integers(0, 300 * MIB), st.integers(1, MIB + 100)), max_size=12))
def test_each_piece_is_in_one_segment_and_none_is_large(sizes: list[tuple[int, int]]) -> None:
    entries = entries_of(sizes)
    segments = list(plan_segments(entries))
    pieces = [piece for segment in segments for piece in segment.pieces]
    assert [piece.offset for piece in pieces] == sorted(piece.offset for piece in pieces)
    assert sum(piece.content_size for piece in pieces) == sum(entry.size for entry in entries)
    assert sum(piece.packed_size for piece in pieces) == sum(entry.packed_size for entry in entries)
    for segment in segments:
        assert sum(piece.content_size for piece in segment.pieces) <= 16 * MIB


def test_a_file_of_zeros_is_not_unpacked_all_at_once() -> None:
    """A block of zeros is packed to about 1 KiB, so 1 MiB of the archive was a segment of 128 times 4 MiB."""
    segments = list(plan_segments(entries_of([(1024 * MIB, 1_000)])))
    assert {segment.content_size for segment in segments} == {16 * MIB}
