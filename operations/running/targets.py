"""The folder of one backup on one target, while a run puts its copy there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime

from errors import HoldfastError, ObjectExistsError, ObjectNotFoundError, StorageError, StorageUnavailableError
from model import Backup, Copy, RunStatus, StorageDefinition, StorageType, Target
from operations.copies.layout import HOW_TO_RESTORE, CopyKeys, copy_keys, folder_key
from operations.copies.removal import finish_removals
from operations.running.only import takes
from operations.running.spooled_copy import SpooledCopy
from storages.bandwidth import Bandwidth
from storages.factory import open_storage
from storages.storage import KnownContent, Storage
from storages.workplace import Workplace

OnUpload = Callable[[Target, int, int], None]
"""Told of a target, how many bytes of the waiting archive it has, and how many there are."""


class TargetCopy:
    """One copy in the making. ``error`` is set once it has failed; it takes nothing more then.

    ``is_left_out`` is set where its target has its copy already (``ONLY``). ``is_kept_waiting`` is set by whoever
    leaves a copy in the spool, so that its upload goes on later.
    """

    def __init__(
        self,
        target: Target,
        backup_id: str,
        started: datetime,
        *,
        is_encrypted: bool = False,
        is_awaited: bool = False,
    ) -> None:
        """``is_awaited`` says that containers stand still until the whole archive has been taken."""
        self.target = target
        self.keys = copy_keys(target.path, backup_id, started, is_encrypted=is_encrypted)
        self.error: HoldfastError | None = None
        self.is_left_out = False
        self.is_kept_waiting = False
        self._folder = folder_key(target.path, backup_id)
        self._backup_id = backup_id
        self._started = started
        self._storage: Storage | None = None
        self._finished = False
        self._is_awaited = is_awaited

    def open(self, workplace: Workplace, run_bandwidth: Bandwidth | None) -> None:
        """Open the storage. A failure is kept in ``error``."""
        try:
            self._storage = open_for_writing(self.target, workplace, run_bandwidth)
        except HoldfastError as error:
            self.error = error

    def clean_up(self, unfinished_runs: Iterable[datetime]) -> None:
        """Remove what earlier runs that were not finished (they began at these times), and prunings, left there.

        Raises HoldfastError; not where what a pruning left cannot be removed, which the next pruning says.

        The caller holds the backup's lock.
        """
        present = tidy_up(self._backup_id, self.target, self.storage)
        for started in unfinished_runs:
            keys = copy_keys(self.target.path, self._backup_id, started)
            self._discard(keys, present.intersection(keys.all_content))

    def ask_whether_wanted(self) -> None:
        """Find out whether the target is left out. Raises StorageError."""
        self.is_left_out = not takes(self.target, self._backup_id, self.storage, self._started)

    @property
    def storage(self) -> Storage:
        """The open storage. Raises StorageError where :meth:`open` failed."""
        if self._storage is None:
            raise StorageError(f"The storage {self.target.storage.name} is not open.")
        return self._storage

    @property
    def takes_from_spool(self) -> bool:
        """Whether the archive waits on this machine until it is whole: where the storage needs to know its size first,
        or is elsewhere and would let those wait who stand still."""
        if self._storage is None:
            return False
        return self._storage.needs_size_first or (
            self._is_awaited and self.target.storage.type is not StorageType.LOCAL
        )

    def is_there(self) -> bool:
        """Whether an earlier process finished this copy: its manifest is there. Raises StorageError."""
        try:
            self.storage.stat(self.keys.manifest)
        except ObjectNotFoundError:
            return False
        self._finished = True
        return True

    def finish(self, manifest: bytes, how_to_restore: bytes) -> None:
        """Put the text beside the archives, and the manifest last of all: from then on the copy counts.

        Raises HoldfastError.
        """
        put_how_to_restore(self.storage, self._folder, how_to_restore)
        self.storage.put(self.keys.manifest, [manifest])
        self._finished = True

    def receive(self, spooled: SpooledCopy, how_to_restore: bytes, on_upload: OnUpload) -> None:
        """Take over a whole copy from the spool: archive, index, and the manifest last. Raises HoldfastError.

        Where an earlier process was killed on the way, it goes on with what is missing.
        """
        with spooled.archive() as archive:
            watched = _WatchedContent(archive, lambda sent: on_upload(self.target, sent, archive.size))
            self._put_where_missing(self.keys.archive, watched)
        with spooled.index() as index:
            self._put_where_missing(self.keys.index, index)
        self.finish(spooled.encoded_manifest(), how_to_restore)

    def discard_unfinished(self) -> None:
        """Remove what lies there of a copy that will never be whole. What cannot be removed now is found later."""
        if not self._finished and not self.is_kept_waiting and self._storage is not None:
            with suppress(HoldfastError):
                self._discard(self.keys, (self.keys.archive, self.keys.index))

    def outcome(self, status: RunStatus, size: int) -> Copy:
        """How this copy ended, given the status that a finished one has."""
        name = self.target.storage.name
        if self.is_left_out:
            return Copy(name, self.keys.archive, RunStatus.SKIPPED)
        if self.error is not None or not self._finished:
            return Copy(name, self.keys.archive, RunStatus.FAILED, error=str(self.error or "It was not finished."))
        return Copy(name, self.keys.archive, status, size)

    def _put_where_missing(self, key: str, content: KnownContent) -> None:
        """An object that is visible is whole (that is the contract of ``put``), so its size says which one it is."""
        try:
            self.storage.put(key, content)
        except ObjectExistsError:
            if self.storage.stat(key).size != content.size:
                raise

    def _discard(self, keys: CopyKeys, content: Collection[str]) -> None:
        if not content:
            return
        try:
            self.storage.stat(keys.manifest)
        except ObjectNotFoundError:
            for key in content:
                self.storage.delete(key)


class _WatchedContent(KnownContent):
    """Tells how far it was read: what was read again after a failure counts once."""

    def __init__(self, content: KnownContent, on_read: Callable[[int], None]) -> None:
        self.size = content.size
        self.sha256 = content.sha256
        self.crc32 = content.crc32
        self._content = content
        self._on_read = on_read
        self._furthest = 0

    def read(self, offset: int, length: int) -> bytes:
        block = self._content.read(offset, length)
        if offset + len(block) > self._furthest:
            self._furthest = offset + len(block)
            self._on_read(self._furthest)
        return block


def open_for_writing(target: Target, workplace: Workplace, run_bandwidth: Bandwidth | None) -> Storage:
    """The storage of a target, for archives of any size, no faster than it may be. Raises StorageError."""
    bandwidths = [run_bandwidth, bandwidth_of(target.bandwidth), _storage_bandwidth(target.storage)]
    return open_storage(target.storage, workplace, [limit for limit in bandwidths if limit])


def tidy_up(backup_id: str, target: Target, storage: Storage) -> set[str]:
    """Remove the unfinished objects of killed processes, and finish their removals; the keys that lay there before.

    Raises StorageError; not where a removal cannot be finished, which the next pruning says. The caller holds the
    backup's lock.
    """
    folder = folder_key(target.path, backup_id)
    storage.clean_up(folder)
    present = {stored.key for stored in storage.list(folder)}
    finish_removals(backup_id, target, storage, present)
    return present


def put_how_to_restore(storage: Storage, folder: str, text: bytes) -> None:
    """Have this text, and no earlier one, in the folder of a backup. Raises StorageError where there is none then."""
    key = folder + HOW_TO_RESTORE
    try:
        earlier = b"".join(storage.get(key))
    except StorageUnavailableError:  # it was tried for long enough
        raise
    except StorageError:  # nothing is there, or this user may write and not read
        with suppress(ObjectExistsError):
            storage.put(key, [text])
        return
    if earlier != text:
        # Object Lock may refuse this, and the copy is as good with the earlier text.
        with suppress(StorageError):
            storage.delete(key)
            storage.put(key, [text])


def open_targets(backup: Backup, started: datetime, workplace: Workplace, *, is_encrypted: bool) -> list[TargetCopy]:
    """A copy in the making for each target of the backup, with its storage open."""
    is_awaited = backup.stopped_containers is not None
    copies = [
        TargetCopy(target, backup.id, started, is_encrypted=is_encrypted, is_awaited=is_awaited)
        for target in backup.targets
    ]
    run_bandwidth = bandwidth_of(backup.bandwidth)
    for copy in copies:
        copy.open(workplace, run_bandwidth)
    return copies


def require_one(copies: Iterable[TargetCopy]) -> None:
    """Raise HoldfastError with every target's error where all have failed."""
    errors = [f"{copy.target}: {copy.error}" for copy in copies if copy.error is not None]
    if len(errors) == len(list(copies)):
        raise HoldfastError("\n".join(errors))


def bandwidth_of(bytes_per_second: int | None) -> Bandwidth | None:
    """The limit of so many bytes per second; None sets none."""
    return Bandwidth(bytes_per_second) if bytes_per_second is not None else None


def _storage_bandwidth(definition: StorageDefinition) -> Bandwidth | None:
    value = definition.settings.get("BANDWIDTH")
    return Bandwidth(int(value)) if isinstance(value, str) else None
