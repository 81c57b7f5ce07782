"""The copies of backups for whoever looks at them page by page: listed once, and then known for a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from errors import HoldfastError, ObjectNotFoundError
from model import Backup, Configuration, StoredObject, Target
from operations.browsing.listing import NothingThereError
from operations.copies.keyring import Keyring
from operations.copies.stored_copies import Listing, StoredCopy, copies_on, list_copies
from storages.factory import OpenStorages
from storages.storage import Storage
from utils import format_timestamp, utc_now

KNOWN_SECONDS = 60.0
LOOKED_AT_SECONDS = 3.0
_MOST_KNOWN = 200


@dataclass(frozen=True, slots=True)
class KnownCopies:
    """What a listing said, and when."""

    listing: Listing
    listed: datetime


@dataclass(frozen=True, slots=True)
class _KnownCopy:
    """``manifest`` is the object as it was when it was read."""

    copy: StoredCopy
    manifest: StoredObject
    read: float
    looked_at: float


class CopyLists:
    """Safe in several threads. What was found is forgotten with a change of the configuration."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._configuration: Configuration | None = None
        self._storages = OpenStorages()
        self._lists: dict[str, tuple[int, float, KnownCopies]] = {}
        self._copies: dict[tuple[str, str, str], _KnownCopy] = {}
        self._listing: dict[str, threading.Lock] = {}

    def all(self, configuration: Configuration, backup: Backup, revision: int) -> KnownCopies:
        """Every copy of a backup, newest first; listed anew where ``revision`` of the backup is another one."""
        with self._lock:
            storages = self._opened(configuration)
            one_at_a_time = self._listing.setdefault(backup.id, threading.Lock())
        with one_at_a_time:
            known = self._lists.get(backup.id)
            if known is not None and known[0] == revision and self._clock() - known[1] <= KNOWN_SECONDS:
                return known[2]
            copies = KnownCopies(list_copies(backup, None, storages, Keyring.of(configuration)), utc_now())
            with self._lock:
                if len(self._lists) >= _MOST_KNOWN:
                    self._lists.clear()
                self._lists[backup.id] = (revision, self._clock(), copies)
            return copies

    def one(self, configuration: Configuration, backup: Backup, timestamp: str, target_name: str | None) -> StoredCopy:
        """One copy, on the target with this name, or on the first that has it. It is there now, or was 3 seconds ago.

        One whose manifest cannot be read is taken only where there is no other. Raises NothingThereError, StorageError.
        """
        targets = [target for target in backup.targets if target_name in (None, str(target))]
        if not targets:
            raise NothingThereError(f"{backup.id} has no target of this name.")
        with self._lock:
            storages = self._opened(configuration)
        keyring = Keyring.of(configuration).for_backup(backup.encryption)
        error: HoldfastError | None = None
        unreadable: StoredCopy | None = None
        for target in targets:
            try:
                copy = self._on(target, backup, timestamp, storages, keyring)
            except HoldfastError as problem:
                error = problem
                continue
            if copy is not None and copy.manifest is not None:
                return copy
            unreadable = unreadable or copy
        if unreadable is not None:
            return unreadable
        raise error or NothingThereError(f"There is no copy {backup.id}@{timestamp} there any more.")

    def _on(
        self, target: Target, backup: Backup, timestamp: str, storages: OpenStorages, keyring: Keyring
    ) -> StoredCopy | None:
        key = (backup.id, str(target), timestamp)
        storage = storages.open(target.storage)
        try:
            known = self._still_there(key, storage)
            if known is not None:
                return known
            found = copies_on(
                target, backup.id, storage, keyring, made_at=lambda moment: format_timestamp(moment) == timestamp
            )
            if not found:
                return None
            manifest = storage.stat(found[0].keys.manifest)
        except ObjectNotFoundError:
            return None
        now = self._clock()
        with self._lock:
            if len(self._copies) >= _MOST_KNOWN:
                self._copies.clear()
            self._copies[key] = _KnownCopy(found[0], manifest, now, now)
        return found[0]

    def _still_there(self, key: tuple[str, str, str], storage: Storage) -> StoredCopy | None:
        """A copy that is known and whose manifest is as it was. Raises StorageError."""
        known, now = self._copies.get(key), self._clock()
        if known is None or now - known.read > KNOWN_SECONDS:
            return None
        if now - known.looked_at > LOOKED_AT_SECONDS:
            manifest = storage.stat(known.copy.keys.manifest)
            if (manifest.size, manifest.modified) != (known.manifest.size, known.manifest.modified):
                return None
            with self._lock:
                self._copies[key] = replace(known, looked_at=now)
        return known.copy

    def _opened(self, configuration: Configuration) -> OpenStorages:
        """The storages of a configuration. The lock is held."""
        if configuration is not self._configuration:
            self._configuration, self._storages = configuration, OpenStorages()
            self._lists.clear()
            self._copies.clear()
        return self._storages
