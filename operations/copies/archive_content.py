"""The bytes of an archive, decrypted where it is encrypted: what whoever reads a copy reads from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from archives.age_keys import Identity
from archives.age_reader import AgeReader
from storages.storage import Storage


class ArchiveContent:
    """An object of a storage as the ZIP file that is in it, or that it is. Several threads may read at once.

    Raises StorageError; of one that is encrypted, EncryptionKeyError and DamagedArchiveError too.
    """

    def __init__(self, storage: Storage, key: str, identities: Callable[[], list[Identity]] | None) -> None:
        """``identities`` is None where it is not encrypted; otherwise it is asked at the first read."""
        self._storage = storage
        self._key = key
        self._identities = identities
        self._lock = threading.Lock()
        self._opened: AgeReader | None = None

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes there, in chunks; fewer where it ends."""
        if self._identities is None:
            return self._storage.get(self._key, offset, length)
        return self._reader(self._identities).read(offset, length)

    def size(self) -> int:
        """In bytes. Raises ObjectNotFoundError where there is no such object."""
        if self._identities is None:
            return self._storage.stat(self._key).size
        return self._reader(self._identities).size

    def _reader(self, identities: Callable[[], list[Identity]]) -> AgeReader:
        with self._lock:
            if self._opened is None:
                size = self._storage.stat(self._key).size
                self._opened = AgeReader(self._fetch, size, identities(), checks_end=False)
            return self._opened

    def _fetch(self, offset: int, length: int) -> Iterator[bytes]:
        return self._storage.get(self._key, offset, length)
