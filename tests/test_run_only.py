"""Targets with ONLY, by whole processes: the first good run of each period goes there, and the others leave it out."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import operations.running.dry_run
from catalog import open_catalog
from errors import EXIT_FAILED, HoldfastError, StorageUnavailableError
from model import Run, RunStatus, StorageDefinition, StorageType, Target
from operations.copies.layout import CopyKeys
from storages.local import LocalStorage
from storages.storage import Storage
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.stored_copies import put_copy
from tests.support.trees import make_tree

NOW = datetime.now(UTC).replace(microsecond=0)
LEFT_OUT = "LOCAL:rare: left out, as it has its copy of this year already"


class Site:
    """An installation with two targets: each copy goes to ``LOCAL:all``, and one of each period to ``LOCAL:rare``."""

    def __init__(self, folder: Path) -> None:
        self.holdfast = Holdfast(folder / "holdfast")
        self.tree = make_tree(folder / "tree", files=3)
        self.configure("YEARLY")

    def configure(self, only: str, **keys: object) -> None:
        targets = [{"STORAGE_NAME": "LOCAL", "PATH": "all"}, {"STORAGE_NAME": "LOCAL", "PATH": "rare", "ONLY": only}]
        self.holdfast.configure(self.tree, **{"UPLOAD_TO": targets, **keys})

    def write(self, storage: dict[str, str], targets: list[dict[str, str]]) -> None:
        """The same backup with another storage."""
        backup = {"NAME": "files", "INTERVALS": "@daily", "FILE_PATH": str(self.tree), "UPLOAD_TO": targets}
        project = {"NAME": "shop", "BACKUPS": {"FILE_BACKUP": backup}}
        self.holdfast.write({"STORAGES": [storage], "PROJECTS": [project]})

    def put(self, started: datetime = NOW, status: RunStatus = RunStatus.GOOD) -> CopyKeys:
        """A copy on the target that takes few."""
        target = Target(StorageDefinition("LOCAL", StorageType.LOCAL), "rare")
        return put_copy(LocalStorage("LOCAL", self.holdfast.storage), target, started, status)

    def copies(self) -> list[int]:
        """How many there are on each of the two."""
        found = (self.holdfast.storage / path / BACKUP_ID for path in ("all", "rare"))
        return [len(list(folder.glob("*.manifest.json"))) for folder in found]

    def runs(self) -> list[Run]:
        """The newest first."""
        with closing(open_catalog(self.holdfast.state, None)) as catalog:
            return catalog.runs(BACKUP_ID, 10)

    def log(self) -> str:
        return max((self.holdfast.state / "logs" / BACKUP_ID).iterdir()).read_text()

    def dry_run(self) -> dict[str, Any]:
        ended = self.holdfast.run("backup.py", BACKUP_ID, "--dry-run", "--json")
        (document,) = json.loads(ended.stdout)["dry_runs"]
        return dict(document)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_first_run_goes_there_and_the_next_ones_say_that_they_leave_it_out(site: Site) -> None:
    assert site.dry_run()["left_out"] == []
    assert "left out" not in site.holdfast.back_up().stdout
    assert site.copies() == [1, 1]

    said = site.holdfast.back_up().stdout.splitlines()[1:]
    assert (said[0].startswith("  LOCAL: all/"), said[1:]) == (True, [f"  {LEFT_OUT}"])
    scheduled = site.holdfast.back_up("--scheduled")
    assert (scheduled.stdout, scheduled.stderr, site.copies()) == ("", "", [3, 1])
    assert f"INFO {LEFT_OUT}\n" in site.log()
    run = site.runs()[0]
    assert (run.status, run.message) == (RunStatus.GOOD, "")
    assert [(copy.status, copy.error) for copy in run.copies] == [(RunStatus.GOOD, None), (RunStatus.SKIPPED, None)]

    assert (site.dry_run()["targets"], site.dry_run()["left_out"]) == (["LOCAL:all"], ["LOCAL:rare"])
    shown = site.holdfast.run("backup.py", BACKUP_ID, "--dry-run")
    assert (shown.returncode, shown.stdout.splitlines()[2:]) == (0, ["  to LOCAL:all", f"  {LEFT_OUT}"])


def test_a_new_month_has_its_copy_and_pruning_goes_by_the_copies_that_were_made(site: Site) -> None:
    site.configure("MONTHLY", KEEP={"LAST": 1})
    for day, copies in (("2031-03-10", [1, 1]), ("2031-03-20", [1, 1]), ("2031-04-12", [1, 1]), ("2031-04-13", [1, 1])):
        command = site.holdfast.command_with_plan([], BACKUP_ID, clock=f"{day}T12:00:00+00:00")
        ended = site.holdfast.run_command(command)
        assert (ended.returncode, ended.stderr, site.copies()) == (0, "", copies)
    (kept,) = (site.holdfast.storage / "rare" / BACKUP_ID).glob("*.manifest.json")
    assert "20310412T" in kept.name
    assert "LOCAL:all: 1 copy removed, 1 stay" in site.log()
    assert "LOCAL:rare: 1 copy removed" not in site.log()


def test_a_copy_that_is_not_good_is_no_copy(site: Site) -> None:
    site.put(NOW - timedelta(minutes=3), RunStatus.PARTIAL)
    damaged = site.put(NOW - timedelta(minutes=2))
    (site.holdfast.storage / damaged.archive).write_bytes(b"")
    unreadable = site.put(NOW - timedelta(minutes=1))
    (site.holdfast.storage / unreadable.manifest).write_bytes(b"{}")
    assert site.dry_run()["left_out"] == []
    site.holdfast.back_up()
    assert site.copies() == [1, 4]
    site.holdfast.back_up()
    assert site.copies() == [2, 4]


def test_where_every_other_target_fails_the_run_has_failed(site: Site) -> None:
    site.put()
    (site.holdfast.folder / "broken").write_text("a file, and no folder")
    broken = {"NAME": "BROKEN", "TYPE": "LOCAL", "ROOT": f"{site.holdfast.folder}/broken/x"}
    rare = {"STORAGE_NAME": "LOCAL", "PATH": "rare", "ONLY": "YEARLY"}
    site.write(broken, [{"STORAGE_NAME": "BROKEN"}, rare])
    ended = site.holdfast.run("backup.py", BACKUP_ID)
    assert ended.returncode == EXIT_FAILED
    assert ended.stderr.startswith("shop/files: failed. BROKEN: ")
    assert (site.copies(), site.runs()[0].copies) == ([0, 1], ())


def test_a_target_that_cannot_be_asked_has_failed_and_stops_no_other(site: Site) -> None:
    (site.holdfast.folder / "broken").write_text("a file, and no folder")
    broken = {"NAME": "BROKEN", "TYPE": "LOCAL", "ROOT": f"{site.holdfast.folder}/broken/x"}
    site.write(broken, [{"STORAGE_NAME": "LOCAL", "PATH": "all"}, {"STORAGE_NAME": "BROKEN", "ONLY": "MONTHLY"}])
    ended = site.holdfast.run("backup.py", BACKUP_ID)
    assert (ended.returncode, site.copies()) == (EXIT_FAILED, [1, 0])
    assert [copy.status for copy in site.runs()[0].copies] == [RunStatus.GOOD, RunStatus.FAILED]


def test_a_dry_run_says_where_a_target_cannot_be_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: StorageDefinition) -> Storage:
        raise StorageUnavailableError("Nobody answers.")

    monkeypatch.setattr(operations.running.dry_run, "open_storage", refuse)
    with pytest.raises(HoldfastError, match=r"^LOCAL:rare: Nobody answers\.$"):
        operations.running.dry_run.dry_run(site.holdfast.the_backup(), (), site.holdfast.folder, NOW)
