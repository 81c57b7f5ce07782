"""Which backups have copies at a place, found from nothing but the keys of the objects that lie there.

A place is listed once, however many backups it has, and however deep below it they lie::

    <place>/…/<project>/<backup>/<project>-<backup>-20261120T030000Z.manifest.json

What is not called so is somebody else's, and is ignored.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from errors import HoldfastError, UsageError
from model import Encryption, StorageDefinition, StorageType, StoredObject, Target
from operations.copies.layout import is_in_folder_of_its_name, is_manifest_name, owner_of_manifest
from storages.factory import OpenStorages
from storages.listed import ListedStorage
from storages.storage import is_key


@dataclass(frozen=True, slots=True)
class Place:
    """A storage and the path in it below which backups are looked for. ``""`` is all of it.

    Where it ``is_folder`` of this machine that a person named by its path, what is found gets its own storage: the
    folder that holds those of the projects.
    """

    storage: StorageDefinition
    path: str
    is_folder: bool = False

    def __str__(self) -> str:
        return str(Target(self.storage, self.path))

    @property
    def prefix(self) -> str:
        return f"{self.path}/" if self.path else ""


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A backup that is known by its copies alone: nobody knows what it reads, or when.

    ``encryption`` is that of a backup of this id in the configuration, where there is one.
    """

    id: str
    targets: tuple[Target, ...]
    encryption: Encryption | None = None


@dataclass(slots=True)
class Discovery:
    """What was found. ``storages`` know the folders of these backups as they were listed. ``misplaced`` are the keys of
    manifests in another folder than their name says; ``errors`` are places that could not be listed."""

    backups: list[StoredBackup] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    storages: OpenStorages = field(default_factory=OpenStorages)

    @property
    def remark(self) -> str:
        """What to say of the misplaced ones; nothing where there are none."""
        if not self.misplaced:
            return ""
        others = f" (and {len(self.misplaced) - 1:,} more)" if len(self.misplaced) > 1 else ""
        return (
            f"{self.misplaced[0]}{others} lies in another folder than its name says, and is not looked at. A copy has "
            "to lie in <project>/<backup>/, which are the two names that its own begins with."
        )


def place_named(storages: Mapping[str, StorageDefinition], text: str) -> Place:
    """What a person means by ``STORAGE:PATH``, ``STORAGE``, or the path of a folder of this machine, which begins with
    a slash or a dot. Raises UsageError."""
    if text.startswith("/") or text.partition("/")[0] in (".", ".."):
        return _folder_place(Path(text))
    for name in sorted(storages, key=len, reverse=True):
        if text == name or text.startswith(f"{name}:"):
            return Place(storages[name], _path_in_storage(text[len(name) + 1 :]))
    name = text.partition(":")[0]
    folded = {each.casefold(): each for each in storages}
    nearest = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, 1)]
    if Path(text).is_dir():
        hint = f"For the folder of this name write ./{text}."
    elif nearest:
        hint = f"Did you mean {nearest[0]}?"
    else:
        hint = f"There are: {', '.join(storages) or 'none'}. A folder of this machine begins with / or ./."
    raise UsageError(f"There is no storage named {name!r} to read from. {hint}")


def _folder_place(folder: Path) -> Place:
    """The place that is a folder of this machine. Raises UsageError where there is none.

    It may be the folder of one backup, whose name and project are in its path: so the storage begins two floors above.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is {'no folder' if folder.exists() else 'not there'}. Name a folder above copies.")
    absolute = folder.resolve() if ".." in folder.parts else folder.absolute()
    root, path = absolute.parent.parent, "/".join(absolute.parts[1:][-2:])
    if not is_key(path):
        root, path = absolute, ""
    return Place(_folder_storage(root), path, is_folder=True)


def _path_in_storage(text: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(f"{text!r} leads out of the storage with '..'. Write the path as it is in the storage.")
    return "/".join(parts)


def discover(places: Iterable[Place], discovery: Discovery | None = None) -> Discovery:
    """The backups below the places, by their ids. A place that cannot be listed is said, not raised."""
    discovery = discovery or Discovery()
    targets: dict[str, list[Target]] = defaultdict(list)
    for place in _outermost(places):
        try:
            found = _found_at(place, discovery)
        except HoldfastError as error:
            discovery.errors.append(f"{place}: {error}")
            continue
        for backup_id, target in found:
            targets[backup_id].append(target)
    discovery.backups = [StoredBackup(backup_id, tuple(targets[backup_id])) for backup_id in sorted(targets)]
    return discovery


def _outermost(places: Iterable[Place]) -> list[Place]:
    """Each place that lies in no other: what is listed there would be listed twice."""
    by_name = {(place.storage.name, place.prefix): place for place in places}
    return [
        place
        for (name, prefix), place in by_name.items()
        if not any(name == other and prefix.startswith(outer) and prefix != outer for other, outer in by_name)
    ]


def _found_at(place: Place, discovery: Discovery) -> list[tuple[str, Target]]:
    """The backups with their targets; what lies in their folders is remembered."""
    storages = discovery.storages
    storage = storages.open(place.storage)
    owners: dict[str, tuple[str, str]] = {}
    objects: dict[str, list[StoredObject]] = defaultdict(list)
    for stored in storage.list(place.prefix):
        folder = stored.key.rpartition("/")[0]
        if (owner := owner_of_manifest(stored.key)) is not None:
            owners[folder] = owner
        elif is_manifest_name(stored.key):
            discovery.misplaced.append(stored.key)
        if is_in_folder_of_its_name(stored.key):
            objects[folder].append(stored)
    kept = [stored for folder in owners for stored in objects[folder]]
    if not place.is_folder:
        storages.use(ListedStorage(storage, place.prefix, kept))
        return [(backup_id, Target(place.storage, path)) for path, backup_id in owners.values()]
    root = Path(str(place.storage.settings["ROOT"]))
    targets = {path: Target(_folder_storage(root / path), "") for path, _ in owners.values()}
    for path, target in targets.items():
        start = f"{path}/" if path else ""
        below = [replace(stored, key=stored.key.removeprefix(start)) for stored in kept if stored.key.startswith(start)]
        storages.use(ListedStorage(storages.open(target.storage), "", below))
    return [(backup_id, targets[path]) for path, backup_id in owners.values()]


def _folder_storage(root: Path) -> StorageDefinition:
    return StorageDefinition(str(root), StorageType.LOCAL, {"ROOT": str(root)})
