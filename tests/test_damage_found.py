"""Random damage anywhere on a target, and manifests changed by who knows the format: all of it is found, and named.

``HOLDFAST_DAMAGES=10000 .venv/bin/python -m pytest tests/test_damage_found.py`` damages as often.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from archives.signature import Trust
from model import Compression, CompressionMethod
from operations.copies.keyring import Keyring
from operations.copies.stored_copies import StoredCopy, copies_on
from tests.support.copies import make_copy, verify
from tests.support.encrypted_copies import keyring_of, make_encrypted_copy, new_key
from tests.support.forged_manifests import with_its_checksum

DAMAGES = int(os.environ.get("HOLDFAST_DAMAGES", "2000"))
KINDS = ("deflate", "zstd", "store", "encrypted")
PARTS = ("archive", "index", "manifest", "signature")
_SIGNATURE = re.compile(rb'  "signature": .*\n')


@dataclass(frozen=True)
class Place:
    """A sound copy, and who looks at it."""

    storage: Path
    copy: StoredCopy
    keyring: Keyring

    def look(self) -> StoredCopy:
        (found,) = copies_on(self.copy.target, self.copy.backup_id, self.copy.storage, self.keyring)
        return found

    def path(self, part: str) -> Path:
        keys = self.copy.keys
        return self.storage / {"archive": keys.archive, "index": keys.index}.get(part, keys.manifest)


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp(request.param)
    source = folder / "source"
    source.mkdir()
    for number in range(4):
        (source / f"file{number}").write_text(f"line of file {number}\n" * 10 * number)
    if request.param == "encrypted":
        key = new_key(folder)
        copy = make_encrypted_copy(folder / "storage", source, key=key)
        return Place(folder / "storage", copy, keyring_of(folder / "state", key.path))
    method = CompressionMethod(request.param)
    level = {"deflate": 1, "zstd": 3, "store": 0}[request.param]
    copy = make_copy(folder / "storage", source, compression=Compression(method, level))
    return Place(folder / "storage", copy, keyring_of(folder / "state"))


def damaged(data: bytes, chance: random.Random, start: int, end: int) -> bytes:
    """One flipped bit, another byte, bytes that are missing from there on, or bytes too many, between two places."""
    at = chance.randrange(start, end)
    match chance.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]
        case 2:
            return data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
        case _:
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


@pytest.mark.parametrize("part", PARTS)
def test_all_random_damage_is_found_and_named(part: str, place: Place) -> None:
    chance = random.Random(part)
    path = place.path(part)
    data = path.read_bytes()
    start, end = 0, len(data)
    if part == "signature":
        found = _SIGNATURE.search(data)
        assert found is not None
        start, end = found.span()
    named = {"archive": "archive|encrypted file|header", "index": "index"}.get(part, "manifest")
    try:
        for number in range(DAMAGES // len(KINDS) // len(PARTS)):
            path.write_bytes(damaged(data, chance, start, end))
            problems = verify(place.look()).problems
            assert any(re.search(named, problem) for problem in problems), (part, number, problems)
    finally:
        path.write_bytes(data)


def test_no_change_of_a_manifest_passes_for_what_was_signed(place: Place) -> None:
    """By a forger who writes the checksum that belongs to his lines, but has no key."""
    path = place.path("manifest")
    data = path.read_bytes()
    lines = data[: data.index(b'  "sha256_of_lines_above"')]
    chance = random.Random(2)
    outcomes: Counter[str] = Counter()
    try:
        for number in range(DAMAGES // len(KINDS)):
            changed = damaged(lines, chance, 0, len(lines) - 1)
            path.write_bytes(with_its_checksum(changed))
            found = place.look()
            assert found.manifest is None or found.origin is not None
            if found.manifest is None:
                assert "manifest" in (found.error or ""), number
                outcomes["named"] += 1
            else:
                assert found.origin is not None
                assert found.origin.trust is Trust.UNSIGNED, (number, changed)
                outcomes["unsigned"] += 1
    finally:
        path.write_bytes(data)
    # Only where the change hits the word "signature" itself is there none any more.
    assert outcomes["named"] > 20 * outcomes["unsigned"]


def test_a_sound_copy_is_sound(place: Place) -> None:
    report = verify(place.look())
    assert (report.problems, report.remarks) == ([], [])
    assert report.members == 5
