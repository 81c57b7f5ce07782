"""The contract of a storage in small, tried on a real target: what ``main.py doctor`` does."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from errors import HoldfastError, IntegrityError, ObjectNotFoundError, StorageError
from model import Target
from storages.factory import open_storage
from storages.storage import Storage
from storages.workplace import Workplace
from utils import format_duration

_PROBE_SIZE = 1000
_RANGE = (100, 200)


@dataclass(slots=True)
class StorageCheck:
    """How it went: ``step`` is the one that was tried last; ``error`` is None where all of them succeeded."""

    target: Target
    step: str = "open"
    seconds: float = 0.0
    error: HoldfastError | None = None

    @property
    def summary(self) -> str:
        if self.error is not None:
            return f"{self.step}: {self.error}"
        return f"put, stat, ranged get, list and delete worked in {format_duration(self.seconds)}"


def check_storage(target: Target, workplace: Workplace) -> StorageCheck:
    """Put a small object into the target's folder, look at it in every way, and remove it. Nothing is raised but
    interruptions; nothing is left behind where the storage allows it to be removed."""
    check = StorageCheck(target)
    key = "/".join(filter(None, (target.path, f"holdfast-doctor-{secrets.token_hex(8)}.txt")))
    began = time.monotonic()
    try:
        storage = open_storage(target.storage, workplace)
        with _removed_afterwards(storage, key, check):
            _try_all(storage, key, check)
    except HoldfastError as error:
        check.error = error
    check.seconds = time.monotonic() - began
    return check


def _try_all(storage: Storage, key: str, check: StorageCheck) -> None:
    content = secrets.token_bytes(_PROBE_SIZE)
    check.step = "put"
    storage.put(key, [content])
    check.step = "stat"
    if storage.stat(key).size != len(content):
        raise IntegrityError(f"{check.target} says another size than was put.")
    check.step = "ranged get"
    offset, length = _RANGE
    if b"".join(storage.get(key, offset, length)) != content[offset : offset + length]:
        raise IntegrityError(f"{check.target} gave other bytes than were put.")
    check.step = "list"
    if key not in [stored.key for stored in storage.list(key)]:
        raise StorageError(f"{check.target} does not list what was put.")
    check.step = "delete"
    storage.delete(key)
    try:
        storage.stat(key)
    except ObjectNotFoundError:
        return
    raise StorageError(f"{check.target} still has what was deleted.")


@contextmanager
def _removed_afterwards(storage: Storage, key: str, check: StorageCheck) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if check.step not in ("open", "put"):
            with suppress(HoldfastError):
                storage.delete(key)
        raise
