"""A pair of keys of each kind that age can encrypt to, as files, and the program age with them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from archives.age_keys import Identity, Recipient, new_identity, parse_recipient, read_identity_file

NOW = datetime(2026, 11, 20, 3, 0, 0, tzinfo=UTC)
KINDS = ("age", "ssh-ed25519", "ssh-rsa")


@dataclass(frozen=True)
class KeyPair:
    """``public`` is the text of the recipient, ``file`` holds the private key."""

    public: str
    file: Path

    @property
    def recipient(self) -> Recipient:
        return parse_recipient(self.public)

    @property
    def identities(self) -> list[Identity]:
        return read_identity_file(self.file)


def make_key_pair(kind: str, folder: Path) -> KeyPair:
    """A new pair, its private key in a file of ``folder``."""
    file = folder / f"identity-{kind}"
    if kind == "age":
        made = new_identity(NOW)
        file.write_text(made.text.reveal())
        public = made.recipient
    else:
        key = Ed25519PrivateKey.generate() if kind == "ssh-ed25519" else generate_private_key(65537, 2048)
        file.write_bytes(openssh(key))
        encoding = serialization.Encoding.OpenSSH
        public = key.public_key().public_bytes(encoding, serialization.PublicFormat.OpenSSH).decode() + " someone@host"
    file.chmod(0o600)
    return KeyPair(public, file)


def openssh(key: Ed25519PrivateKey | RSAPrivateKey, passphrase: bytes | None = None) -> bytes:
    """A private key as ssh-keygen writes it."""
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, protection)


def age(*arguments: str, data: bytes) -> bytes:
    """What the program age makes of ``data``."""
    answer = subprocess.run(["age", *arguments], input=data, capture_output=True)
    assert answer.returncode == 0, answer.stderr.decode()
    return answer.stdout
