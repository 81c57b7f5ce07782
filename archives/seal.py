"""What a run stores, encrypted as its backup asks for, or left as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archives.age_keys import Recipient, parse_recipient
from archives.age_native import PassphraseRecipient
from archives.age_stream import encrypted
from archives.manifest import Manifest
from model import Encryption


class Seal:
    """Encrypts to the recipients of a backup. Without an encryption everything passes as it is.

    Raises EncryptionKeyError where a recipient is none.
    """

    def __init__(self, encryption: Encryption | None) -> None:
        self._recipients: list[Recipient] = []
        if encryption is not None and encryption.passphrase is not None:
            self._recipients = [PassphraseRecipient(encryption.passphrase)]
        elif encryption is not None:
            self._recipients = [parse_recipient(text) for text in encryption.recipients]

    @property
    def is_encrypting(self) -> bool:
        return bool(self._recipients)

    def stream(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """One file: what ``chunks`` raises passes, and then no end is written that could be taken for the file's."""
        return encrypted(chunks, self._recipients) if self._recipients else chunks

    def manifest(self, manifest: Manifest) -> Manifest:
        """With what would tell the contents encrypted."""
        if not self._recipients:
            return manifest
        kinds = dict.fromkeys(recipient.kind for recipient in self._recipients)
        return manifest.sealed(tuple(kinds), self._sealed)

    def _sealed(self, data: bytes) -> bytes:
        pieces: Iterator[bytes] = encrypted([data], self._recipients)
        return b"".join(pieces)
