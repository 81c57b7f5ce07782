"""Which backups lie at a place, told from the keys of the objects there, whatever level of it a person names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given

from errors import UsageError
from model import StorageDefinition, StorageType, StoredObject, Target
from operations.copies.discovery import Discovery, Place, StoredBackup, discover, place_named
from operations.copies.layout import copy_keys, owner_of_manifest
from operations.copies.stored_copies import list_all_copies, list_copies
from storages.local import LocalStorage
from tests.support.stored_copies import put_copy
from tests.test_layout import ids, moments, target_paths

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@given(path=target_paths, backup_id=ids, started=moments)
def test_the_owner_of_a_manifest_is_told_by_its_key(path: str, backup_id: str, started: datetime) -> None:
    keys = copy_keys(path, backup_id, started)
    assert owner_of_manifest(keys.manifest) == (path, backup_id)
    assert [owner_of_manifest(key) for key in (keys.archive, keys.index, keys.pin, keys.removal)] == [None] * 4


@pytest.mark.parametrize(
    "key",
    [
        "shop-up-20261120T030000Z.manifest.json",
        "up/shop-up-20261120T030000Z.manifest.json",
        "shop/up/shop-up-x-20261120T030000Z.manifest.json",
        "shop/up/shop-up-20261320T030000Z.manifest.json",
        "shop/up/old/shop-up-20261120T030000Z.manifest.json",
        "sh\x1b[2Jop/up/sh\x1b[2Jop-up-20261120T030000Z.manifest.json",
        "sh op/up/sh op-up-20261120T030000Z.manifest.json",
        "",
    ],
)
def test_a_foreign_file_has_no_owner(key: str) -> None:
    assert owner_of_manifest(key) is None


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> StorageDefinition:
    """A storage with copies of three backups at three paths, among what is not ours."""
    root = tmp_path_factory.mktemp("disk")
    definition = StorageDefinition("disk", StorageType.LOCAL, {"ROOT": str(root)})
    storage = LocalStorage("disk", root)
    for path, backup_id in (("", "shop/files"), ("kept", "shop/files"), ("kept", "shop/db"), ("kept/old", "blog/db")):
        for hours in range(2):
            put_copy(storage, Target(definition, path), NOON + timedelta(hours=hours), backup_id=backup_id)
    for foreign in ("kept/readme.txt", "kept/shop/files/shop-files-notes.txt", "kept/shop/x/y-z.manifest.json", "a"):
        storage.put(foreign, [b"{}"])
    return definition


def found(discovery: Discovery) -> dict[str, list[str]]:
    assert discovery.errors == []
    return {backup.id: sorted(str(target) for target in backup.targets) for backup in discovery.backups}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "",
            {
                "blog/db": ["disk:kept/old"],
                "shop/db": ["disk:kept"],
                "shop/files": ["disk", "disk:kept"],
            },
        ),
        ("kept", {"blog/db": ["disk:kept/old"], "shop/db": ["disk:kept"], "shop/files": ["disk:kept"]}),
        ("kept/shop", {"shop/db": ["disk:kept"], "shop/files": ["disk:kept"]}),
        ("kept/shop/db", {"shop/db": ["disk:kept"]}),
        ("shop/files", {"shop/files": ["disk"]}),
        ("kep", {}),
        ("nothing/here", {}),
    ],
)
def test_any_level_of_a_storage_will_do(
    path: str, expected: dict[str, list[str]], definition: StorageDefinition
) -> None:
    discovery = discover([Place(definition, path)])
    assert found(discovery) == expected
    for backup in discovery.backups:
        copies = list_copies(backup, storages=discovery.storages).copies
        assert len(copies) == 2 * len(backup.targets)
        assert all(copy.manifest is not None and copy.damage is None for copy in copies)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", {"blog/db": ["kept/old"], "shop/db": ["kept"], "shop/files": ["", "kept"]}),
        ("kept/shop", {"shop/db": ["kept"], "shop/files": ["kept"]}),
        ("kept/shop/files", {"shop/files": ["kept"]}),
        ("shop", {"shop/files": [""]}),
        ("kept/../kept/old/blog/", {"blog/db": ["kept/old"]}),
    ],
)
def test_any_folder_of_this_machine_will_do(
    path: str, expected: dict[str, list[str]], definition: StorageDefinition
) -> None:
    root = Path(str(definition.settings["ROOT"]))
    discovery = discover([place_named({}, f"{root}/{path}")])
    assert found(discovery) == {name: [str(root / each) for each in paths] for name, paths in expected.items()}
    for backup in discovery.backups:
        for copy in list_copies(backup, storages=discovery.storages).copies:
            assert copy.manifest is not None
            assert b"".join(copy.read(0, 7)) == b"content"


class _CountingStorage(LocalStorage):
    listed: list[str]

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self.listed.append(prefix)
        yield from super().list(prefix)


def test_many_backups_at_a_place_are_one_listing(tmp_path: Path) -> None:
    definition = StorageDefinition("disk", StorageType.LOCAL, {"ROOT": str(tmp_path / "disk")})
    storage = _CountingStorage("disk", tmp_path / "disk")
    storage.listed = []
    for number in range(20):
        put_copy(storage, Target(definition, "kept"), NOON, backup_id=f"shop/b{number}")
    discovery = Discovery()
    discovery.storages.use(storage)
    places = [Place(definition, "kept"), Place(definition, "kept/deeper"), Place(definition, "kept")]
    backups = discover(places, discovery).backups
    listings = list_all_copies(backups, storages=discovery.storages)
    assert [len(listing.copies) for listing in listings] == [1] * 20
    assert storage.listed == ["kept/"]
    asked_elsewhere = StoredBackup("shop/b1", (Target(definition, "other"),))
    assert list_copies(asked_elsewhere, storages=discovery.storages).copies == ()
    assert storage.listed == ["kept/", "other/shop/b1/"]


def test_a_manifest_in_another_folder_than_its_name_says_is_told(tmp_path: Path) -> None:
    storage = LocalStorage("disk", tmp_path)
    definition = StorageDefinition("disk", StorageType.LOCAL, {"ROOT": str(tmp_path)})
    put_copy(storage, Target(definition, ""), NOON, backup_id="shop/files")
    (tmp_path / "shop" / "files").rename(tmp_path / "download")
    discovery = discover([Place(definition, "")])
    assert discovery.backups == []
    assert discovery.remark.startswith(
        "download/shop-files-20261120T120000Z.manifest.json lies in another folder than its name says, and is not"
    )


def test_a_manifest_of_another_backup_is_no_copy_of_the_one_in_whose_folder_it_lies(tmp_path: Path) -> None:
    """The folders say whose it should be, and the manifest has the last word."""
    storage = LocalStorage("disk", tmp_path)
    definition = StorageDefinition("disk", StorageType.LOCAL, {"ROOT": str(tmp_path)})
    put_copy(storage, Target(definition, ""), NOON, backup_id="a/b-c")
    (tmp_path / "a-b").mkdir()
    (tmp_path / "a" / "b-c").rename(tmp_path / "a-b" / "c")
    discovery = discover([Place(definition, "")])
    assert found(discovery) == {"a-b/c": ["disk"]}
    (copy,) = list_copies(discovery.backups[0], storages=discovery.storages).copies
    assert copy.manifest is None
    assert "belongs to another backup: a/b-c" in str(copy.error)


def test_a_place_that_cannot_be_listed_does_not_hide_the_others(definition: StorageDefinition) -> None:
    unusable = StorageDefinition("bucket", StorageType.S3, {})
    discovery = discover([Place(unusable, "x"), Place(definition, "kept/old")])
    assert [backup.id for backup in discovery.backups] == ["blog/db"]
    (error,) = discovery.errors
    assert error.startswith("bucket:x: The storage bucket has no BUCKET.")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("disk", ("disk", "")),
        ("disk:", ("disk", "")),
        ("disk:/kept//shop/", ("disk", "kept/shop")),
        ("disk:a:b", ("disk:a", "b")),
    ],
)
def test_a_place_is_named_as_a_storage_and_a_path(text: str, place: tuple[str, str]) -> None:
    storages = {name: StorageDefinition(name, StorageType.LOCAL, {"ROOT": "/x"}) for name in ("disk", "disk:a")}
    named = place_named(storages, text)
    assert (named.storage.name, named.path, named.is_folder) == (*place, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("disc:kept", "There is no storage named 'disc' to read from. Did you mean disk?"),
        ("DISK", "Did you mean disk?"),
        ("folder", r"For the folder of this name write \./folder\."),
        ("tape", "There are: disk. A folder of this machine begins with / or ./."),
        ("disk:../x", "leads out of the storage"),
        ("./missing", "missing is not there"),
        ("./file", "file is no folder"),
    ],
)
def test_a_place_that_is_none_is_named(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    storages = {"disk": StorageDefinition("disk", StorageType.LOCAL, {"ROOT": "/x"})}
    with pytest.raises(UsageError, match=message):
        place_named(storages, text)


def test_what_lies_among_the_copies_neither_stops_nor_joins_them(tmp_path: Path) -> None:
    """Junk with the right name is named; what is no file, or has another name, is not even looked at."""
    storage = LocalStorage("disk", tmp_path)
    definition = StorageDefinition("disk", StorageType.LOCAL, {"ROOT": str(tmp_path)})
    put_copy(storage, Target(definition, ""), NOON)
    folder = tmp_path / "shop" / "files"
    os.mkfifo(folder / "shop-files-20261120T130000Z.manifest.json")
    (folder / "shop-files-20261120T140000Z.manifest.json").mkdir()
    (folder / "shop-files-20261120T150000Z.manifest.json").write_bytes(b"\xff" * 20_000_000)
    (folder / "shop-files-20261120T160000Z.manifest.json").write_bytes(b'{"format": "holdfast-manifest"}')
    (folder / "shop-files-20261120T170000Z.manifest.json").symlink_to("/nowhere")
    (folder / "shop-files-20261120T180000Z.manifest.json.bak").write_bytes(b"{}")
    (folder / "loop").symlink_to(folder)
    os.close(os.open(os.fsencode(folder) + b"/shop-files-\xff.manifest.json", os.O_CREAT))
    discovery = discover([place_named({}, str(tmp_path))])
    (backup,) = discovery.backups
    copies = list_copies(backup, storages=discovery.storages).copies
    assert [(copy.keys.timestamp[9:11], copy.error is None) for copy in copies] == [
        ("16", False),
        ("15", False),
        ("12", True),
    ]
