"""The S3 storage: the contract over two independent servers, as the factory wraps it and bare."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from errors import ObjectNotFoundError
from model import StorageDefinition
from storages.factory import open_storage
from storages.retrying import RetryingStorage
from storages.s3.client import S3Client
from storages.s3.storage import S3Storage
from storages.storage import Storage
from storages.workplace import Patience, Workplace
from tests.support.s3_fixtures import moto, rclone
from tests.support.s3_servers import S3Server
from tests.support.storage_contract import STRANGE_KEYS, StorageContract, keys

__all__ = ["moto", "rclone"]

WORKPLACE = Workplace(patience=Patience(attempts=4, first_wait=0.01, longest_wait=0.05))


def opener(definition: StorageDefinition, is_wrapped: bool) -> Callable[[], Storage]:
    """Opens storages over one client: to load boto3's descriptions of S3 again takes 0.2 s each time."""
    client = S3Client(definition)

    def open_again() -> Storage:
        storage = S3Storage(client, WORKPLACE)
        return RetryingStorage(storage, WORKPLACE) if is_wrapped else storage

    return open_again


class TestContractAtRclone(StorageContract):
    """It takes If-None-Match and does not act on it."""

    IS_EXCLUSIVE = False

    @pytest.fixture(params=[True, False], ids=["wrapped", "bare"])
    def open_again(self, request: pytest.FixtureRequest, rclone: S3Server) -> Callable[[], Storage]:
        return opener(rclone.definition(rclone.new_bucket()), request.param)

    @pytest.fixture
    def storage(self, open_again: Callable[[], Storage]) -> Storage:
        return open_again()

    def test_absent_objects(self, storage: Storage) -> None:
        """Of what would be a folder on its disk, or lie below a file, nothing is deleted here.

        rclone 1.75 answers 500 to the first, and to the second removes the file. A bucket has no folders.
        """
        storage.put("there/object", [b"x"])
        for absent in ("absent", "there", "there/absent", "there/object/below"):
            with pytest.raises(ObjectNotFoundError):
                next(storage.get(absent))
            with pytest.raises(ObjectNotFoundError):
                storage.stat(absent)
        storage.delete("absent")
        storage.delete("there/absent")
        assert keys(storage) == ["there/object"]


class TestContractAtMoto(StorageContract):
    @pytest.fixture(params=["MD5", "CRC32"])
    def open_again(self, request: pytest.FixtureRequest, moto: S3Server) -> Callable[[], Storage]:
        return opener(moto.definition(moto.new_bucket(), CHECKSUM=request.param), is_wrapped=True)

    @pytest.fixture
    def storage(self, open_again: Callable[[], Storage]) -> Storage:
        return open_again()

    @pytest.mark.parametrize("key", [key for key in STRANGE_KEYS if "\n" not in key])
    def test_strange_keys(self, storage: Storage, key: str) -> None:
        """A line break in an address does not reach moto's handlers: its web framework answers 404."""
        super().test_strange_keys(storage, key)


def test_the_factory_opens_it(rclone: S3Server) -> None:
    storage = open_storage(rclone.definition(rclone.new_bucket()))
    storage.put("a/b", [b"content"])
    assert keys(storage) == ["a/b"]
