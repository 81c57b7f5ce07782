"""quickXorHash of the emulator: Microsoft's definition bit by bit, and vectors of others."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.onedrive_emulator.quick_xor_hash import QuickXorHash

VECTORS = {
    "": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "Sg==": "SgAAAAAAAAAAAAAAAQAAAAAAAAA=",
    "tbQ=": "taAFAAAAAAAAAAAAAgAAAAAAAAA=",
    "J9iPGCbfZSTNyw==": "J8DGIzBggm+UgQTNUgYAAAAAAAA=",
    "T6LYJIfDh81JrAK309H2JMJTXis=": "zBTHrspn3mEcohlJdIUAbjGNaNg=",
    "NbYXsp5/K6mR+NmHwExjvWeWDJFnXTKWVlzYHoesp2E=": "wjuAuWDiq04qDt1R8hHWDDcwVoQ=",
    "aGVsbG8gd29ybGQ=": "aCgDG9jwBhDc4Q1yawMZAAAAAAA=",
}


def hash_of(*blocks: bytes) -> str:
    result = QuickXorHash()
    for block in blocks:
        result.update(block)
    return result.base64()


def hash_bit_by_bit(content: bytes) -> str:
    """The definition, as slow as it reads."""
    register = 0
    for number, byte in enumerate(content):
        for bit in range(8):
            register ^= (byte >> bit & 1) << (11 * number + bit) % 160
    hashed = bytearray(register.to_bytes(20, "little"))
    for number, byte in enumerate(len(content).to_bytes(8, "little")):
        hashed[12 + number] ^= byte
    return base64.b64encode(hashed).decode("ascii")


@pytest.mark.parametrize("content", VECTORS)
def test_vectors(content: str) -> None:
    assert hash_of(base64.b64decode(content)) == VECTORS[content]


@given(st.lists(st.binary(max_size=700), max_size=6))
@settings(deadline=None)
def test_blocks_of_any_length_hash_as_the_definition_says(blocks: list[bytes]) -> None:
    assert hash_of(*blocks) == hash_bit_by_bit(b"".join(blocks))


def test_more_than_one_round_of_folding() -> None:
    content = random.Random(3).randbytes(160 * 256 * 2 + 77)
    assert hash_of(content) == hash_bit_by_bit(content) == hash_of(content[:41_000], content[41_000:])


def test_its_blind_spot_is_there() -> None:
    first, second = random.Random(1).randbytes(327_680), random.Random(2).randbytes(327_680)
    assert hash_of(first, second) == hash_of(second, first)
    assert hash_of(first, second) != hash_of(second, first[:-1] + b"x")


def test_a_copy_goes_its_own_way() -> None:
    whole = QuickXorHash()
    whole.update(b"begin")
    mark = whole.copy()
    whole.update(b"more")
    assert mark.base64() == hash_of(b"begin")
    assert whole.base64() == hash_of(b"beginmore")
