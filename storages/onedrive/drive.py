"""One drive: items by path and by id, folders, downloads, what is left of its quota.

https://learn.microsoft.com/en-us/graph/api/resources/driveitem
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from errors import ObjectExistsError, ObjectNotFoundError, StorageError
from storages.onedrive.errors import drive_refused
from storages.onedrive.graph import Graph
from storages.onedrive.names import quoted

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_USER = re.compile(rf"[^@/:,\s]+@[^@/:,\s]+|{_GUID}")
_SITE_BY_ID = re.compile(rf"[^/:,\s]+,{_GUID},{_GUID}")
_SITE_BY_PATH = re.compile(r"([A-Za-z0-9.-]+):/([^:?#]+?)/?")
_DRIVE_ID = re.compile(r"[A-Za-z0-9!_-]+")

_FAIL_WHERE_TAKEN = {"@microsoft.graph.conflictBehavior": "fail"}


@dataclass(frozen=True, slots=True)
class Item:
    """A file, a folder, or something else (a notebook, a shortcut: neither). ``quick_xor_hash`` is base64 or None."""

    id: str
    name: str
    size: int
    modified: datetime
    is_file: bool
    is_folder: bool
    quick_xor_hash: str | None


def item_from_json(answer: dict[str, Any]) -> Item:
    """An item of an answer. Raises KeyError, TypeError, ValueError where it is none."""
    file = answer.get("file")
    hashes = file.get("hashes") if isinstance(file, dict) else None
    return Item(
        id=str(answer["id"]),
        name=str(answer["name"]),
        size=int(answer.get("size", 0)),
        modified=datetime.fromisoformat(answer["lastModifiedDateTime"]),
        is_file=file is not None,
        is_folder="folder" in answer and "remoteItem" not in answer,
        quick_xor_hash=hashes.get("quickXorHash") if isinstance(hashes, dict) else None,
    )


class Drive:
    """Raises what ``Graph.ask`` raises. Keys are already known to be usable."""

    def __init__(self, graph: Graph, drive_id: str) -> None:
        self.id = drive_id
        self._graph = graph
        self._address = f"/drives/{quote(drive_id, safe='!')}"

    def find(self, key: str) -> Item | None:
        """What lies at this path, of whatever kind; None where nothing does. Names that differ in case are one name."""
        try:
            return self._item("GET", self._path_address(key), f"look at {key}")
        except ObjectNotFoundError:
            return None

    def get(self, item_id: str, key: str) -> Item:
        """The item as it is now."""
        return self._item("GET", self._item_address(item_id), f"look at {key}")

    def children(self, item_id: str, key: str) -> Iterator[Item]:
        """What lies in a folder, in the order of the service. A folder that is gone holds nothing."""
        doing = f"list {key or 'the drive'}"
        address = f"{self._item_address(item_id)}/children"
        while address:
            try:
                answer = self._graph.ask("GET", address, doing)
            except ObjectNotFoundError:
                return
            try:
                yield from [item_from_json(child) for child in answer["value"]]
            except (KeyError, TypeError, ValueError):
                raise self._graph.misunderstood(doing) from None
            address = answer.get("@odata.nextLink", "")

    def make_folders(self, key: str) -> None:
        """Make the folders that ``key`` lies in, where they are missing."""
        names = key.split("/")[:-1]
        if not names or self._is_folder("/".join(names)):
            return
        for depth, name in enumerate(names):
            parent = self._path_address("/".join(names[:depth]))
            folder = "/".join(names[: depth + 1])
            try:
                document = {**_FAIL_WHERE_TAKEN, "name": name, "folder": {}}
                children = f"{parent}:/children" if depth else f"{parent}/children"
                self._graph.ask("POST", children, f"make the folder {folder}", document=document)
            except ObjectExistsError:
                if not self._is_folder(folder):
                    raise

    def remaining(self) -> int | None:
        """How many bytes the quota has left, None where that is not known (Graph then gives zeros only)."""
        quota = self._graph.ask("GET", self._address, "look at the quota").get("quota")
        if not isinstance(quota, dict) or not quota.get("total") or not isinstance(quota.get("remaining"), int):
            return None
        return int(quota["remaining"])

    def put_small(self, key: str, content: bytes) -> Item:
        """Store a new object at once; the service makes the folders. Raises ObjectExistsError."""
        address = f"{self._path_address(key)}:/content?@microsoft.graph.conflictBehavior=fail"
        return self._item("PUT", address, f"store {key}", body=content)

    def create_session(self, key: str) -> str:
        """Begin an upload; its address is a secret. Raises ObjectExistsError where the name is taken or being taken."""
        doing = f"begin to store {key}"
        document = {"item": {**_FAIL_WHERE_TAKEN, "name": key.rpartition("/")[2]}}
        answer = self._graph.ask("POST", f"{self._path_address(key)}:/createUploadSession", doing, document=document)
        if not isinstance(url := answer.get("uploadUrl"), str):
            raise self._graph.misunderstood(doing)
        return url

    def download_address(self, item_id: str, key: str) -> str:
        """Where the content lies for a while: an address that is a secret."""
        return self._graph.redirection(f"{self._item_address(item_id)}/content", f"read {key}")

    def delete(self, item_id: str, key: str, *, is_for_good: bool) -> None:
        """Move it to the recycle bin, or past it. Something absent is no error."""
        address = self._item_address(item_id)
        try:
            if is_for_good:
                self._graph.ask("POST", f"{address}/permanentDelete", f"remove {key}")
            else:
                self._graph.ask("DELETE", address, f"remove {key}")
        except ObjectNotFoundError:
            return

    def _item(self, method: str, address: str, doing: str, body: bytes = b"") -> Item:
        answer = self._graph.ask(method, address, doing, body=body)
        try:
            return item_from_json(answer)
        except (KeyError, TypeError, ValueError):
            raise self._graph.misunderstood(doing) from None

    def _is_folder(self, key: str) -> bool:
        item = self.find(key)
        return item is not None and item.is_folder

    def _path_address(self, key: str) -> str:
        return f"{self._address}/root:/{quoted(key)}" if key else f"{self._address}/root"

    def _item_address(self, item_id: str) -> str:
        return f"{self._address}/items/{quote(item_id, safe='!')}"


def drive_address(storage_name: str, setting: str) -> str:
    """Where Graph has the drive that DRIVE names. Raises StorageError: which drive is meant is never guessed."""
    if _USER.fullmatch(setting):
        return f"/users/{quote(setting, safe='@')}/drive"
    if _SITE_BY_ID.fullmatch(setting):
        return f"/sites/{quote(setting, safe=',')}/drive"
    if site := _SITE_BY_PATH.fullmatch(setting):
        return f"/sites/{site[1]}:/{quoted(site[2])}:/drive"
    if _DRIVE_ID.fullmatch(setting):
        return f"/drives/{quote(setting, safe='!')}"
    raise StorageError(
        f"The storage {storage_name} does not understand DRIVE {setting!r}. Write the address of a user "
        "(backups@example.com), the id of a drive (b!…), or a site (example.sharepoint.com:/sites/backups)."
    )


def open_drive(graph: Graph, storage_name: str, setting: str) -> Drive:
    """The drive that DRIVE names. Raises StorageError, which says what to check."""
    doing = f"open DRIVE {setting}"
    try:
        answer = graph.ask("GET", drive_address(storage_name, setting), doing)
    except StorageError as error:
        raise drive_refused(storage_name, setting, error) from error
    if not isinstance(drive_id := answer.get("id"), str):
        raise graph.misunderstood(doing)
    return Drive(graph, drive_id)
