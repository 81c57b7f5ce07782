"""Packing and unpacking single blocks, and the CRC-32 of blocks put together.

A large member is cut into blocks of 1 MiB that are packed independently of each other: several cores work on one
file, and a reader that knows where the blocks lie can unpack them in parallel or take one without its neighbours.

- deflate (RFC 1951): each block ends with a full flush, so it ends on a byte and refers to nothing before it; after
  the last one comes an empty final block.
- zstd (RFC 8878): each block is a frame of its own; a decoder reads frames that follow each other as one stream.
"""

from __future__ import annotations

import functools
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from isal import igzip_lib, isal_zlib

from archives.zip_format import METHOD_DEFLATE, METHOD_STORE, METHOD_ZSTD
from errors import DamagedArchiveError
from model import Compression, CompressionMethod

BLOCK_SIZE = 1 << 20
"""1 MiB: ISA-L's ratio is within 0.1% of that with 4 MiB blocks (measured), and every block in flight costs memory."""

# Zstandard packs 128 KiB of zeros into 4 bytes: this much gives 32 MiB at the most.
_SLICE = 1024
_STORED_BLOCK_SIZE = 0xFFFF

DEFLATE_END = b"\x03\x00"
"""An empty, final block with the fixed codes (RFC 1951, 3.2.6)."""

ZSTANDARD_END = bytes.fromhex("28b52ffd2000010000")
"""An empty frame (RFC 8878, 3.1.1). Without it libarchive 3.6 finds no end where the content fills its buffer."""

_LIBARCHIVE_BUFFER_SIZE = 128 << 10

crc32 = isal_zlib.crc32


class BlockCodec(Protocol):
    """Packs blocks. Safe to call from several threads."""

    method: int
    stream_end: bytes

    def pack(self, data: bytes) -> bytes:
        """One whole small member."""

    def pack_block(self, data: bytes) -> bytes:
        """One block of a member that has several."""


class DeflateCodec:
    """Deflate by ISA-L, levels 0 to 3."""

    method = METHOD_DEFLATE
    stream_end = DEFLATE_END

    def __init__(self, level: int) -> None:
        self._level = level
        self._local = threading.local()

    def pack(self, data: bytes) -> bytes:
        return igzip_lib.compress(data, self._level, igzip_lib.COMP_DEFLATE)

    def pack_block(self, data: bytes) -> bytes:
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = isal_zlib.compressobj(self._level, isal_zlib.DEFLATED, -15)
        packed = bytes(compressor.compress(data) + compressor.flush(isal_zlib.Z_FULL_FLUSH))
        # Level 0 of ISA-L makes random data a fifth larger.
        return packed if len(packed) < len(data) else _stored_blocks(data)


def _stored_blocks(data: bytes) -> bytes:
    """Deflate without compression (RFC 1951, 3.2.4): it ends on a byte, and grows by 5 bytes in 65,535."""
    parts: list[bytes] = []
    for start in range(0, len(data), _STORED_BLOCK_SIZE):
        part = data[start : start + _STORED_BLOCK_SIZE]
        parts += (struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF), part)
    return b"".join(parts)


class ZstandardCodec:
    """Zstandard, levels 1 to 19. Fewer programs can open it in a ZIP: 7-Zip and libarchive, not unzip.

    Python 3.14 opens members of one block only: it stops at the end of the first frame (cpython#154481).
    """

    method = METHOD_ZSTD
    stream_end = ZSTANDARD_END

    def __init__(self, level: int) -> None:
        self._level = level
        self._local = threading.local()

    def pack_block(self, data: bytes) -> bytes:
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            import zstandard

            compressor = self._local.compressor = zstandard.ZstdCompressor(level=self._level)
        return bytes(compressor.compress(data))

    def pack(self, data: bytes) -> bytes:
        packed = self.pack_block(data)
        return packed if len(data) % _LIBARCHIVE_BUFFER_SIZE else packed + ZSTANDARD_END


class StoreCodec:
    """Content as it is."""

    method = METHOD_STORE
    stream_end = b""

    def pack(self, data: bytes) -> bytes:
        return data

    pack_block = pack


def codec_for(compression: Compression) -> BlockCodec:
    if compression.method is CompressionMethod.DEFLATE:
        return DeflateCodec(compression.level)
    if compression.method is CompressionMethod.ZSTD:
        return ZstandardCodec(compression.level)
    return StoreCodec()


def unpack_block(method: int, packed: bytes, size: int) -> bytes:
    """The content of one block, or of one small member, of ``size`` bytes. Raises DamagedArchiveError.

    No more than ``size`` bytes are unpacked, whatever the packed data claims to hold.
    """
    if size > BLOCK_SIZE:
        raise DamagedArchiveError(f"a block of {size} bytes was never packed")
    try:
        if method == METHOD_STORE:
            data = packed
        elif method == METHOD_DEFLATE:
            data = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE).decompress(packed, size + 1)
        else:
            data = _unpack_zstandard(packed, size)
    except (igzip_lib.IsalError, EOFError, ValueError) as error:  # type: ignore[misc]  # its stub declares no class
        raise DamagedArchiveError(f"packed data is damaged ({error})") from None
    if len(data) != size:
        raise DamagedArchiveError(f"packed data gave {len(data)} bytes where {size} were expected")
    return bytes(data)


def unpack_stream(packed: Iterable[bytes], method: int) -> Iterator[bytes]:
    """Content whose blocks are not known, in order. Raises DamagedArchiveError.

    The packed data is taken in small slices, because each may unpack to a thousand times its size (zstd: more), and the
    caller must be able to stop in time.
    """
    if method == METHOD_STORE:
        yield from packed
        return
    unpacker = _stream_unpacker(method)
    try:
        for chunk in packed:
            for start in range(0, len(chunk), _SLICE):
                data = unpacker.decompress(chunk[start : start + _SLICE])
                if data:
                    yield data
    except (zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise DamagedArchiveError(f"packed data is damaged ({error})") from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise DamagedArchiveError(f"packed data is damaged ({error})") from None


def _stream_unpacker(method: int) -> Any:
    if method == METHOD_DEFLATE:
        return zlib.decompressobj(-15)
    if method == METHOD_ZSTD:
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    raise DamagedArchiveError(f"packing method {method} is not known")


def _unpack_zstandard(packed: bytes, size: int) -> bytes:
    import zstandard

    try:
        # The decoder would allocate whatever the frame claims to hold.
        if zstandard.frame_content_size(packed) != size:
            raise ValueError(f"its frame is not one of {size} bytes")
        return bytes(zstandard.ZstdDecompressor().decompress(packed))
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None


# --- the CRC-32 of two parts put together -------------------------------------------------------------------------

_POLYNOMIAL = 0xEDB88320


def _multiply(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), modulo that of CRC-32, bits reflected."""
    product = 0
    while a:
        if a & 0x80000000:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


def _power_of_zeros(length: int) -> int:
    """x^(8·length): what ``length`` zero bytes do to the register."""
    power, square = 0x80000000, 0x00800000
    while length:
        if length & 1:
            power = _multiply(square, power)
        square = _multiply(square, square)
        length >>= 1
    return power


@functools.cache
def _tables_for_a_block() -> tuple[list[int], list[int], list[int], list[int]]:
    """The effect of BLOCK_SIZE zero bytes on each byte of the register: 0.6 µs a block rather than 100."""
    power = _power_of_zeros(BLOCK_SIZE)
    tables = []
    for shift in range(0, 32, 8):
        table = [0]
        for bit in range(8):
            image = _multiply(power, 1 << (shift + bit))
            table += [image ^ entry for entry in table]
        tables.append(table)
    return tables[0], tables[1], tables[2], tables[3]


def combine_crc32(first: int, second: int, second_length: int) -> int:
    """The CRC-32 of two byte strings put together, from that of each and the length of the second.

    Source: the method of zlib's ``crc32_combine`` (Mark Adler), by multiplication of polynomials.
    """
    if second_length == BLOCK_SIZE:
        low, second_byte, third_byte, high = _tables_for_a_block()
        moved = low[first & 255] ^ second_byte[first >> 8 & 255] ^ third_byte[first >> 16 & 255] ^ high[first >> 24]
        return moved ^ second
    return _multiply(_power_of_zeros(second_length), first) ^ second
