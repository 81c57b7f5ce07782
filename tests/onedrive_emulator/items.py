"""Drives: folders, files, the recycle bin and the quota. Callers hold the emulation's lock."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from .clock import iso_8601
from .content import Content
from .errors import GraphError
from .names import key_of
from .settings import DriveSettings

NAME_EXISTS = "An item with the same name already exists under the parent."


@dataclass(eq=False)
class Item:
    """A file, which has content, or a folder, which has children by the key of their name."""

    id: str
    name: str
    parent: Item | None
    created: datetime
    modified: datetime
    content: Content | None = None
    children: dict[str, Item] = field(default_factory=dict)
    file_system_info: dict[str, str] = field(default_factory=dict)
    version: int = 1

    # Untruths that every answer about this item tells: see faults.
    lasting_untruths: set[str] = field(default_factory=set)

    @property
    def is_folder(self) -> bool:
        return self.content is None

    @property
    def size(self) -> int:
        return self.content.size if self.content is not None else sum(child.size for child in self.children.values())

    @property
    def path(self) -> str:
        """Below the root, without a slash at its beginning; empty for the root."""
        if self.parent is None:
            return ""
        return f"{self.parent.path}/{self.name}".lstrip("/")

    def below(self) -> Iterator[Item]:
        """This item and all below it."""
        yield self
        for child in self.children.values():
            yield from child.below()


class Drive:
    """One drive."""

    def __init__(self, settings: DriveSettings, now: datetime) -> None:
        self.settings = settings
        self._numbers = itertools.count(1)
        self.root = Item(self._new_id(), "root", None, now, now)
        self.items = {self.root.id: self.root}
        self.recycle_bin: list[Item] = []

        # (id of the folder, key of the name) of what upload sessions are open for.
        self.reserved: set[tuple[str, str]] = set()

    def _new_id(self) -> str:
        return f"01EMULATED{next(self._numbers):08d}"

    @property
    def used(self) -> int:
        """Bytes charged to the quota: what is in the recycle bin counts."""
        return self.settings.used_elsewhere + self.root.size + sum(item.size for item in self.recycle_bin)

    @property
    def remaining(self) -> int | None:
        """None where the quota is not known, and so not limited here."""
        total = self.settings.quota_total
        return max(total - self.used, 0) if total else None

    def check_space(self, size: int) -> None:
        """Raise GraphError unless so many more bytes are free."""
        if self.remaining is not None and size > self.remaining:
            raise GraphError(507, "quotaLimitReached", "The user has reached their quota limit.")

    def find(self, names: tuple[str, ...], start: Item | None = None) -> Item | None:
        """The item at this path below ``start`` (the root)."""
        item: Item | None = start or self.root
        for name in names:
            item = item.children.get(key_of(name)) if item is not None else None
        return item

    def make_folder(self, parent: Item, name: str, behaviour: str, now: datetime) -> tuple[Item, bool]:
        """The folder, and whether it is new. Raises GraphError where the name is taken."""
        existing = parent.children.get(key_of(name))
        if existing is not None and existing.is_folder and behaviour == "replace":
            return existing, False
        name = self.name_for(parent, name, "fail" if behaviour == "replace" else behaviour)
        return self._add(Item(self._new_id(), name, parent, now, now)), True

    def make_folders(self, names: tuple[str, ...], now: datetime, start: Item | None = None) -> Item:
        """The folder at this path, made with its parents where it is missing."""
        item = start or self.root
        for name in names:
            child = item.children.get(key_of(name))
            if child is None:
                child, _ = self.make_folder(item, name, "fail", now)
            if not child.is_folder:
                raise GraphError(409, "nameAlreadyExists", "A file has the name of a folder in the path.")
            item = child
        return item

    def name_for(self, parent: Item, name: str, behaviour: str) -> str:
        """The name that a new item gets. Raises GraphError where it is taken and the behaviour does not allow that."""
        existing = parent.children.get(key_of(name))
        if behaviour == "rename":
            return self._free_name(parent, name)
        if (parent.id, key_of(name)) in self.reserved:
            raise GraphError(409, "nameAlreadyExists", "An upload session is open for this name.")
        if existing is not None and (behaviour != "replace" or existing.is_folder):
            raise GraphError(409, "nameAlreadyExists", NAME_EXISTS)
        return name

    def _free_name(self, parent: Item, name: str) -> str:
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        for candidate in itertools.chain([name], (f"{stem} {number}{suffix}" for number in itertools.count(1))):
            key = key_of(candidate)
            if key not in parent.children and (parent.id, key) not in self.reserved:
                return candidate
        raise AssertionError("numbers never end")

    def place_file(
        self, parent: Item, name: str, behaviour: str, content: Content, now: datetime, info: dict[str, str]
    ) -> tuple[Item, bool]:
        """The file, and whether it is new. Raises GraphError where the name is taken or the quota is used up."""
        name = self.name_for(parent, name, behaviour)
        existing = parent.children.get(key_of(name))
        self.check_space(content.size)
        if existing is None:
            return self._add(Item(self._new_id(), name, parent, now, now, content, file_system_info=info)), True
        existing.content, existing.modified, existing.file_system_info = content, now, info
        existing.version += 1
        existing.lasting_untruths.clear()
        return existing, False

    def place_by_another(self, names: tuple[str, ...], content: Content, now: datetime) -> None:
        """What another program does: the file is there, or has other content, whatever we have under way."""
        parent = self.make_folders(names[:-1], now)
        existing = parent.children.get(key_of(names[-1]))
        if existing is None:
            self._add(Item(self._new_id(), names[-1], parent, now, now, content))
        else:
            existing.content = content

    def _add(self, item: Item) -> Item:
        assert item.parent is not None
        item.parent.children[key_of(item.name)] = item
        self.items[item.id] = item
        return item

    def remove(self, item: Item, *, permanently: bool) -> None:
        """Take it, and what is below it, out; into the recycle bin if not permanently."""
        if item.parent is None:
            raise GraphError(400, "invalidRequest", "The root cannot be deleted.")
        if permanently and self.settings.kind == "personal":
            raise GraphError(400, "notSupported", "Permanent deletion is not supported on personal drives.")
        del item.parent.children[key_of(item.name)]
        for gone in item.below():
            del self.items[gone.id]
        if not permanently:
            self.recycle_bin.append(item)

    def item_document(self, item: Item) -> dict[str, Any]:
        """A driveItem as Graph writes it."""
        created, modified = iso_8601(item.created), iso_8601(item.modified)
        document: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "size": item.size,
            "eTag": f'"{{{item.id}}},{item.version}"',
            "createdDateTime": created,
            "lastModifiedDateTime": modified,
            "fileSystemInfo": {
                "createdDateTime": created,
                "lastModifiedDateTime": modified,
                **item.file_system_info,
            },
        }
        if item.parent is None:
            document["root"] = {}
        else:
            path = f"/drives/{self.settings.id}/root:/{item.parent.path}".removesuffix("/")
            document["parentReference"] = {"driveId": self.settings.id, "id": item.parent.id, "path": path}
        if item.content is None:
            document["folder"] = {"childCount": len(item.children)}
        else:
            hashes = {"quickXorHash": item.content.quick_xor_hash}
            document["file"] = {"mimeType": "application/octet-stream", "hashes": hashes}
        return document
