"""Which copies there are, which of them is meant, and what is in one: without reading the archive."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from errors import HoldfastError, UsageError
from model import RunStatus
from operations.copies.contents import list_contents
from operations.copies.stored_copies import StoredCopy, choose_copy, choose_copy_at, list_copies
from tests.support.copies import backup_of, make_copy, write_manifest
from tests.support.counting_storage import CountingStorage
from tests.support.holdfast import BACKUP_ID, Holdfast


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("content")
    (folder / "link").symlink_to("sub")
    os.link(folder / "sub" / "file", folder / "zz")
    return folder


@pytest.fixture
def installation(tmp_path: Path, source: Path) -> Holdfast:
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    return installation


def test_list_says_what_each_copy_is(installation: Holdfast) -> None:
    installation.back_up()
    listed = json.loads(installation.run("restore.py", "list", "--json").stdout)
    assert listed["errors"] == []
    assert [copy["status"] for copy in listed["copies"]] == ["good", "good"]
    newest, oldest = listed["copies"]
    assert newest["timestamp"] > oldest["timestamp"]
    assert (newest["files"], newest["content_size"]) == (2, 14 + len("sub"))
    assert newest["archive_size"] == (installation.storage / newest["key"]).stat().st_size
    text = installation.run("restore.py", "list", BACKUP_ID).stdout
    assert text.index(newest["timestamp"]) < text.index(oldest["timestamp"])


def test_a_damaged_manifest_is_listed_as_unreadable(installation: Holdfast) -> None:
    (manifest,) = installation.parts(".manifest.json")
    manifest.write_bytes(b"\0" * 300)
    finished = installation.run("restore.py", "list")
    assert finished.returncode == 0
    assert "unreadable" in finished.stdout
    (copy,) = json.loads(installation.run("restore.py", "list", "--json").stdout)["copies"]
    assert (copy["status"], copy["files"]) == (None, None)
    assert copy["error"].startswith("the manifest is damaged")


def test_foreign_files_are_never_listed(installation: Holdfast) -> None:
    (manifest,) = installation.parts(".manifest.json")
    data = manifest.read_bytes()
    folder = manifest.parent
    for name in (
        "shop-files-2026.manifest.json",
        "shop-files-20261399T990000Z.manifest.json",
        "shop-files-20261120T030000Z.manifest.json.bak",
        "other-files-20261120T030000Z.manifest.json",
        "shop-files-x-20261120T030000Z.manifest.json",
        "notes.txt",
        "sub/shop-files-20261120T030000Z.manifest.json",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "shop-files-20261120T040000Z.manifest.json").mkdir()
    assert len(json.loads(installation.run("restore.py", "list", "--json").stdout)["copies"]) == 1


def test_there_is_no_copy_yet(tmp_path: Path, source: Path) -> None:
    installation = Holdfast(tmp_path / "new")
    installation.configure(source)
    assert "There is no copy yet." in installation.run("restore.py", "list").stdout
    finished = installation.run("restore.py", "show", BACKUP_ID)
    assert (finished.returncode, finished.stderr) == (2, f"There is no copy of {BACKUP_ID} on its targets.\n")


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
def test_show_says_what_is_in_a_copy(has_index: bool, installation: Holdfast, source: Path) -> None:
    if not has_index:
        installation.parts(".index.zst")[0].unlink()
    shown = json.loads(installation.run("restore.py", "show", BACKUP_ID, "--json").stdout)
    members = {member["path"].removeprefix(f"{str(source)[1:]}/"): member for member in shown["members"]}
    assert members["sub/file"]["size"] == 7
    assert members["sub/file"]["crc32"] == f"{zlib.crc32(b'content'):08x}"
    assert members["sub"]["kind"] == "directory"
    assert members["link"]["kind"] == "symlink"
    text = installation.run("restore.py", "show", BACKUP_ID, str(source / "link")).stdout
    assert text.splitlines()[1:] == [line for line in text.splitlines() if line.endswith("/link -> sub")]
    assert ("(the same file as " in installation.run("restore.py", "show", BACKUP_ID).stdout) is has_index


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
def test_showing_reads_next_to_nothing_of_the_archive(has_index: bool, source: Path, tmp_path: Path) -> None:
    (source / "large").write_bytes(os.urandom(20_000_000))
    for number in range(300):
        (source / f"small{number}").write_text("small")
    copy = make_copy(tmp_path / "storage", source)
    if not has_index:
        (tmp_path / "storage" / copy.keys.index).unlink()
    storage = CountingStorage(tmp_path / "storage")
    assert len(list(list_contents(replace(copy, storage=storage), []))) == 306
    assert storage.bytes_read[copy.keys.archive] < (1 if has_index else 150_000)


# --- which copy is meant ---

NOON, ONE, TWO = (datetime(2026, 11, 20, hour, 0, 0, tzinfo=UTC) for hour in (12, 13, 14))


def copies_with(storage: Path, source: Path, **statuses: RunStatus) -> None:
    """Copies of noon, one and two, with these statuses in their manifests."""
    for name, started in (("noon", NOON), ("one", ONE), ("two", TWO)):
        if name in statuses:
            make_copy(storage, source, started=started)
            copy = list_copies(backup_of(storage, source)).copies[0]
            assert copy.manifest is not None
            write_manifest(copy, storage, replace(copy.manifest, status=statuses[name]))


def chosen(storage: Path, source: Path, wanted: str) -> StoredCopy:
    return choose_copy(list_copies(backup_of(storage, source)), BACKUP_ID, wanted)


def test_the_latest_is_the_newest_good_one(source: Path, tmp_path: Path) -> None:
    copies_with(tmp_path / "s", source, noon=RunStatus.GOOD, one=RunStatus.GOOD, two=RunStatus.PARTIAL)
    assert chosen(tmp_path / "s", source, "latest").keys.timestamp == "20261120T130000Z"


def test_a_partial_one_is_the_latest_only_where_none_is_good(source: Path, tmp_path: Path) -> None:
    copies_with(tmp_path / "s", source, noon=RunStatus.PARTIAL, one=RunStatus.PARTIAL)
    assert chosen(tmp_path / "s", source, "latest").keys.timestamp == "20261120T130000Z"


def test_the_beginning_of_a_time_will_do(source: Path, tmp_path: Path) -> None:
    copies_with(tmp_path / "s", source, noon=RunStatus.GOOD, one=RunStatus.PARTIAL)
    assert chosen(tmp_path / "s", source, "20261120T13").keys.timestamp == "20261120T130000Z"
    with pytest.raises(UsageError, match=r"could be 20261120T120000Z, 20261120T130000Z\. Write more of the time\."):
        chosen(tmp_path / "s", source, "20261120")
    with pytest.raises(UsageError, match=r"There is no copy shop/files@2027\. restore\.py list shop/files shows"):
        chosen(tmp_path / "s", source, "2027")


# --- the copy of a time ---


def chosen_at(storage: Path, source: Path, moment: datetime) -> str:
    return choose_copy_at(list_copies(backup_of(storage, source)), BACKUP_ID, moment).keys.timestamp


def test_the_newest_good_copy_at_or_before_a_time(source: Path, tmp_path: Path) -> None:
    copies_with(tmp_path / "s", source, noon=RunStatus.GOOD, one=RunStatus.PARTIAL, two=RunStatus.GOOD)
    second = timedelta(seconds=1)
    assert chosen_at(tmp_path / "s", source, NOON) == "20261120T120000Z"
    assert chosen_at(tmp_path / "s", source, TWO - second) == "20261120T120000Z"  # the one between is partial
    assert chosen_at(tmp_path / "s", source, TWO) == "20261120T140000Z"
    with pytest.raises(
        UsageError, match=r"at or before 2026-11-20 11:59:59 UTC\. The oldest is .*@20261120T120000Z, of"
    ):
        chosen_at(tmp_path / "s", source, NOON - second)


def test_a_partial_copy_is_that_of_a_time_only_where_none_is_good(source: Path, tmp_path: Path) -> None:
    copies_with(tmp_path / "s", source, noon=RunStatus.PARTIAL, two=RunStatus.GOOD)
    assert chosen_at(tmp_path / "s", source, ONE) == "20261120T120000Z"
    with pytest.raises(UsageError, match=r"^There is no copy of shop/files on its targets\.$"):
        chosen_at(tmp_path / "none", source, ONE)


def test_why_the_copy_of_a_time_cannot_be_read_is_said(source: Path, tmp_path: Path) -> None:
    copies_with(tmp_path / "s", source, noon=RunStatus.GOOD, two=RunStatus.GOOD)
    damaged = list_copies(backup_of(tmp_path / "s", source)).copies[1].keys.manifest
    (tmp_path / "s" / damaged).write_bytes(b"{}")
    with pytest.raises(HoldfastError, match=r"and can be read:\n  shop/files@20261120T120000Z on LOCAL: the manifest"):
        chosen_at(tmp_path / "s", source, ONE)


def test_the_time_that_the_list_shows_finds_the_copy(installation: Holdfast) -> None:
    """Each command that reads a copy takes it; the clock of this machine is one of another zone."""
    zone = {"env": {"TZ": "America/St_Johns"}}
    (line,) = [line for line in installation.run("restore.py", "list", **zone).stdout.splitlines() if BACKUP_ID in line]
    shown = " ".join(line.split()[1:3])
    for command in (["show"], ["verify"], ["restore", "--to", str(installation.folder / "to")]):
        finished = installation.run("restore.py", command[0], BACKUP_ID, *command[1:], "--at", shown, **zone)
        assert finished.returncode == 0, finished.stderr
    before = installation.run("restore.py", "show", BACKUP_ID, "--at", "2001-09-09")
    assert before.returncode == 2
    assert f"There is no copy of {BACKUP_ID} that was made at or before 2001-09-09 23:59:59 " in before.stderr
    assert f"The oldest is {BACKUP_ID}@" in before.stderr
    both = installation.run("restore.py", "show", f"{BACKUP_ID}@2026", "--at", "2026-11-20")
    assert both.returncode == 2
    assert "Give it there or with --at, not both." in both.stderr


def test_show_takes_patterns(installation: Holdfast, source: Path) -> None:
    (source / "sub" / "[file]").write_text("in brackets")
    installation.back_up()
    inside = str(source)[1:]

    def shown(pattern: str) -> list[str]:
        text = installation.run("restore.py", "show", BACKUP_ID, pattern).stdout
        return [line.rpartition(f"{inside}/")[2] for line in text.splitlines()[1:]]

    assert shown(f"{inside}/s*/f?le") == ["sub/file"]
    assert shown(f"{inside}/sub/[file]") == ["sub/[file]"]
