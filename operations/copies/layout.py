"""Where the parts of a copy lie on a target. Pure.

::

    <PATH>/<project>/<backup>/<project>-<backup>-20261120T030000Z.zip[.age]
    <PATH>/<project>/<backup>/<project>-<backup>-20261120T030000Z.index.zst[.age]
    <PATH>/<project>/<backup>/<project>-<backup>-20261120T030000Z.manifest.json
    <PATH>/<project>/<backup>/HOW-TO-RESTORE.txt

Beside a copy may lie ``….pin.json``, which holds it, and while it is removed ``….removal.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from utils import format_timestamp, parse_timestamp

HOW_TO_RESTORE = "HOW-TO-RESTORE.txt"

_ARCHIVE = ".zip"
_INDEX = ".index.zst"
_ENCRYPTED = ".age"
_MANIFEST = ".manifest.json"
_PIN = ".pin.json"
_REMOVAL = ".removal.json"
_TIMESTAMP = re.compile(r"-([0-9]{8}T[0-9]{6}Z)$")
_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class CopyKeys:
    """The keys of one copy; ``stem`` is what they have in common."""

    stem: str
    is_encrypted: bool = False

    @property
    def archive(self) -> str:
        return self.stem + _ARCHIVE + self._ending

    @property
    def index(self) -> str:
        return self.stem + _INDEX + self._ending

    @property
    def all_content(self) -> tuple[str, ...]:
        """Where archive and index may lie, for whoever does not know whether they are encrypted."""
        return tuple(self.stem + part + ending for part in (_ARCHIVE, _INDEX) for ending in ("", _ENCRYPTED))

    @property
    def _ending(self) -> str:
        return _ENCRYPTED if self.is_encrypted else ""

    @property
    def manifest(self) -> str:
        return self.stem + _MANIFEST

    @property
    def pin(self) -> str:
        return self.stem + _PIN

    @property
    def removal(self) -> str:
        return self.stem + _REMOVAL

    @property
    def timestamp(self) -> str:
        """``20261120T030000Z``: the copy's name for people."""
        found = _TIMESTAMP.search(self.stem)
        return found[1] if found else ""


def folder_key(target_path: str, backup_id: str) -> str:
    """The folder of a backup on a target, with a slash at its end. No other backup has anything in it."""
    return f"{target_path}/{backup_id}/".lstrip("/")


def copy_keys(target_path: str, backup_id: str, started: datetime, *, is_encrypted: bool = False) -> CopyKeys:
    """The keys of the copy of the run that began at ``started``."""
    stem = f"{backup_id.replace('/', '-')}-{format_timestamp(started)}"
    return CopyKeys(folder_key(target_path, backup_id) + stem, is_encrypted)


def is_encrypted_name(archive_name: str) -> bool:
    """Whether the archive of this name is an age file."""
    return archive_name.endswith(_ENCRYPTED)


def copy_of_manifest(key: str, target_path: str, backup_id: str) -> CopyKeys | None:
    """The copy that a key belongs to, where it is the manifest of this backup; None for anybody else's file."""
    return _copy_of(key, _MANIFEST, target_path, backup_id)


def copy_of_removal(key: str, target_path: str, backup_id: str) -> CopyKeys | None:
    """The same for the object that says that a copy is being removed."""
    return _copy_of(key, _REMOVAL, target_path, backup_id)


def _copy_of(key: str, ending: str, target_path: str, backup_id: str) -> CopyKeys | None:
    stem = key.removesuffix(ending)
    start = folder_key(target_path, backup_id) + backup_id.replace("/", "-")
    if stem == key or not stem.startswith(start) or not _TIMESTAMP.fullmatch(stem[len(start) :]):
        return None
    try:
        parse_timestamp(CopyKeys(stem).timestamp)
    except ValueError:
        return None
    return CopyKeys(stem)


def object_name(key: str) -> str:
    """The last part of a key."""
    return key.rpartition("/")[2]


def owner_of_manifest(key: str) -> tuple[str, str] | None:
    """The path of a target and the id of a backup, where the key is that of a manifest of any backup.

    They are told by the folders that it lies in, and its name agrees with them. None for anybody else's file.
    """
    *above, project, backup, _ = key.split("/") if key.count("/") > 1 else ("", "", "")
    target_path, backup_id = "/".join(above), f"{project}/{backup}"
    if not _ID.fullmatch(backup_id) or copy_of_manifest(key, target_path, backup_id) is None:
        return None
    return target_path, backup_id


def is_in_folder_of_its_name(key: str) -> bool:
    """Whether an object is called as what belongs to a copy is, in the folder where it lies."""
    folder, _, name = key.rpartition("/")
    return name.startswith("-".join(folder.split("/")[-2:]) + "-")


def is_manifest_name(key: str) -> bool:
    """Whether an object is called as manifests are, wherever it lies."""
    stem = object_name(key).removesuffix(_MANIFEST)
    return key.endswith(_MANIFEST) and _TIMESTAMP.search(stem) is not None
