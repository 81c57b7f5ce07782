"""A storage of which a part was listed once and is then looked up in memory, because many backups lie there."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from model import StoredObject
from storages.storage import Storage
from storages.wrapper import StorageWrapper


class ListedStorage(StorageWrapper):
    """Lists what lies below ``prefix`` from ``objects``, which were listed there; changes since then are not seen.

    ``objects`` may be some of those there: only these are listed then. Everything else is handed on.
    """

    def __init__(self, storage: Storage, prefix: str, objects: Iterable[StoredObject]) -> None:
        super().__init__(storage)
        self._prefix = prefix
        self._objects = sorted(objects, key=lambda stored: stored.key)
        self._keys = [stored.key for stored in self._objects]

    def list(self, prefix: str) -> Iterator[StoredObject]:
        if not prefix.startswith(self._prefix):
            yield from super().list(prefix)
            return
        for position in range(bisect_left(self._keys, prefix), len(self._keys)):
            if not self._keys[position].startswith(prefix):
                return
            yield self._objects[position]
