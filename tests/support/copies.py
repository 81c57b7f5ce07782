"""Copies made and read back within the test's own process: a thousand of them cost what ten processes would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from archives.entry import Entry
from archives.index import IndexWriter
from archives.manifest import FilePart, Manifest
from archives.signature import signing_key
from model import (
    INTO_NEW_FOLDER,
    Backup,
    Compression,
    FileSource,
    Member,
    Overwrite,
    Placement,
    StorageDefinition,
    StorageType,
    Target,
)
from operations.backup import Attempt, back_up
from operations.copies.stored_copies import StoredCopy, list_copies
from operations.restoring.restore import RestoreReport, restore_files
from operations.verifying.verify import VerifyReport, verify_copy
from progress import Progress
from storages.workplace import Workplace

STARTED = datetime(2026, 11, 20, 3, 0, 0, tzinfo=UTC)
REPLACING = Placement(Overwrite.ALWAYS)


def make_copy(
    storage: Path, *paths: Path, compression: Compression | None = None, started: datetime = STARTED
) -> StoredCopy:
    """Back these paths up as ``shop/files`` into a LOCAL storage at ``storage``; the copy that lies there."""
    backup = backup_of(storage, *paths, compression=compression)
    back_up_as(backup, storage.parent / "state", started)
    return find_copy(backup)


def back_up_as(backup: Backup, state: Path, started: datetime = STARTED) -> None:
    """Run a backup with this state folder. It ends well."""
    (state / "spool").mkdir(parents=True, exist_ok=True)
    attempt = Attempt(backup, "run", started, (), state, Workplace(state), own_folders=())
    outcome = back_up(attempt, lambda _: None, Progress(backup.id, None, quiet=True))
    assert outcome.notes.counts == {}


def backup_of(storage: Path, *paths: Path, compression: Compression | None = None) -> Backup:
    return Backup(
        id="shop/files",
        project="shop",
        name="files",
        source=FileSource(tuple(map(str, paths))),
        intervals=("0 2 * * *",),
        targets=(Target(StorageDefinition("LOCAL", StorageType.LOCAL, {"ROOT": str(storage)}), ""),),
        compression=compression or Compression(),
    )


def find_copy(backup: Backup) -> StoredCopy:
    """The newest copy on the target."""
    return list_copies(backup).copies[0]


def path_of(storage: Path, key: str) -> Path:
    return storage / key


def restore_copy(copy: StoredCopy, to: Path, *paths: bytes, placement: Placement = INTO_NEW_FOLDER) -> RestoreReport:
    return restore_files(copy, to, paths, placement, on_progress=_ignore_progress)


def verify(copy: StoredCopy) -> VerifyReport:
    return verify_copy(copy, _ignore_progress)


def with_index(copy: StoredCopy, storage: Path, spool: Path, entries: Sequence[Entry]) -> StoredCopy:
    """The same copy with an index of these entries, which its manifest confirms: as who made it may have wanted."""
    writer = IndexWriter(spool)
    for entry in entries:
        writer.add(entry)
    return with_index_bytes(copy, storage, b"".join(writer.chunks()))


def with_index_bytes(copy: StoredCopy, storage: Path, data: bytes) -> StoredCopy:
    """The same copy with this index, which its manifest confirms, there too."""
    path_of(storage, copy.keys.index).write_bytes(data)
    assert copy.manifest is not None
    part = FilePart(copy.manifest.index.name, len(data), hashlib.sha256(data).hexdigest())
    return write_manifest(copy, storage, replace(copy.manifest, index=part))


def write_manifest(copy: StoredCopy, storage: Path, manifest: Manifest) -> StoredCopy:
    """The same copy with this manifest, signed by who has the key of the state folder beside the storage."""
    signed = manifest.signed(signing_key(storage.parent / "state").sign)
    path_of(storage, copy.keys.manifest).write_bytes(signed.encode())
    return replace(copy, manifest=signed)


def change_lines(index: bytes, change: Callable[[list[dict[str, object]]], None]) -> bytes:
    """A packed index whose members' lines, as JSON objects, ``change`` has changed."""
    import zstandard

    header, *lines = zstandard.ZstdDecompressor().decompressobj().decompress(index).splitlines()
    documents = [json.loads(line) for line in lines]
    change(documents)
    text = b"\n".join([header, *(json.dumps(document).encode() for document in documents), b""])
    return zstandard.ZstdCompressor().compress(text)


def _ignore_progress(member: Member, size: int) -> None:
    pass
