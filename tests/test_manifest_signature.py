"""Manifests that are encrypted in part and signed: who may read what, and nobody changes one unnoticed."""

from __future__ import annotations

import base64
import json
import random
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives.age_keys import new_identity, parse_identities, parse_recipient
from archives.age_stream import decrypted, encrypted
from archives.manifest import FilePart, Manifest, NoteList, Totals, split_signature
from archives.signature import (
    Trust,
    check_signature,
    parse_public_key,
    replace_signing_key,
    signing_key,
    trusted_keys,
)
from errors import ArchiveError, DamagedArchiveError, EncryptionKeyError, ForgedManifestError
from model import Note, NoteKind, RunStatus
from tests.support.age_keys import NOW
from tests.support.escape_hatch import commands_of_formats
from tests.support.forged_manifests import with_its_checksum
from tests.support.skips import requires_program

NAME = "shop-files-20261120T030000Z"
IDENTITY = new_identity(NOW)
RECIPIENT = parse_recipient(IDENTITY.recipient)
IDENTITIES = parse_identities(IDENTITY.text.reveal().encode(), "identity")


def manifest(is_encrypted: bool = False) -> Manifest:
    notes = NoteList()
    notes.add(Note(NoteKind.UNREADABLE, b"srv/private/letter\xff.txt", "Permission denied"))
    ending = ".age" if is_encrypted else ""
    made = Manifest(
        backup_id="shop/files",
        run_id="run",
        status=RunStatus.PARTIAL,
        started=NOW,
        ended=NOW,
        host="secret-host",
        source={"FILE_PATH": ["/srv/private", "/srv/\udcff"]},
        archive=FilePart(f"{NAME}.zip{ending}", 1000, "ab" * 32),
        index=FilePart(f"{NAME}.index.zst{ending}", 100, "cd" * 32),
        compression="deflate",
        content=Totals(3, 2, 1, 5000),
        notes=notes,
        made_by="Holdfast",
    )
    return made.sealed([RECIPIENT.kind], encrypt) if is_encrypted else made


def encrypt(data: bytes) -> bytes:
    return b"".join(encrypted([data], [RECIPIENT]))


def decrypt(data: bytes) -> bytes:
    return b"".join(decrypted([data], IDENTITIES))


# --- what an outsider sees ---


def test_an_encrypted_manifest_tells_sizes_and_hashes_and_nothing_of_the_contents() -> None:
    made = manifest(is_encrypted=True)
    data = made.encode()
    for word in (b"private/", b"letter", b"secret-host", b"FILE_PATH", b"/srv", b"Permission"):
        assert word not in data
    document = json.loads(data)
    assert document["version"] == 2
    assert document["archive"]["sha256"] == "ab" * 32 and document["index"]["size"] == 100
    assert document["archive"]["encryption"] == {"format": "age-encryption.org/v1", "opened_by": ["X25519"]}
    assert document["how_to_open"] == (
        f"age --decrypt --identity KEY_FILE --output {NAME}.zip {NAME}.zip.age && unzip {NAME}.zip"
    )
    seen = Manifest.decode(data)
    assert seen.is_locked and seen.source == {} and seen.host == "" and seen.notes.first == []
    assert seen.notes.is_partial and seen.content == made.content


def test_the_identity_opens_all_of_it() -> None:
    made = manifest(is_encrypted=True)
    assert Manifest.decode(made.encode()).unsealed(decrypt) == made
    assert made.source == manifest().source and made.notes == manifest().notes


def test_another_identity_opens_nothing_of_it() -> None:
    other = parse_identities(new_identity(NOW).text.reveal().encode(), "other")
    with pytest.raises(EncryptionKeyError):
        Manifest.decode(manifest(is_encrypted=True).encode()).unsealed(lambda data: b"".join(decrypted([data], other)))


@pytest.mark.parametrize("private", [b"", b"[]", b"{}", b'{"host": "a", "source": 1, "first_notes": []}', b"\xff"])
def test_a_private_part_that_is_none_is_damage(private: bytes) -> None:
    wrong = replace(manifest(is_encrypted=True), private=encrypt(private))
    with pytest.raises(DamagedArchiveError, match="encrypted part"):
        Manifest.decode(wrong.encode()).unsealed(decrypt)


def test_the_hint_for_a_passphrase_names_no_file() -> None:
    document = json.loads(manifest().sealed(["scrypt"], encrypt).encode())
    assert document["how_to_open"].startswith("age --decrypt --output ")


# --- forms ---


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
def test_what_was_decoded_is_encoded_to_the_same_bytes(is_encrypted: bool, is_signed: bool, tmp_path: Path) -> None:
    made = manifest(is_encrypted)
    if is_signed:
        made = made.signed(signing_key(tmp_path).sign)
    data = made.encode()
    assert Manifest.decode(data).encode() == data
    assert Manifest.decode(data).unsealed(decrypt).encode() == data


def test_a_manifest_of_before_is_read() -> None:
    """As version 1 was written when there were neither keys nor signatures."""
    lines = (
        b'{\n  "format": "holdfast-manifest",\n  "version": 1,\n  "backup": "shop/files",\n  "run": "r",\n'
        b'  "status": "good",\n  "started": "2026-11-20T03:00:00+00:00",\n  "ended": "2026-11-20T03:00:01+00:00",\n'
        b'  "host": "h",\n  "source": {},\n  "archive": {"name": "a.zip", "size": 1, "sha256": "ab", "format": "zip",'
        b' "compression": "store", "encryption": null},\n'
        b'  "index": {"name": "a.index.zst", "size": 1, "sha256": "c"},\n'
        b'  "content": {"files": 1, "folders": 0, "links": 0, "size": 1},\n  "notes": {"counts": {}, "first": []},\n'
        b'  "how_to_open": "unzip a.zip",\n  "made_by": "Holdfast"' + b",\n"
    )
    read = Manifest.decode(with_its_checksum(lines))
    assert (read.started, read.signature, read.opened_by) == (datetime(2026, 11, 20, 3, tzinfo=UTC), None, ())
    assert check_signature(with_its_checksum(lines), frozenset()).trust is Trust.UNSIGNED


@pytest.mark.parametrize(("version", "is_encrypted"), [(1, True), (2, False), (3, False)])
def test_a_version_that_is_not_its_own_is_refused(version: int, is_encrypted: bool) -> None:
    lines, _ = split_signature(manifest(is_encrypted).encode())
    own = 2 if is_encrypted else 1
    wrong = with_its_checksum(lines.replace(b'"version": %d' % own, b'"version": %d' % version))
    with pytest.raises(DamagedArchiveError):
        Manifest.decode(wrong)


# --- signatures ---


def test_who_signed_it(tmp_path: Path) -> None:
    key, other = signing_key(tmp_path / "a"), signing_key(tmp_path / "b")
    data = manifest().signed(key.sign).encode()
    own = check_signature(data, trusted_keys(tmp_path / "a"))
    assert (own.trust, own.public_key, own.remark) == (Trust.TRUSTED, key.public_key, None)
    foreign = check_signature(data, trusted_keys(tmp_path / "b"))
    assert foreign.trust is Trust.UNKNOWN_KEY and key.public_key in (foreign.remark or "")
    named = check_signature(data, trusted_keys(tmp_path / "b", [key.public_key]))
    assert named.trust is Trust.TRUSTED
    unsigned = check_signature(manifest().encode(), trusted_keys(tmp_path / "a"))
    assert unsigned.trust is Trust.UNSIGNED and "not signed" in (unsigned.remark or "")
    assert key.public_key != other.public_key


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_every_forgery_is_found(is_encrypted: bool, tmp_path: Path) -> None:
    """Somebody changes any byte above the signature, and makes the checksum agree: 5,000 times."""
    made = manifest(is_encrypted).signed(signing_key(tmp_path).sign).encode()
    lines, signature = split_signature(made)
    assert signature is not None
    chance = random.Random(7)
    for _ in range(2500):
        at = chance.randrange(len(lines))
        wrong = lines[:at] + bytes([lines[at] ^ 1 << chance.randrange(8)]) + lines[at + 1 :]
        with pytest.raises(ForgedManifestError):
            check_signature(with_its_checksum(wrong + signature.line()), trusted_keys(tmp_path))


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_every_damage_is_found(is_encrypted: bool, tmp_path: Path) -> None:
    """Any byte of the file, its signature and its checksum too, and any cut: 5,000 times."""
    made = manifest(is_encrypted).signed(signing_key(tmp_path).sign).encode()
    chance = random.Random(8)
    for _ in range(2500):
        at = chance.randrange(len(made))
        flipped = made[:at] + bytes([made[at] ^ 1 << chance.randrange(8)]) + made[at + 1 :]
        with pytest.raises(DamagedArchiveError):
            Manifest.decode(flipped if chance.random() < 0.7 else made[:at])


@settings(max_examples=50)
@given(st.binary(min_size=64, max_size=64))
def test_a_made_up_signature_is_a_forgery(value: bytes) -> None:
    public_key = "ed25519:" + base64.b64encode(b"\x01" * 32).decode()
    lines, _ = split_signature(manifest().encode())
    line = f'  "signature": {{"public_key": "{public_key}", "of_lines_above": "{base64.b64encode(value).decode()}"}},\n'
    with pytest.raises(ForgedManifestError):
        check_signature(with_its_checksum(lines + line.encode()), frozenset({public_key}))


def test_a_key_that_is_none_is_a_forgery() -> None:
    lines, _ = split_signature(manifest().encode())
    value = base64.b64encode(bytes(64)).decode()
    line = f'  "signature": {{"public_key": "rsa:xyz", "of_lines_above": "{value}"}},\n'
    with pytest.raises(ForgedManifestError):
        check_signature(with_its_checksum(lines + line.encode()), frozenset())


def test_a_signature_counts_right_above_the_checksum_only(tmp_path: Path) -> None:
    lines, signature = split_signature(manifest().signed(signing_key(tmp_path).sign).encode())
    assert signature is not None
    smuggled = with_its_checksum(lines + signature.line() + b'  "status": "good",\n')
    for look in (lambda: check_signature(smuggled, trusted_keys(tmp_path)), lambda: Manifest.decode(smuggled)):
        with pytest.raises(ForgedManifestError, match="not where it was written"):
            look()


def test_a_path_may_look_like_a_signature(tmp_path: Path) -> None:
    made = replace(manifest(), source={"FILE_PATH": ['"signature": {"public_key": "x"}']})
    assert check_signature(made.encode(), frozenset()).trust is Trust.UNSIGNED


def run_in(folder: Path, commands: str) -> str:
    answer = subprocess.run(["sh", "-c", commands], cwd=folder, capture_output=True, text=True)
    return answer.stdout + answer.stderr


@requires_program("openssl")
def test_openssl_confirms_a_signature_with_the_commands_of_the_page(tmp_path: Path) -> None:
    data = manifest().signed(signing_key(tmp_path / "state").sign).encode()
    (tmp_path / f"{NAME}.manifest.json").write_bytes(data)
    assert "Signature Verified Successfully" in run_in(tmp_path, commands_of_formats("openssl", NAME))
    (tmp_path / f"{NAME}.manifest.json").write_bytes(data.replace(b'"partial"', b'"good"'))
    assert "Signature Verification Failure" in run_in(tmp_path, commands_of_formats("openssl", NAME))


@requires_program("age")
def test_age_opens_the_private_part_with_the_commands_of_the_page(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.manifest.json").write_bytes(manifest(is_encrypted=True).encode())
    (tmp_path / "KEY_FILE").write_text(IDENTITY.text.reveal())
    private = json.loads(run_in(tmp_path, commands_of_formats("KEY_FILE", NAME)))
    assert private["host"] == "secret-host"
    assert private["first_notes"] == manifest().notes.first


# --- keys ---


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert trusted_keys(state) == frozenset()
    key = signing_key(state)
    assert stat.S_IMODE((state / "signing-key").stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["signing-key"]
    assert signing_key(state).public_key == key.public_key
    assert trusted_keys(state) == {key.public_key}


def test_all_who_ask_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(lambda _: signing_key(tmp_path).public_key, range(64)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["signing-key"]


def test_a_replaced_key_stays_trusted(tmp_path: Path) -> None:
    first = signing_key(tmp_path)
    data = manifest().signed(first.sign).encode()
    (tmp_path / "trusted-keys").write_text("# of the old server\ned25519:" + base64.b64encode(b"k" * 32).decode())
    second = replace_signing_key(tmp_path)
    third = replace_signing_key(tmp_path)
    assert signing_key(tmp_path).public_key == third.public_key
    assert trusted_keys(tmp_path) >= {first.public_key, second.public_key, third.public_key}
    assert len(trusted_keys(tmp_path)) == 4
    assert check_signature(data, trusted_keys(tmp_path)).trust is Trust.TRUSTED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["signing-key", "trusted-keys"]


def test_replacing_makes_a_first_key_too(tmp_path: Path) -> None:
    assert trusted_keys(tmp_path / "new") == frozenset()
    assert trusted_keys(tmp_path / "new") | {replace_signing_key(tmp_path / "new").public_key} == trusted_keys(
        tmp_path / "new"
    )


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "ssh-ed25519 AAAA", "ed25519:" + "ß" * 44])
def test_what_is_no_public_key(text: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no public key"):
        parse_public_key(text)
    (tmp_path / "trusted-keys").write_text(f"# first\n{text or 'nothing'}\n")
    with pytest.raises(ArchiveError, match="trusted-keys is wrong in line 2"):
        trusted_keys(tmp_path)


def test_a_damaged_key_is_named_and_stays(tmp_path: Path) -> None:
    (tmp_path / "signing-key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    for attempt in (signing_key, replace_signing_key, trusted_keys):
        with pytest.raises(ArchiveError, match="signing-key, cannot be read: it is no Ed25519 key"):
            attempt(tmp_path)
    assert "AAAA" in (tmp_path / "signing-key").read_text()


def test_a_state_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="signing-key"):
        signing_key(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bits_of_the_signature_that_mean_nothing_are_not_changed_unnoticed(tmp_path: Path) -> None:
    signed = manifest().signed(signing_key(tmp_path).sign).encode()
    lines = signed[: signed.index(b'  "sha256_of_lines_above"')]
    end = lines.rindex(b'=="},')
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = bytes([alphabet[alphabet.index(lines[end - 1]) ^ 1]])
    with pytest.raises(ForgedManifestError):
        split_signature(with_its_checksum(lines[: end - 1] + other + lines[end:]))
