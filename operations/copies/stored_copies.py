"""The copies of a backup as they lie on its targets. The manifests there are the truth; the catalog is not asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from archives.age_keys import Identity
from archives.age_stream import decrypted
from archives.manifest import Manifest
from archives.signature import Origin
from errors import DamagedArchiveError, HoldfastError, UsageError
from model import Encryption, RunStatus, StoredObject, Target
from operations.copies.archive_content import ArchiveContent
from operations.copies.keyring import Keyring
from operations.copies.layout import CopyKeys, copy_of_manifest, folder_key, is_encrypted_name
from operations.copies.pins import Pin, read_pin
from operations.parallel import map_in_threads
from storages.factory import OpenStorages
from storages.storage import Storage
from utils import parse_timestamp

if TYPE_CHECKING:
    from archives.entry import Entry

_LARGEST_MANIFEST = 16 << 20

# Each costs a round trip or two, and hardly anything else.
_MANIFESTS_AT_ONCE = 8


class Owner(Protocol):
    """Whose copies they are: a backup of the configuration, or one that was found (``operations.copies.discovery``)."""

    @property
    def id(self) -> str: ...

    @property
    def targets(self) -> tuple[Target, ...]: ...

    @property
    def encryption(self) -> Encryption | None: ...


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """One copy on one target. ``manifest`` is None, and ``error`` says why, where it cannot be read or is forged.

    ``damage`` says what of it is missing, or has another size than its manifest has: so much the listing tells.
    ``origin`` is who wrote the manifest; ``keyring`` is what was at hand to find that out, and to open the archive.
    """

    backup_id: str
    target: Target
    storage: Storage
    keys: CopyKeys
    manifest: Manifest | None
    error: str | None = None
    damage: str | None = None
    pin: Pin | None = None
    origin: Origin | None = None
    keyring: Keyring = field(default=Keyring(), repr=False, compare=False)
    _content: ArchiveContent = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        identities = self.identities if self.is_encrypted else None
        object.__setattr__(self, "_content", ArchiveContent(self.storage, self.keys.archive, identities))

    @property
    def is_encrypted(self) -> bool:
        return self.keys.is_encrypted

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """Bytes of the ZIP file. Raises StorageError; of an encrypted one, EncryptionKeyError and DamagedArchiveError
        too."""
        return self._content.read(offset, length)

    def content_size(self) -> int:
        """That of the ZIP file in bytes. Raises as :meth:`read` does."""
        return self._content.size()

    def identities(self) -> list[Identity]:
        """What may open it. Raises EncryptionKeyError where nothing is at hand."""
        return self.keyring.identities(str(self), self.manifest.opened_by if self.manifest is not None else ())

    def unlocked(self) -> StoredCopy:
        """The same, with all that its manifest says. Raises EncryptionKeyError and DamagedArchiveError."""
        if self.manifest is None or not self.manifest.is_locked:
            return self
        identities = self.identities()
        return replace(self, manifest=self.manifest.unsealed(lambda sealed: b"".join(decrypted([sealed], identities))))

    def __str__(self) -> str:
        return f"{self.backup_id}@{self.keys.timestamp} on {self.target}"


@dataclass(frozen=True, slots=True)
class Listing:
    """The copies of a backup, newest first, and what could not be listed."""

    copies: tuple[StoredCopy, ...]
    errors: tuple[str, ...]


def list_copies(
    backup: Owner,
    storage_name: str | None = None,
    storages: OpenStorages | None = None,
    keyring: Keyring | None = None,
) -> Listing:
    """Every copy on every target of the backup, or on those of one storage. A target that fails is said, not raised."""
    storages = storages or OpenStorages()
    keyring = (keyring or Keyring()).for_backup(backup.encryption)
    copies: list[StoredCopy] = []
    errors = []
    for target in backup.targets:
        if storage_name is not None and target.storage.name != storage_name:
            continue
        try:
            copies += copies_on(target, backup.id, storages.open(target.storage), keyring)
        except HoldfastError as error:
            errors.append(f"{target}: {error}")
    copies.sort(key=lambda copy: copy.keys.timestamp, reverse=True)
    return Listing(tuple(copies), tuple(errors))


def list_all_copies(
    backups: Iterable[Owner],
    storage_name: str | None = None,
    storages: OpenStorages | None = None,
    keyring: Keyring | None = None,
) -> list[Listing]:
    """The same for several backups. Each storage is opened once for all of them."""
    storages = storages or OpenStorages()
    return [list_copies(backup, storage_name, storages, keyring) for backup in backups]


def choose_copy(listing: Listing, backup_id: str, wanted: str) -> StoredCopy:
    """The copy that ``latest`` or a timestamp (the beginning of one will do) means.

    ``latest`` is the newest good one; only where there is none, the newest partial one. Of several targets that hold
    it, the first of the configuration is taken. One whose manifest cannot be read is taken only where its time is
    given and no other has it. Raises UsageError, and HoldfastError where there is one that cannot be read.
    """
    if wanted == "latest":
        newest = _newest(listing.copies)
        if newest is not None:
            return newest
        reasons = [*listing.errors, *(f"{copy}: {copy.error}" for copy in listing.copies)]
        if reasons:
            raise HoldfastError("\n  ".join([f"No copy of {backup_id} can be read:", *reasons]))
        raise UsageError(f"There is no copy of {backup_id} on its targets.")
    matching = [copy for copy in listing.copies if copy.keys.timestamp.startswith(wanted)]
    matching = [copy for copy in matching if copy.manifest is not None] or matching
    timestamps = sorted({copy.keys.timestamp for copy in matching})
    if not timestamps:
        raise UsageError(f"There is no copy {backup_id}@{wanted}. restore.py list {backup_id} shows which there are.")
    if len(timestamps) > 1:
        raise UsageError(f"{backup_id}@{wanted} could be {', '.join(timestamps)}. Write more of the time.")
    return matching[0]


def choose_copy_at(listing: Listing, backup_id: str, moment: datetime) -> StoredCopy:
    """The newest good copy that was made at or before a moment; only where there is none, the newest partial one.

    Raises UsageError where none is that old, and HoldfastError where those that are cannot be read.
    """
    old_enough = [copy for copy in listing.copies if parse_timestamp(copy.keys.timestamp) <= moment]
    newest = _newest(old_enough)
    if newest is not None:
        return newest
    wanted = f"There is no copy of {backup_id} that was made at or before {_for_people(moment)}"
    reasons = [*listing.errors, *(f"{copy}: {copy.error}" for copy in old_enough)]
    if reasons:
        raise HoldfastError("\n  ".join([f"{wanted} and can be read:", *reasons]))
    if not listing.copies:
        raise UsageError(f"There is no copy of {backup_id} on its targets.")
    oldest = listing.copies[-1].keys.timestamp
    raise UsageError(f"{wanted}. The oldest is {backup_id}@{oldest}, of {_for_people(parse_timestamp(oldest))}.")


def _newest(copies: Iterable[StoredCopy]) -> StoredCopy | None:
    """Of copies, newest first, the newest good one; only where there is none, the newest partial one."""
    listed = list(copies)
    for status in (RunStatus.GOOD, RunStatus.PARTIAL):
        for copy in listed:
            if copy.manifest is not None and copy.manifest.status is status:
                return copy
    return None


def _for_people(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def copies_to_verify(listing: Listing, chosen: StoredCopy) -> list[StoredCopy]:
    """The chosen copy on each of its targets, and each newer one that nobody could choose because it cannot be read."""
    return [
        copy
        for copy in listing.copies
        if copy.keys.timestamp == chosen.keys.timestamp
        or (copy.manifest is None and copy.keys.timestamp > chosen.keys.timestamp)
    ]


def read_entries(copy: StoredCopy) -> Iterator[Entry]:
    """The members of a copy, from its index. Raises DamagedArchiveError where that is not what was stored, and
    EncryptionKeyError where nothing at hand opens it.

    The iteration raises HostileArchiveError where the index says what no run writes.
    """
    return entries_of(index_chunks(copy))


def entries_of(index: Iterable[bytes]) -> Iterator[Entry]:
    """The members that :func:`index_chunks` has. Raises DamagedArchiveError and HostileArchiveError."""
    from archives.index import read_index
    from archives.validation import validated

    return validated(read_index(index), with_blocks=True)


def index_chunks(copy: StoredCopy) -> list[bytes]:
    """The index of a copy, still packed. Raises as :func:`read_entries` does."""
    chunks = stored_index(copy)
    return list(decrypted(chunks, copy.identities())) if copy.is_encrypted else chunks


def stored_index(copy: StoredCopy) -> list[bytes]:
    """The index as it lies there. Raises DamagedArchiveError where that is not what was stored, and StorageError."""
    return list(_checked_index(copy))


def checked_index(copy: StoredCopy) -> Iterator[bytes]:
    """The index of a copy, still packed, as it comes: only at its end it is known to be what was stored.

    The iteration raises as :func:`read_entries` does.
    """
    chunks = _checked_index(copy)
    return decrypted(chunks, copy.identities()) if copy.is_encrypted else chunks


def _checked_index(copy: StoredCopy) -> Iterator[bytes]:
    if copy.manifest is None:
        raise DamagedArchiveError(f"{copy}: {copy.error}.")
    digest = hashlib.sha256()
    # One byte more than it should have, so that an index that has grown is found, and never held as a whole.
    for chunk in copy.storage.get(copy.keys.index, 0, copy.manifest.index.size + 1):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != copy.manifest.index.sha256:
        raise DamagedArchiveError(f"The index {copy.keys.index} is not what was stored (its SHA-256 differs).")


def copies_on(
    target: Target,
    backup_id: str,
    storage: Storage,
    keyring: Keyring | None = None,
    *,
    made_at: Callable[[datetime], bool] = lambda _: True,
) -> list[StoredCopy]:
    """The copies of a backup on one target, oldest first, or those that were made at such times.

    Raises StorageError where they cannot be listed.
    """
    present = {stored.key: stored for stored in storage.list(folder_key(target.path, backup_id))}
    ring = keyring or Keyring()

    def copy_of(keys: CopyKeys) -> StoredCopy:
        pin = read_pin(storage, keys) if keys.pin in present else None
        try:
            manifest, origin = _read_manifest(storage, keys, backup_id, ring)
        except HoldfastError as problem:
            keys = replace(keys, is_encrypted=replace(keys, is_encrypted=True).archive in present)
            return StoredCopy(backup_id, target, storage, keys, None, error=str(problem), pin=pin, keyring=ring)
        keys = replace(keys, is_encrypted=is_encrypted_name(manifest.archive.name))
        damage = _damage(manifest, keys, present)
        return StoredCopy(
            backup_id, target, storage, keys, manifest, damage=damage, pin=pin, origin=origin, keyring=ring
        )

    listed = [copy_of_manifest(key, target.path, backup_id) for key in present]
    wanted = [keys for keys in listed if keys is not None and made_at(parse_timestamp(keys.timestamp))]
    return list(map_in_threads(copy_of, wanted, _MANIFESTS_AT_ONCE))


def _damage(manifest: Manifest, keys: CopyKeys, present: Mapping[str, StoredObject]) -> str | None:
    for key, part in ((keys.archive, manifest.archive), (keys.index, manifest.index)):
        stored = present.get(key)
        if stored is None:
            return f"{part.name} is missing"
        if stored.size != part.size:
            return f"{part.name} has {stored.size:,} bytes where {part.size:,} were stored"
    return None


def stored_manifest(storage: Storage, keys: CopyKeys) -> bytes:
    """The manifest as it lies there. Raises StorageError."""
    return b"".join(storage.get(keys.manifest, 0, _LARGEST_MANIFEST))


def _read_manifest(storage: Storage, keys: CopyKeys, backup_id: str, keyring: Keyring) -> tuple[Manifest, Origin]:
    data = stored_manifest(storage, keys)
    manifest = Manifest.decode(data)
    origin = keyring.origin(data)
    keys = replace(keys, is_encrypted=manifest.private is not None)
    names = {"archive": (manifest.archive.name, keys.archive), "index": (manifest.index.name, keys.index)}
    for part, (name, key) in names.items():
        if not key.endswith("/" + name):
            raise DamagedArchiveError(f"the manifest {keys.manifest} names another {part}: {name!r}")
    if manifest.backup_id != backup_id:
        raise DamagedArchiveError(f"the manifest {keys.manifest} belongs to another backup: {manifest.backup_id}")
    return manifest, origin
