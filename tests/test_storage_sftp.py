"""The SFTP storage against a real sshd: the contract, and what is special about files on a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storages.storage import Storage
from tests.support.sftp import sftp_storage_at
from tests.support.sshd import Sshd, requires_sshd, sshd
from tests.support.storage_contract import StorageContract

__all__ = ["sshd"]

pytestmark = requires_sshd


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "not there yet" / "backups"


@pytest.fixture
def storage(sshd: Sshd, root: Path) -> Storage:
    return sftp_storage_at(sshd, root)


@pytest.fixture
def open_again(sshd: Sshd, root: Path) -> Callable[[], Storage]:
    return lambda: sftp_storage_at(sshd, root)


class TestContract(StorageContract):
    @pytest.fixture
    def storage(self, sshd: Sshd, root: Path) -> Storage:
        return sftp_storage_at(sshd, root)
