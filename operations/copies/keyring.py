"""What is at hand to believe the manifests of copies, and to open those that are encrypted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from archives.age_keys import Identity, read_identity_file
from archives.age_native import SCRYPT, PassphraseIdentity
from archives.signature import Origin, check_signature, trusted_keys
from errors import EncryptionKeyError
from model import Configuration, Encryption, Secret

AskPassphrase = Callable[[str], Secret]
"""Asks a person for the passphrase of what it is given the name of. Raises EncryptionKeyError where nobody answers."""


@dataclass(slots=True)
class _Identities:
    """Private keys, read when the first copy needs one, and then kept: a person is asked once."""

    files: tuple[Path, ...] = ()
    passphrase: Secret | None = None
    ask: AskPassphrase | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    read: list[Identity] | None = None
    asked: Secret | None = None

    def of_files(self) -> list[Identity]:
        with self.lock:
            if self.read is None:
                self.read = [identity for path in self.files for identity in self._of_file(path)]
            return self.read

    def passphrase_for(self, name: str) -> Secret | None:
        with self.lock:
            if self.passphrase is not None:
                return self.passphrase
            if self.asked is None and self.ask is not None:
                self.asked = self.ask(name)
            return self.asked

    def _of_file(self, path: Path) -> list[Identity]:
        try:
            return read_identity_file(path, self.passphrase)
        except EncryptionKeyError as error:
            if self.passphrase is not None or self.ask is None or not error.needs_passphrase:
                raise
            return read_identity_file(path, self.ask(f"the SSH key {path}"))


@dataclass(frozen=True, slots=True)
class Keyring:
    """``trusted`` are the public keys whose manifests are believed; ``configured_passphrase`` is that of the backup.

    The empty one lists copies, and opens those that are not encrypted.
    """

    trusted: frozenset[str] = frozenset()
    configured_passphrase: Secret | None = None
    _identities: _Identities = field(default_factory=_Identities)

    @classmethod
    def of(
        cls,
        configuration: Configuration,
        identity_files: Iterable[Path] = (),
        passphrase: Secret | None = None,
        ask: AskPassphrase | None = None,
    ) -> Keyring:
        """What the configuration has, and a person named. Raises ArchiveError where a trusted key is none."""
        trusted = trusted_keys(configuration.state_directory, configuration.trusted_keys)
        files = tuple(identity_files)
        if not files and configuration.identity_file is not None:
            files = (configuration.identity_file,)
        return cls(trusted, None, _Identities(files, passphrase, ask))

    def for_backup(self, encryption: Encryption | None) -> Keyring:
        """The same with the passphrase that the configuration has for a backup."""
        if encryption is None or encryption.passphrase is None:
            return self
        return replace(self, configured_passphrase=encryption.passphrase)

    def origin(self, manifest: bytes) -> Origin:
        """Who wrote a manifest. Raises ForgedManifestError."""
        return check_signature(manifest, self.trusted)

    def identities(self, name: str, opened_by: Sequence[str]) -> list[Identity]:
        """What may open the copy ``name``, given the kinds of keys that do. Raises EncryptionKeyError where none is
        at hand."""
        if SCRYPT in opened_by:
            passphrase = self._identities.passphrase or self.configured_passphrase
            passphrase = passphrase or self._identities.passphrase_for(name)
            if passphrase is None:
                raise EncryptionKeyError(
                    f"{name} is encrypted with a passphrase, and none is at hand. Give the file that holds it with "
                    "--passphrase-file FILE, or set ENCRYPT_PASSPHRASE of its backup."
                )
            return [PassphraseIdentity(passphrase)]
        identities = self._identities.of_files()
        if not identities:
            raise EncryptionKeyError(
                f"{name} is encrypted, and no private key is at hand. Name its file with --identity FILE, or set "
                "AGE_IDENTITY_FILE."
            )
        return identities

    def has_identity_for(self, opened_by: Sequence[str]) -> bool:
        """Whether anything is at hand, or somebody can be asked, that may open a copy."""
        identities = self._identities
        if SCRYPT not in opened_by:
            return bool(identities.files)
        return bool(identities.passphrase or self.configured_passphrase or identities.ask)
