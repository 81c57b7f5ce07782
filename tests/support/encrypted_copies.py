"""Encrypted copies made in the test's own process, and the keys that open them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from archives.age_keys import new_identity
from model import Backup, Configuration, Encryption
from operations.copies.keyring import Keyring
from operations.copies.stored_copies import StoredCopy, list_copies
from tests.support.copies import STARTED, back_up_as, backup_of


@dataclass(frozen=True)
class Key:
    """A private key in a file, and its public one."""

    path: Path
    recipient: str


def new_key(folder: Path, name: str = "identity.txt") -> Key:
    identity = new_identity(STARTED)
    path = folder / name
    path.write_text(identity.text.reveal())
    path.chmod(0o600)
    return Key(path, identity.recipient)


def encrypted_backup(storage: Path, paths: Iterable[Path], encryption: Encryption) -> Backup:
    return replace(backup_of(storage, *paths), encryption=encryption)


def make_encrypted_copy(storage: Path, *paths: Path, key: Key) -> StoredCopy:
    """Back these paths up, encrypted to a key; the copy as who has that key sees it."""
    backup = encrypted_backup(storage, paths, Encryption((key.recipient,)))
    back_up_as(backup, storage.parent / "state")
    (copy,) = list_copies(backup, keyring=keyring_of(storage.parent / "state", key.path)).copies
    return copy


def keyring_of(state: Path, *identity_files: Path) -> Keyring:
    """What a person has who uses this state folder and these private keys."""
    configuration = Configuration(Path("/config.yaml"), (), {}, state)
    return Keyring.of(configuration, identity_files)
