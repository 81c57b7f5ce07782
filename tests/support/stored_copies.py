"""Small copies put straight onto a storage, without a run; and a storage that dies or refuses at a planned call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from archives.manifest import FilePart, Manifest, NoteList, Totals
from archives.signature import SigningKey
from errors import StorageError
from model import RunStatus, StorageDefinition, StorageType, StoredObject, Target
from operations.copies.layout import CopyKeys, copy_keys, object_name
from storages.local import LocalStorage
from storages.storage import Storage
from storages.wrapper import StorageWrapper

BACKUP_ID = "shop/files"


def local_target(root: Path, name: str = "LOCAL") -> tuple[Target, LocalStorage]:
    """A folder as a target of the backup, and its storage."""
    return Target(StorageDefinition(name, StorageType.LOCAL, {"ROOT": str(root)}), "kept"), LocalStorage(name, root)


def put_copy(
    storage: Storage,
    target: Target,
    started: datetime,
    status: RunStatus = RunStatus.GOOD,
    backup_id: str = BACKUP_ID,
    signed_by: SigningKey | None = None,
) -> CopyKeys:
    """An archive of some bytes, its index, and last its manifest."""
    keys = copy_keys(target.path, backup_id, started)
    parts = {}
    for key in (keys.archive, keys.index):
        content = f"content of {key}".encode()
        storage.put(key, [content])
        parts[key] = FilePart(object_name(key), len(content), hashlib.sha256(content).hexdigest())
    manifest = Manifest(
        backup_id=backup_id,
        run_id=keys.timestamp,
        status=status,
        started=started,
        ended=started,
        host="here",
        source={},
        archive=parts[keys.archive],
        index=parts[keys.index],
        compression="deflate",
        content=Totals(files=1),
        notes=NoteList(),
        made_by="a test",
    )
    if signed_by is not None:
        manifest = manifest.signed(signed_by.sign)
    storage.put(keys.manifest, [manifest.encode()])
    return keys


class Killed(BaseException):
    """As a kill is for who waits for an answer of the storage: no handler of errors sees it."""


@dataclass
class Plan:
    """What happens at the changes (``put`` and ``delete``) that a :class:`PlannedStorage` is asked for.

    The one with the number ``kill_at`` (from 0) kills, after or before it was done; those of a key that ends in one of
    ``refused`` are refused with ``error``. ``changes`` are all that were asked for.
    """

    kill_at: int | None = None
    kill_is_after: bool = False
    refused: tuple[str, ...] = ()
    error: type[StorageError] = StorageError
    changes: list[tuple[str, str]] = field(default_factory=list)
    has_killed: bool = False


class PlannedStorage(StorageWrapper):
    def __init__(self, storage: Storage, plan: Plan) -> None:
        super().__init__(storage)
        self._plan = plan

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        kills = self._before("put", key)
        stored = self._storage.put(key, chunks)
        self._after(kills)
        return stored

    def delete(self, key: str) -> None:
        kills = self._before("delete", key)
        self._storage.delete(key)
        self._after(kills)

    def _before(self, change: str, key: str) -> bool:
        kills = len(self._plan.changes) == self._plan.kill_at
        self._plan.changes.append((change, object_name(key)))
        if kills and not self._plan.kill_is_after:
            self._kill()
        if self._plan.refused and key.endswith(self._plan.refused):
            raise self._plan.error(f"{key} is locked.")
        return kills

    def _after(self, kills: bool) -> None:
        if kills:
            self._kill()

    def _kill(self) -> None:
        self._plan.has_killed = True
        raise Killed
