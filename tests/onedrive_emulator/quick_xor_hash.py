"""quickXorHash, the hash that OneDrive for Business keeps of every file.

The definition: a register of 160 bits, into which byte *i* is XORed at bit ``(11 * i) % 160``, wrapping around its end;
as 20 bytes, little-endian; then the length as a little-endian u64 is XORed into bytes 12 to 19.
"""

from __future__ import annotations

import base64

_PERIOD = 160  # bytes after which the places in the register repeat: the least n with 11 * n % 160 == 0
_REGISTER_BITS = 160
_STEP_BITS = 11

# Folding 40 kB at a time reached 1.6 GB/s on one core; 160 bytes at a time 0.55 GB/s.
_FOLDED_PERIODS = 256


class QuickXorHash:
    """The hash of bytes that come in blocks. Blocks of 1 MiB or more are folded fastest."""

    def __init__(self) -> None:
        self.length = 0
        self._columns = 0

    def update(self, block: bytes | memoryview) -> None:
        """Take the next bytes in."""
        columns = _folded(memoryview(block))
        shift = self.length % _PERIOD * 8
        self._columns ^= _low_bits(columns << shift, _PERIOD * 8) | (columns >> (_PERIOD * 8 - shift))
        self.length += len(block)

    def copy(self) -> QuickXorHash:
        """Another one with the same bytes in it."""
        other = QuickXorHash()
        other.length, other._columns = self.length, self._columns
        return other

    def base64(self) -> str:
        """The hash as Graph writes it."""
        register = 0
        for number, column in enumerate(self._columns.to_bytes(_PERIOD, "little")):
            register ^= column << (number * _STEP_BITS % _REGISTER_BITS)
        register = _low_bits(register, _REGISTER_BITS) ^ (register >> _REGISTER_BITS)
        register ^= self.length << (12 * 8)
        return base64.b64encode(register.to_bytes(20, "little")).decode("ascii")


def _folded(block: memoryview) -> int:
    """All periods of the block XORed together, as one little-endian number."""
    step = _PERIOD * _FOLDED_PERIODS
    folded = 0
    for start in range(0, len(block), step):
        folded ^= int.from_bytes(block[start : start + step], "little")
    periods = _FOLDED_PERIODS
    while periods > 1:
        periods //= 2
        bits = periods * _PERIOD * 8
        folded = (folded >> bits) ^ _low_bits(folded, bits)
    return folded


def _low_bits(number: int, count: int) -> int:
    return number & ((1 << count) - 1)
