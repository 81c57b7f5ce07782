"""Public keys as people write them: recipients of age, and those that sign manifests. Pure, and without a library.

Each check gives the key as it is kept, or raises ValueError with the end of a sentence that begins with the name of the
configuration's key; it never quotes what was written, which may be a private key.

Sources: https://age-encryption.org/v1 for ``age1…``; RFC 4253 (6.6), RFC 8709 (4) and RFC 4251 (5) for what SSH writes;
RFC 8032 (5.1.3) for which 32 bytes are a point of the curve, as half of all slips are none.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

import bech32
from model import Secret

NOBODY = "none"
"""In the place of recipients: nothing is encrypted, whatever DEFAULTS says."""

_KEY_SIZE = 32
_SIGNER = re.compile(r"ed25519:([A-Za-z0-9+/]{43}=)")
_PRIVATE_AGE_KEYS = ("AGE-SECRET-KEY-", "AGE-PLUGIN-")
_PRIVATE_SSH_KEY = base64.b64encode(b"openssh-key-v1").decode("ascii").rstrip("=")
_SHORTEST_PART_OF_A_SECRET = 20

_SSH_KINDS = ("ssh-ed25519", "ssh-rsa")
_OTHER_SSH_KINDS = re.compile(r"(?:ssh-|ecdsa-sha2-|sk-|rsa-sha2-)\S*\s")
_SMALLEST_RSA_BITS, _LARGEST_RSA_BITS = 2048, 16384
# Go's SSH package, and with it the program age, reads no larger one.
_LARGEST_EXPONENT_BITS = 24

_FIELD = (1 << 255) - 19
_EDWARDS_D = -121665 * pow(121666, -1, _FIELD)
# The coordinates u on Curve25519 with which every shared secret is the same (https://cr.yp.to/ecdh.html#validate).
_LOW_ORDER = (
    0,
    1,
    _FIELD - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)

_WANTED = "must be a public key of age (`age1…`) or of SSH (`ssh-ed25519 AAAA…` or `ssh-rsa AAAA…`), or `none` alone"
_PRIVATE = (
    "must be a public key, and this is a private one. Take it out of this file and away from this machine; its public "
    "key stands in the line `# public key:` of a file of age-keygen, and in the `.pub` file beside a key of SSH"
)
_PART_IS_WRONG = "must be a whole public key of SSH, as its `.pub` file has it: of this one a part is wrong or missing"
_NO_SIGNER = "must be `ed25519:` and 44 characters, as manifests have it"


@lru_cache(maxsize=1024)
def check_recipient(text: str) -> str:
    """A recipient with single blanks, or :data:`NOBODY`."""
    text = text.strip()
    if _is_private(text):
        _forget(text)
        raise ValueError(_PRIVATE)
    if not text:
        raise ValueError("must not be empty")
    if text.lower() == NOBODY:
        return NOBODY
    if text.lower().startswith("age1"):
        return _age_key(text)
    kind, *rest = text.split()
    if kind in _SSH_KINDS and text.isprintable():
        _check_ssh_key(kind, rest[0] if rest else "")
        return " ".join((kind, *rest))
    if _OTHER_SSH_KINDS.match(text):
        raise ValueError(
            "must be a key that can encrypt, as SSH keys of this kind cannot: of SSH's keys only ssh-ed25519 and "
            "ssh-rsa can"
        )
    raise ValueError(_WANTED)


def without_comment(recipient: str) -> str:
    """What makes two checked recipients the same."""
    return " ".join(recipient.split()[:2])


def check_signer(text: str) -> str:
    """A public key that signs manifests: ``ed25519:`` and Base64."""
    found = _SIGNER.fullmatch(text.strip())
    if found is None:
        if _is_private(text):
            _forget(text)
            raise ValueError("must be a public key, and this is a private one. Take it out of this file")
        raise ValueError(_NO_SIGNER)
    try:
        _check_ed25519(_from_base64(found[1]))
    except ValueError:
        raise ValueError(f"{_NO_SIGNER}: of this one a character is wrong") from None
    return text.strip()


def _is_private(text: str) -> bool:
    upper = text.strip().upper()
    return (
        upper.startswith(_PRIVATE_AGE_KEYS)
        or "PRIVATE KEY-----" in upper
        or any(part.startswith(_PRIVATE_SSH_KEY) for part in text.split())
    )


def _forget(private_key: str) -> None:
    """From now on no message shows it, nor a line of it."""
    for text in (private_key, *private_key.split()):
        if len(text) >= _SHORTEST_PART_OF_A_SECRET:
            Secret(text)


def _age_key(text: str) -> str:
    try:
        prefix, data = bech32.decode(text)
    except ValueError as error:
        raise ValueError(f"must be a whole public key of age: {error}") from None
    if prefix == "age1pq":
        raise ValueError("must be an `age1…` of age-keygen without `-pq`: keys against quantum computers are not known")
    if prefix != "age":
        raise ValueError("must be an `age1…` of age-keygen: this is for a plugin of age, and plugins are not used")
    if len(data) != _KEY_SIZE:
        raise ValueError("must be a whole public key of age: this one is of another length")
    _check_order(int.from_bytes(data, "little") % (1 << 255))
    return text.lower()


def _check_ssh_key(kind: str, encoded: str) -> None:
    try:
        name, *numbers = _strings(_from_base64(encoded))
    except ValueError:
        raise ValueError(_PART_IS_WRONG) from None
    if name != kind.encode():
        raise ValueError(_PART_IS_WRONG)
    if kind == "ssh-rsa":
        _check_rsa(numbers)
    elif len(numbers) != 1:
        raise ValueError(_PART_IS_WRONG)
    else:
        _check_ed25519(numbers[0])


def _strings(data: bytes) -> list[bytes]:
    """What SSH wrote one after the other, each behind its length. Raises ValueError."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size:
            raise ValueError
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    if not found:
        raise ValueError
    return found


def _check_rsa(numbers: list[bytes]) -> None:
    if len(numbers) != 2 or not all(number and number[0] < 0x80 for number in numbers):
        raise ValueError(_PART_IS_WRONG)
    exponent, modulus = (int.from_bytes(number, "big") for number in numbers)
    bits = modulus.bit_length()
    if bits < _SMALLEST_RSA_BITS:
        raise ValueError(
            f"has an RSA key of {bits:,} bits, which is too short to be safe. {_SMALLEST_RSA_BITS:,} are the least"
        )
    if (
        bits > _LARGEST_RSA_BITS
        or exponent < 3
        or exponent.bit_length() > _LARGEST_EXPONENT_BITS
        or not exponent & modulus & 1
    ):
        raise ValueError(_PART_IS_WRONG)


def _check_ed25519(key: bytes) -> None:
    """Raises ValueError where it is no point of the curve that can be used."""
    if len(key) != _KEY_SIZE:
        raise ValueError(_PART_IS_WRONG)
    y = int.from_bytes(key, "little") % (1 << 255)
    x_squared = (y * y - 1) * pow(_EDWARDS_D * y * y + 1, -1, _FIELD) % _FIELD
    if y >= _FIELD or (x_squared and pow(x_squared, (_FIELD - 1) // 2, _FIELD) != 1):
        raise ValueError(_PART_IS_WRONG)
    # RFC 7748, 4.1: the same point on Curve25519. The neutral one (y = 1) has no u there.
    _check_order((1 + y) * pow(1 - y, -1, _FIELD) if y != 1 else 0)


def _check_order(u: int) -> None:
    if u % _FIELD in _LOW_ORDER:
        raise ValueError("must be a key that somebody has: this one is made up, and anybody could open what it locks")


def _from_base64(text: str) -> bytes:
    """Raises ValueError, also where bits are set that mean nothing."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError from None
    if base64.b64encode(data).decode("ascii") != text:
        raise ValueError
    return data
