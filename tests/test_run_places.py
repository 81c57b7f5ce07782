"""Awkward places and times: paths, links, umasks, clocks that go back, and several targets."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import stat
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from model import RunStatus
from operations.running.run import run_backup
from progress import Progress
from tests.support.archives import snapshot
from tests.support.crontab import StandInCrontab
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree

AWKWARD = 'it\'s "100%" f\u00fcr $HOME; x & y # z'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", files=3)


@pytest.fixture
def holdfast(tmp_path: Path, tree: Path) -> Holdfast:
    holdfast = Holdfast(tmp_path / "holdfast")
    holdfast.configure(tree)
    return holdfast


def assert_restores(holdfast: Holdfast, tree: Path, to: Path, *options: str) -> None:
    restored = holdfast.restore(to, *options)
    assert restored.returncode == 0, restored.stderr
    assert snapshot(to / tree.relative_to("/")) == snapshot(tree)


def parts(holdfast: Holdfast) -> dict[str, bytes]:
    """What lies on the target, but for the text for people."""
    return {path.name: path.read_bytes() for path in holdfast.parts("") if path.name != "HOW-TO-RESTORE.txt"}


# --- clocks -----------------------------------------------------------------------------------------------------


def run_at(holdfast: Holdfast, moment: datetime) -> subprocess.CompletedProcess[str]:
    return holdfast.run_command(holdfast.command_with_plan([], BACKUP_ID, clock=moment.isoformat()))


def test_no_copy_is_overwritten_when_the_clock_goes_back(holdfast: Holdfast, tmp_path: Path, tree: Path) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for hours in (0, 2, -24, 1):
        before = parts(holdfast)
        assert run_at(holdfast, noon + timedelta(hours=hours)).returncode == 0
        assert parts(holdfast).items() > before.items()
        assert len(parts(holdfast)) == len(before) + 3
    assert_restores(holdfast, tree, tmp_path / "restored")


def test_a_run_at_the_second_of_an_older_one_takes_the_next_second(holdfast: Holdfast) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for moment in (noon, noon + timedelta(hours=1), noon):
        ended = run_at(holdfast, moment)
        assert ended.returncode == 0, ended.stderr
    names = [path.name.rpartition("-")[2] for path in holdfast.parts(".zip")]
    assert names == ["20261120T120000Z.zip", "20261120T120001Z.zip", "20261120T130000Z.zip"]


def test_a_run_at_the_second_of_a_copy_that_the_catalog_does_not_know_fails(holdfast: Holdfast) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert run_at(holdfast, noon).returncode == 0
    before = parts(holdfast)
    shutil.rmtree(holdfast.state)
    ended = run_at(holdfast, noon)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "exists already in the storage LOCAL, and is never overwritten" in ended.stderr
    assert parts(holdfast) == before
    assert holdfast.back_up().stderr == ""
    assert parts(holdfast).items() > before.items()


def test_runs_that_follow_each_other_at_once_have_copies_of_their_own(holdfast: Holdfast) -> None:
    configuration = holdfast.configuration()
    with closing(open_catalog(holdfast.state, None)) as catalog:
        runs = [
            run_backup(
                configuration,
                holdfast.the_backup(),
                catalog,
                slot=None,
                observer=Progress(BACKUP_ID, None, quiet=True),
            )
            for _ in range(3)
        ]
    assert [run and run.status for run in runs] == [RunStatus.GOOD] * 3
    assert len(holdfast.parts(".manifest.json")) == 3


# --- paths ------------------------------------------------------------------------------------------------------


def test_everything_lies_in_awkward_places(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / AWKWARD / "tree", files=3)
    holdfast = Holdfast(tmp_path / AWKWARD / "holdfast")
    holdfast.configure(tree)
    holdfast.back_up()
    assert_restores(holdfast, tree, tmp_path / AWKWARD / "restored")
    assert holdfast.run("restore.py", "verify", BACKUP_ID).returncode == 0


def test_the_scheduled_line_of_an_awkward_place_runs(tmp_path: Path) -> None:
    """As cron reads it: a percent sign ends the command unless it is escaped, and a shell gets what is left."""
    tree = make_tree(tmp_path / AWKWARD / "tree", files=3)
    holdfast = Holdfast(tmp_path / AWKWARD / "holdfast")
    holdfast.configure(tree)
    crontab = StandInCrontab(tmp_path / "crontab")
    synced = holdfast.run("main.py", "sync", env={"PATH": crontab.path})
    assert synced.returncode == 0, synced.stderr
    assert crontab.text is not None
    (line,) = [line for line in crontab.text.decode().splitlines() if "--scheduled" in line]
    command = line.split(" ", 5)[5]
    assert not re.search(r"(?<!\\)%", command)
    environment = {"LOCAL_STORAGE_ROOT": str(holdfast.storage), "STATE_DIR": str(holdfast.state)}
    ended = subprocess.run(["/bin/sh", "-c", command.replace("\\%", "%")], env=environment, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert shlex.split(command.replace("\\%", "%"), comments=True)[-2:] == ["--scheduled", BACKUP_ID]
    assert_restores(holdfast, tree, tmp_path / "restored")


def test_a_projects_folder_may_be_a_link_to_another_disk(holdfast: Holdfast, tmp_path: Path, tree: Path) -> None:
    elsewhere = tmp_path / "another disk"
    elsewhere.mkdir()
    holdfast.storage.mkdir()
    (holdfast.storage / "shop").symlink_to(elsewhere)
    holdfast.back_up()
    holdfast.back_up()
    assert len(list(elsewhere.rglob("*.zip"))) == 2
    assert (holdfast.storage / "shop").is_symlink()
    assert_restores(holdfast, tree, tmp_path / "restored")


def test_a_source_and_a_configuration_behind_links(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "link").symlink_to(tree.parent)
    holdfast = Holdfast(tmp_path / "link" / "holdfast")
    holdfast.configure(tmp_path / "link" / "tree")
    holdfast.back_up()
    to = tmp_path / "restored"
    assert holdfast.restore(to).returncode == 0
    assert snapshot(to / str(tmp_path / "link" / "tree")[1:]) == snapshot(tree)


# --- rights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_nobody_else_may_read_what_a_run_leaves(holdfast: Holdfast, umask: int) -> None:
    ended = holdfast.run("backup.py", BACKUP_ID, umask=umask)
    assert ended.returncode == 0, ended.stderr
    for root in (holdfast.storage, holdfast.state):
        for path in (root, *root.rglob("*")):
            expected = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == expected, path


# --- several targets --------------------------------------------------------------------------------------------


def test_each_target_has_a_copy_of_its_own(tmp_path: Path, tree: Path) -> None:
    holdfast = Holdfast(tmp_path / "holdfast")
    names = ("FIRST", "SECOND", "THIRD")
    storages = [{"NAME": name, "TYPE": "LOCAL", "ROOT": str(tmp_path / name)} for name in names]
    targets = [{"STORAGE_NAME": name, "PATH": f"deep/{name}"} for name in names]
    backup = {"NAME": "files", "INTERVALS": "@daily", "FILE_PATH": str(tree), "UPLOAD_TO": targets}
    holdfast.write({"STORAGES": storages, "PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]})
    said = holdfast.back_up().stdout
    contents = []
    for name in names:
        folder = tmp_path / name / "deep" / name / BACKUP_ID
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert f"  {name}: deep/{name}/{BACKUP_ID}/" in said
        assert_restores(holdfast, tree, tmp_path / f"restored {name}", "--storage", name)
    assert contents[0] == contents[1] == contents[2]
    listed = json.loads(holdfast.run("restore.py", "list", "--json").stdout)["copies"]
    assert sorted(copy["storage"] for copy in listed) == sorted(names)
