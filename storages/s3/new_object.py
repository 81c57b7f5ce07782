"""One object that is about to be stored: whether its key is free, whether what lies there is ours, and is right."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from errors import IntegrityError, ObjectNotFoundError, StorageError
from model import StoredObject
from storages.s3.checksums import Checksum
from storages.s3.client import Answer, S3Client
from storages.s3.parts import Part
from storages.workplace import Workplace
from utils import utc_now

_Result = TypeVar("_Result")

# The object's own mark, as metadata. After an answer was lost, it tells our object from one of somebody else.
_MARK = "holdfast-upload"

# Removing what failed must not take as long as failing did.
_CLEANING_ATTEMPTS = 3

# What was altered on its way once may arrive whole the next time. A machine or proxy that alters everything never ends.
_ALTERED_ATTEMPTS = 3

# Large enough that Python costs little, small enough that a slow line moves one within the time-out of a send.
_SEND_BLOCK = 256 << 10


class NewObject:
    """Stands for ``key`` while it is stored. ``send`` runs a request as often as ``workplace`` has patience."""

    def __init__(self, client: S3Client, workplace: Workplace, key: str) -> None:
        self.client = client
        self.key = key
        self.workplace = workplace
        patience = replace(workplace.patience, attempts=min(_CLEANING_ATTEMPTS, workplace.patience.attempts))
        self.cleaning = replace(workplace, patience=patience)
        self._mark = secrets.token_hex(16)

    def parameters(self) -> dict[str, Any]:
        """Those of the settings, and the mark: for PutObject and CreateMultipartUpload."""
        return {"Metadata": {_MARK: self._mark}, **self.client.options.of_new_object(self.key, utc_now())}

    def refuse_if_taken(self) -> None:
        """Raise ObjectExistsError where something lies under the key."""
        with suppress(ObjectNotFoundError):
            self.workplace.repeat(lambda: self.client.head(self.key))
            raise self.client.exists(self.key)

    def look_up(self) -> Answer | None:
        """What lies there, or None; asked once. Raises ObjectExistsError where it is not ours."""
        try:
            found = self.client.head(self.key)
        except ObjectNotFoundError:
            return None
        if not self._is_ours(found):
            raise self.client.exists(self.key)
        return found

    def proven(self, size: int, checksum: Checksum, differs: Callable[[Answer], bool]) -> StoredObject:
        """The stored object, after a look at its size and checksum. Where they are wrong it is removed.

        Raises IntegrityError then; ObjectExistsError where another writer has replaced it; StorageError where the
        service does not tell the checksum at all.
        """
        found = self.workplace.repeat(self.look_up)
        if found is None:
            raise self.altered("is not there after the service had taken it")
        if found["ContentLength"] != size or differs(found):
            self.workplace.repeat(lambda: self.client.call("delete_object", self.key))
            raise self.altered("is not what was sent; it was removed")
        if not checksum.is_told_by(found):
            raise StorageError(self.client.place.sentence("store", self.key, checksum.missing))
        return StoredObject(self.key, size, found["LastModified"])

    def discard(self) -> None:
        """After a failure, remove it where the service got it nevertheless. Raises nothing: one error is on its way."""
        with suppress(StorageError):
            if self.cleaning.repeat(self.look_up) is not None:
                self.cleaning.repeat(lambda: self.client.call("delete_object", self.key))

    def altered(self, reason: str) -> IntegrityError:
        """The error for bytes that are not those that were sent."""
        return IntegrityError(
            f"{self.key} in the bucket {self.client.options.bucket} of the storage {self.client.place.storage_name} "
            f"{reason}. Check the memory of this machine, the network and proxies between, and the service."
        )

    def _is_ours(self, found: Answer) -> bool:
        # Some services give names of metadata back with capitals.
        marks = [value for name, value in found.get("Metadata", {}).items() if name.lower() == _MARK]
        return marks == [self._mark]


def repeat_altered(action: Callable[[], _Result]) -> _Result:
    """What ``action`` returns, tried again a few times while it raises IntegrityError."""
    for _ in range(_ALTERED_ATTEMPTS - 1):
        with suppress(IntegrityError):
            return action()
    return action()


class PartBody:
    """A part as the body of a request, in the manner of a file: botocore signs it, urllib3 sends it.

    Given as bytes it would be one ``sendall``, whose time-out is for the whole of it: too short for a slow line.
    """

    def __init__(self, part: Part, is_wanted: Callable[[], bool]) -> None:
        self._part = part
        self._is_wanted = is_wanted
        self._position = 0

    def __len__(self) -> int:
        return self._part.size

    def read(self, length: int) -> bytes | memoryview:
        """The next block, whose length is ours to choose. Raises StorageError once nobody wants the upload any more."""
        if not self._is_wanted():
            raise StorageError("It was cancelled.")
        block = self._part.block(self._position, max(length, _SEND_BLOCK))
        self._position += len(block)
        return block

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        self._position = position
        return position
