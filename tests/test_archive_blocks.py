"""Blocks packed and unpacked, and the CRC-32 of blocks put together."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from archives.blocks import BLOCK_SIZE, BlockCodec, codec_for, combine_crc32, unpack_block, unpack_stream
from archives.zip_format import METHOD_DEFLATE, METHOD_STORE, METHOD_ZSTD
from errors import DamagedArchiveError
from model import Compression, CompressionMethod

EVERY_LEVEL = [
    *(Compression(CompressionMethod.DEFLATE, level) for level in range(4)),
    *(Compression(CompressionMethod.ZSTD, level) for level in (1, 3, 9, 19)),
    Compression(CompressionMethod.STORE, 0),
]
PACKING_METHODS = [METHOD_DEFLATE, METHOD_ZSTD]

LEVEL_NAMES = [f"{compression.method}-{compression.level}" for compression in EVERY_LEVEL]
every_codec = pytest.mark.parametrize("codec", [codec_for(level) for level in EVERY_LEVEL], ids=LEVEL_NAMES)

contents = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda data, times: data * times, st.binary(min_size=1, max_size=40), st.integers(1, 2000)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(), st.integers(0, 70_000)),
)


@given(first=st.binary(max_size=2000), second=st.binary(max_size=2000))
@example(first=b"", second=b"")
def test_the_crc_of_two_parts_is_that_of_the_whole(first: bytes, second: bytes) -> None:
    combined = combine_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert combined == zlib.crc32(first + second)


@given(first=st.integers(0, 0xFFFFFFFF), length=st.sampled_from([BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1]))
def test_the_crc_of_a_whole_block_is_combined_by_tables_as_well(first: int, length: int) -> None:
    zeros = bytes(length)
    assert combine_crc32(first, zlib.crc32(zeros), length) == zlib.crc32(zeros, first)


@every_codec
@given(data=contents)
@example(data=b"")
def test_what_was_packed_in_one_piece_is_unpacked(codec: BlockCodec, data: bytes) -> None:
    assert unpack_block(codec.method, codec.pack(data), len(data)) == data


@every_codec
@pytest.mark.parametrize("size", [1, 128 << 10, BLOCK_SIZE - 1, BLOCK_SIZE])
def test_a_block_is_unpacked_without_its_neighbours(codec: BlockCodec, size: int) -> None:
    blocks = [random.Random(size + number).randbytes(size // 2) * 2 + bytes(size % 2) for number in range(3)]
    packed = [codec.pack_block(block) for block in blocks]
    for number in (2, 0, 1):
        assert unpack_block(codec.method, packed[number], size) == blocks[number]


@every_codec
@given(blocks=st.lists(contents, max_size=4))
def test_blocks_one_after_the_other_are_one_stream(codec: BlockCodec, blocks: list[bytes]) -> None:
    packed = b"".join(codec.pack_block(block) for block in blocks if block) + codec.stream_end
    halves = [packed[: len(packed) // 2], packed[len(packed) // 2 :]]
    assert b"".join(unpack_stream(halves, codec.method)) == b"".join(blocks)


@every_codec
@pytest.mark.parametrize("seed", range(3))
def test_data_that_cannot_be_packed_grows_by_less_than_the_reserve_of_zip64(codec: BlockCodec, seed: int) -> None:
    data = random.Random(seed).randbytes(BLOCK_SIZE)
    # From 0xFF000000 bytes on a member is written with ZIP64; below, what it packs to must fit 32 bits.
    assert len(codec.pack_block(data)) / BLOCK_SIZE < 0xFFFFFFFF / 0xFF000000


@pytest.mark.parametrize("method", [*PACKING_METHODS, 12])
@given(packed=st.lists(st.binary(max_size=200)))
def test_a_stream_of_any_bytes_is_damaged_or_content(method: int, packed: list[bytes]) -> None:
    try:
        content = b"".join(unpack_stream(packed, method))
    except DamagedArchiveError:
        content = b""
    assert isinstance(content, bytes)


def damaged_or_content(method: int, packed: bytes, size: int) -> bytes | None:
    try:
        return unpack_block(method, packed, size)
    except DamagedArchiveError:
        return None


@pytest.mark.parametrize("method", [*PACKING_METHODS, METHOD_STORE, 12, 65535])
@given(packed=st.binary(max_size=200), size=st.one_of(st.integers(0, 300), st.just(1 << 70)))
@example(packed=bytes.fromhex("28b52ffde0") + struct.pack("<Q", 1 << 45) + b"\x01\x00\x00", size=10)
@example(packed=bytes.fromhex("28b52ffde0") + struct.pack("<Q", 1 << 45) + b"\x01\x00\x00", size=1 << 45)
def test_any_bytes_are_damaged_or_of_the_right_size(method: int, packed: bytes, size: int) -> None:
    content = damaged_or_content(method, packed, size)
    assert content is None or len(content) == size


@pytest.mark.parametrize("compression", EVERY_LEVEL[:5], ids=LEVEL_NAMES[:5])
@given(data=contents.filter(len), at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_damage_or_gives_another_crc(
    compression: Compression, data: bytes, at: float, bit: int
) -> None:
    codec = codec_for(compression)
    packed = bytearray(codec.pack(data))
    packed[int(at * len(packed))] ^= 1 << bit
    content = damaged_or_content(codec.method, bytes(packed), len(data))
    assert content is None or len(content) == len(data)
    assert content in (None, data) or zlib.crc32(content or b"") != zlib.crc32(data)


@pytest.mark.parametrize("compression", EVERY_LEVEL, ids=LEVEL_NAMES)
@given(data=contents.filter(len), kept=st.floats(0, 1, exclude_max=True))
def test_a_part_of_a_block_is_never_taken_for_the_whole(compression: Compression, data: bytes, kept: float) -> None:
    codec = codec_for(compression)
    packed = codec.pack_block(data)
    content = damaged_or_content(codec.method, packed[: int(kept * len(packed))], len(data))
    assert content in (None, data)


@pytest.mark.parametrize("method", PACKING_METHODS)
def test_a_bomb_is_not_unpacked_beyond_its_size(method: int) -> None:
    """64 MiB of zeros pack to a few kB. Only the size that was asked for may be held, whatever lies behind it."""
    import tracemalloc

    zeros = bytes(64 << 20)
    if method == METHOD_ZSTD:
        bomb = zstandard.ZstdCompressor().compress(zeros)
    else:
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = compressor.compress(zeros) + compressor.flush()
    del zeros
    tracemalloc.start()
    try:
        with pytest.raises(DamagedArchiveError):
            unpack_block(method, bomb, 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
