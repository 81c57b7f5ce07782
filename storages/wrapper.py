"""What every wrapper of a storage shares: it is a storage itself, and hands on what it does not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model import StoredObject
from storages.storage import Storage


class StorageWrapper:
    """Hands everything on. See ``storages.storage.Storage`` for the contract."""

    def __init__(self, storage: Storage) -> None:
        self.name = storage.name
        self.needs_size_first = storage.needs_size_first
        self._storage = storage

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        return self._storage.put(key, chunks)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return self._storage.get(key, offset, length)

    def stat(self, key: str) -> StoredObject:
        return self._storage.stat(key)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return self._storage.list(prefix)

    def delete(self, key: str) -> None:
        self._storage.delete(key)

    def clean_up(self, prefix: str) -> int:
        return self._storage.clean_up(prefix)
