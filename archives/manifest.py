"""The manifest beside each copy: what it holds, from where, its hash, and how to open it.

Written down in docs/formats.md: one JSON object, UTF-8, whose last line but one holds the SHA-256 of all lines before
it, so that a manifest that has rotted is found too, and the line before that the signature of those above. It is
written last: where it stands, the archive and the index beside it are whole.

Version 1 is that of a backup that is not encrypted. In version 2, what would tell the contents (the host, the source,
the paths of notes) is encrypted as the archive is; sizes and hashes are those of the encrypted files, and everybody may
check them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from archives.entry import Entry
from errors import DamagedArchiveError, ForgedManifestError
from model import MemberKind, Note, NoteKind, RunStatus
from utils import printable

FORMAT = "holdfast-manifest"
VERSION = 1
ENCRYPTED_VERSION = 2
ENCRYPTION_FORMAT = "age-encryption.org/v1"

_LISTED_NOTES = 1000
_CHECKSUM_KEY = "sha256_of_lines_above"
_SIGNATURE_BEGIN = b'"signature": {"public_key":'
_SIGNATURE_LINE = re.compile(
    rb'  "signature": \{"public_key": "([\x21\x23-\x5b\x5d-\x7e]+)", "of_lines_above": "([A-Za-z0-9+/]{86}==)"\},\n'
)


@dataclass(frozen=True, slots=True)
class FilePart:
    """An object beside the manifest: its name in the same folder, its size in bytes, its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(slots=True)
class Totals:
    """How many members an archive has; ``size`` is that of their content in bytes, unpacked."""

    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0

    def add(self, entry: Entry) -> None:
        kind = entry.member.kind
        self.files += kind is MemberKind.FILE
        self.folders += kind is MemberKind.DIRECTORY
        self.links += kind is MemberKind.SYMLINK
        self.size += entry.size


@dataclass(slots=True)
class NoteList:
    """What could not be read, or changed meanwhile: ``counts`` has all by kind, ``first`` the first thousand."""

    counts: dict[str, int] = field(default_factory=dict)
    first: list[dict[str, str]] = field(default_factory=list)

    def add(self, note: Note) -> None:
        self.counts[note.kind.value] = self.counts.get(note.kind.value, 0) + 1
        if len(self.first) < _LISTED_NOTES:
            self.first.append({"kind": note.kind.value, "path": printable(note.path), "reason": note.reason})

    @property
    def is_partial(self) -> bool:
        """Whether something that belongs to the backup is not in the archive, because it could not be read."""
        return NoteKind.UNREADABLE.value in self.counts


@dataclass(frozen=True, slots=True)
class Signature:
    """An Ed25519 signature (64 bytes) of all lines above it, and the public key that checks it."""

    public_key: str
    value: bytes

    def line(self) -> bytes:
        value = base64.b64encode(self.value).decode("ascii")
        return f'  "signature": {{"public_key": "{self.public_key}", "of_lines_above": "{value}"}},\n'.encode("ascii")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says. ``source`` describes what was read, in the words of config.yaml, without any secret.

    ``opened_by`` are the kinds of keys that open the archive (stanzas of age); empty where it is not encrypted. One
    that is encrypted was :meth:`sealed`: ``private`` is an age file with the host, the source and the first notes.
    While it ``is_locked``, these are empty.
    """

    backup_id: str
    run_id: str
    status: RunStatus
    started: datetime
    ended: datetime
    host: str
    source: dict[str, Any]
    archive: FilePart
    index: FilePart
    compression: str
    content: Totals
    notes: NoteList
    made_by: str
    opened_by: tuple[str, ...] = ()
    private: bytes | None = None
    is_locked: bool = False
    signature: Signature | None = None

    def sealed(self, opened_by: Sequence[str], encrypt: Callable[[bytes], bytes]) -> Manifest:
        """The same, with what would tell the contents encrypted."""
        private = {"host": self.host, "source": self.source, "first_notes": self.notes.first}
        return replace(self, opened_by=tuple(opened_by), private=encrypt(json.dumps(private).encode("ascii")))

    def unsealed(self, decrypt: Callable[[bytes], bytes]) -> Manifest:
        """The same, with everything readable. Raises DamagedArchiveError, and what ``decrypt`` raises."""
        if self.private is None:
            return self
        try:
            private = json.loads(decrypt(self.private))
            return replace(
                self,
                host=str(private["host"]),
                source=dict(private["source"]),
                notes=NoteList(self.notes.counts, list(private["first_notes"])),
                is_locked=False,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedArchiveError(
                f"the encrypted part of the manifest is damaged ({type(error).__name__}: {error})"
            ) from None

    def signed(self, sign: Callable[[bytes], Signature]) -> Manifest:
        """The same, signed. Whatever is changed in it afterwards needs another signature."""
        return replace(self, signature=sign(self._lines()))

    def encode(self) -> bytes:
        """The JSON document; of one that was decoded, the same bytes."""
        data = self._lines() + (self.signature.line() if self.signature is not None else b"")
        return data + _checksum_lines(data)

    def _lines(self) -> bytes:
        """All that is signed."""
        is_sealed = self.private is not None
        document = {
            "format": FORMAT,
            "version": ENCRYPTED_VERSION if is_sealed else VERSION,
            "backup": self.backup_id,
            "run": self.run_id,
            "status": self.status.value,
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat(),
            **({} if is_sealed else {"host": self.host, "source": self.source}),
            "archive": {
                "name": self.archive.name,
                "size": self.archive.size,
                "sha256": self.archive.sha256,
                "format": "zip",
                "compression": self.compression,
                "encryption": {"format": ENCRYPTION_FORMAT, "opened_by": list(self.opened_by)} if is_sealed else None,
            },
            "index": {"name": self.index.name, "size": self.index.size, "sha256": self.index.sha256},
            "content": asdict(self.content),
            "notes": {"counts": self.notes.counts} if is_sealed else asdict(self.notes),
            "how_to_open": _how_to_open(self.archive.name, self.opened_by)
            if is_sealed
            else f"unzip {self.archive.name}",
            "made_by": self.made_by,
        }
        if self.private is not None:
            document["private"] = base64.b64encode(self.private).decode("ascii")
        text = json.dumps(document, indent=2, ensure_ascii=False).removesuffix("\n}") + ",\n"
        return text.encode("utf-8", "backslashreplace")

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """The inverse of :meth:`encode`. Raises DamagedArchiveError.

        Whether the signature is right is not looked at here: see ``archives.signature``.
        """
        try:
            document = json.loads(data)
            if document["format"] != FORMAT:
                raise DamagedArchiveError("it is not a manifest of Holdfast")
            if document["version"] not in (VERSION, ENCRYPTED_VERSION):
                raise DamagedArchiveError(
                    f"the manifest has format version {document['version']}, and this Holdfast reads versions "
                    f"{VERSION} and {ENCRYPTED_VERSION}"
                )
            lines_above = data[: -len(_checksum_lines(b""))]
            if data != lines_above + _checksum_lines(lines_above):
                raise DamagedArchiveError("the manifest is not what was stored (its own SHA-256 differs)")
            return cls._of_document(document, split_signature(data)[1])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DamagedArchiveError(f"the manifest is damaged ({type(error).__name__}: {error})") from None

    @classmethod
    def _of_document(cls, document: dict[str, Any], signature: Signature | None) -> Manifest:
        archive, index, notes = document["archive"], document["index"], document["notes"]
        is_sealed = document["version"] == ENCRYPTED_VERSION
        encryption = archive["encryption"]
        if is_sealed is not (encryption is not None and encryption["format"] == ENCRYPTION_FORMAT):
            raise ValueError("what it says of its encryption does not belong to its version")
        return cls(
            backup_id=str(document["backup"]),
            run_id=str(document["run"]),
            status=RunStatus(document["status"]),
            started=datetime.fromisoformat(document["started"]),
            ended=datetime.fromisoformat(document["ended"]),
            host="" if is_sealed else str(document["host"]),
            source={} if is_sealed else dict(document["source"]),
            archive=FilePart(_file_name(archive["name"]), int(archive["size"]), str(archive["sha256"])),
            index=FilePart(_file_name(index["name"]), int(index["size"]), str(index["sha256"])),
            compression=str(archive["compression"]),
            content=Totals(**{key: int(value) for key, value in document["content"].items()}),
            notes=NoteList(dict(notes["counts"]), [] if is_sealed else list(notes["first"])),
            made_by=str(document["made_by"]),
            opened_by=tuple(map(str, encryption["opened_by"])) if is_sealed else (),
            private=base64.b64decode(document["private"], validate=True) if is_sealed else None,
            is_locked=is_sealed,
            signature=signature,
        )


def split_signature(data: bytes) -> tuple[bytes, Signature | None]:
    """The lines of a manifest that are signed, and the signature; None where there is none.

    It stands right above the checksum, so that nothing is left out of it. Raises ForgedManifestError where one stands
    elsewhere, or in another form.
    """
    lines_above = data[: -len(_checksum_lines(b""))]
    start = lines_above.rfind(b"\n", 0, -1) + 1
    found = _SIGNATURE_LINE.fullmatch(lines_above, start)
    if found is None:
        # Within a text of JSON, these quotes would have backslashes before them.
        if _SIGNATURE_BEGIN in lines_above:
            raise ForgedManifestError("the signature of the manifest is not where it was written: it was changed")
        return lines_above, None
    signature = Signature(found[1].decode("ascii"), base64.b64decode(found[2]))
    # The last character of Base64 has bits that mean nothing, and would pass whatever they are.
    if signature.line() != found[0]:
        raise ForgedManifestError("the signature of the manifest is not written as it was: it was changed")
    return lines_above[:start], signature


def _how_to_open(archive_name: str, opened_by: Sequence[str]) -> str:
    identity = "" if "scrypt" in opened_by else "--identity KEY_FILE "
    zip_name = archive_name.removesuffix(".age")
    return f"age --decrypt {identity}--output {zip_name} {archive_name} && unzip {zip_name}"


def _checksum_lines(lines_above: bytes) -> bytes:
    return f'  "{_CHECKSUM_KEY}": "{hashlib.sha256(lines_above).hexdigest()}"\n}}\n'.encode("ascii")


def _file_name(text: object) -> str:
    """A manifest names the objects beside it; a path in it would reach for something else."""
    name = str(text)
    if not name or "/" in name or name in (".", ".."):
        raise ValueError(f"{name!r} is not a file name")
    return name
