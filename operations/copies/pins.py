"""Pins: a small object beside a copy holds it there, whatever KEEP says. It lies on the target, not in the catalog."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from errors import HoldfastError, ObjectExistsError, ObjectNotFoundError, UsageError
from operations.copies.layout import CopyKeys
from storages.storage import Storage

if TYPE_CHECKING:
    from operations.copies.stored_copies import StoredCopy

FORMAT = "holdfast-pin"
VERSION = 1

_LARGEST = 64 << 10


@dataclass(frozen=True, slots=True)
class Pin:
    """Why a copy is held, who said so (``user@machine``), and when. The last two are None where it cannot be read."""

    reason: str
    by: str | None = None
    when: datetime | None = None

    def encode(self) -> bytes:
        """As it lies on the target: JSON, docs/formats.md."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "reason": self.reason,
            "by": self.by,
            "when": self.when.isoformat() if self.when is not None else None,
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def pin(copy: StoredCopy, new_pin: Pin) -> None:
    """Hold the copy on this target. Raises UsageError where it is pinned already, and StorageError."""
    try:
        copy.storage.put(copy.keys.pin, [new_pin.encode()])
    except ObjectExistsError:
        there = read_pin(copy.storage, copy.keys)
        raise UsageError(f"{copy} is pinned already: {there.reason if there else ''}") from None


def unpin(copy: StoredCopy) -> None:
    """Let KEEP decide about the copy again. Raises StorageError; where there is no pin, nothing is done."""
    copy.storage.delete(copy.keys.pin)


def read_pin(storage: Storage, keys: CopyKeys) -> Pin | None:
    """The pin of a copy that has one. One that cannot be read holds it as well: it says so as its reason."""
    try:
        document = json.loads(b"".join(storage.get(keys.pin, 0, _LARGEST)))
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            return Pin("by another version of Holdfast")
        return Pin(str(document["reason"]), str(document["by"]), datetime.fromisoformat(document["when"]))
    except ObjectNotFoundError:
        return None
    except HoldfastError as error:
        return Pin(f"the pin cannot be read: {error}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Pin("the pin is damaged")
