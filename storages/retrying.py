"""Trying again, as a wrapper: reading, listing and deleting can be repeated without harm."""

from __future__ import annotations

from collections.abc import Iterator

from errors import StorageUnavailableError
from model import StoredObject
from storages.storage import Storage
from storages.workplace import Workplace
from storages.wrapper import StorageWrapper


class RetryingStorage(StorageWrapper):
    """Repeats what can be repeated. ``put`` passes: its chunks come only once, so it repeats its own requests."""

    def __init__(self, storage: Storage, workplace: Workplace) -> None:
        super().__init__(storage)
        self._workplace = workplace

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """What was received is not asked for again: a broken download goes on where it stood."""
        received = failures = 0
        while length is None or received < length or length == 0:
            try:
                left = None if length is None else length - received
                for chunk in self._storage.get(key, offset + received, left):
                    received, failures = received + len(chunk), 0
                    yield chunk
                return
            except StorageUnavailableError as error:
                failures += 1
                self._workplace.wait_after(failures, error)

    def stat(self, key: str) -> StoredObject:
        return self._workplace.repeat(lambda: self._storage.stat(key))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Ordered by key, so a listing that broke begins again and what was yielded already is passed over."""
        last, failures = "", 0
        while True:
            try:
                for stored in self._storage.list(prefix):
                    if stored.key > last:
                        last, failures = stored.key, 0
                        yield stored
                return
            except StorageUnavailableError as error:
                failures += 1
                self._workplace.wait_after(failures, error)

    def delete(self, key: str) -> None:
        self._workplace.repeat(lambda: self._storage.delete(key))

    def clean_up(self, prefix: str) -> int:
        return self._workplace.repeat(lambda: self._storage.clean_up(prefix))
