"""``restore --dry-run``: it tells what the restore then does, and touches nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from errors import HoldfastError
from model import INTO_NEW_FOLDER, Overwrite, Placement
from operations.copies.stored_copies import StoredCopy
from operations.restoring.restore_look import Looked
from operations.restoring.restore_place import Fate
from operations.restoring.restore_preview import Preview, preview_files, preview_files_there
from tests.support.archives import snapshot
from tests.support.holdfast import Holdfast
from tests.support.occupied_folder import PLACES, copy, place, prepared_host, source, top
from tests.support.postgresql import postgresql_server
from tests.support.remote_files import make_script
from tests.support.skips import requires_program

__all__ = ["copy", "source", "top"]

pytestmark = requires_program("busybox")


def preview(
    tmp_path: Path, name: str, copy: StoredCopy, to: Path, placement: Placement, *paths: bytes
) -> tuple[Preview, dict[str, Fate]]:
    """The preview, and the fate of each file and folder by its last name."""
    fates: dict[str, Fate] = {}

    def on_looked(looked: Looked) -> None:
        fates[os.fsdecode(looked.entry.member.path).rpartition("/")[2]] = looked.fate

    if name == "here":
        return preview_files(copy, to, paths, placement, on_looked), fates
    host = prepared_host(tmp_path, name)
    return preview_files_there(copy, host, str(to), paths, placement, on_looked), fates


@pytest.mark.parametrize("overwrite", list(Overwrite))
@pytest.mark.parametrize("name", PLACES)
def test_what_it_says_is_what_is_done(
    name: str, overwrite: Overwrite, copy: StoredCopy, top: Path, tmp_path: Path
) -> None:
    before = snapshot(tmp_path / "to")
    times = {path: path.lstat().st_mtime_ns for path in (tmp_path / "to").rglob("*")}
    said, fates = preview(tmp_path, name, copy, tmp_path / "to", Placement(overwrite))
    assert snapshot(tmp_path / "to") == before
    assert {path: path.lstat().st_mtime_ns for path in (tmp_path / "to").rglob("*")} == times
    assert (said.folder_exists, said.refused) == (True, None)
    assert (said.files, said.links, said.there) == (8, 1, 6)
    assert said.older == (3 if name == "busybox" else 4)
    assert (fates["new"], fates["blocked"]) == (Fate.NEW, Fate.BLOCKED)
    done = place(tmp_path, name)(copy, tmp_path / "to", Placement(overwrite))
    assert said.there - said.replaced == done.kept
    assert said.problems == done.problems
    assert said.files + said.links - done.kept - len(said.problems) == done.files + done.links


@pytest.mark.parametrize("name", PLACES)
def test_a_folder_that_is_not_there_is_not_made(name: str, source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    to = tmp_path / "no" / "such" / "folder"
    said, fates = preview(tmp_path, name, copy, to, INTO_NEW_FOLDER, os.fsencode(source / "*e*"))
    assert not (tmp_path / "no").exists()
    assert (said.folder_exists, said.refused, said.problems) == (False, None, [])
    assert (said.files, said.there) == (len(fates), 0)
    assert set(fates) == {"new", "older", "same", "newer", "blocked", "zz linked"}
    assert set(fates.values()) == {Fate.NEW}
    said, _ = preview(tmp_path, name, copy, to, INTO_NEW_FOLDER, b"nothing/here")
    assert "holds nothing at nothing/here" in said.problems[0]


@pytest.mark.parametrize("name", PLACES)
def test_what_would_be_refused(name: str, copy: StoredCopy, top: Path, tmp_path: Path) -> None:
    said, fates = preview(tmp_path, name, copy, tmp_path / "to", INTO_NEW_FOLDER)
    assert said.refused is not None
    assert "is not an empty folder" in said.refused
    assert (said.there, said.replaced, fates["older"]) == (6, 0, Fate.STAYS)
    said, _ = preview(tmp_path, name, copy, top / "older", INTO_NEW_FOLDER)
    assert "is not an empty folder" in str(said.refused)
    said, _ = preview(tmp_path, name, copy, top / "older" / "below", INTO_NEW_FOLDER)
    assert "may not write to" in str(said.refused)


def test_a_host_that_tells_no_times(copy: StoredCopy, top: Path, tmp_path: Path) -> None:
    prepared_host(tmp_path, "gnu")
    make_script(tmp_path / "programs of gnu" / "stat", "exit 1")
    said, _ = preview(tmp_path, "gnu", copy, tmp_path / "to", Placement(Overwrite.ALWAYS))
    assert (said.there, said.replaced, said.older, said.times_are_known) == (6, 6, 0, False)
    with pytest.raises(HoldfastError, match="has no program stat that tells"):
        preview(tmp_path, "gnu", copy, tmp_path / "to", Placement(Overwrite.OLDER))


def test_no_link_is_followed_when_looking(copy: StoredCopy, source: Path, top: Path, tmp_path: Path) -> None:
    (top / "sub/inner").unlink()
    (top / "sub").rmdir()
    (top / "sub").symlink_to(source / "sub")
    for name in PLACES:
        said, fates = preview(tmp_path, name, copy, tmp_path / "to", Placement(Overwrite.ALWAYS))
        assert (fates["inner"], fates["sub"]) == (Fate.BLOCKED, Fate.BLOCKED)
        assert len([problem for problem in said.problems if "no link is followed" in problem]) == 2


def test_the_command(source: Path, top: Path, tmp_path: Path) -> None:
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    before = snapshot(tmp_path / "to")
    (top / "blocked").rmdir()
    finished = installation.restore(tmp_path / "to", "--overwrite", "older", "--dry-run", "-v")
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.endswith(("/older", "/newer", "/new"))] == [
        "new",
        "stays",
        "replaces",
    ]
    assert lines[-2].endswith(f"would be restored into {tmp_path / 'to'}")
    assert lines[-1] == "6 files are there already: 4 would be replaced, 2 would stay"
    refused = installation.restore(tmp_path / "to", "--dry-run")
    assert refused.returncode == 1
    assert "6 files are there already, 4 of them older than the copy's" in refused.stdout
    assert "is not an empty folder" in refused.stderr
    new = installation.restore(tmp_path / "new", "--dry-run", "--json", "-v")
    document = json.loads(new.stdout)
    assert (new.returncode, document["exists"], document["files"], document["there_already"]) == (0, False, 8, 0)
    assert len(document["members"]) == document["files"] + document["folders"] + document["links"]
    assert {member["fate"] for member in document["members"]} == {"new"}
    assert installation.restore(tmp_path / "new", "--dry-run", "no/such").returncode == 1
    (top / "blocked").mkdir()
    assert snapshot(tmp_path / "to") == before
    assert not (tmp_path / "new").exists()


def test_databases(tmp_path: Path) -> None:
    with postgresql_server() as server:
        server.sql("CREATE DATABASE shop")
        info = {"NAME": ["shop"], "USERNAME": server.superuser, "HOST": str(server.socket_folder)}
        backup = {"NAME": "db", "INTERVALS": "@daily", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": ""}]}
        installation = Holdfast(tmp_path / "installation")
        installation.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"DB_BACKUP": [{**backup, "DB_INFO": info}]}]}]})
        finished = installation.run("backup.py", "shop/db")
        assert finished.returncode == 0, finished.stderr

        def dry_run(*arguments: str) -> tuple[int, str]:
            finished = installation.run("restore.py", "restore", "shop/db", "--dry-run", *arguments)
            return finished.returncode, finished.stdout + finished.stderr

        code, said = dry_run("--to-database", "back")
        assert (code, 'would be restored as "back" on this machine, which would be made' in said) == (0, True), said
        code, said = dry_run("--all-databases")
        assert (code, 'is the database "shop" already, so nothing was restored' in said) == (1, True), said
        code, said = dry_run("--all-databases", "--replace")
        assert (code, "in place of the one that is there" in said) == (0, True), said
        code, said = dry_run("--to-database", "shop", "--json")
        document = json.loads(said)
        assert (code, document["databases"][0]["exists"]) == (1, True)
        assert "--replace" in document["refused"]
        assert server.sql("SELECT count(*) FROM pg_database WHERE NOT datistemplate") == "2"
