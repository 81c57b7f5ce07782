"""Runs that encrypt, and copies of theirs that are listed, opened, verified and drilled, with and without the key."""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archives.signature import Trust, replace_signing_key
from errors import EncryptionKeyError
from model import CheckOutcome, Encryption, Secret
from operations.copies.contents import list_contents
from operations.copies.keyring import Keyring
from operations.copies.removal import finish_removals
from operations.copies.stored_copies import StoredCopy, copies_on, list_copies
from operations.verifying.drill import drill_copy
from storages.local import LocalStorage
from tests.support.copies import STARTED, back_up_as, backup_of, restore_copy, verify
from tests.support.counting_storage import CountingStorage
from tests.support.encrypted_copies import Key, encrypted_backup, keyring_of, make_encrypted_copy, new_key
from tests.support.forged_manifests import with_its_checksum
from tests.support.whole_trees import describe_tree, differences, restored

CANARY = "a-name-that-nobody-may-read"


@pytest.fixture
def key(tmp_path: Path) -> Key:
    return new_key(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Small files, one of several blocks, and a name that must not be seen."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / CANARY).write_text(f"the content of {CANARY}")
    (folder / "z-large").write_bytes(random.Random(1).randbytes(3_500_000))
    for number in range(20):
        (folder / f"small-{number}").write_text(f"{number}\n" * 500)
    return folder


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def copy(storage: Path, source: Path, key: Key) -> StoredCopy:
    return make_encrypted_copy(storage, source, key=key)


def without_key(copy: StoredCopy) -> StoredCopy:
    return replace(copy, keyring=Keyring(copy.keyring.trusted))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# --- what lies there ---


def test_nothing_on_the_target_tells_the_contents(
    storage: Path, source: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "host-of-the-test")
    make_encrypted_copy(storage, source, key=key)
    assert names_in(storage) == [
        "HOW-TO-RESTORE.txt",
        "shop-files-20261120T030000Z.index.zst.age",
        "shop-files-20261120T030000Z.manifest.json",
        "shop-files-20261120T030000Z.zip.age",
    ]
    for path in storage.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (CANARY, str(source), "host-of-the-test"):
                assert secret.encode() not in content, (path.name, secret)


def test_the_program_age_and_unzip_open_it(copy: StoredCopy, storage: Path, source: Path, key: Key) -> None:
    subprocess.run(
        ["age", "--decrypt", "-i", key.path, "-o", storage / "plain.zip", storage / copy.keys.archive], check=True
    )
    subprocess.run(["unzip", "-q", storage / "plain.zip", "-d", storage / "out"], check=True)
    assert (storage / "out" / str(source).lstrip("/") / CANARY).read_text() == f"the content of {CANARY}"


def test_several_recipients_open_it_each_alone(tmp_path: Path, storage: Path, source: Path) -> None:
    ssh = tmp_path / "ssh"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh], check=True)
    one, two, other = (new_key(tmp_path, name) for name in ("one", "two", "other"))
    recipients = (one.recipient, two.recipient, ssh.with_suffix(".pub").read_text())
    backup = encrypted_backup(storage, [source], Encryption(recipients))
    back_up_as(backup, tmp_path / "state")
    for path in (one.path, two.path, ssh):
        (opened,) = list_copies(backup, keyring=keyring_of(tmp_path / "state", path)).copies
        assert verify(opened).members == 23
    (closed,) = list_copies(backup, keyring=keyring_of(tmp_path / "state", other.path)).copies
    with pytest.raises(EncryptionKeyError, match="cannot be opened with what was given"):
        list(list_contents(closed, []))


def test_a_passphrase_of_the_configuration_opens_it(tmp_path: Path, storage: Path, source: Path) -> None:
    backup = encrypted_backup(storage, [source], Encryption(passphrase=Secret("a very long passphrase")))
    back_up_as(backup, tmp_path / "state")
    (copy,) = list_copies(backup).copies
    assert copy.manifest is not None
    assert copy.manifest.opened_by == ("scrypt",)
    assert restore_copy(copy, tmp_path / "restored").problems == []
    (forgotten,) = list_copies(replace(backup, encryption=None)).copies
    with pytest.raises(EncryptionKeyError, match="--passphrase-file"):
        list(list_contents(forgotten, []))


def test_a_recipient_that_is_none_fails_before_anything_is_written(storage: Path, source: Path) -> None:
    with pytest.raises(EncryptionKeyError, match="cannot be used"):
        back_up_as(encrypted_backup(storage, [source], Encryption(("age1wrong",))), storage.parent / "state")
    assert not storage.exists()


# --- with and without the key ---


def test_it_comes_back_whole(copy: StoredCopy, source: Path, tmp_path: Path) -> None:
    report = restore_copy(copy, tmp_path / "restored")
    assert report.problems == []
    assert differences(describe_tree(source), describe_tree(restored(tmp_path / "restored", source))) == []


def test_it_comes_back_without_its_index(copy: StoredCopy, storage: Path, source: Path, tmp_path: Path) -> None:
    (storage / copy.keys.index).unlink()
    report = restore_copy(copy, tmp_path / "restored")
    assert report.problems == []
    assert (restored(tmp_path / "restored", source) / "z-large").read_bytes() == (source / "z-large").read_bytes()


def test_one_small_file_costs_little_of_the_archive(copy: StoredCopy, storage: Path, tmp_path: Path) -> None:
    counting = CountingStorage(storage)
    wanted = [os.fsencode(tmp_path / "source" / "small-7")]
    assert restore_copy(replace(copy, storage=counting), tmp_path / "restored", *wanted).files == 1
    assert counting.bytes_read[copy.keys.archive] < 3 * 65_552


def test_without_the_key_the_list_is_complete_and_the_contents_are_closed(copy: StoredCopy) -> None:
    closed = without_key(copy)
    assert closed.manifest is not None
    assert closed.manifest.content.files == 22
    with pytest.raises(EncryptionKeyError, match="--identity FILE"):
        list(list_contents(closed, []))
    with pytest.raises(EncryptionKeyError, match="AGE_IDENTITY_FILE"):
        closed.unlocked()


def test_without_the_key_every_byte_is_verified_all_the_same(copy: StoredCopy, storage: Path) -> None:
    report = verify(without_key(copy))
    assert (report.problems, report.members) == ([], 0)
    assert report.size == (storage / copy.keys.archive).stat().st_size
    assert "no private key is at hand" in report.remarks[-1]
    for name, what in ((copy.keys.archive, "archive"), (copy.keys.index, "index")):
        path = storage / name
        original = path.read_bytes()
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        assert any(what in problem for problem in verify(without_key(copy)).problems)
        path.write_bytes(original)


def test_damage_is_found_and_the_member_is_named(copy: StoredCopy, storage: Path) -> None:
    path = storage / copy.keys.archive
    content = bytearray(path.read_bytes())
    content[1_500_000] ^= 1
    path.write_bytes(content)
    report = verify(copy)
    assert any("z-large: " in problem for problem in report.problems)
    assert any("SHA-256" in problem for problem in report.problems)
    assert report.members == 22


def test_damage_takes_nothing_else_with_it(copy: StoredCopy, storage: Path, source: Path, tmp_path: Path) -> None:
    path = storage / copy.keys.archive
    content = bytearray(path.read_bytes())
    content[1_500_000] ^= 1
    content[-1] ^= 1
    path.write_bytes(content)
    report = restore_copy(copy, tmp_path / "restored")
    (problem,) = report.problems
    assert "z-large" in problem
    assert report.files == 21


def test_a_drill_opens_it_with_the_key_and_says_what_it_misses_without(copy: StoredCopy, tmp_path: Path) -> None:
    report = drill_copy(copy, tmp_path / "drill", lambda _member, _size: None)
    assert (report.outcome, report.compared.files) == (CheckOutcome.PASSED, 22)
    report = drill_copy(without_key(copy), tmp_path / "drill", lambda _member, _size: None)
    assert report.outcome is CheckOutcome.NOT_DONE
    assert "AGE_IDENTITY_FILE" in (report.obstacle or "")


# --- what is removed ---


def test_what_a_killed_removal_left_is_removed_encrypted_or_not(copy: StoredCopy, storage: Path) -> None:
    local = LocalStorage("LOCAL", storage)
    local.put(copy.keys.removal, [b"{}"])
    local.delete(copy.keys.manifest)
    present = [stored.key for stored in local.list("")]
    assert finish_removals("shop/files", copy.target, local, present) == []
    assert names_in(storage) == ["HOW-TO-RESTORE.txt"]


# --- who wrote it ---


def test_a_copy_of_this_machine_is_trusted_and_another_key_is_said(
    copy: StoredCopy, storage: Path, tmp_path: Path
) -> None:
    assert copy.origin is not None
    assert copy.origin.trust is Trust.TRUSTED
    (stranger,) = copies_on(copy.target, copy.backup_id, copy.storage, keyring_of(tmp_path / "elsewhere"))
    assert stranger.origin is not None
    assert (stranger.origin.trust, stranger.origin.public_key) == (Trust.UNKNOWN_KEY, copy.origin.public_key)
    replace_signing_key(tmp_path / "state")
    (again,) = copies_on(copy.target, copy.backup_id, copy.storage, keyring_of(tmp_path / "state"))
    assert again.origin is not None
    assert again.origin.trust is Trust.TRUSTED


def test_a_manifest_that_was_changed_is_named_and_never_chosen(copy: StoredCopy, storage: Path) -> None:
    path = storage / copy.keys.manifest
    document = path.read_text().replace('"files": 22', '"files": 21')
    path.write_bytes(with_its_checksum(document[: document.index('  "sha256_of_lines_above"')].encode()))
    (forged,) = copies_on(copy.target, copy.backup_id, copy.storage)
    assert forged.manifest is None
    assert "was changed by somebody who does not have the key" in (forged.error or "")
    assert verify(forged).problems == [forged.error]


def test_the_next_run_of_a_backup_that_is_no_longer_encrypted_leaves_the_old_copy(
    copy: StoredCopy, storage: Path, source: Path, tmp_path: Path
) -> None:
    plain = backup_of(storage, source)
    back_up_as(plain, tmp_path / "state", STARTED + timedelta(days=1))
    listing = list_copies(plain, keyring=copy.keyring)
    assert [each.is_encrypted for each in listing.copies] == [False, True]
    assert [verify(each).problems for each in listing.copies] == [[], []]
