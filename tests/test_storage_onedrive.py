"""The OneDrive storage keeps the contract, over the strict emulator, with the real sign-in of MSAL."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ObjectExistsError, ObjectNotFoundError, StorageError
from storages.storage import Storage
from tests.support.onedrive import DRIVE_ID, SITE_ID, USER, OneDriveEmulator
from tests.support.onedrive_storage import emulator, emulator_process, open_onedrive, routes, small_fragments
from tests.support.storage_contract import StorageContract, keys

__all__ = ["emulator", "emulator_process", "small_fragments"]

CONTENT = random.Random(8).randbytes(700_000)


@pytest.fixture
def storage(emulator: OneDriveEmulator, tmp_path: Path) -> Storage:
    return open_onedrive(tmp_path / "state")


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


@pytest.mark.usefixtures("small_fragments")
class TestContractOfSessions(TestContract):
    """The same where nearly every object goes through an upload session."""


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        *((f"folder/a{character}b", "takes no") for character in '"*:<>?\\|\x07'),
        (" folder/x", "blank"),
        ("folder/x ", "blank"),
        ("folder./x", "dot at the end"),
        ("folder/~x", "begins with '~'"),
        ("folder/~$x", "begins with '~'"),
        *(
            (f"folder/{name}", "for itself")
            for name in [".lock", "CON", "com0", "Lpt9", "nul", "Desktop.ini", "a_vti_b"]
        ),
        ("Forms/x", "root of a drive"),
        ("folder/" + "x" * 256, "up to 255"),
        ("/".join(["x" * 100] * 4), "up to 400 characters, and it has 403"),
    ],
)
def test_names_that_onedrive_refuses_are_refused_before_any_request(
    emulator: OneDriveEmulator, storage: Storage, key: str, reason: str
) -> None:
    with pytest.raises(StorageError, match="cannot use the key") as caught:
        storage.put(key, [b"x"])
    assert reason in str(caught.value)
    assert emulator.requests() == []


@pytest.mark.parametrize(
    "key",
    ["a/forms/x", "console", "com10", "x~", "a.lock", "/".join(["x" * 100] * 3 + ["x" * 97]), "é" * 255],
)
def test_names_that_only_look_like_them_are_taken(storage: Storage, key: str) -> None:
    storage.put(key, [b"x"])
    assert keys(storage) == [key]


def test_both_forms_of_a_letter_with_an_accent_come_back_as_they_were_written(storage: Storage) -> None:
    written = ["composed/\u00e9.zip", "decomposed/e\u0301.zip"]
    for key in written:
        storage.put(key, [b"x"])
    assert keys(storage) == written


def test_a_key_that_differs_in_case_exists(storage: Storage) -> None:
    storage.put("Backups/Shop.zip", [b"first"])
    with pytest.raises(ObjectExistsError):
        storage.put("backups/SHOP.ZIP", [b"second"])
    assert b"".join(storage.get("BACKUPS/shop.zip")) == b"first"
    assert [stored.key for stored in storage.list("backups/")] == ["backups/Shop.zip"]


@pytest.mark.parametrize("size", [10, 700_000])
def test_a_folder_is_no_object(emulator: OneDriveEmulator, storage: Storage, small_fragments: None, size: int) -> None:
    storage.put("folder/object", [b"x"])
    storage.delete("folder")
    with pytest.raises(ObjectExistsError):
        storage.put("folder", [bytes(size)])
    with pytest.raises(StorageError):
        storage.put("folder/object/below", [bytes(size)])
    with pytest.raises(ObjectNotFoundError):
        list(storage.get("folder"))
    assert keys(storage) == ["folder/object"]
    assert emulator.open_sessions() == []


def test_long_listings_come_in_pages(emulator: OneDriveEmulator, storage: Storage) -> None:
    expected = sorted(f"folder {number % 3}/{number}" for number in range(40))
    for key in expected:
        emulator.place(key, b"x")
    assert keys(storage) == expected
    pages = [entry for entry in emulator.requests() if "skiptoken" in entry["target"]]
    assert len(pages) >= 3


def test_foreign_things_in_the_drive_are_left_alone(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.place("Documents/letter.docx", b"of somebody else")
    storage.put("backups/archive.zip", [b"x"])
    assert [stored.key for stored in storage.list("backups/")] == ["backups/archive.zip"]
    storage.delete("backups/archive.zip")
    assert storage.clean_up("backups/") == 0
    assert emulator.content("Documents/letter.docx") == b"of somebody else"


@pytest.mark.parametrize(("delete_for_good", "in_recycle_bin"), [("no", 1), ("yes", 0)])
def test_delete_to_the_recycle_bin_or_for_good(
    emulator: OneDriveEmulator, delete_for_good: str, in_recycle_bin: int
) -> None:
    storage = open_onedrive(DELETE_FOR_GOOD=delete_for_good)
    storage.put("object", [CONTENT])
    storage.delete("object")
    assert keys(storage) == []
    assert len(emulator.drive()["recycle_bin"]) == in_recycle_bin
    assert emulator.drive()["used"] == in_recycle_bin * len(CONTENT)


OTHER_DRIVE = "b!another-drive_01"
USER_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


@pytest.mark.parametrize(
    ("drive", "expected"),
    [
        (USER, DRIVE_ID),
        (SITE_ID, DRIVE_ID),
        (DRIVE_ID, DRIVE_ID),
        (OTHER_DRIVE, OTHER_DRIVE),
        (USER_ID, OTHER_DRIVE),
        ("contoso.sharepoint.com:/sites/Backups of us", OTHER_DRIVE),
        ("contoso.sharepoint.com:/sites/Backups of us/", OTHER_DRIVE),
    ],
)
def test_every_way_to_name_a_drive(emulator: OneDriveEmulator, drive: str, expected: str) -> None:
    emulator.change(
        drives=[
            {"id": DRIVE_ID, "users": [USER], "sites": [SITE_ID]},
            {"id": OTHER_DRIVE, "users": [USER_ID], "sites": ["contoso.sharepoint.com:/sites/Backups of us"]},
        ]
    )
    open_onedrive(DRIVE=drive).put("object", [b"x"])
    assert list(emulator.files(expected)) == ["object"]
    assert routes(emulator, "graph").count("graph.drive") == 1


@pytest.mark.parametrize(
    "drive", ["admin", "the drive of admin", "https://contoso.sharepoint.com/sites/a", "a@b@c", "/"]
)
def test_a_drive_is_never_guessed(emulator: OneDriveEmulator, drive: str) -> None:
    with pytest.raises(StorageError, match=r"does not understand DRIVE|finds no drive for DRIVE"):
        keys(open_onedrive(DRIVE=drive))
    assert "graph.item" not in routes(emulator, "graph")


def test_every_cloud_has_its_own_hosts(emulator: OneDriveEmulator) -> None:
    for cloud, host in [
        ("global", "graph.microsoft.com"),
        ("us-government", "graph.microsoft.us"),
        ("us-defense", "dod-graph.microsoft.us"),
        ("china", "microsoftgraph.chinacloudapi.cn"),
    ]:
        storage = open_onedrive(CLOUD=cloud)
        storage.put(f"object of {cloud}", [CONTENT])
        assert b"".join(storage.get(f"object of {cloud}")) == CONTENT
        assert emulator.requests()[-2]["host"] == host
