"""The OneDrive storage as tests open it: configured as by hand, with little patience, over the emulator.

The fixtures are imported into the module that uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model import Secret, StorageDefinition, StorageType
from storages.factory import open_storage
from storages.onedrive import fragments, upload
from storages.storage import Storage
from storages.workplace import Patience, Workplace
from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, TENANT_ID, USER, OneDriveEmulator, fresh, started_emulator

# Waits that are asked for are kept whole; our own are short.
IMPATIENT = Patience(attempts=5, first_wait=0.01, longest_wait=0.05, longest_asked_wait=3.0)

# What the fixture ``small_fragments`` makes of 4 MiB and 10 MiB: the same ways, and a fraction of the bytes.
SMALL_OBJECT = 100_000
FRAGMENT = 327_680


@pytest.fixture(scope="session")
def emulator_process() -> Iterator[OneDriveEmulator]:
    with started_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_process: OneDriveEmulator) -> Iterator[OneDriveEmulator]:
    """Begun anew, for every session of this process; at the end it must have seen no violation."""
    with fresh(emulator_process) as emulator, emulator.redirected():
        yield emulator


@pytest.fixture
def small_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "LARGEST_SMALL", SMALL_OBJECT)
    monkeypatch.setattr(fragments, "FRAGMENT_SIZE", FRAGMENT)


def onedrive_definition(**settings: str | Secret | None) -> StorageDefinition:
    """ONEDRIVE of the emulator's tenant, with other settings where they are given; None takes one away."""
    everything: dict[str, str | Secret | None] = {
        "TENANT_ID": TENANT_ID,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": Secret(CLIENT_SECRET),
        "DRIVE": USER,
        **settings,
    }
    kept = {key: value for key, value in everything.items() if value is not None}
    return StorageDefinition("ONEDRIVE", StorageType.ONEDRIVE, kept)


def open_onedrive(
    state_directory: Path | None = None, workplace: Workplace | None = None, **settings: str | Secret | None
) -> Storage:
    """With all wrappers around it, as a run has it."""
    return open_storage(onedrive_definition(**settings), workplace or Workplace(state_directory, IMPATIENT))


def fragments_sent(emulator: OneDriveEmulator) -> list[tuple[int, int]]:
    """First and last byte of each fragment that came, in order."""
    ranges = [entry["content_range"] for entry in emulator.requests() if entry["route"] == "upload.fragment"]
    pairs = [text.removeprefix("bytes ").partition("/")[0].split("-") for text in ranges]
    return [(int(first), int(last)) for first, last in pairs]


def routes(emulator: OneDriveEmulator, service: str) -> list[str]:
    """The routes of the requests that came to this service, in order."""
    return [entry["route"] for entry in emulator.requests() if entry["service"] == service]
