"""The OneDrive storage keeps the contract, over the strict emulator, with the real sign-in of MSAL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storages.storage import Storage
from tests.support.onedrive import OneDriveEmulator, fresh, started_emulator
from tests.support.onedrive_storage import open_onedrive
from tests.support.storage_contract import StorageContract


@pytest.fixture(scope="module")
def emulator_process() -> Iterator[OneDriveEmulator]:
    with started_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_process: OneDriveEmulator) -> Iterator[OneDriveEmulator]:
    with fresh(emulator_process) as emulator, emulator.redirected():
        yield emulator


class TestContract(StorageContract):
    IS_CASE_SENSITIVE = False
    REFUSED_KEYS = frozenset(
        {
            "quotes'\"/back\\slash/semi;colon/$HOME/`id`/*?[x]",  # each of " \ * ?
            "-leading-dash/.hidden/..two-dots/dots..",  # a dot at the end
            "new\nline/tab\t",
        }
    )

    @pytest.fixture
    def storage(self, emulator: OneDriveEmulator, tmp_path: Path) -> Storage:
        return open_onedrive(tmp_path / "state")

    @pytest.fixture
    def open_again(self, emulator: OneDriveEmulator, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: open_onedrive(tmp_path / "state")
