"""Copies that are opened to be looked into: made ready once, by whoever comes first, and kept within limits."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from errors import HoldfastError, HostileArchiveError, ObjectNotFoundError
from operations.browsing.downloads import download_file, download_folder
from operations.browsing.listing import Listing, UnusableListingError
from operations.browsing.opened_copies import CacheLimits, OpenedCopies, listing_name
from operations.copies.stored_copies import StoredCopy
from tests.support.copies import STARTED, change_lines, make_copy, path_of, with_index_bytes
from tests.support.counting_storage import CountingStorage

WAIT = 60.0


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def copy(tmp_path: Path, storage: Path) -> StoredCopy:
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_text("content")
    return make_copy(storage, source)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "dashboard-state"


def names(listing: Listing) -> list[bytes]:
    return [item.name for item in listing.children(listing.start, None, 10).items]


def test_what_was_made_serves_a_dashboard_that_starts_again(copy: StoredCopy, storage: Path, state: Path) -> None:
    assert names(OpenedCopies(state).open(copy, wait=WAIT)) == [b"folder"]
    path_of(storage, copy.keys.index).unlink()
    path_of(storage, copy.keys.archive).unlink()
    assert names(OpenedCopies(state).open(copy, wait=WAIT)) == [b"folder"]
    assert sorted(path.name for path in (state / "browse").rglob("*")) == [listing_name(copy), "members.db"]


def test_many_who_come_at_once_fetch_the_index_once(copy: StoredCopy, storage: Path, state: Path) -> None:
    counting = CountingStorage(storage)
    counted = replace(copy, storage=counting)
    opened = OpenedCopies(state)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: names(opened.open(counted, wait=WAIT)), range(8)))
    assert found == [[b"folder"]] * 8
    assert counting.bytes_read == {copy.keys.index: path_of(storage, copy.keys.index).stat().st_size}


def test_another_manifest_is_another_listing(copy: StoredCopy, storage: Path, state: Path) -> None:
    opened = OpenedCopies(state)
    opened.open(copy, wait=WAIT)

    def rename(lines: list[dict[str, object]]) -> None:
        lines[-1]["path"] = f"{lines[-1]['path']}-renamed"

    changed = with_index_bytes(copy, storage, change_lines(path_of(storage, copy.keys.index).read_bytes(), rename))
    listing = opened.open(changed, wait=WAIT)
    assert listing.search(b"renamed", 0, 10, seconds=10).items[0].name == b"file-renamed"


def test_a_listing_that_has_rotted_is_made_again(copy: StoredCopy, state: Path) -> None:
    opened = OpenedCopies(state)
    opened.open(copy, wait=WAIT)
    (state / "browse" / listing_name(copy) / "members.db").write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(UnusableListingError):
        opened.open(copy, wait=WAIT)
    assert names(opened.open(copy, wait=WAIT)) == [b"folder"]


def test_what_was_looked_at_longest_ago_goes_first(
    copy: StoredCopy, storage: Path, tmp_path: Path, state: Path
) -> None:
    source = tmp_path / "source"
    copies = [copy] + [make_copy(storage, source, started=STARTED + timedelta(hours=hours)) for hours in (1, 2)]
    opened = OpenedCopies(state, CacheLimits(count=2))
    for number, each in enumerate(copies[:2]):
        opened.open(each, wait=WAIT)
        os.utime(state / "browse" / listing_name(each), (1_000_000 + number, 1_000_000 + number))
    opened.open(copies[0], wait=WAIT)
    opened.open(copies[2], wait=WAIT)
    opened.close()
    kept = {path.name for path in (state / "browse").iterdir()}
    assert kept == {listing_name(copies[0]), listing_name(copies[2])}


def test_a_copy_that_cannot_be_read_is_told_each_time(copy: StoredCopy, storage: Path, state: Path) -> None:
    index, archive = path_of(storage, copy.keys.index), path_of(storage, copy.keys.archive)
    data = archive.read_bytes()
    index.unlink()
    archive.unlink()
    opened = OpenedCopies(state)
    for _ in range(2):
        with pytest.raises(ObjectNotFoundError):
            opened.open(copy, wait=WAIT)
    archive.write_bytes(data)
    listing = opened.open(copy, wait=WAIT)
    assert listing.is_from_zip
    assert b"".join(download_file(copy, listing, (*listing.start, b"folder", b"file")).chunks) == b"content"


@pytest.mark.parametrize("hostile", ["../x", "/etc/x", "a/../../x", "a//x", "", ".."])
def test_hostile_names_are_seen_and_never_handed_out(
    copy: StoredCopy, storage: Path, state: Path, hostile: str
) -> None:
    def rename(lines: list[dict[str, object]]) -> None:
        lines[-1]["path"] = hostile

    changed = with_index_bytes(copy, storage, change_lines(path_of(storage, copy.keys.index).read_bytes(), rename))
    listing = OpenedCopies(state).open(changed, wait=WAIT)
    (item,) = [each for each in listing.search(b"*", 0, 100, seconds=10).items if each.kind.value == "file"]
    assert item.path == hostile.encode()
    # Alone it is content without a path; with its name it is not given to anybody.
    assert b"".join(download_file(changed, listing, item.place).chunks) == b"content"
    with pytest.raises(HostileArchiveError):
        list(download_folder(changed, listing, ()).chunks)


def test_no_room_is_said(copy: StoredCopy, state: Path) -> None:
    state.mkdir()
    (state / "browse").write_text("a file is in the way")
    with pytest.raises(HoldfastError, match="cannot be kept in"):
        OpenedCopies(state).open(copy, wait=WAIT)
