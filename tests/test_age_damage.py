"""Encrypted files, as streams and in ranges, give what was encrypted or an error, whatever was done to them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives.age_keys import Identity
from archives.age_native import PassphraseIdentity, PassphraseRecipient
from archives.age_payload import CHUNK_SIZE, SEALED_CHUNK_SIZE, content_size, in_chunks
from archives.age_reader import AgeReader, ReadRange
from archives.age_stream import decrypted, encrypted
from errors import DamagedArchiveError, EncryptionKeyError
from model import Secret
from tests.support.age_keys import KINDS, KeyPair, make_key_pair

CONTENT = random.Random(5).randbytes(3 * CHUNK_SIZE + 100)
PASSPHRASE = PassphraseIdentity(Secret("correct horse battery staple"))


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key_pair(request.param, tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key_pair("age", tmp_path_factory.mktemp("keys"))


def ranges_of(data: bytes) -> ReadRange:
    """As a storage gives them, in small pieces."""

    def read(offset: int, length: int) -> Iterator[bytes]:
        part = data[offset : offset + length]
        for start in range(0, len(part), 50_000):
            yield part[start : start + 50_000]

    return read


def read_all(data: bytes, identities: list[Identity]) -> bytes:
    reader = AgeReader(ranges_of(data), len(data), identities)
    return b"".join(reader.read(0, reader.size))


def assert_never_wrong(data: bytes, content: bytes, identities: list[Identity]) -> None:
    """Both ways of reading end in one of our errors, and hand on nothing that was not encrypted."""
    with pytest.raises((DamagedArchiveError, EncryptionKeyError)):
        read_all(data, identities)
    given_on = b""
    with pytest.raises((DamagedArchiveError, EncryptionKeyError)):
        for piece in decrypted([data], identities):
            given_on += piece
    assert content.startswith(given_on)


# --- what is whole ---


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 3 * CHUNK_SIZE), max_size=5), cut=st.integers(1, 2 * CHUNK_SIZE))
def test_any_stream_in_any_pieces_comes_back(sizes: list[int], cut: int, native: KeyPair) -> None:
    pieces = [random.Random(size).randbytes(size) for size in sizes]
    made = b"".join(encrypted(pieces, [native.recipient]))
    again = [made[start : start + cut] for start in range(0, len(made), cut)]
    assert b"".join(decrypted(again, native.identities)) == b"".join(pieces)
    assert read_all(made, native.identities) == b"".join(pieces)


@settings(max_examples=100, deadline=None)
@given(offset=st.integers(0, len(CONTENT) + 5), length=st.integers(0, len(CONTENT) + 5))
def test_any_range_is_that_range(offset: int, length: int, native: KeyPair) -> None:
    made = encrypted_once(native)
    reader = AgeReader(ranges_of(made), len(made), native.identities)
    assert reader.size == len(CONTENT)
    assert b"".join(reader.read(offset, length)) == CONTENT[offset : offset + length]


def test_a_range_costs_its_own_chunks_only(pair: KeyPair) -> None:
    content = random.Random(1).randbytes(40 * CHUNK_SIZE)
    made = b"".join(encrypted([content], [pair.recipient]))
    asked: list[int] = []

    def counted(offset: int, length: int) -> Iterator[bytes]:
        asked.append(length)
        yield made[offset : offset + length]

    reader = AgeReader(counted, len(made), pair.identities)
    assert sum(asked) <= (4 << 10) + SEALED_CHUNK_SIZE
    asked.clear()
    start = 7 * CHUNK_SIZE + 5
    assert b"".join(reader.read(start, CHUNK_SIZE)) == content[start : start + CHUNK_SIZE]
    assert asked == [2 * SEALED_CHUNK_SIZE]


def test_threads_share_a_reader(native: KeyPair) -> None:
    made = encrypted_once(native)
    reader = AgeReader(ranges_of(made), len(made), native.identities)
    starts = [random.Random(number).randrange(len(CONTENT)) for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda start: b"".join(reader.read(start, 100_000)), starts))
    assert parts == [CONTENT[start : start + 100_000] for start in starts]


def test_a_header_of_many_recipients_is_read(tmp_path: Path, native: KeyPair) -> None:
    others = [make_key_pair("age", tmp_path).recipient for _ in range(60)]
    made = b"".join(encrypted([b"content"], [*others, native.recipient]))
    assert read_all(made, native.identities) == b"content"


def test_what_the_source_raises_passes(native: KeyPair) -> None:
    def failing() -> Iterator[bytes]:
        yield b"x" * CHUNK_SIZE * 3
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(encrypted(failing(), [native.recipient]))


@given(st.lists(st.binary(max_size=30)), st.integers(1, 10))
def test_chunks_are_whole_but_for_the_last(stream: list[bytes], size: int) -> None:
    *parts, (last, is_end) = in_chunks(stream, size)
    assert is_end and len(last) == 1
    assert all(not is_end and {len(piece) for piece in pieces} == {size} for pieces, is_end in parts)
    assert len(last[0]) <= size
    assert (len(last[0]) > 0) is any(stream)
    assert b"".join(piece for pieces, _ in [*parts, (last, True)] for piece in pieces) == b"".join(stream)


# --- what is not ---


def test_10_000_damages_are_all_found(native: KeyPair) -> None:
    """Flips of a bit, other bytes, cuts, and bytes left out or put in, of a small file and of one of two chunks."""
    chance = random.Random(2026)
    for content, count in ((b"a small file", 9000), (CONTENT[: CHUNK_SIZE + 50], 1000)):
        made = b"".join(encrypted([content], [native.recipient]))
        for _ in range(count):
            assert_never_wrong(damaged(made, chance), content, native.identities)


def test_every_byte_of_a_header_counts(pair: KeyPair) -> None:
    made = b"".join(encrypted([b"content"], [pair.recipient]))
    # RSA takes its time, and most of its header is one number.
    for position in range(0, len(made), 11 if pair.public.startswith("ssh-rsa") else 1):
        wrong = made[:position] + bytes([made[position] ^ 1]) + made[position + 1 :]
        assert_never_wrong(wrong, b"content", pair.identities)


def test_every_byte_of_the_header_for_a_passphrase_counts() -> None:
    made = b"".join(encrypted([b"content"], [PassphraseRecipient(PASSPHRASE.passphrase, 4)]))
    for position in range(len(made)):
        for flip in (1, 0x10):
            wrong = made[:position] + bytes([made[position] ^ flip]) + made[position + 1 :]
            assert_never_wrong(wrong, b"content", [PASSPHRASE])


@pytest.mark.parametrize("kept", range(4))
def test_a_cut_at_the_border_of_a_chunk_is_found(kept: int, native: KeyPair) -> None:
    made = encrypted_once(native)
    start = len(made) - (3 * SEALED_CHUNK_SIZE + 116)
    assert_never_wrong(made[: start + kept * SEALED_CHUNK_SIZE], CONTENT, native.identities)
    if kept:
        with pytest.raises(DamagedArchiveError, match=f"cut off behind {kept * CHUNK_SIZE:,} bytes"):
            list(decrypted([made[: start + kept * SEALED_CHUNK_SIZE]], native.identities))


def test_chunks_that_change_places_are_found(native: KeyPair) -> None:
    made = encrypted_once(native)
    start = len(made) - (3 * SEALED_CHUNK_SIZE + 116)
    first, second = made[start : start + SEALED_CHUNK_SIZE], made[start + SEALED_CHUNK_SIZE :][:SEALED_CHUNK_SIZE]
    wrong = made[:start] + second + first + made[start + 2 * SEALED_CHUNK_SIZE :]
    assert_never_wrong(wrong, CONTENT, native.identities)


def test_something_behind_the_end_is_found(native: KeyPair) -> None:
    made = b"".join(encrypted([b"x" * CHUNK_SIZE], [native.recipient]))
    assert_never_wrong(made + b"y", b"", native.identities)
    assert_never_wrong(made + made[-SEALED_CHUNK_SIZE:], b"", native.identities)


def test_a_storage_that_gives_less_than_asked_is_found(native: KeyPair) -> None:
    made = encrypted_once(native)
    reader = AgeReader(ranges_of(made), len(made), native.identities)
    short = AgeReader(ranges_of(made), len(made), native.identities)
    short._read_range = ranges_of(made[: len(made) - 2 * SEALED_CHUNK_SIZE])
    assert b"".join(reader.read(CHUNK_SIZE, CHUNK_SIZE * 2)) == CONTENT[CHUNK_SIZE : CHUNK_SIZE * 3]
    with pytest.raises(DamagedArchiveError, match="ends at byte"):
        list(short.read(CHUNK_SIZE, CHUNK_SIZE * 2))


@pytest.mark.parametrize("size", [0, 1, 15, SEALED_CHUNK_SIZE + 1, SEALED_CHUNK_SIZE + 16])
def test_no_content_has_such_a_size(size: int) -> None:
    with pytest.raises(DamagedArchiveError):
        content_size(size)


# --- whose it is ---


def test_another_identity_does_not_open_it(pair: KeyPair, tmp_path: Path) -> None:
    made = b"".join(encrypted([b"content"], [pair.recipient]))
    for kind in KINDS:
        other = make_key_pair(kind, tmp_path).identities
        with pytest.raises(EncryptionKeyError, match=r"It can(not)? be opened with"):
            list(decrypted([made], other))
        assert b"".join(decrypted([made], [*other, *pair.identities])) == b"content"
    with pytest.raises(EncryptionKeyError, match="none was given"):
        list(decrypted([made], []))
    with pytest.raises(EncryptionKeyError, match="none was given"):
        list(decrypted([made], [PASSPHRASE]))


def test_another_passphrase_does_not_open_it(native: KeyPair) -> None:
    made = b"".join(encrypted([b"content"], [PassphraseRecipient(PASSPHRASE.passphrase, 4)]))
    assert b"".join(decrypted([made], [*native.identities, PASSPHRASE])) == b"content"
    with pytest.raises(EncryptionKeyError, match="a passphrase, and the right one"):
        list(decrypted([made], [PassphraseIdentity(Secret("another one"))]))
    with pytest.raises(EncryptionKeyError, match="a passphrase only, and none was given"):
        list(decrypted([made], native.identities))


def test_work_that_would_take_hours_is_refused() -> None:
    made = b"".join(encrypted([b"content"], [PassphraseRecipient(PASSPHRASE.passphrase, 4)]))
    version, stanza, rest = made.split(b"\n", 2)
    hard = b"\n".join((version, stanza[:-1] + b"40", rest))
    with pytest.raises(DamagedArchiveError, match="hours"):
        list(decrypted([hard], [PASSPHRASE]))


def test_a_passphrase_stands_alone(native: KeyPair) -> None:
    with pytest.raises(EncryptionKeyError, match="only by itself"):
        list(encrypted([b""], [native.recipient, PassphraseRecipient(PASSPHRASE.passphrase, 4)]))
    with pytest.raises(EncryptionKeyError, match="nobody"):
        list(encrypted([b""], []))


_once: dict[str, bytes] = {}


def encrypted_once(pair: KeyPair) -> bytes:
    """CONTENT for this recipient."""
    if pair.public not in _once:
        _once[pair.public] = b"".join(encrypted([CONTENT], [pair.recipient]))
    return _once[pair.public]


def damaged(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    match chance.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + 1 :]
        case 2:
            return data[:at] + chance.randbytes(1) + data[at:]
        case 3:
            return data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]
        case _:
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
