"""One copy, as it lies on one target, put onto another one: byte for byte, and compared with its manifest on the way.

What is put there is no copy before its manifest has come, which is the last. Until then a note lies beside it, so that
whatever a killed process leaves is removed by the next run, or by the next copy: see ``operations.copies.removal``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from archives.manifest import Manifest
from errors import DamagedArchiveError, HoldfastError, ObjectNotFoundError, StorageError, UnreadableCopyError
from model import Backup, Target
from operations.copies.how_to_restore import how_to_restore
from operations.copies.keyring import Keyring
from operations.copies.layout import CopyKeys, folder_key, object_name
from operations.copies.removal import put_note, remove_content, to_be_made_again
from operations.copies.stored_content import StoredContent
from operations.copies.stored_copies import StoredCopy, copies_on
from operations.running.targets import bandwidth_of, open_for_writing, put_how_to_restore, tidy_up
from storages.workplace import Workplace
from utils import utc_now

OnCopied = Callable[[int], None]
"""Told how many bytes of the archive are on their way."""


@dataclass(frozen=True, slots=True)
class Copied:
    """The copy as it lies on the target now. ``source`` is None where it was there already; what is wrong with those
    that could not be read stands in ``remarks``."""

    copy: StoredCopy
    source: StoredCopy | None = None
    remarks: tuple[str, ...] = ()


class Destination:
    """A target that copies of a backup are put onto. Whoever changes something there holds the backup's lock."""

    def __init__(self, backup: Backup, target: Target, state_directory: Path, keyring: Keyring | None = None) -> None:
        """``keyring`` tells who wrote the manifests there. Raises StorageError."""
        self.target = target
        self._keyring = keyring
        self._backup = backup
        self._storage = open_for_writing(target, Workplace(state_directory), bandwidth_of(backup.bandwidth))

    def tidy_up(self) -> None:
        """Remove what killed processes left there. Raises StorageError."""
        tidy_up(self._backup.id, self.target, self._storage)

    def has(self, keys: CopyKeys) -> bool:
        """Whether the copy of the same run is there. Raises StorageError."""
        try:
            self._storage.stat(keys_on(keys, self.target, self._backup.id).manifest)
        except ObjectNotFoundError:
            return False
        return True

    def copy_of(self, keys: CopyKeys) -> StoredCopy | None:
        """The copy of the same run, where it is there. Raises StorageError."""
        wanted = keys_on(keys, self.target, self._backup.id)
        return next((copy for copy in self.copies() if copy.keys.stem == wanted.stem), None)

    def copies(self) -> list[StoredCopy]:
        """All that are there, oldest first. Raises StorageError."""
        return copies_on(self.target, self._backup.id, self._storage, self._keyring)

    def awaited(self) -> list[CopyKeys]:
        """The copies that were removed to be made again, and are not there yet, oldest first. Raises StorageError."""
        present = [stored.key for stored in self._storage.list(folder_key(self.target.path, self._backup.id))]
        return to_be_made_again(self._backup.id, self.target, self._storage, present)

    def forget(self, keys: CopyKeys) -> None:
        """Await a copy no longer. Raises StorageError."""
        self._storage.delete(keys.removal)

    def put(self, source: StoredCopy, on_copied: OnCopied, *, is_made_again: bool = False) -> None:
        """Put what the source holds here, in place of what lies there of the same copy.

        Raises UnreadableCopyError where the source is not what its manifest says; StorageError. Nothing is visible
        then. ``is_made_again`` says that a bad copy lies there: the note stays then, so that it is not forgotten.
        """
        manifest = _require_manifest(source)
        keys, encoded = keys_on(source.keys, self.target, self._backup.id), _encoded_manifest(source)
        archive = StoredContent(source.storage, source.keys.archive, manifest.archive, on_copied)
        index = StoredContent(source.storage, source.keys.index, manifest.index, lambda _: None)
        reason = f"made again from {source.target}" if is_made_again else f"not finished, from {source.target}"
        put_note(self._storage, keys, utc_now(), [reason], is_made_again=is_made_again)
        try:
            self._storage.delete(keys.manifest)
            remove_content(self._storage, keys)
            self._storage.put(keys.archive, archive)
            self._storage.put(keys.index, index)
            folder = folder_key(self.target.path, self._backup.id)
            put_how_to_restore(self._storage, folder, how_to_restore(self._backup))
            self._storage.put(keys.manifest, [encoded])
        except BaseException as error:
            self._discard(keys, is_made_again=is_made_again)
            reading = archive.error or index.error
            if reading is not None and isinstance(error, HoldfastError):
                raise UnreadableCopyError(f"{source} cannot be copied: {reading}") from error
            raise
        with suppress(HoldfastError):  # beside a manifest it means nothing
            self._storage.delete(keys.removal)

    def _discard(self, keys: CopyKeys, *, is_made_again: bool) -> None:
        """What cannot be removed now is found by its note."""
        with suppress(HoldfastError):
            if not self.has(keys):
                remove_content(self._storage, keys)
                if is_made_again:
                    return
            self._storage.delete(keys.removal)


def copy_to(destination: Destination, sources: Sequence[StoredCopy], on_copied: OnCopied) -> Copied:
    """Put a copy there, from the first of its sources (copies of one run) that can be read.

    What is there already is left alone, whatever it is worth. Raises HoldfastError.
    """
    destination.tidy_up()
    there = destination.copy_of(sources[0].keys)
    if there is not None:
        return Copied(there)
    remarks: list[str] = []
    is_awaited = any(keys.timestamp == sources[0].keys.timestamp for keys in destination.awaited())
    for source in sources:
        try:
            destination.put(source, on_copied, is_made_again=is_awaited)
        except UnreadableCopyError as error:
            remarks.append(str(error))
            continue
        made = destination.copy_of(source.keys)
        if made is None or made.error is not None or made.damage is not None:
            raise HoldfastError(f"The copy is not on {destination.target} although it was stored there. Try again.")
        return Copied(made, source, tuple(remarks))
    raise HoldfastError("\n".join([*remarks, f"Nothing was put onto {destination.target}."]))


def sources_of(copies: Sequence[StoredCopy], chosen: StoredCopy, target: Target) -> list[StoredCopy]:
    """The copies of the same run as the chosen one that a copy on the target can be made of: itself first, then the
    others that are elsewhere."""
    wanted = _require_manifest(chosen)
    same = [copy for copy in copies if copy.manifest is not None and is_same_run(copy.manifest, wanted)]
    ordered = [copy for copy in same if copy is chosen] + [copy for copy in same if copy is not chosen]
    return [copy for copy in ordered if not is_place(copy.target, target)]


def keys_on(keys: CopyKeys, target: Target, backup_id: str) -> CopyKeys:
    """The keys of the same copy on another target."""
    return replace(keys, stem=folder_key(target.path, backup_id) + object_name(keys.stem))


def is_same_run(one: Manifest, other: Manifest) -> bool:
    """Whether these are manifests of one archive."""
    return (one.run_id, one.archive, one.index) == (other.run_id, other.archive, other.index)


def is_place(one: Target, other: Target) -> bool:
    """Whether both are the same place."""
    return (one.storage.name, one.path) == (other.storage.name, other.path)


def _require_manifest(copy: StoredCopy) -> Manifest:
    if copy.manifest is None:
        raise UnreadableCopyError(f"{copy} cannot be copied: {copy.error}.")
    return copy.manifest


def _encoded_manifest(copy: StoredCopy) -> bytes:
    """The bytes of its manifest: read again, for they are to be the same."""
    try:
        encoded = b"".join(copy.storage.get(copy.keys.manifest))
        manifest = Manifest.decode(encoded)
    except (StorageError, DamagedArchiveError) as error:
        raise UnreadableCopyError(f"{copy} cannot be copied: {error}") from error
    if not is_same_run(manifest, _require_manifest(copy)):
        raise UnreadableCopyError(f"{copy} cannot be copied: its manifest is another one than a moment ago.")
    return encoded
