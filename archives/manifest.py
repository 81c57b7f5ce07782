"""The manifest beside each copy: what it holds, from where, its hash, and how to open it.

Format version 1, written down in docs/formats.md: one JSON object, UTF-8, whose last line but one holds the SHA-256 of
all lines before it, so that a manifest that has rotted is found too. It is written last: where it stands, the archive
and the index beside it are whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from archives.entry import Entry
from errors import DamagedArchiveError
from model import MemberKind, Note, NoteKind, RunStatus
from utils import printable

FORMAT = "holdfast-manifest"
VERSION = 1

_LISTED_NOTES = 1000
_CHECKSUM_KEY = "sha256_of_lines_above"


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
class Manifest:
    """What a manifest says. ``source`` describes what was read, in the words of config.yaml, without any secret."""

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

    def encode(self) -> bytes:
        """The JSON document."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "backup": self.backup_id,
            "run": self.run_id,
            "status": self.status.value,
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat(),
            "host": self.host,
            "source": self.source,
            "archive": {
                "name": self.archive.name,
                "size": self.archive.size,
                "sha256": self.archive.sha256,
                "format": "zip",
                "compression": self.compression,
                "encryption": None,
            },
            "index": {"name": self.index.name, "size": self.index.size, "sha256": self.index.sha256},
            "content": asdict(self.content),
            "notes": asdict(self.notes),
            "how_to_open": f"unzip {self.archive.name}",
            "made_by": self.made_by,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False).removesuffix("\n}") + ",\n"
        data = text.encode("utf-8", "backslashreplace")
        return data + _checksum_lines(data)

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """The inverse of :meth:`encode`. Raises DamagedArchiveError."""
        try:
            document = json.loads(data)
            if document["format"] != FORMAT:
                raise DamagedArchiveError("it is not a manifest of Holdfast")
            if document["version"] != VERSION:
                raise DamagedArchiveError(
                    f"the manifest has format version {document['version']}, and this Holdfast reads version {VERSION}"
                )
            lines_above = data[: -len(_checksum_lines(b""))]
            if data != lines_above + _checksum_lines(lines_above):
                raise DamagedArchiveError("the manifest is not what was stored (its own SHA-256 differs)")
            archive, index = document["archive"], document["index"]
            return cls(
                backup_id=str(document["backup"]),
                run_id=str(document["run"]),
                status=RunStatus(document["status"]),
                started=datetime.fromisoformat(document["started"]),
                ended=datetime.fromisoformat(document["ended"]),
                host=str(document["host"]),
                source=dict(document["source"]),
                archive=FilePart(_file_name(archive["name"]), int(archive["size"]), str(archive["sha256"])),
                index=FilePart(_file_name(index["name"]), int(index["size"]), str(index["sha256"])),
                compression=str(archive["compression"]),
                content=Totals(**{key: int(value) for key, value in document["content"].items()}),
                notes=NoteList(dict(document["notes"]["counts"]), list(document["notes"]["first"])),
                made_by=str(document["made_by"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DamagedArchiveError(f"the manifest is damaged ({type(error).__name__}: {error})") from None


def _checksum_lines(lines_above: bytes) -> bytes:
    return f'  "{_CHECKSUM_KEY}": "{hashlib.sha256(lines_above).hexdigest()}"\n}}\n'.encode("ascii")


def _file_name(text: object) -> str:
    """A manifest names the objects beside it; a path in it would reach for something else."""
    name = str(text)
    if not name or "/" in name or name in (".", ".."):
        raise ValueError(f"{name!r} is not a file name")
    return name
