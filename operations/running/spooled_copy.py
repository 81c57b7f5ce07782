"""A copy that waits on this machine's disk for the targets that take it only when it is whole.

They are those that need to know its size first and, where containers stand still, all that are elsewhere.

It is laid out as on a target, below ``state/spool``. Its manifest is written last: with it the copy is whole, and an
upload that a kill or a reboot ends is taken up again by the next run of the backup, without reading the source again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from archives.manifest import FilePart, Manifest
from errors import DamagedArchiveError, StorageError
from model import StoredObject
from operations.copies.layout import CopyKeys, copy_keys, copy_of_manifest, is_encrypted_name
from storages.spool import SpooledFile, spool
from utils import utc_now


class SpooledCopy:
    """The files of one copy in the spool folder. Whoever makes one calls :meth:`remove`, or leaves it to be resumed."""

    def __init__(self, state_directory: Path, keys: CopyKeys, expected_size: int = 0) -> None:
        self.keys = keys
        self.manifest: Manifest | None = None
        self._root = _root(state_directory)
        self._expected_size = expected_size
        self._checksums: dict[str, int] = {}

    @classmethod
    def of_run(
        cls, state_directory: Path, backup_id: str, started: datetime, expected_size: int, *, is_encrypted: bool
    ) -> SpooledCopy:
        """That of a run which begins now. ``expected_size`` (bytes) is checked against the free space."""
        keys = copy_keys("", backup_id, started, is_encrypted=is_encrypted)
        return cls(state_directory, keys, expected_size)

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """Keep one of the files. Raises StorageError; what ``chunks`` raises passes."""
        expected_size = self._expected_size if key == self.keys.archive else 0
        spooled = spool(self._root / key, chunks, expected_size)
        self._checksums[key] = spooled.crc32
        return StoredObject(key, spooled.size, utc_now())

    def complete(self, manifest: Manifest) -> None:
        """Write the manifest: from now on this copy is whole. Raises StorageError."""
        self.put(self.keys.manifest, [manifest.encode()])
        self.manifest = manifest

    def archive(self) -> SpooledFile:
        """The archive, open for reading. Raises StorageError."""
        return self._open(self.keys.archive, self._whole.archive)

    def index(self) -> SpooledFile:
        """The index, open for reading. Raises StorageError."""
        return self._open(self.keys.index, self._whole.index)

    def encoded_manifest(self) -> bytes:
        """What its manifest says, as it is written to a target."""
        return self._whole.encode()

    def remove(self) -> None:
        """Remove its files. What cannot be removed now is removed by the next run."""
        for key in (self.keys.manifest, self.keys.archive, self.keys.index):
            with suppress(OSError):
                (self._root / key).unlink()
        folder = (self._root / self.keys.archive).parent
        with suppress(OSError):  # another copy waits there
            folder.rmdir()
            folder.parent.rmdir()

    @property
    def _whole(self) -> Manifest:
        if self.manifest is None:
            raise StorageError(f"The copy {self.keys.stem} in the spool is not whole.")
        return self.manifest

    def _open(self, key: str, part: FilePart) -> SpooledFile:
        file = SpooledFile(self._root / key, part.sha256, self._checksums.get(key))
        if file.size != part.size:
            file.close()
            raise StorageError(f"The file {self._root / key} has {file.size:,} bytes where {part.size:,} were written.")
        return file


def waiting_copies(state_directory: Path, backup_id: str) -> Iterator[SpooledCopy]:
    """The whole copies of this backup that wait in the spool, oldest first; what else lies there of it is removed.

    The caller holds the backup's lock.
    """
    folder = _root(state_directory) / backup_id
    whole = []
    for path in sorted(folder.glob("*")):
        keys = copy_of_manifest(f"{backup_id}/{path.name}", "", backup_id)
        manifest = _read_manifest(path) if keys is not None else None
        if keys is not None and manifest is not None:
            is_encrypted = is_encrypted_name(manifest.archive.name)
            copy = SpooledCopy(state_directory, replace(keys, is_encrypted=is_encrypted))
            copy.manifest = manifest
            whole.append(copy)
    kept = {key for copy in whole for key in (copy.keys.archive, copy.keys.index, copy.keys.manifest)}
    for path in folder.glob("*"):
        if f"{backup_id}/{path.name}" not in kept:
            with suppress(OSError):
                path.unlink()
    yield from whole


def _read_manifest(path: Path) -> Manifest | None:
    try:
        return Manifest.decode(path.read_bytes())
    except (OSError, DamagedArchiveError):
        return None


def _root(state_directory: Path) -> Path:
    return state_directory / "spool"
