"""QuickXorHash: Microsoft's vectors, and the definition taken bit by bit."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storages.onedrive.quick_xor_hash import QuickXorHash

# Content in base64, and its hash.
VECTORS = [
    ("", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ("Sg==", "SgAAAAAAAAAAAAAAAQAAAAAAAAA="),
    ("tbQ=", "taAFAAAAAAAAAAAAAgAAAAAAAAA="),
    ("J9iPGCbfZSTNyw==", "J8DGIzBggm+UgQTNUgYAAAAAAAA="),
    ("T6LYJIfDh81JrAK309H2JMJTXis=", "zBTHrspn3mEcohlJdIUAbjGNaNg="),
    ("NbYXsp5/K6mR+NmHwExjvWeWDJFnXTKWVlzYHoesp2E=", "wjuAuWDiq04qDt1R8hHWDDcwVoQ="),
    (base64.b64encode(b"hello world").decode("ascii"), "aCgDG9jwBhDc4Q1yawMZAAAAAAA="),
]


def hash_of(*pieces: bytes) -> str:
    digest = QuickXorHash()
    for piece in pieces:
        digest.update(piece)
    return digest.base64()


def hash_bit_by_bit(content: bytes) -> str:
    """As the definition says it: each bit goes to one bit of the register, then the length to the last eight bytes."""
    register = [0] * 160
    for number, byte in enumerate(content):
        for bit in range(8):
            register[(number * 11 + bit) % 160] ^= byte >> bit & 1
    for bit in range(64):
        register[96 + bit] ^= len(content) >> bit & 1
    value = sum(bit << place for place, bit in enumerate(register))
    return base64.b64encode(value.to_bytes(20, "little")).decode("ascii")


@pytest.mark.parametrize(("content", "expected"), VECTORS)
def test_vectors(content: str, expected: str) -> None:
    assert hash_of(base64.b64decode(content)) == expected


@given(st.binary(max_size=1000))
def test_any_content(content: bytes) -> None:
    assert hash_of(content) == hash_bit_by_bit(content)


@given(st.integers(0, 40_000), st.integers(0, 2**32), st.lists(st.integers(0, 40_000), max_size=6))
def test_any_cuts(length: int, seed: int, cuts: list[int]) -> None:
    """Around the 160 bytes after which the shifts come again, and the 10,240 that are taken at once."""
    content = (seed.to_bytes(5, "little") * (length // 5 + 1))[:length]
    places = [0, *sorted(cut for cut in cuts if cut < length), length]
    pieces = [content[start:end] for start, end in pairwise(places)]
    assert hash_of(*pieces) == hash_of(content)


@pytest.mark.parametrize("length", [159, 160, 161, 10_239, 10_240, 10_241, 20_480, 30_721])
def test_lengths_around_its_rows(length: int) -> None:
    content = bytes(number * 7 % 251 for number in range(length))
    assert hash_of(content) == hash_bit_by_bit(content)
