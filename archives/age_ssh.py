"""SSH keys as keys of age: ``ssh-ed25519`` and ``ssh-rsa``.

Source: the package agessh of age (https://pkg.go.dev/filippo.io/age/agessh); the specification leaves these out. A
stanza names the first four bytes of the SHA-256 of the public key as SSH writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from archives.age_header import FILE_KEY_SIZE, Stanza, decode_base64, derived_key, encode_base64
from archives.age_native import KEY_SIZE, opened_key, sealed_key, shared_secret, sized_argument

SSH_ED25519 = "ssh-ed25519"
SSH_RSA = "ssh-rsa"

_ED25519_PURPOSE = "age-encryption.org/v1/ssh-ed25519"
_OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), b"age-encryption.org/v1/ssh-rsa")
_SMALLEST_RSA_BITS = 2048
_FIELD = (1 << 255) - 19


@dataclass(frozen=True, slots=True)
class SshEd25519Recipient:
    """A public key of SSH: ``blob`` as SSH writes it, ``public_key`` as the point of Curve25519 that it is."""

    kind = SSH_ED25519
    blob: bytes
    public_key: bytes

    def wrap(self, file_key: bytes) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        key = self.wrapping_key(shared_secret(ephemeral, self.public_key), share)
        return Stanza((SSH_ED25519, _tag(self.blob), encode_base64(share)), sealed_key(key, file_key))

    def wrapping_key(self, secret: bytes, share: bytes) -> bytes:
        tweak = X25519PrivateKey.from_private_bytes(derived_key(b"", self.blob, _ED25519_PURPOSE))
        return derived_key(shared_secret(tweak, secret), share + self.public_key, _ED25519_PURPOSE)


class SshEd25519Identity:
    """A private Ed25519 key of SSH."""

    kinds = (SSH_ED25519,)

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        # RFC 8032, 5.1.5: the scalar is the first half of the hash of the seed.
        scalar = hashlib.sha512(private_key.private_bytes_raw()).digest()[:KEY_SIZE]
        self._private_key = X25519PrivateKey.from_private_bytes(scalar)
        self.recipient = ed25519_recipient(private_key.public_key())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for stanza in _addressed(stanzas, SSH_ED25519, self.recipient.blob):
            share = sized_argument(stanza, 2, 3, KEY_SIZE)
            key = self.recipient.wrapping_key(shared_secret(self._private_key, share), share)
            file_key = opened_key(key, stanza)
            if file_key is not None:
                return file_key
        return None


@dataclass(frozen=True, slots=True)
class SshRsaRecipient:
    """A public RSA key of SSH."""

    kind = SSH_RSA
    blob: bytes
    public_key: RSAPublicKey

    def wrap(self, file_key: bytes) -> Stanza:
        return Stanza((SSH_RSA, _tag(self.blob)), self.public_key.encrypt(file_key, _OAEP))


class SshRsaIdentity:
    """A private RSA key of SSH."""

    kinds = (SSH_RSA,)

    def __init__(self, private_key: RSAPrivateKey) -> None:
        self._private_key = private_key
        self.recipient = rsa_recipient(private_key.public_key())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for stanza in _addressed(stanzas, SSH_RSA, self.recipient.blob):
            try:
                file_key = self._private_key.decrypt(stanza.body, _OAEP)
            except ValueError:
                continue
            if len(file_key) == FILE_KEY_SIZE:
                return file_key
        return None


def ed25519_recipient(public_key: Ed25519PublicKey) -> SshEd25519Recipient:
    """Raises ValueError where it is no point of the curve that can be used."""
    # RFC 7748, 4.1: u = (1 + y) / (1 - y), where the point is written as y and the sign of x.
    y = int.from_bytes(public_key.public_bytes_raw(), "little") & (1 << 255) - 1
    u = (1 + y) * pow(1 - y, -1, _FIELD) % _FIELD
    return SshEd25519Recipient(_blob(public_key), u.to_bytes(KEY_SIZE, "little"))


def rsa_recipient(public_key: RSAPublicKey) -> SshRsaRecipient:
    """Raises ValueError where it is too short to be safe."""
    if public_key.key_size < _SMALLEST_RSA_BITS:
        raise ValueError(f"an RSA key of {public_key.key_size} bits is too short; {_SMALLEST_RSA_BITS} are the least")
    return SshRsaRecipient(_blob(public_key), public_key)


def _blob(public_key: Ed25519PublicKey | RSAPublicKey) -> bytes:
    line = public_key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return decode_base64(line.split(b" ")[1].decode("ascii").rstrip("="))


def _tag(blob: bytes) -> str:
    return encode_base64(hashlib.sha256(blob).digest()[:4])


def _addressed(stanzas: Sequence[Stanza], kind: str, blob: bytes) -> list[Stanza]:
    return [stanza for stanza in stanzas if stanza.arguments[:2] == (kind, _tag(blob))]
