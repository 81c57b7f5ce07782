"""The order in which people look for names: capital and small letters alike, and ``img2`` before ``img10``. Pure."""

from __future__ import annotations

import re

_DIGITS = re.compile(rb"[0-9]+")
_LONGEST_NUMBER = 255


def natural_key(name: bytes) -> bytes:
    """Bytes whose order is that of the names. Equal keys are of names that differ in case or in leading zeros only.

    Each number becomes ``0``, the count of its digits, and these, so that a longer number comes after a shorter one.
    """
    return _DIGITS.sub(_number, folded(name))


def folded(name: bytes) -> bytes:
    """The name without the difference between capital and small letters; bytes that are no UTF-8 stay."""
    if name.isascii():
        return name.lower()
    return name.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")


def _number(match: re.Match[bytes]) -> bytes:
    digits = match[0].lstrip(b"0")
    return b"0" + bytes([min(len(digits), _LONGEST_NUMBER)]) + digits
