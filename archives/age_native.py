"""The two kinds of keys that are age's own: X25519 (``age1…`` and ``AGE-SECRET-KEY-1…``), and a passphrase.

Source: https://age-encryption.org/v1 (C2SP age.md), sections "The X25519 recipient type", "The scrypt recipient type".
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from archives.age_header import FILE_KEY_SIZE, Stanza, decode_base64, derived_key, encode_base64
from errors import DamagedArchiveError, EncryptionKeyError
from model import Secret

X25519 = "X25519"
SCRYPT = "scrypt"

KEY_SIZE = 32
WRAPPED_SIZE = FILE_KEY_SIZE + 16

_X25519_PURPOSE = "age-encryption.org/v1/X25519"
_SCRYPT_PURPOSE = b"age-encryption.org/v1/scrypt"
_SALT_SIZE = 16
_WORK_FACTOR = re.compile("[1-9][0-9]?")

# As the age program: 2^18 takes a second and 256 MiB, and it reads up to 2^22.
_DEFAULT_WORK_FACTOR = 18
_LARGEST_WORK_FACTOR = 22

# Each key wraps one file key only, so age has this nonce for all of them.
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class X25519Recipient:
    """A public key of age."""

    kind = X25519
    public_key: bytes

    def wrap(self, file_key: bytes) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        key = derived_key(shared_secret(ephemeral, self.public_key), share + self.public_key, _X25519_PURPOSE)
        return Stanza((X25519, encode_base64(share)), sealed_key(key, file_key))


class X25519Identity:
    """A private key of age."""

    kinds = (X25519,)

    def __init__(self, secret: bytes) -> None:
        self._private_key = X25519PrivateKey.from_private_bytes(secret)
        self.recipient = X25519Recipient(self._private_key.public_key().public_bytes_raw())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for stanza in stanzas:
            if stanza.arguments[0] != X25519:
                continue
            share = sized_argument(stanza, 1, 2, KEY_SIZE)
            key = derived_key(
                shared_secret(self._private_key, share), share + self.recipient.public_key, _X25519_PURPOSE
            )
            file_key = opened_key(key, stanza)
            if file_key is not None:
                return file_key
        return None


@dataclass(frozen=True, slots=True)
class PassphraseRecipient:
    """A passphrase to encrypt with. ``work_factor`` is the power of two that makes guessing it expensive."""

    kind = SCRYPT
    passphrase: Secret
    work_factor: int = _DEFAULT_WORK_FACTOR

    def wrap(self, file_key: bytes) -> Stanza:
        salt = os.urandom(_SALT_SIZE)
        key = _stretched(self.passphrase, salt, self.work_factor)
        return Stanza((SCRYPT, encode_base64(salt), str(self.work_factor)), sealed_key(key, file_key))


@dataclass(frozen=True, slots=True)
class PassphraseIdentity:
    """A passphrase to decrypt with."""

    passphrase: Secret
    kinds = (SCRYPT,)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for stanza in stanzas:
            if stanza.arguments[0] != SCRYPT:
                continue
            salt = sized_argument(stanza, 1, 3, _SALT_SIZE)
            if not _WORK_FACTOR.fullmatch(stanza.arguments[2]):
                raise DamagedArchiveError("its header is damaged: it has no work factor")
            work_factor = int(stanza.arguments[2])
            if work_factor > _LARGEST_WORK_FACTOR:
                raise DamagedArchiveError(f"its header asks for work that would take hours (2^{work_factor})")
            return opened_key(_stretched(self.passphrase, salt, work_factor), stanza)
        return None


def shared_secret(private_key: X25519PrivateKey, public_key: bytes) -> bytes:
    """Raises DamagedArchiveError where ``public_key`` is one of the few points that would make no secret."""
    try:
        return private_key.exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError:
        raise DamagedArchiveError("a key in its header is none that anybody could have") from None


def sealed_key(key: bytes, file_key: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(_NONCE, file_key, None)


def opened_key(key: bytes, stanza: Stanza) -> bytes | None:
    """The file key, or None where it was sealed with another key. Raises DamagedArchiveError."""
    # Of another length, one ciphertext could be made to open with many passphrases.
    if len(stanza.body) != WRAPPED_SIZE:
        raise DamagedArchiveError("its header is damaged: a key in it has the wrong length")
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, stanza.body, None)
    except InvalidTag:
        return None


def sized_argument(stanza: Stanza, number: int, count: int, size: int) -> bytes:
    """The bytes of one of the ``count`` arguments of a stanza. Raises DamagedArchiveError."""
    try:
        if len(stanza.arguments) == count and len(data := decode_base64(stanza.arguments[number])) == size:
            return data
    except ValueError:
        pass
    raise DamagedArchiveError(f"its header is damaged: its part for {stanza.arguments[0]} is none")


def _stretched(passphrase: Secret, salt: bytes, work_factor: int) -> bytes:
    cost, block_size = 1 << work_factor, 8
    memory = 128 * block_size * (cost + 32)
    try:
        return hashlib.scrypt(
            passphrase.reveal().encode(),
            salt=_SCRYPT_PURPOSE + salt,
            n=cost,
            r=block_size,
            p=1,
            maxmem=memory,
            dklen=KEY_SIZE,
        )
    except (MemoryError, ValueError) as error:
        raise EncryptionKeyError(
            f"The passphrase could not be made a key: that takes {memory >> 20} MiB of memory ({error})."
        ) from None
