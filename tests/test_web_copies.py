"""Copies at the running dashboard: which there are, and what is in them, as restore.py says it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model import Backup
from operations.browsing import copy_lists
from tests.support.configurations import write
from tests.support.dashboard import Dashboard, installation, running_dashboard
from tests.support.encrypted_copies import new_key
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree
from tests.support.web_copies import COPIES, Browsed, locator, make_a_copy
from utils import printable
from web.api.copies import list_of_copies
from web.browsing.documents import CopyList
from web.pages import copies as copies_pages
from web.services import Services

__all__ = ["installation"]

ODD_NAMES = (
    b"caf\xe9",
    "café".encode(),
    b"new\nline",
    b'"quotes"',
    b"<img src=x onerror=alert(1)>",
    b"a%2fb",
    b"a&b=c+d#e?f",
    b"back\\slash",
    b"...",
    b"%2e%2e",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def copy(installation: Holdfast, source: Path) -> Iterator[tuple[Browsed, Dashboard]]:
    """Of a tree with odd names, at a dashboard that runs."""
    make_tree(source / "tree", large_size=3_000_000)
    for name in ODD_NAMES:
        (source / "odd" / os.fsdecode(name)).mkdir(parents=True)
        (source / "odd" / os.fsdecode(name) / os.fsdecode(name)).write_bytes(name)
    make_a_copy(installation)
    with running_dashboard(installation) as dashboard:
        yield Browsed.by(dashboard.client()), dashboard


def test_it_lists_what_restore_py_shows(copy: tuple[Browsed, Dashboard], source: Path) -> None:
    browsed, dashboard = copy
    shown = json.loads(dashboard.holdfast.run("restore.py", "show", BACKUP_ID, "--json").stdout)["members"]
    items = list(browsed.walk())
    found = {(item["path"], item["kind"]): item for item in items}
    assert len(found) == len(items)
    for member in shown:
        item = found.pop((member["path"], member["kind"]))
        if member["kind"] != "directory":
            assert item["size"] == member["size"]
        details = browsed.get("member", path=item["locator"]).json()
        assert (details["mode"], details["crc32"]) == (member["mode"], member["crc32"])
    # What is left are the folders above the one that was backed up.
    assert all(kind == "directory" and str(source).startswith(f"/{path}") for path, kind in found)


def test_the_first_folder_is_the_one_that_was_backed_up(copy: tuple[Browsed, Dashboard], source: Path) -> None:
    page = copy[0].get("files").json()
    assert page["folder"] == locator(str(source))
    assert [item["name"] for item in page["items"]] == ["odd", "tree", "hello.txt"]
    assert [above["name"] for above in page["above"]] == ["", *source.parts[1:]]


def test_names_that_are_no_text_are_shown_and_found(copy: tuple[Browsed, Dashboard], source: Path) -> None:
    browsed = copy[0]
    folder = locator(str(source / "odd"))
    items = {item["name"]: item for item in browsed.files(folder)}
    assert set(items) == {printable(name) for name in ODD_NAMES}
    for name in ODD_NAMES:
        item = items[printable(name)]
        (inner,) = browsed.files(item["locator"])
        assert inner["name"] == printable(name)
        assert browsed.get("download", path=inner["locator"]).content == name


def test_a_search_looks_at_all_levels(copy: tuple[Browsed, Dashboard], source: Path) -> None:
    browsed = copy[0]
    assert {item["path"] for item in browsed.get("search", q="FILE 2.txt").json()["items"]} == {
        f"{str(source)[1:]}/tree/folder 2/file 2.txt"
    }
    answer = browsed.get("search", q="*.txt").json()
    assert (len(answer["items"]), answer["next"]) == (31, None)
    assert browsed.get("search", q="/").status_code == 422
    assert browsed.get("search", q="").status_code == 422
    assert browsed.get("search", q="x", after=-1).status_code == 422


def test_many_files_come_in_pages(installation: Holdfast, source: Path) -> None:
    for number in range(450):
        (source / f"f{number}").touch()
    make_a_copy(installation)
    with running_dashboard(installation) as dashboard:
        browsed = Browsed.by(dashboard.client())
        assert len(browsed.get("files").json()["items"]) == 200
        names = [item["name"] for item in browsed.files()]
    assert names == [*(f"f{number}" for number in range(450)), "hello.txt"]


def test_copies_of_all_targets_are_listed_and_one_that_fails_is_told(installation: Holdfast, tmp_path: Path) -> None:
    other = tmp_path / "other"
    configuration = json.loads(installation.config.read_text())
    configuration["STORAGES"] = [{"NAME": "OTHER", "TYPE": "LOCAL", "ROOT": str(other)}]
    targets = configuration["PROJECTS"][0]["BACKUPS"][0]["FILE_BACKUP"][0]["UPLOAD_TO"]
    targets.append({"STORAGE_NAME": "OTHER", "PATH": "kept"})
    write(installation.folder, json.dumps(configuration))
    make_a_copy(installation)
    with running_dashboard(installation) as dashboard:
        client = dashboard.client()
        answer = client.get(COPIES).json()
        assert [(copy["target"], copy["status"]) for copy in answer["copies"]] == [
            ("LOCAL", "good"),
            ("OTHER:kept", "good"),
        ]
        timestamp = answer["copies"][0]["timestamp"]
        page = client.get(f"{COPIES}/{timestamp}/files?target=OTHER:kept").json()
        assert (page["target"], page["items"][0]["name"]) == ("OTHER:kept", "hello.txt")
        assert client.get(f"{COPIES}/{timestamp}/files?target=NOWHERE").status_code == 404
    other.rename(tmp_path / "away")
    other.symlink_to(other)  # it cannot be listed
    with running_dashboard(installation) as dashboard:
        answer = dashboard.client().get(COPIES).json()
        assert [copy["target"] for copy in answer["copies"]] == ["LOCAL"]
        (error,) = answer["errors"]
        assert error.startswith("OTHER:kept: ")


def test_a_pinned_and_a_damaged_copy_are_marked(installation: Holdfast) -> None:
    make_a_copy(installation)
    assert installation.run("restore.py", "pin", BACKUP_ID, "--reason", "the audit").returncode == 0
    (archive,) = installation.parts(".zip")
    archive.write_bytes(archive.read_bytes() + b"more")
    with running_dashboard(installation) as dashboard:
        (copy,) = dashboard.client().get(COPIES).json()["copies"]
    assert copy["pin"]["reason"] == "the audit"
    assert "bytes where" in copy["problem"]


def test_an_encrypted_copy_needs_its_key_here(installation: Holdfast, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    installation.configure(tmp_path / "source", ENCRYPT_TO=[key.recipient])
    make_a_copy(installation)
    with running_dashboard(installation) as dashboard:
        client = dashboard.client()
        (copy,) = client.get(COPIES).json()["copies"]
        assert copy["encrypted"]
        assert "AGE_IDENTITY_FILE" in copy["not_opened"]
        answer = Browsed.by(client).get("files")
        assert (answer.status_code, "AGE_IDENTITY_FILE" in answer.json()["detail"]) == (409, True)


def test_an_encrypted_copy_is_opened_with_its_key(
    installation: Holdfast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(tmp_path)
    monkeypatch.setenv("AGE_IDENTITY_FILE", str(key.path))
    installation.configure(tmp_path / "source", ENCRYPT_TO=[key.recipient])
    make_tree(tmp_path / "source" / "tree", large_size=3_000_000)
    make_a_copy(installation)
    with running_dashboard(installation) as dashboard:
        browsed = Browsed.by(dashboard.client())
        large = locator(str(tmp_path / "source" / "tree" / "large"))
        assert browsed.get("download", path=large).content == (tmp_path / "source/tree/large").read_bytes()
        (listing,) = (installation.state / "browse").iterdir()
        assert {path.stat().st_mode & 0o077 for path in (listing, *listing.iterdir())} == {0}


def test_a_copy_without_its_index_is_listed_from_the_archive(installation: Holdfast, tmp_path: Path) -> None:
    make_tree(tmp_path / "source" / "tree", large_size=3_000_000)
    make_a_copy(installation)
    (index,) = installation.parts(".index.zst")
    index.unlink()
    with running_dashboard(installation) as dashboard:
        browsed = Browsed.by(dashboard.client())
        assert {item["name"] for item in browsed.files()} == {"tree", "hello.txt"}
        large = locator(str(tmp_path / "source" / "tree" / "large"))
        assert browsed.get("download", path=large).content == (tmp_path / "source/tree/large").read_bytes()


def test_a_copy_that_was_pruned_is_not_there_any_more(installation: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_lists, "LOOKED_AT_SECONDS", -1.0)
    make_a_copy(installation)
    with running_dashboard(installation) as dashboard:
        browsed = Browsed.by(dashboard.client())
        assert browsed.get("files").status_code == 200
        for part in installation.copies.iterdir():
            part.unlink()
        assert browsed.get("files").status_code == 404
        assert browsed.get("download", path="hello.txt").status_code == 404
        assert dashboard.client().get(f"{COPIES}/20200101T000000Z/files").status_code == 404


def test_what_is_not_signed_by_a_trusted_key_is_not_opened(installation: Holdfast) -> None:
    make_a_copy(installation)
    (manifest,) = installation.parts(".manifest.json")
    lines = [line for line in manifest.read_bytes().splitlines(keepends=True) if b'"signature"' not in line]
    above = b"".join(lines[:-2])
    digest = hashlib.sha256(above).hexdigest()
    manifest.write_bytes(above + f'  "sha256_of_lines_above": "{digest}"\n}}\n'.encode())
    with running_dashboard(installation) as dashboard:
        client = dashboard.client()
        (copy,) = client.get(COPIES).json()["copies"]
        assert "--untrusted" in copy["not_opened"]
        assert Browsed.by(client).get("files").status_code == 409


def test_a_page_does_not_wait_for_a_storage_that_does_not_answer(
    installation: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_a_copy(installation)
    answers = threading.Event()
    listed = 0

    def held(services: Services, backup: Backup) -> CopyList:
        nonlocal listed
        listed += 1
        assert answers.wait(60)
        return list_of_copies(services, backup)

    monkeypatch.setattr(copies_pages, "list_of_copies", held)
    monkeypatch.setattr(copies_pages, "_PATIENCE", 0.05)
    with running_dashboard(installation) as dashboard:
        client = dashboard.client()
        try:
            for _ in range(3):
                page = client.get("/backups/shop/files/copies").text
                assert "not all have answered yet" in page
                assert 'http-equiv="refresh"' in page
        finally:
            answers.set()
        monkeypatch.setattr(copies_pages, "_PATIENCE", 60)
        page = client.get("/backups/shop/files/copies").text
        assert "not all have answered yet" not in page
        assert "LOCAL" in page
    assert listed == 1
