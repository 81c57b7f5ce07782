"""The folder of one backup on one target, while a run puts its copy there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from errors import HoldfastError, IntegrityError, ObjectExistsError, ObjectNotFoundError, StorageError
from model import Copy, RunStatus, Target
from operations.delivery import Delivered, deliver
from operations.layout import HOW_TO_RESTORE, CopyKeys, copy_keys, folder_key
from storages.factory import open_storage
from storages.storage import Storage


class TargetCopy:
    """One copy in the making. ``error`` is set once it has failed; it takes nothing more then."""

    def __init__(self, target: Target, backup_id: str, started: datetime) -> None:
        self.target = target
        self.keys = copy_keys(target.path, backup_id, started)
        self.error: HoldfastError | None = None
        self._folder = folder_key(target.path, backup_id)
        self._backup_id = backup_id
        self._storage: Storage | None = None
        self._finished = False

    def open(self, unfinished_runs: Iterable[datetime]) -> None:
        """Open the storage and remove what earlier runs that were not finished (they began at these times) left there.

        The caller holds the backup's lock. A failure is kept in ``error``.
        """
        try:
            self._storage = open_storage(self.target.storage)
            self._storage.clean_up(self._folder)
            present = {stored.key for stored in self._storage.list(self._folder)}
            for started in unfinished_runs:
                keys = copy_keys(self.target.path, self._backup_id, started)
                if present.intersection((keys.archive, keys.index)):
                    self._discard(keys)
        except HoldfastError as error:
            self.error = error

    @property
    def storage(self) -> Storage:
        """The open storage. Raises StorageError where :meth:`open` failed."""
        if self._storage is None:
            raise StorageError(f"The storage {self.target.storage.name} is not open.")
        return self._storage

    def finish(self, manifest: bytes, how_to_restore: bytes) -> None:
        """Put the text beside the archives, and the manifest last of all: from then on the copy counts."""
        if self.error is not None:
            return
        try:
            with suppress(ObjectExistsError):
                self.storage.put(self._folder + HOW_TO_RESTORE, [how_to_restore])
            self.storage.put(self.keys.manifest, [manifest])
            self._finished = True
        except HoldfastError as error:
            self.error = error

    def discard_unfinished(self) -> None:
        """Remove what lies there of a copy that will never be whole. What cannot be removed now is found later."""
        if not self._finished and self._storage is not None:
            with suppress(HoldfastError):
                self._discard(self.keys)

    def outcome(self, status: RunStatus, size: int) -> Copy:
        """How this copy ended, given the status that a finished one has."""
        name = self.target.storage.name
        if self.error is not None or not self._finished:
            return Copy(name, self.keys.archive, RunStatus.FAILED, error=str(self.error or "It was not finished."))
        return Copy(name, self.keys.archive, status, size)

    def _discard(self, keys: CopyKeys) -> None:
        try:
            self.storage.stat(keys.manifest)
        except ObjectNotFoundError:
            self.storage.delete(keys.archive)
            self.storage.delete(keys.index)


def deliver_to(copies: Sequence[TargetCopy], chunks: Iterable[bytes], key_of: Callable[[CopyKeys], str]) -> Delivered:
    """Send the same object to every target that has not failed yet, and check what each says that it stored.

    Raises HoldfastError with every target's error where none is left.
    """
    working = [copy for copy in copies if copy.error is None]
    delivered = deliver(chunks, [partial(copy.storage.put, key_of(copy.keys)) for copy in working])
    for copy, result in zip(working, delivered.results, strict=True):
        if isinstance(result, HoldfastError):
            copy.error = result
        elif result.size != delivered.size or result.sha256 not in (None, delivered.sha256):
            copy.error = IntegrityError(f"{copy.target} holds something else than what was sent as {result.key}.")
    require_one(copies)
    return delivered


def require_one(copies: Sequence[TargetCopy]) -> None:
    """Raise HoldfastError with every target's error where all have failed."""
    if all(copy.error is not None for copy in copies):
        raise HoldfastError("\n".join(f"{copy.target}: {copy.error}" for copy in copies))
