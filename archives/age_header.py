"""The header of an age file: one stanza for each recipient, with the file key as only that recipient can read it.

Source: https://age-encryption.org/v1 (C2SP age.md), section "Header".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from errors import DamagedArchiveError

FILE_KEY_SIZE = 16

# A hundred recipients with RSA keys of 16,384 bits have less.
LARGEST_HEADER = 256 << 10

_VERSION_LINE = b"age-encryption.org/v1\n"
_LINE_WIDTH = 64
_ARGUMENTS = re.compile(rb"-> [\x21-\x7e]+(?: [\x21-\x7e]+)*")
_MAC_LINE = re.compile(rb"--- ([A-Za-z0-9+/]{43})")


@dataclass(frozen=True, slots=True)
class Stanza:
    """One recipient's part of a header. The first of ``arguments`` says which kind of recipient it is."""

    arguments: tuple[str, ...]
    body: bytes

    def encode(self) -> bytes:
        text = encode_base64(self.body)
        # The last line is shorter than the others, so it is empty where they end with a full one.
        lines = [text[start : start + _LINE_WIDTH] for start in range(0, len(text) + 1, _LINE_WIDTH)]
        return "".join(f"{line}\n" for line in (f"-> {' '.join(self.arguments)}", *lines)).encode("ascii")


@dataclass(frozen=True, slots=True)
class Header:
    """A header that was read. ``size`` is where the payload begins; ``authenticated`` are the bytes of its MAC."""

    stanzas: tuple[Stanza, ...]
    authenticated: bytes
    mac: bytes
    size: int

    def is_sealed_with(self, file_key: bytes) -> bool:
        """Whether nothing of it was changed since it was written."""
        return hmac.compare_digest(_mac(file_key, self.authenticated), self.mac)


def encode_header(stanzas: Sequence[Stanza], file_key: bytes) -> bytes:
    """The header, with its MAC and the line feed behind it."""
    authenticated = b"".join((_VERSION_LINE, *(stanza.encode() for stanza in stanzas), b"---"))
    return authenticated + b" " + encode_base64(_mac(file_key, authenticated)).encode("ascii") + b"\n"


def parse_header(data: bytes) -> Header | None:
    """The header at the beginning of ``data``; None where it goes on behind them. Raises DamagedArchiveError."""
    if not data.startswith(_VERSION_LINE[: len(data)]):
        raise DamagedArchiveError("it does not begin as an age file of version 1 does")
    position = len(_VERSION_LINE)
    stanzas: list[Stanza] = []
    arguments: tuple[str, ...] | None = None
    body: list[bytes] = []
    while (end := data.find(b"\n", position)) >= 0:
        line, position = data[position:end], end + 1
        if arguments is not None:
            body.append(line)
            if len(line) < _LINE_WIDTH:
                stanzas.append(Stanza(arguments, _body(body)))
                arguments, body = None, []
        elif _ARGUMENTS.fullmatch(line):
            arguments = tuple(line.decode("ascii").split(" ")[1:])
        elif (mac := _MAC_LINE.fullmatch(line)) and stanzas:
            return Header(tuple(stanzas), data[: end - len(mac[1]) - 1], _decoded(mac[1]), position)
        else:
            raise _damaged()
    if len(data) > LARGEST_HEADER:
        raise DamagedArchiveError("its header is longer than any that is written")
    return None


def derived_key(secret: bytes, salt: bytes, purpose: str) -> bytes:
    """32 bytes by HKDF-SHA-256 (RFC 5869), as age derives all of its keys."""
    return HKDF(SHA256(), 32, salt, purpose.encode("ascii")).derive(secret)


def encode_base64(data: bytes) -> str:
    """Base64 without padding, as age writes it."""
    return base64.b64encode(data).decode("ascii").rstrip("=")


def decode_base64(text: str) -> bytes:
    """Its inverse. Raises ValueError, also where the same bytes would be written otherwise."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if encode_base64(data) != text:
        raise ValueError("it is not written as Base64 is")
    return data


def _body(lines: Sequence[bytes]) -> bytes:
    if any(len(line) != _LINE_WIDTH for line in lines[:-1]):
        raise _damaged()
    return _decoded(b"".join(lines))


def _decoded(text: bytes) -> bytes:
    try:
        return decode_base64(text.decode("ascii"))
    except ValueError:
        raise _damaged() from None


def _mac(file_key: bytes, authenticated: bytes) -> bytes:
    return hmac.digest(derived_key(file_key, b"", "header"), authenticated, "sha256")


def _damaged() -> DamagedArchiveError:
    return DamagedArchiveError("its header is damaged")
