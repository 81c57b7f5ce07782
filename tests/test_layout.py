"""Where the parts of a copy lie, and which keys belong to whom."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.copies.layout import (
    HOW_TO_RESTORE,
    CopyKeys,
    copy_keys,
    copy_of_manifest,
    copy_of_removal,
    folder_key,
    object_name,
)

STARTED = datetime(2026, 11, 20, 3, 0, 0, 987654, tzinfo=UTC)

# What the slug of a NAME may be, from few letters so that one is often the beginning of another.
id_parts = st.from_regex(r"[abÄ](?:[ab._-]{0,3}[ab])?", fullmatch=True)
ids = st.builds("{}/{}".format, id_parts, id_parts)
target_paths = st.sampled_from(["", "a", "a/b", "backups/shop"])
moments = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))


def test_the_parts_of_a_copy_lie_together() -> None:
    keys = copy_keys("backups", "shop/uploads", STARTED)
    assert keys.archive == "backups/shop/uploads/shop-uploads-20261120T030000Z.zip"
    assert keys.index == "backups/shop/uploads/shop-uploads-20261120T030000Z.index.zst"
    assert keys.manifest == "backups/shop/uploads/shop-uploads-20261120T030000Z.manifest.json"
    assert keys.pin == "backups/shop/uploads/shop-uploads-20261120T030000Z.pin.json"
    assert keys.removal == "backups/shop/uploads/shop-uploads-20261120T030000Z.removal.json"
    assert keys.timestamp == "20261120T030000Z"
    assert folder_key("backups", "shop/uploads") + HOW_TO_RESTORE == "backups/shop/uploads/HOW-TO-RESTORE.txt"
    assert object_name(keys.archive) == "shop-uploads-20261120T030000Z.zip"


def test_a_target_may_have_no_path() -> None:
    assert folder_key("", "shop/uploads") == "shop/uploads/"
    assert copy_keys("", "shop/uploads", STARTED).archive == "shop/uploads/shop-uploads-20261120T030000Z.zip"


@given(path=target_paths, backup_id=ids, started=moments)
def test_a_manifest_leads_back_to_its_copy(path: str, backup_id: str, started: datetime) -> None:
    keys = copy_keys(path, backup_id, started)
    assert copy_of_manifest(keys.manifest, path, backup_id) == keys


@given(path=target_paths, backup_id=ids, other_id=ids, started=moments)
def test_the_note_of_a_removal_belongs_to_one_backup_and_is_no_manifest(
    path: str, backup_id: str, other_id: str, started: datetime
) -> None:
    keys = copy_keys(path, backup_id, started)
    assert copy_of_removal(keys.removal, path, backup_id) == keys
    assert copy_of_removal(keys.manifest, path, backup_id) is None
    assert copy_of_manifest(keys.removal, path, backup_id) is None
    found = copy_of_removal(copy_keys(path, other_id, started).removal, path, backup_id)
    assert (found is not None) == (other_id == backup_id)


@given(path=target_paths, backup_id=ids, other_id=ids, started=moments)
def test_no_manifest_belongs_to_two_backups(path: str, backup_id: str, other_id: str, started: datetime) -> None:
    found = copy_of_manifest(copy_keys(path, other_id, started).manifest, path, backup_id)
    assert (found is not None) == (other_id == backup_id)


@given(backup_id=ids, other_id=ids, path=target_paths, other_path=target_paths, started=moments)
def test_targets_within_each_other_are_kept_apart(
    backup_id: str, other_id: str, path: str, other_path: str, started: datetime
) -> None:
    """``b/c`` at PATH ``a`` lies in the folder of ``a/b`` at no PATH: its copies are its own all the same."""
    found = copy_of_manifest(copy_keys(other_path, other_id, started).manifest, path, backup_id)
    assert (found is not None) == ((other_path, other_id) == (path, backup_id))


STEM = "backups/shop/up/shop-up-20261120T030000Z"


@pytest.mark.parametrize(
    "key",
    [
        f"{STEM}.zip",
        f"{STEM}.index.zst",
        f"{STEM}.manifest.json.bak",
        f"{STEM} (1).manifest.json",
        f"{STEM}\n.manifest.json",
        f"{STEM.replace('shop-up-', 'shop-up-x-')}.manifest.json",
        f"{STEM.replace('shop-up-', 'shop-up')}.manifest.json",
        f"{STEM.replace('/shop-up-', '/old/shop-up-')}.manifest.json",
        f"x{STEM}.manifest.json",
        f"{STEM.replace('20261120', '20261320')}.manifest.json",
        f"{STEM.replace('20261120', '２０２６１１２０')}.manifest.json",
        f"{STEM.replace('T030000', 'T030060')}.manifest.json",
        "backups/shop/up/.manifest.json",
        "backups/shop/up/shop-up-.manifest.json",
        "backups/shop/up/HOW-TO-RESTORE.txt",
        "backups/shop/up",
        "",
    ],
)
def test_a_foreign_file_is_never_claimed(key: str) -> None:
    assert copy_of_manifest(key, "backups", "shop/up") is None
    assert copy_of_manifest(f"{STEM}.manifest.json", "backups", "shop/up") == CopyKeys(STEM)


@given(key=st.text(max_size=30), suffix=st.sampled_from(["", ".manifest.json", "-20261120T030000Z.manifest.json"]))
def test_any_key_is_ours_only_where_it_is_named_as_ours(key: str, suffix: str) -> None:
    found = copy_of_manifest(key + suffix, "", "a/b")
    assert found is None or found.manifest == key + suffix == f"a/b/a-b-{found.timestamp}.manifest.json"
