"""Keys of age as people write them: recipients in a configuration, files of identities, and new identities.

Source: https://age-encryption.org/v1 (C2SP age.md) for their text, and age-keygen(1) for the form of the files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

import bech32
from archives.age_header import Stanza
from archives.age_native import KEY_SIZE, X25519Identity, X25519Recipient
from archives.age_ssh import SshEd25519Identity, SshRsaIdentity, ed25519_recipient, rsa_recipient
from errors import EncryptionKeyError
from model import Secret

_PUBLIC = "age"
_PRIVATE = "age-secret-key-"
_LARGEST_IDENTITY_FILE = 1 << 20
_SHOWN = 16


class Recipient(Protocol):
    """Somebody who shall be able to decrypt. ``kind`` is the first argument of the stanza."""

    @property
    def kind(self) -> str: ...

    def wrap(self, file_key: bytes) -> Stanza:
        """The file key as only this recipient can read it."""


class Identity(Protocol):
    """What can decrypt. ``kinds`` are the stanzas that it may open."""

    @property
    def kinds(self) -> tuple[str, ...]: ...

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, or None where no stanza is for this identity. Raises DamagedArchiveError."""


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """``text`` is the file to keep, with the private key; ``recipient`` is what ENCRYPT_TO is given."""

    text: Secret
    recipient: str


def new_identity(now: datetime) -> NewIdentity:
    """A new pair of X25519 keys, in the form of age-keygen."""
    secret = os.urandom(KEY_SIZE)
    recipient = bech32.encode(_PUBLIC, X25519Identity(secret).recipient.public_key)
    private_key = Secret(bech32.encode(_PRIVATE, secret).upper())
    created = now.isoformat(timespec="seconds")
    text = f"# created: {created}\n# public key: {recipient}\n{private_key.reveal()}\n"
    return NewIdentity(Secret(text), recipient)


def parse_recipient(text: str) -> Recipient:
    """The recipient that ``age1…``, ``ssh-ed25519 …`` or ``ssh-rsa …`` means. Raises EncryptionKeyError."""
    text = text.strip()
    if text.upper().startswith(_PRIVATE.upper()):
        Secret(text)
        raise EncryptionKeyError(
            "A recipient is a private key (AGE-SECRET-KEY-…). Only public keys belong there: the line "
            '"# public key:" of its file has it. Keep the private one away from this machine.'
        )
    try:
        if " " in text:
            return _ssh_recipient(text)
        prefix, data = bech32.decode(text)
        if prefix != _PUBLIC or len(data) != KEY_SIZE:
            raise ValueError("it is of a kind that this Holdfast does not know")
        return X25519Recipient(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EncryptionKeyError(
            f"The recipient {_beginning(text)!r} cannot be used: {error}. It must be a public key of age (age1…) or "
            "of SSH (ssh-ed25519 … or ssh-rsa …)."
        ) from None


def read_identity_file(path: Path, passphrase: Secret | None = None) -> list[Identity]:
    """The identities of a file of age-keygen, or the one of an SSH private key. Raises EncryptionKeyError.

    ``passphrase`` is that of an SSH key that has one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_IDENTITY_FILE + 1)
    except OSError as error:
        raise EncryptionKeyError(f"The identity file {path} cannot be read: {error.strerror}.") from None
    if len(data) > _LARGEST_IDENTITY_FILE:
        raise EncryptionKeyError(f"The file {path} is no identity file: it has more than 1 MiB.")
    return parse_identities(data, str(path), passphrase)


def parse_identities(data: bytes, name: str, passphrase: Secret | None = None) -> list[Identity]:
    """The same of a file's content; ``name`` is what errors call it. Raises EncryptionKeyError."""
    if data.lstrip().startswith(b"-----BEGIN AGE") or data.startswith(b"age-encryption.org/"):
        raise EncryptionKeyError(
            f"The identity file {name} is itself encrypted. Decrypt it first: age --decrypt {name} > identity.txt"
        )
    if data.lstrip().startswith(b"-----BEGIN"):
        return [_ssh_identity(data, name, passphrase)]
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise EncryptionKeyError(f"The file {name} is no identity file: it is no text.") from None
    identities = [
        _native_identity(text, f"The identity file {name} is wrong in line {number}")
        for number, line in enumerate(lines, 1)
        if (text := line.strip()) and not text.startswith("#")
    ]
    if not identities:
        raise EncryptionKeyError(
            f"The identity file {name} holds no private key: a line that begins with AGE-SECRET-KEY-1, or an SSH key."
        )
    return identities


def _beginning(text: str) -> str:
    """Enough to find it: what stands in the wrong place may be a secret."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _native_identity(text: str, where: str) -> Identity:
    Secret(text)
    if text.startswith("AGE-PLUGIN-"):
        raise EncryptionKeyError(f"{where}: it is for a plugin of age. Decrypt with the program age instead.")
    try:
        prefix, data = bech32.decode(text)
    except ValueError as error:
        raise EncryptionKeyError(f"{where}: {error}.") from None
    if prefix != _PRIVATE or len(data) != KEY_SIZE or not text.isupper():
        kind = "a public key" if prefix == _PUBLIC else "a key of a kind that this Holdfast does not know"
        raise EncryptionKeyError(f"{where}: it is {kind}, where AGE-SECRET-KEY-1… is expected.")
    return X25519Identity(data)


def _ssh_recipient(text: str) -> Recipient:
    public_key = serialization.load_ssh_public_key(text.encode())
    if isinstance(public_key, Ed25519PublicKey):
        return ed25519_recipient(public_key)
    if isinstance(public_key, RSAPublicKey):
        return rsa_recipient(public_key)
    raise ValueError("of SSH's keys, only ssh-ed25519 and ssh-rsa can encrypt")


def _ssh_identity(data: bytes, name: str, passphrase: Secret | None) -> Identity:
    is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    password = passphrase.reveal().encode() if passphrase is not None else None
    try:
        private_key = load(data, password)
        if isinstance(private_key, Ed25519PrivateKey):
            return SshEd25519Identity(private_key)
        if isinstance(private_key, RSAPrivateKey):
            return SshRsaIdentity(private_key)
    except TypeError:
        if passphrase is None:
            raise EncryptionKeyError(
                f"The SSH key {name} has a passphrase, and none was given.", needs_passphrase=True
            ) from None
        return _ssh_identity(data, name, None)
    except (ValueError, UnsupportedAlgorithm) as error:
        reason = "its passphrase is another one, or it is damaged" if passphrase is not None else str(error)
        raise EncryptionKeyError(f"The SSH key {name} cannot be read: {reason}.") from None
    raise EncryptionKeyError(f"The SSH key {name} cannot decrypt: only those of the kinds ed25519 and rsa can.")
