"""Reading objects in ranges. Where the content lies is asked for once, and used as long as that address lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from errors import ObjectNotFoundError, StorageUnavailableError
from storages.onedrive.drive import Drive, Item
from storages.onedrive.http import OneDriveHttp, StreamedAnswer

_ADDRESS_HAS_EXPIRED = frozenset({401, 403, 404, 410})

# A restore reads an archive in many ranges, and manifest and index beside it.
_REMEMBERED = 16


@dataclass(frozen=True, slots=True)
class _Source:
    """``address`` is a secret, and good for about an hour."""

    size: int
    address: str


class Downloads:
    """Several threads may use one object."""

    def __init__(self, storage_name: str, http: OneDriveHttp) -> None:
        self._storage_name = storage_name
        self._http = http
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}

    def read(self, drive: Drive, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        """That range of the object, as ``storages.storage.Storage.get``."""
        for is_second in (False, True):
            source = self._sources.get(key) or self._ask(drive, key)
            end = source.size if length is None else min(source.size, offset + length)
            if offset >= end:
                return
            answer = self._http.stream(source.address, {"Range": f"bytes={offset}-{end - 1}"})
            with closing(answer):
                if _is_range(answer, offset, end, source.size):
                    yield from self._whole(answer, key, end - offset)
                    return
            self.forget(key)
            if is_second or answer.status not in _ADDRESS_HAS_EXPIRED:
                raise StorageUnavailableError(
                    f"The storage {self._storage_name} cannot read {key}: the download is answered with "
                    f"{answer.status}. Try again."
                )

    def forget(self, key: str) -> None:
        """Ask again where it lies, before the next range of it is read."""
        with self._lock:
            self._sources.pop(key, None)

    def _ask(self, drive: Drive, key: str) -> _Source:
        item = find_file(self._storage_name, drive, key)
        if item.size == 0:
            return _Source(0, "")
        source = _Source(item.size, drive.download_address(item.id, key))
        with self._lock:
            if len(self._sources) >= _REMEMBERED:
                self._sources.clear()
            self._sources[key] = source
        return source

    def _whole(self, answer: StreamedAnswer, key: str, missing: int) -> Iterator[bytes]:
        for chunk in answer.chunks:
            yield chunk[:missing]
            missing -= min(missing, len(chunk))
        if missing:
            raise StorageUnavailableError(
                f"The storage {self._storage_name} cannot read {key}: the download ended {missing} bytes early. Try "
                "again."
            )


def find_file(storage_name: str, drive: Drive, key: str) -> Item:
    """The object under this key. Raises ObjectNotFoundError, also where a folder lies there."""
    item = drive.find(key)
    if item is None or not item.is_file:
        raise ObjectNotFoundError(f"The storage {storage_name} has no object {key}.")
    return item


def _is_range(answer: StreamedAnswer, offset: int, end: int, size: int) -> bool:
    if answer.status == 206:
        return answer.headers.get("Content-Range") == f"bytes {offset}-{end - 1}/{size}"
    return answer.status == 200 and (offset, end) == (0, size)
