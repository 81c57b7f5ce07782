"""Every request that a use of OneDrive makes, met by every fault: a good copy or a clear error, and nothing is left."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from errors import StorageError
from storages.spool import MemoryContent
from storages.storage import Storage
from tests.support.onedrive import MATRIX_FAULTS, OneDriveEmulator
from tests.support.onedrive_storage import FRAGMENT, emulator, emulator_process, open_onedrive, small_fragments

__all__ = ["emulator", "emulator_process", "small_fragments"]

SMALL = random.Random(3).randbytes(50_000)
LARGE = random.Random(4).randbytes(FRAGMENT + 999)
SENT = {"folder/small": SMALL, "other/folder/large": LARGE}

# What the sessions of an upload whose address was lost live for.
SESSION_SECONDS = 16 * 60


def use(storage: Storage) -> dict[str, str]:
    """Everything that a storage does. The error of each step that failed, by its name."""
    steps: dict[str, Callable[[], bool]] = {}
    for key, content in SENT.items():
        steps[f"put {key}"] = partial(_puts, storage, key, content)
    steps["list"] = lambda: {stored.key for stored in storage.list("")} >= set(SENT) - _not_put(errors)
    for key, content in SENT.items():
        steps[f"stat {key}"] = partial(_stats, storage, key, content)
        steps[f"get {key}"] = partial(_gets, storage, key, content)
    steps["delete"] = partial(_deletes, storage, "folder/small")
    steps["clean up"] = lambda: storage.clean_up("") == 0
    errors: dict[str, str] = {}
    for name, is_right in steps.items():
        if name.partition(" ")[2] in _not_put(errors):
            continue
        try:
            assert is_right(), f"{name} gave something wrong"
        except StorageError as error:
            errors[name] = str(error)
    return errors


def _not_put(errors: dict[str, str]) -> set[str]:
    return {name.removeprefix("put ") for name in errors if name.startswith("put ")}


def _puts(storage: Storage, key: str, content: bytes) -> bool:
    return storage.put(key, MemoryContent(content)).size == len(content)


def _stats(storage: Storage, key: str, content: bytes) -> bool:
    return storage.stat(key).size == len(content)


def _gets(storage: Storage, key: str, content: bytes) -> bool:
    return b"".join(storage.get(key, 100, 40_000)) == content[100:40_100]


def _deletes(storage: Storage, key: str) -> bool:
    storage.delete(key)
    return True


def check(emulator: OneDriveEmulator, errors: dict[str, str]) -> None:
    """What was called good is there and right, and every error says something."""
    assert all(len(error) > 40 and error.endswith(".") for error in errors.values())
    files = emulator.files()
    for key, content in SENT.items():
        is_deleted = key == "folder/small" and "delete" not in errors
        if f"put {key}" not in errors and not is_deleted:
            assert files[key]["sha256"] == hashlib.sha256(content).hexdigest()
    assert files.keys() <= SENT.keys()


@pytest.mark.slow
@pytest.mark.parametrize("fault", MATRIX_FAULTS)
@pytest.mark.usefixtures("small_fragments")
def test_every_request_meets_the_fault(emulator: OneDriveEmulator, tmp_path: Path, fault: str) -> None:
    assert use(open_onedrive(tmp_path)) == {}
    labels = [set(entry["labels"]) for entry in emulator.requests()]
    assert len(labels) > 20
    met = 0
    for number, of_request in enumerate(labels, 1):
        if fault == "wrong bytes stored" and "content" not in of_request:
            continue
        emulator.reset()
        emulator.plan(**MATRIX_FAULTS[fault], nth=number)
        errors = use(open_onedrive(tmp_path))
        emulator.check()
        check(emulator, errors)
        if emulator.open_sessions():
            # The one address that nobody knows: its answer was lost.
            assert (fault, "graph.create_session" in of_request) == ("lost response", True)
            emulator.advance_clock(SESSION_SECONDS)
        assert emulator.open_sessions() == []
        assert list((tmp_path / "uploads").glob("*")) == []
        met += 1
    assert met >= 3


@pytest.mark.parametrize("fault", ["429 with Retry-After", "500", "503 with HTML", "wrong bytes stored", "401"])
@pytest.mark.usefixtures("small_fragments")
def test_what_passes_by_itself_fails_no_upload(emulator: OneDriveEmulator, tmp_path: Path, fault: str) -> None:
    """A token that is refused once is renewed as well; only at the sign-in itself does 401 mean a wrong secret."""
    routes = ["graph.drive", "graph.item", "graph.create_folder", "graph.create_session", "upload.fragment"]
    for route in [*routes, "upload.commit"]:
        if fault == "wrong bytes stored" and not route.startswith("upload"):
            continue
        emulator.reset()
        emulator.plan(**MATRIX_FAULTS[fault], route=route)
        storage = open_onedrive(tmp_path)
        assert storage.put("other/folder/large", MemoryContent(LARGE)).size == len(LARGE)
        check(emulator, {"put folder/small": "It was not tried, which is of no importance here."})
        emulator.check()
