"""Pruning by whole processes: after good runs and by hand, what is said, kills, pins, and a clock that is wrong."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from errors import EXIT_ALREADY_RUNNING, EXIT_FAILED, EXIT_TERMINATED, EXIT_USAGE
from model import Run, RunStatus, StorageDefinition, StorageType, Target
from operations.copies.layout import CopyKeys
from operations.locks import lock_backup
from storages.local import LocalStorage
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.stored_copies import put_copy
from tests.support.trees import make_tree

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)


class Site:
    """An installation with copies of the last days on its targets, and a backup that may make another."""

    def __init__(self, folder: Path) -> None:
        self.holdfast = Holdfast(folder / "holdfast")
        self.tree = make_tree(folder / "tree", files=3)
        self.configure({"LAST": 2})
        self.old = [self.put_old(days) for days in (1, 2, 3)]

    def configure(self, keep: dict[str, object], **keys: object) -> None:
        self.holdfast.configure(self.tree, KEEP=keep, **keys)

    def put_old(self, days: float, path: str = "", status: RunStatus = RunStatus.GOOD) -> CopyKeys:
        target = Target(StorageDefinition("LOCAL", StorageType.LOCAL), path)
        return put_copy(LocalStorage("LOCAL", self.holdfast.storage), target, NOW - days * DAY, status)

    def manifests(self, path: str = "") -> list[str]:
        """The timestamps of the copies there, oldest first."""
        found = (self.holdfast.storage / path / BACKUP_ID).glob("*.manifest.json")
        return sorted(file.name.removesuffix(".manifest.json")[-16:] for file in found)

    def files(self) -> list[str]:
        return sorted(file.name for file in self.holdfast.copies.iterdir() if file.name != "HOW-TO-RESTORE.txt")

    def runs(self) -> list[Run]:
        """The newest first."""
        with closing(open_catalog(self.holdfast.state, None)) as catalog:
            return catalog.runs(BACKUP_ID, 10)

    def log(self) -> str:
        return max((self.holdfast.state / "logs" / BACKUP_ID).iterdir()).read_text()

    def documents(self, *arguments: str) -> list[dict[str, Any]]:
        return list(json.loads(self.holdfast.run("restore.py", *arguments, "--json").stdout)["copies"])

    def assert_tidy(self) -> None:
        """There is nothing but whole copies."""
        stems = [f"shop-files-{timestamp}" for timestamp in self.manifests()]
        endings = (".index.zst", ".manifest.json", ".zip")
        assert self.files() == sorted(stem + ending for stem in stems for ending in endings)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def names(*copies: CopyKeys) -> list[str]:
    return sorted(keys.timestamp for keys in copies)


def test_a_good_run_lets_old_copies_go_and_says_so_in_its_log_alone(site: Site) -> None:
    ended = site.holdfast.back_up("--scheduled")
    assert (ended.stdout, ended.stderr) == ("", "")
    assert site.manifests()[:-1] == names(site.old[0])
    site.assert_tidy()
    assert f"removed shop/files@{site.old[2].timestamp} on LOCAL: no rule of KEEP asks for it" in site.log()
    assert "LOCAL: 2 copies removed, 2 stay" in site.log()
    assert (site.runs()[0].status, site.runs()[0].message) == (RunStatus.GOOD, "")


def test_the_old_setting_of_the_environment_removes_too(site: Site) -> None:
    site.holdfast.configure(site.tree)
    assert site.holdfast.run("backup.py", BACKUP_ID, env={"MAX_FILES_COUNT": "3"}).returncode == 0
    assert site.manifests()[:-1] == names(*site.old[:2])


def test_without_keep_everything_stays(site: Site) -> None:
    site.holdfast.configure(site.tree)
    site.holdfast.back_up()
    assert site.manifests()[:-1] == names(*site.old)


def test_each_target_keeps_what_it_is_told(site: Site) -> None:
    for days in (1, 2, 3):
        site.put_old(days, "b")
    targets = [{"STORAGE_NAME": "LOCAL", "PATH": ""}, {"STORAGE_NAME": "LOCAL", "PATH": "b", "KEEP": {"LAST": 1}}]
    site.configure({"LAST": 3}, UPLOAD_TO=targets)
    site.holdfast.back_up()
    assert (len(site.manifests()), len(site.manifests("b"))) == (3, 1)


def test_a_run_that_fails_removes_nothing(site: Site) -> None:
    shutil.rmtree(site.tree)
    assert site.holdfast.run("backup.py", BACKUP_ID).returncode == EXIT_FAILED
    assert site.manifests() == names(*site.old)


def test_a_run_whose_after_fails_removes_nothing(site: Site) -> None:
    site.configure({"LAST": 1}, AFTER=["false"])
    assert site.holdfast.run("backup.py", BACKUP_ID).returncode == EXIT_FAILED
    assert site.manifests()[:-1] == names(*site.old)


def test_where_one_target_fails_the_other_is_pruned(site: Site) -> None:
    for days in (1, 2, 3):
        site.put_old(days, "b")
    site.configure({"LAST": 1}, UPLOAD_TO=[{"STORAGE_NAME": "LOCAL", "PATH": path} for path in ("", "b")])
    shutil.move(site.holdfast.copies, site.holdfast.folder / "aside")
    site.holdfast.copies.write_text("no folder")
    ended = site.holdfast.run("backup.py", BACKUP_ID)
    assert ended.returncode == EXIT_FAILED, ended.stderr
    assert len(site.manifests("b")) == 1
    assert len(list((site.holdfast.folder / "aside").glob("*.manifest.json"))) == 3


def test_partial_copies_let_nothing_go_and_go_after_a_good_one(site: Site) -> None:
    partial = site.put_old(0.5, status=RunStatus.PARTIAL)
    site.holdfast.run("restore.py", "prune", BACKUP_ID)
    assert site.manifests() == names(*site.old[:2], partial)
    site.configure({"LAST": 1})
    site.holdfast.back_up()
    assert len(site.manifests()) == 1


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_pruning_that_fails_is_said_and_the_run_stays_good(site: Site) -> None:
    event = {"point": "storage.delete", "nth": 1, "when": "before", "error": errno.EACCES}
    ended = site.holdfast.run_command(site.holdfast.command_with_plan([event], BACKUP_ID, "--scheduled"))
    assert ended.returncode == 0
    expected = f"shop/files@{site.old[2].timestamp} on LOCAL could not be removed: Permission denied"
    assert ended.stderr == f"shop/files: Old copies could not be removed:\n{expected}\n"
    (run,) = site.runs()
    assert (run.status, run.message) == (RunStatus.GOOD, f"Old copies could not be removed:\n{expected}")
    assert site.manifests()[:-1] == names(site.old[0], site.old[2]), "the other one went"
    site.holdfast.back_up()
    assert len(site.manifests()) == 2
    site.assert_tidy()


# Two copies go, with four deletions each.
@pytest.mark.parametrize("nth", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_it_prunes_leaves_a_good_run_and_whole_copies(site: Site, nth: int, when: str) -> None:
    event = {"point": "storage.delete", "nth": nth, "when": when, "signal": signal.SIGKILL}
    ended = site.holdfast.run_command(site.holdfast.command_with_plan([event], BACKUP_ID))
    assert ended.returncode == -signal.SIGKILL
    assert [run.status for run in site.runs()] == [RunStatus.GOOD]
    for document in site.documents("list"):
        assert document["error"] is None
        assert (site.holdfast.storage / document["key"]).exists()
    site.holdfast.back_up()
    assert len(site.manifests()) == 2
    site.assert_tidy()


def test_what_a_kill_left_goes_although_nothing_is_to_be_removed_any_more(site: Site) -> None:
    event = {"point": "storage.delete", "nth": 1, "when": "after", "signal": signal.SIGKILL}
    site.holdfast.run_command(site.holdfast.command_with_plan([event], BACKUP_ID))
    assert len(site.files()) > len(site.manifests()) * 3
    site.holdfast.configure(site.tree)
    site.holdfast.back_up()
    assert len(site.manifests()) == 4
    site.assert_tidy()


def test_a_signal_while_it_prunes_leaves_a_good_run(site: Site) -> None:
    event = {"point": "storage.delete", "nth": 2, "when": "before", "signal": signal.SIGTERM}
    ended = site.holdfast.run_command(site.holdfast.command_with_plan([event], BACKUP_ID))
    assert ended.returncode == EXIT_TERMINATED
    assert "The run had ended by then; old copies that are still there go after the next one." in ended.stderr
    assert [run.status for run in site.runs()] == [RunStatus.GOOD]
    site.holdfast.back_up()
    assert len(site.manifests()) == 2
    site.assert_tidy()


def test_a_clock_that_is_wrong_for_a_run_removes_nothing(site: Site) -> None:
    """It is ten years ahead for one run, and right again for the next."""
    site.configure({"WITHIN": "30d"})
    wrong = NOW + 3650 * DAY
    command = site.holdfast.command_with_plan([], BACKUP_ID, clock=wrong.isoformat())
    assert site.holdfast.run_command(command).returncode == 0
    assert site.manifests()[:-1] == names(*site.old)
    site.configure({"LAST": 1})
    site.holdfast.back_up()
    (kept, future) = site.manifests()
    assert future.startswith(f"{wrong:%Y%m}")
    shown = site.holdfast.run("restore.py", "prune", "--dry-run").stdout
    assert f"shop/files@{future}  good  stays  LOCAL   its time is in the future" in shown
    assert f"shop/files@{kept}  good  stays  LOCAL   the last good copy; one of the newest 1" in shown


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_each_copy_with_its_reasons(site: Site) -> None:
    before = site.files()
    shown = site.holdfast.run("restore.py", "prune", BACKUP_ID, "--dry-run")
    assert shown.returncode == 0
    lines = [line.split(maxsplit=4) for line in shown.stdout.splitlines()[1:]]
    newest, second, third = (f"shop/files@{keys.timestamp}" for keys in site.old)
    assert lines == [
        [newest, "good", "stays", "LOCAL", "the newest good copy; one of the newest 2"],
        [second, "good", "stays", "LOCAL", "one of the newest 2"],
        [third, "good", "goes", "LOCAL", "no rule of KEEP asks for it"],
    ]
    documents = site.documents("prune", "--dry-run")
    assert [(each["stays"], each["removed"], each["reasons"]) for each in documents][2] == (
        False,
        False,
        ["no rule of KEEP asks for it"],
    )
    assert site.files() == before


def test_pruning_by_hand_removes_what_the_next_run_would(site: Site) -> None:
    ended = site.holdfast.run("restore.py", "prune")
    assert ended.returncode == 0
    assert ended.stdout.splitlines() == [
        f"removed shop/files@{site.old[2].timestamp} on LOCAL: no rule of KEEP asks for it",
        "shop/files: LOCAL: 1 copy removed, 2 stay",
    ]
    assert site.manifests() == names(*site.old[:2])
    assert [each["removed"] for each in site.documents("prune", BACKUP_ID)] == [False, False]
    site.assert_tidy()


def test_while_a_run_is_under_way_nothing_is_pruned_by_hand(site: Site) -> None:
    with lock_backup(site.holdfast.state, BACKUP_ID):
        ended = site.holdfast.run("restore.py", "prune")
    assert ended.returncode == EXIT_ALREADY_RUNNING
    assert BACKUP_ID in ended.stderr
    assert site.manifests() == names(*site.old)


def test_a_target_that_cannot_be_read_is_said_and_the_others_are_pruned(site: Site) -> None:
    loop = site.holdfast.folder / "loop"
    loop.symlink_to(loop)
    backup = {
        "NAME": "files",
        "INTERVALS": "@daily",
        "FILE_PATH": str(site.tree),
        "KEEP": {"LAST": 1},
        "UPLOAD_TO": [{"STORAGE_NAME": "BROKEN"}, {"STORAGE_NAME": "LOCAL"}],
    }
    storages = [{"NAME": "BROKEN", "TYPE": "LOCAL", "ROOT": str(loop)}]
    site.holdfast.write({"STORAGES": storages, "PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]})
    ended = site.holdfast.run("restore.py", "prune", "--quiet")
    assert ended.returncode == EXIT_FAILED
    assert (ended.stdout, "shop/files: BROKEN: " in ended.stderr) == ("", True), ended.stderr
    assert site.manifests() == names(site.old[0])
    assert "shop/files: BROKEN: " in site.holdfast.run("restore.py", "prune", "--dry-run").stderr


# --- pins -------------------------------------------------------------------------------------------------------------


def test_a_pin_survives_the_loss_of_everything_here_and_holds_its_copy(site: Site) -> None:
    pinned = f"{BACKUP_ID}@{site.old[2].timestamp}"
    ended = site.holdfast.run("restore.py", "pin", pinned, "--reason", "before the upgrade")
    assert (ended.returncode, ended.stdout) == (0, f"{pinned} on LOCAL: pinned\n")
    site.configure({"LAST": 1})
    site.holdfast.back_up()
    shutil.rmtree(site.holdfast.state)
    assert site.holdfast.run("restore.py", "prune").returncode == 0
    assert site.manifests()[0] == site.old[2].timestamp
    assert len(site.manifests()) == 2
    assert "good, pinned" in site.holdfast.run("restore.py", "list").stdout
    pin = site.documents("list")[1]["pin"]
    assert pin["reason"] == "before the upgrade"
    assert "@" in pin["by"]
    assert datetime.fromisoformat(pin["when"]) >= NOW
    assert site.documents("prune", "--dry-run")[1]["reasons"] == ["pinned: before the upgrade"]

    again = site.holdfast.run("restore.py", "pin", pinned, "--reason", "again")
    assert again.returncode == EXIT_USAGE
    assert f"{pinned} on LOCAL is pinned already: before the upgrade" in again.stderr
    ended = site.holdfast.run("restore.py", "unpin", pinned)
    assert (ended.returncode, ended.stdout) == (0, f"{pinned} on LOCAL: no longer pinned\n")
    again = site.holdfast.run("restore.py", "unpin", pinned)
    assert (again.returncode, f"{pinned} on LOCAL is not pinned." in again.stderr) == (EXIT_USAGE, True)
    site.holdfast.run("restore.py", "prune")
    assert len(site.manifests()) == 1
    site.assert_tidy()


def test_a_pin_needs_a_reason(site: Site) -> None:
    for reason in ("", "  "):
        ended = site.holdfast.run("restore.py", "pin", BACKUP_ID, "--reason", reason)
        assert ended.returncode == EXIT_USAGE
        assert "--reason needs some words" in ended.stderr
    assert site.documents("list")[0]["pin"] is None
