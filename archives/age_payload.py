"""The payload of an age file: chunks of 64 KiB, each sealed by itself, so that any of them opens without the others.

Source: https://age-encryption.org/v1 (C2SP age.md), section "Payload". A chunk's nonce is its number and whether it is
the last, so none can be changed, left out, put elsewhere, or be the end where it was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from archives.age_header import derived_key
from errors import DamagedArchiveError

NONCE_SIZE = 16
CHUNK_SIZE = 64 << 10
TAG_SIZE = 16
SEALED_CHUNK_SIZE = CHUNK_SIZE + TAG_SIZE

Piece = bytes | memoryview

# So that what is handed on is about as large as what archives are made of.
_CHUNKS_AT_ONCE = 16


class PayloadSealer:
    """Seals the chunks of one file, in their order, in one thread."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = _cipher(file_key, nonce)
        # Sealing into memory that is reused takes 2% of a run less than putting new pieces together.
        self._buffer = memoryview(bytearray(_CHUNKS_AT_ONCE * SEALED_CHUNK_SIZE))

    def seal(self, first: int, chunks: Sequence[Piece], *, is_end: bool) -> Iterator[bytes]:
        """These chunks, sealed, from the number ``first`` on. ``is_end``: the last of them ends the file."""
        for start in range(0, len(chunks), _CHUNKS_AT_ONCE):
            size = 0
            for number in range(start, min(start + _CHUNKS_AT_ONCE, len(chunks))):
                chunk = chunks[number]
                end = size + len(chunk) + TAG_SIZE
                nonce = _nonce(first + number, is_last=is_end and number == len(chunks) - 1)
                self._cipher.encrypt_into(nonce, chunk, None, self._buffer[size:end])
                size = end
            yield bytes(self._buffer[:size])


class PayloadOpener:
    """Opens the chunks of one file. Several threads may do so at once."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = _cipher(file_key, nonce)

    def open(self, first: int, chunks: Sequence[Piece], *, is_end: bool) -> Iterator[bytes]:
        """The content of each of these chunks, from the number ``first`` on. Raises DamagedArchiveError."""
        last = first + len(chunks) - 1
        for number, chunk in enumerate(chunks, first):
            is_last = is_end and number == last
            # Only a file without content ends in a chunk without any.
            if len(chunk) < TAG_SIZE or (len(chunk) == TAG_SIZE and not (is_last and number == 0)):
                raise DamagedArchiveError("the encrypted file ends in the middle of a chunk: its end is missing")
            try:
                yield self._cipher.decrypt(_nonce(number, is_last=is_last), chunk, None)
            except InvalidTag:
                raise self._why_damaged(number, chunk, is_last=is_last) from None

    def _why_damaged(self, number: int, chunk: Piece, *, is_last: bool) -> DamagedArchiveError:
        try:
            self._cipher.decrypt(_nonce(number, is_last=not is_last), chunk, None)
        except InvalidTag:
            end = " or its end is missing" if is_last else ""
            return DamagedArchiveError(f"the encrypted file is damaged{end}, in its chunk {number + 1} of 64 KiB")
        if is_last:
            return DamagedArchiveError(f"the encrypted file was cut off behind {(number + 1) * CHUNK_SIZE:,} bytes")
        return DamagedArchiveError("the encrypted file goes on behind its end: something was appended to it")


def content_size(payload_size: int) -> int:
    """The bytes of content in a payload of so many bytes without its nonce. Raises DamagedArchiveError."""
    whole, rest = divmod(payload_size, SEALED_CHUNK_SIZE)
    if 0 < rest < TAG_SIZE or (rest == TAG_SIZE and whole) or payload_size < TAG_SIZE:
        raise DamagedArchiveError("the encrypted file ends in the middle of a chunk: its end is missing")
    return whole * CHUNK_SIZE + max(rest - TAG_SIZE, 0)


def in_chunks(stream: Iterable[bytes], size: int) -> Iterator[tuple[list[Piece], bool]]:
    """The same bytes in pieces of ``size``, some at a time, with whether they are the end of it.

    The end is one piece of up to ``size`` bytes, with none only where the stream has none.
    """
    held: list[Piece] = []
    held_size = 0
    for data in stream:
        view, position = memoryview(data), 0
        pieces: list[Piece] = []
        while len(view) - position > size - held_size:
            end = position + size - held_size
            pieces.append(_joined([*held, view[position:end]]))
            held, held_size, position = [], 0, end
        if position < len(view):
            held.append(view[position:])
            held_size += len(view) - position
        if pieces:
            yield pieces, False
    yield [_joined(held)], True


def _joined(pieces: Sequence[Piece]) -> Piece:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _cipher(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derived_key(file_key, nonce, "payload"))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if is_last else b"\x00")
