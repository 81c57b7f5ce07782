"""The OneDrive storage as tests open it: configured as by hand, with little patience, over the emulator."""

from __future__ import annotations

from pathlib import Path

from model import Secret, StorageDefinition, StorageType
from storages.factory import open_storage
from storages.storage import Storage
from storages.workplace import Patience, Workplace
from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, TENANT_ID, USER

# Waits that are asked for are kept whole; our own are short.
IMPATIENT = Patience(attempts=5, first_wait=0.01, longest_wait=0.05, longest_asked_wait=3.0)


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


def onedrive_workplace(state_directory: Path | None) -> Workplace:
    return Workplace(state_directory, IMPATIENT)


def open_onedrive(state_directory: Path | None = None, **settings: str | Secret | None) -> Storage:
    """With all wrappers around it, as a run has it."""
    return open_storage(onedrive_definition(**settings), onedrive_workplace(state_directory))
