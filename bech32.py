"""Bech32, in which age writes its keys. Source: BIP 173, without its limit of the length (C2SP age.md)."""

from __future__ import annotations

from collections.abc import Iterable

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6


def encode(prefix: str, data: bytes) -> str:
    """The text of these bytes, in lower case: ``prefix``, ``1``, the bytes, six characters of checksum."""
    values = _regrouped(data, 8, 5)
    checksum = _polymod([*_expanded(prefix), *values, *[0] * _CHECKSUM_LENGTH]) ^ 1
    values += [checksum >> 5 * (_CHECKSUM_LENGTH - 1 - position) & 31 for position in range(_CHECKSUM_LENGTH)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in values)


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in lower case, and the bytes. Raises ValueError with what is wrong: it quotes nothing of the text."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("it mixes upper and lower case")
    prefix, separator, encoded = text.lower().rpartition("1")
    if not separator or not prefix or len(encoded) < _CHECKSUM_LENGTH:
        raise ValueError("it is too short")
    values = [_ALPHABET.find(character) for character in encoded]
    if -1 in values:
        raise ValueError("it has a character that no key has")
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise ValueError("a character of it is wrong or missing (its checksum differs)")
    return prefix, bytes(_regrouped(values[:-_CHECKSUM_LENGTH], 5, 8))


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _expanded(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _regrouped(values: Iterable[int], width: int, new_width: int) -> list[int]:
    """Groups of ``width`` bits as groups of ``new_width``; from 5 to 8 bits, what fills the last group must be zero."""
    regrouped, held, bits = [], 0, 0
    for value in values:
        held, bits = held << width | value, bits + width
        while bits >= new_width:
            bits -= new_width
            regrouped.append(held >> bits)
            held &= (1 << bits) - 1
    if new_width == 5 and bits:
        regrouped.append(held << new_width - bits)
    elif new_width == 8 and (held or bits >= width):
        raise ValueError("it does not end as a key ends")
    return regrouped
