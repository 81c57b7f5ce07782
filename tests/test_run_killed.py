"""kill -9 at any point of a run: what is listed is sound, no older copy is lost, and the next run needs no help.

``HOLDFAST_KILLS=5000 .venv/bin/python -m pytest -s tests/test_run_killed.py`` kills as many runs at random moments, and
says how far they had come; without it they are 32.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from model import Run, RunStatus
from operations.copies.layout import copy_keys
from operations.copies.stored_copies import StoredCopy, list_copies
from operations.locks import lock_backup
from operations.verifying.verify import verify_copy
from tests.support.archives import snapshot
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree

KILLS = int(os.environ.get("HOLDFAST_KILLS", "32"))
BATCHES = 4
KILLS_BETWEEN_GOOD_RUNS = 10

# So many at random moments meet more than one stage of a run.
MANY_KILLS = 20
TARGETS = ("one", "two")

# How far a run had come when it was killed. Those in which it has been recorded as begun must all be met.
NOT_BEGUN = "before the run"
STAGES = {"before the archive", "in the archive", "before the manifest", "between the manifests", "before the record"}
AFTER = "after the record"


class Site:
    """An installation whose runs are killed, and everything that must be true of it at any moment."""

    def __init__(self, folder: Path, tree: Path) -> None:
        self.holdfast = Holdfast(folder / "holdfast")
        self.holdfast.configure(tree, UPLOAD_TO=[{"STORAGE_NAME": "LOCAL", "PATH": path} for path in TARGETS])
        self.stages: Counter[str] = Counter()
        self._folder = folder
        self._tree = tree
        self._sound: dict[Path, tuple[int, int, int]] = {}
        self._restored: set[str] = set()
        self._runs = 0

    @property
    def kills(self) -> int:
        return self.stages.total()

    def good_run(self) -> float:
        """A run that is left alone, and what must be so after it. The seconds that it took."""
        began = time.monotonic()
        self.holdfast.back_up()
        length = time.monotonic() - began
        self.check()
        self.check_tidy()
        return length

    def kill_after(self, seconds: float) -> None:
        """Start a run and kill it, unless it ended before."""
        run = self.holdfast.start("backup.py", BACKUP_ID)
        try:
            run.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
        self._look_at(run.returncode)

    def kill_at(self, point: str, nth: int, when: str) -> None:
        """Start a run that kills itself there."""
        plan = {"point": point, "nth": nth, "when": when, "signal": signal.SIGKILL}
        ended = self.holdfast.run_command(self.holdfast.command_with_plan([plan], BACKUP_ID))
        assert ended.returncode == -signal.SIGKILL, f"{point} {nth} was not reached: {ended.stderr}"
        self._look_at(ended.returncode)

    def _look_at(self, exit_code: int) -> None:
        if exit_code == -signal.SIGKILL:
            self.stages[self._stage()] += 1
        else:
            assert exit_code == 0
        self.check()

    def _stage(self) -> str:
        """How far the newest run had come."""
        with closing(self._catalog()) as catalog:
            runs = catalog.runs(BACKUP_ID, 10_000)
        if len(runs) == self._runs:
            return NOT_BEGUN
        self._runs = len(runs)
        keys = [copy_keys(target, BACKUP_ID, runs[0].started) for target in TARGETS]
        manifests = [(self.holdfast.storage / key.manifest).exists() for key in keys]
        if all(manifests):
            return "before the record" if runs[0].status is RunStatus.RUNNING else AFTER
        if any(manifests):
            return "between the manifests"
        if all((self.holdfast.storage / key.archive).exists() for key in keys):
            return "before the manifest"
        if any(self.holdfast.storage.rglob(".holdfast-unfinished-*")):
            return "in the archive"
        return "before the archive"

    def check(self) -> None:
        """What must be so at any moment, right after a kill among them."""
        for path, identity in self._sound.items():
            assert _identity(path) == identity, f"{path} is not what it was"
        listing = list_copies(self.holdfast.the_backup())
        assert listing.errors == ()
        for copy in listing.copies:
            self._check_copy(copy)
        with lock_backup(self.holdfast.state, BACKUP_ID):
            pass
        with closing(self._catalog()) as catalog:
            self._check_catalog(catalog, {(copy.target.path, copy.keys.timestamp) for copy in listing.copies})
            self._runs = len(catalog.runs(BACKUP_ID, 10_000))

    def _check_copy(self, copy: StoredCopy) -> None:
        path = self.holdfast.storage / copy.keys.archive
        if path in self._sound:
            return
        assert copy.manifest is not None, copy.error
        assert verify_copy(copy, lambda _member, _size: None).problems == []
        self._sound[path] = _identity(path)
        if copy.manifest.archive.sha256 not in self._restored:
            self._check_restores(f"{BACKUP_ID}@{copy.keys.timestamp}")
            self._restored.add(copy.manifest.archive.sha256)

    def _check_restores(self, copy: str) -> None:
        to = self._folder / f"restored {len(self._restored)}"
        restored = self.holdfast.restore(to, copy=copy)
        assert restored.returncode == 0, restored.stderr
        assert snapshot(to / self._tree.relative_to("/")) == snapshot(self._tree)

    def _check_catalog(self, catalog: Catalog, listed: set[tuple[str, str]]) -> None:
        """A run that the catalog calls good has its copies."""
        for run in catalog.runs(BACKUP_ID, 20):
            if run.status is RunStatus.GOOD:
                keys = [(target, copy_keys(target, BACKUP_ID, run.started).timestamp) for target in TARGETS]
                assert listed.issuperset(keys), run

    def check_tidy(self) -> None:
        """What must be so after a run that was left alone: nothing is left of all those before it."""
        lying = {path for path in self.holdfast.storage.rglob("*") if path.is_file()}
        backup = self.holdfast.the_backup()
        mine = {self.holdfast.storage / target / BACKUP_ID / "HOW-TO-RESTORE.txt" for target in TARGETS}
        for copy in list_copies(backup).copies:
            mine |= {self.holdfast.storage / key for key in (copy.keys.archive, copy.keys.index, copy.keys.manifest)}
        assert lying == mine
        assert list((self.holdfast.state / "spool").iterdir()) == []
        with closing(self._catalog()) as catalog:
            runs = catalog.runs(BACKUP_ID, 10_000)
        assert [run for run in runs if run.status is RunStatus.RUNNING] == []
        assert runs[0].status is RunStatus.GOOD
        self._check_logs(runs)

    def _check_logs(self, runs: list[Run]) -> None:
        """Each run has a log, as far as logs are kept."""
        logs = sorted((self.holdfast.state / "logs" / BACKUP_ID).iterdir())
        assert logs[-1].stem == copy_keys("", BACKUP_ID, runs[0].started).timestamp

    def report(self) -> None:
        """Say where the kills hit, to those who ask pytest for output (-s)."""
        sys.stdout.write(f"killed {self.kills} runs: {dict(self.stages)}\n")

    def check_everything_again(self) -> None:
        """Every copy that was ever sound, read again."""
        self._sound.clear()
        self.check()

    def _catalog(self) -> Catalog:
        return open_catalog(self.holdfast.state, None)


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@pytest.fixture(scope="module")
def large_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 40 MB in 300 files, one of them large."""
    return make_tree(tmp_path_factory.mktemp("large") / "tree", files=300, file_words=10_000, large_size=16 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_at_a_random_moment(batch: int, large_tree: Path, tmp_path: Path) -> None:
    site = Site(tmp_path, large_tree)
    length = max(site.good_run() for _ in range(2))
    chance = random.Random(batch)
    since_good = 0
    while site.kills < KILLS // BATCHES:
        site.kill_after(length * chance.uniform(0.5, 1.1))
        since_good += 1
        if since_good == KILLS_BETWEEN_GOOD_RUNS:
            since_good = 0
            length = site.good_run()
    site.good_run()
    site.check_everything_again()
    site.report()
    assert len(site.stages) > 1 or site.kills < MANY_KILLS


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_each_step(when: str, tmp_path: Path) -> None:
    """At every system call that makes something durable or visible, and at every word to the catalog."""
    site = Site(tmp_path, make_tree(tmp_path / "tree"))
    site.good_run()
    traced = site.holdfast.run_command(site.holdfast.command_with_plan([], BACKUP_ID))
    assert traced.returncode == 0, traced.stderr
    points = Counter(site.holdfast.trace.read_text().splitlines())
    assert points["os.link"] == points["os.fdatasync"] == 6, points
    steps = [(point, nth) for point, count in points.items() for nth in range(1, count + 1)]
    for number, (point, nth) in enumerate(steps):
        site.kill_at(point, nth, when)
        if number % KILLS_BETWEEN_GOOD_RUNS == 0:
            site.good_run()
    site.good_run()
    site.report()
    assert site.kills == len(steps)
    assert set(site.stages) >= STAGES, site.stages
