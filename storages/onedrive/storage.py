"""A drive of OneDrive for Business or SharePoint, through Microsoft Graph, as a storage.

The key is the path of a file in the drive. Names that differ only in case are one name there, so a key that differs
from an existing one only in case exists.

An object is visible when the last of its bytes was taken: uploads under way have no name. Whether it holds what was
sent is then found by its size and its quickXorHash, which the service computes itself. Where the service gives no hash,
the object is read back and its SHA-256 is compared. One that differs is removed and sent once more.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from errors import IntegrityError
from model import StorageDefinition, StoredObject
from storages.onedrive.downloads import Downloads, find_file
from storages.onedrive.drive import Drive, Item, open_drive
from storages.onedrive.graph import Graph
from storages.onedrive.http import OneDriveHttp
from storages.onedrive.names import check_onedrive_key
from storages.onedrive.session_upload import end_session
from storages.onedrive.sessions import SessionRecords
from storages.onedrive.sign_in import CLOUDS, App, SignIn
from storages.onedrive.upload import Upload
from storages.retrying import RetryingStorage
from storages.settings import is_yes, required_setting, setting
from storages.storage import KnownContent
from storages.workplace import Workplace

# A hash can come some seconds after the file.
_LOOKS_FOR_A_HASH = 3


def onedrive_storage(definition: StorageDefinition, workplace: Workplace) -> OneDriveStorage:
    """The storage of type ONEDRIVE that is configured so. Raises StorageError where a setting is missing."""
    certificate = setting(definition, "CERTIFICATE_FILE")
    app = App(
        tenant_id=required_setting(definition, "TENANT_ID"),
        client_id=required_setting(definition, "CLIENT_ID"),
        secret=None if certificate else required_setting(definition, "CLIENT_SECRET"),
        certificate_file=Path(certificate) if certificate else None,
    )
    cloud = CLOUDS[setting(definition, "CLOUD") or "global"]
    http = OneDriveHttp(definition.name, workplace)
    sign_in = SignIn(definition.name, app, cloud, http)
    graph = Graph(definition.name, cloud.graph_host, sign_in, http)
    return OneDriveStorage(
        definition.name,
        required_setting(definition, "DRIVE"),
        graph,
        http,
        workplace,
        deletes_for_good=is_yes(definition, "DELETE_FOR_GOOD"),
    )


class OneDriveStorage:
    """See ``storages.storage.Storage`` for the contract. ``drive`` is the setting DRIVE."""

    needs_size_first = True

    def __init__(
        self,
        name: str,
        drive: str,
        graph: Graph,
        http: OneDriveHttp,
        workplace: Workplace,
        *,
        deletes_for_good: bool,
    ) -> None:
        self.name = name
        self._drive_setting = drive
        self._graph = graph
        self._http = http
        self._workplace = workplace
        self._deletes_for_good = deletes_for_good
        self._downloads = Downloads(name, http)
        self._records = SessionRecords(workplace.state_directory)
        self._lock = threading.Lock()
        self._drive: Drive | None = None

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        check_onedrive_key(self.name, key)
        if not isinstance(chunks, KnownContent):
            raise TypeError("OneDrive needs the size first: put takes a KnownContent")
        drive = self._workplace.repeat(self._open_drive)
        for _ in range(2):
            upload = Upload(self.name, drive, key, chunks, self._http, self._records, self._workplace)
            item, quick_xor_hash = upload.send()
            if self._holds(drive, key, item, chunks, quick_xor_hash):
                return StoredObject(key, item.size, item.modified, chunks.sha256)
            self._workplace.repeat(partial(self._remove, drive, item, key))
        raise IntegrityError(
            f"What the storage {self.name} holds of {key} is not what was sent, twice in a row; it was removed. Run "
            "the backup again; where it lasts, look whether something in the drive changes new files."
        )

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        check_onedrive_key(self.name, key)
        yield from self._downloads.read(self._open_drive(), key, offset, length)

    def stat(self, key: str) -> StoredObject:
        check_onedrive_key(self.name, key)
        item = find_file(self.name, self._open_drive(), key)
        return StoredObject(key, item.size, item.modified)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        folder = prefix.rpartition("/")[0]
        if folder:
            check_onedrive_key(self.name, folder)
        drive = self._open_drive()
        item = drive.find(folder)
        if item is not None and item.is_folder:
            yield from self._files_below(drive, item, f"{folder}/" if folder else "", prefix)

    def delete(self, key: str) -> None:
        check_onedrive_key(self.name, key)
        drive = self._open_drive()
        item = drive.find(key)
        if item is not None and item.is_file:
            self._remove(drive, item, key)

    def clean_up(self, prefix: str) -> int:
        """End the uploads that killed processes have left. Nothing but what the state has noted is touched."""
        ended = 0
        for record in self._records.left_below(prefix):
            if record.session.drive_id == self._open_drive().id:
                end_session(self.name, self._http, record)
                ended += 1
        return ended

    def _open_drive(self) -> Drive:
        with self._lock:
            if self._drive is None:
                self._drive = open_drive(self._graph, self.name, self._drive_setting)
            return self._drive

    def _files_below(self, drive: Drive, folder: Item, folder_key: str, prefix: str) -> Iterator[StoredObject]:
        items = {
            f"{folder_key}{item.name}/" if item.is_folder else folder_key + item.name: item
            for item in drive.children(folder.id, folder_key)
            if item.is_folder or item.is_file
        }
        # "a/b" stands behind "a.b", so a folder is sorted with its slash.
        for key, item in sorted(items.items()):
            if not key.startswith(prefix):
                continue
            if item.is_folder:
                yield from self._files_below(drive, item, key, prefix)
            else:
                yield StoredObject(key, item.size, item.modified)

    def _remove(self, drive: Drive, item: Item, key: str) -> None:
        self._downloads.forget(key)
        drive.delete(item.id, key, is_for_good=self._deletes_for_good)

    def _holds(self, drive: Drive, key: str, item: Item, content: KnownContent, quick_xor_hash: str) -> bool:
        """Whether the stored object is what was sent."""
        if item.size != content.size:
            return False
        failures = 0
        while item.quick_xor_hash is None and failures < _LOOKS_FOR_A_HASH:
            failures += 1
            self._workplace.wait(min(self._workplace.patience.longest_wait, 2.0**failures / 2))
            item = self._workplace.repeat(partial(drive.get, item.id, key))
        if item.quick_xor_hash is not None:
            return item.quick_xor_hash == quick_xor_hash
        digest = hashlib.sha256()
        for chunk in RetryingStorage(self, self._workplace).get(key):
            digest.update(chunk)
        return digest.hexdigest() == content.sha256
