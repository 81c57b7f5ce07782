"""The storage that a definition in config.yaml stands for. An adapter, and its vendor's SDK, is imported only here."""

from __future__ import annotations

from collections.abc import Iterable

from model import StorageDefinition, StorageType
from storages.bandwidth import Bandwidth, LimitedStorage
from storages.retrying import RetryingStorage
from storages.spool import SpoolingStorage
from storages.storage import Storage
from storages.workplace import Workplace


def open_storage(
    definition: StorageDefinition, workplace: Workplace | None = None, bandwidths: Iterable[Bandwidth] = ()
) -> Storage:
    """The adapter with its wrappers around it. Nothing is read, written or connected to before it is used.

    Without a ``workplace`` it serves for reading, and for objects of some megabytes. Raises StorageError where the
    settings cannot be used.
    """
    workplace = workplace or Workplace()
    storage = _adapter(definition, workplace)
    if limits := tuple(bandwidths):
        storage = LimitedStorage(storage, limits, workplace)
    if storage.needs_size_first:
        storage = SpoolingStorage(storage, workplace)
    return RetryingStorage(storage, workplace)


class OpenStorages:
    """Storages by their names, each opened once: signing in costs some requests, and a connection some round trips."""

    def __init__(self) -> None:
        self._by_name: dict[str, Storage] = {}

    def open(self, definition: StorageDefinition) -> Storage:
        """As :func:`open_storage`, for reading."""
        if definition.name not in self._by_name:
            self._by_name[definition.name] = open_storage(definition)
        return self._by_name[definition.name]

    def use(self, storage: Storage) -> None:
        """From now on this one is what its name means."""
        self._by_name[storage.name] = storage


def _adapter(definition: StorageDefinition, workplace: Workplace) -> Storage:
    match definition.type:
        case StorageType.LOCAL:
            from storages.local import local_storage

            return local_storage(definition)
        case StorageType.S3:
            from storages.s3.storage import s3_storage

            return s3_storage(definition, workplace)
        case StorageType.ONEDRIVE:
            from storages.onedrive.storage import onedrive_storage

            return onedrive_storage(definition, workplace)
        case StorageType.SFTP:
            from storages.sftp.storage import sftp_storage

            return sftp_storage(definition, workplace)
