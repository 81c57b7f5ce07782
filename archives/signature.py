"""Who wrote a manifest: an Ed25519 signature (RFC 8032) of the machine that made the backup.

The private key lies in ``state/signing-key`` (PEM, PKCS #8) and never leaves the machine; the public key is written as
``ed25519:`` and Base64, and stands in each manifest. A key is trusted where it is this machine's own, one of its
earlier ones (``state/trusted-keys``, a key in each line), or named by the configuration.
"""

from __future__ import annotations

import base64
import binascii
import enum
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from archives.manifest import Signature, split_signature
from errors import ArchiveError, ForgedManifestError
from utils import fsync_directory, make_private_directory

_KEY_FILE = "signing-key"
_TRUSTED_FILE = "trusted-keys"
_PREFIX = "ed25519:"
_KEY_SIZE = 32


class Trust(enum.StrEnum):
    """What is known of who wrote a manifest. One that was changed has no such answer: it is an error."""

    TRUSTED = "signed"
    UNKNOWN_KEY = "signed with a key that is not trusted here"
    UNSIGNED = "not signed"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a manifest; ``public_key`` is None where it is not signed."""

    trust: Trust
    public_key: str | None = None

    @property
    def remark(self) -> str | None:
        """What a listing and a restore say of it; nothing of a trusted one."""
        if self.trust is Trust.UNKNOWN_KEY:
            return (
                f"its manifest is signed with {self.public_key}, which is not trusted here. Where this machine's "
                "state folder was lost, or another machine made the copy, that is to be expected: name the key in "
                "TRUSTED_KEYS once you have compared it with what you kept. Else somebody else wrote it"
            )
        if self.trust is Trust.UNSIGNED:
            return "its manifest is not signed, so nobody can tell who wrote it"
        return None


class SigningKey:
    """The private key of this machine."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = _PREFIX + base64.b64encode(private_key.public_key().public_bytes_raw()).decode("ascii")

    def sign(self, data: bytes) -> Signature:
        return Signature(self.public_key, self._private_key.sign(data))


def signing_key(state_directory: Path) -> SigningKey:
    """The key of this machine, made and written to the disk where there is none yet. Raises ArchiveError."""
    path = state_directory / _KEY_FILE
    key = _read_signing_key(path)
    if key is not None:
        return key
    try:
        temporary = _written(state_directory, _pem(Ed25519PrivateKey.generate()))
        try:
            # Of two runs that begin at once, one makes the key, and both use it.
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink()
        fsync_directory(state_directory)
    except OSError as error:
        raise ArchiveError(
            f"The key that signs manifests cannot be kept in {path}: {error.strerror}. Check STATE_DIR."
        ) from error
    made = _read_signing_key(path)
    if made is None:
        raise ArchiveError(f"The key that signs manifests, {path}, vanished while it was made.")
    return made


def replace_signing_key(state_directory: Path) -> SigningKey:
    """Make a new key for what is signed from now on; the earlier one stays trusted. Raises ArchiveError."""
    path, trusted = state_directory / _KEY_FILE, state_directory / _TRUSTED_FILE
    earlier = _read_signing_key(path)
    if earlier is None:
        return signing_key(state_directory)
    try:
        # First this: between the two steps both keys are trusted, never neither.
        known = trusted.read_bytes() if trusted.exists() else b""
        ending = b"\n" if known and not known.endswith(b"\n") else b""
        _written(state_directory, known + ending + f"{earlier.public_key}\n".encode()).replace(trusted)
        fsync_directory(state_directory)
        key = Ed25519PrivateKey.generate()
        _written(state_directory, _pem(key)).replace(path)
        fsync_directory(state_directory)
    except OSError as error:
        raise ArchiveError(
            f"The key that signs manifests, {path}, cannot be replaced: {error.strerror}. The earlier one stays in use."
        ) from error
    return SigningKey(key)


def trusted_keys(state_directory: Path, configured: Iterable[str] = ()) -> frozenset[str]:
    """The public keys whose manifests are believed. ``configured`` are those of the configuration.

    Makes no key where there is none. Raises ArchiveError where a key is none.
    """
    own = _read_signing_key(state_directory / _KEY_FILE)
    keys = {parse_public_key(key) for key in configured}
    if own is not None:
        keys.add(own.public_key)
    path = state_directory / _TRUSTED_FILE
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise ArchiveError(f"The file {path} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(lines, 1):
        if (text := line.strip()) and not text.startswith("#"):
            try:
                keys.add(parse_public_key(text))
            except ArchiveError as error:
                raise ArchiveError(f"The file {path} is wrong in line {number}. {error}") from None
    return frozenset(keys)


def parse_public_key(text: str) -> str:
    """The same key as it stands in manifests. Raises ArchiveError where it is none."""
    _public_key(text.strip())
    return text.strip()


def check_signature(data: bytes, trusted: frozenset[str]) -> Origin:
    """Who wrote the manifest with these bytes. Raises ForgedManifestError, and DamagedArchiveError where it is none."""
    lines_above, signature = split_signature(data)
    if signature is None:
        return Origin(Trust.UNSIGNED)
    try:
        _public_key(signature.public_key).verify(signature.value, lines_above)
    except (InvalidSignature, ArchiveError):
        raise ForgedManifestError(
            "the manifest is not what was signed: it was changed by somebody who does not have the key that signed it, "
            "or it is damaged. Do not use this copy before you know why"
        ) from None
    return Origin(Trust.TRUSTED if signature.public_key in trusted else Trust.UNKNOWN_KEY, signature.public_key)


def _public_key(text: str) -> Ed25519PublicKey:
    try:
        data = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    # Written in one way only, so that keys can be compared as text.
    if len(data) != _KEY_SIZE or text != _PREFIX + base64.b64encode(data).decode("ascii"):
        raise ArchiveError(f"{text!r} is no public key that signs manifests: {_PREFIX} and 44 characters.")
    return Ed25519PublicKey.from_public_bytes(data)


def _read_signing_key(path: Path) -> SigningKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError("it is a key of another kind")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no Ed25519 key in PEM"
        raise ArchiveError(
            f"The key that signs manifests, {path}, cannot be read: {reason}. Put it back from a backup, or move it "
            "away: then the next run makes a new one, and what the earlier one signed is no longer trusted here."
        ) from error
    return SigningKey(key)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _written(folder: Path, content: bytes) -> Path:
    """A new file that only its owner can read, on the disk for good. Raises OSError."""
    make_private_directory(folder)
    path = folder / f".{_KEY_FILE}-{os.getpid()}-{os.urandom(4).hex()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise
    return path
