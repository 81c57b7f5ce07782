"""The note beside a copy that says: what lies here without a manifest is to be removed. docs/formats.md has its form.

It is written before anything of a copy is removed, and before anything is put of one that comes from another target,
and is removed last. So whatever ends a process in between, no copy is listed that is not whole, and whoever comes next
finds the note and tidies up. Beside a manifest the note means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime

from errors import HoldfastError, ObjectExistsError, StorageError, StorageUnavailableError
from model import Target
from operations.copies.layout import CopyKeys, copy_of_removal
from storages.storage import Storage

FORMAT = "holdfast-removal"
VERSION = 1

_LARGEST = 64 << 10


def put_note(storage: Storage, keys: CopyKeys, now: datetime, reasons: Sequence[str], *, is_made_again: bool) -> None:
    """Write the note; one that is there already stays. Raises StorageError.

    ``is_made_again`` says that the copy is to be here again, from one elsewhere: the note then stays until it is.
    """
    document = {
        "format": FORMAT,
        "version": VERSION,
        "when": now.isoformat(),
        "reasons": list(reasons),
        **({"made_again": True} if is_made_again else {}),
    }
    with suppress(ObjectExistsError):
        storage.put(keys.removal, [(json.dumps(document, indent=2) + "\n").encode()])


def remove_content(storage: Storage, keys: CopyKeys, present: Iterable[str] | None = None) -> None:
    """Remove archive and index of a copy that has no manifest any more. Raises StorageError.

    ``present`` are the keys that are there, where somebody has listed them.
    """
    for key in keys.all_content if present is None else set(present).intersection(keys.all_content):
        storage.delete(key)


def finish_removals(backup_id: str, target: Target, storage: Storage, present: Iterable[str]) -> list[str]:
    """Finish what a killed process left among these keys of the backup's folder, and say what could not be.

    Raises StorageUnavailableError. The caller holds the backup's lock.
    """
    keys_there = set(present)
    problems = []
    for keys in _noted(backup_id, target, keys_there):
        try:
            is_awaited = False
            if keys.manifest not in keys_there:
                remove_content(storage, keys, keys_there)
                is_awaited = _is_to_be_made_again(storage, keys)
            if not is_awaited:
                storage.delete(keys.removal)
        except StorageUnavailableError:
            raise
        except StorageError as error:
            problems.append(f"{target}: what is left of {keys.stem} could not be removed: {error}")
    return problems


def to_be_made_again(backup_id: str, target: Target, storage: Storage, present: Iterable[str]) -> list[CopyKeys]:
    """The copies that were bad, were removed to be made again, and are not there yet, oldest first."""
    keys_there = set(present)
    return [
        keys
        for keys in _noted(backup_id, target, keys_there)
        if keys.manifest not in keys_there and _is_to_be_made_again(storage, keys)
    ]


def _noted(backup_id: str, target: Target, present: set[str]) -> Iterator[CopyKeys]:
    found = (copy_of_removal(key, target.path, backup_id) for key in sorted(present))
    return (keys for keys in found if keys is not None)


def _is_to_be_made_again(storage: Storage, keys: CopyKeys) -> bool:
    try:
        return json.loads(b"".join(storage.get(keys.removal, 0, _LARGEST)))["made_again"] is True
    except HoldfastError:
        return True  # nobody knows: it stays until it can be read
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
