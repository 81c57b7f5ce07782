"""Random histories of runs: the catalog answers as a plain dictionary would."""

from __future__ import annotations

import dataclasses
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from catalog import LastRuns, open_catalog
from model import Archive, Copy, Run, RunStatus

BACKUPS = ["shop/uploads", "shop/db", "Café/files"]
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

backup_ids = st.sampled_from(BACKUPS)
# Few different times, so that equal ones and clocks that jump back happen often.
moments = st.integers(0, 5).map(lambda hours: BEGINNING + timedelta(hours=hours, microseconds=hours))
outcomes = st.sampled_from([status for status in RunStatus if status is not RunStatus.RUNNING])
copies = st.builds(
    Copy,
    storage=st.sampled_from(["LOCAL", "S3"]),
    key=st.text("ab/é", min_size=1, max_size=5),
    status=outcomes,
    size=st.integers(0, 2**62),
    error=st.none() | st.sampled_from(["", "no space"]),
)
archives = st.builds(
    Archive,
    name=st.just("archive.zip"),
    started=moments,
    size=st.integers(0, 2**62),
    sha256=st.just("0" * 64),
    file_count=st.integers(0, 2**40),
    content_size=st.integers(0, 2**62),
)


def age(run: Run) -> tuple[datetime, str]:
    return run.started, run.id


class CatalogHistory(RuleBasedStateMachine):
    """``self.model`` is what the catalog should know, by run id."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.catalog = open_catalog(Path(self.folder.name), None)
        self.model: dict[str, Run] = {}
        self.schedule: dict[str, tuple[tuple[str, ...], datetime]] = {}

    def teardown(self) -> None:
        self.catalog.close()
        self.folder.cleanup()

    @rule(backup_id=backup_ids, started=moments, slot=st.none() | moments)
    def begin(self, backup_id: str, started: datetime, slot: datetime | None) -> None:
        run = Run(f"run-{len(self.model)}", backup_id, started, slot)
        self.catalog.begin_run(run)
        self.model[run.id] = run

    @rule(
        data=st.data(),
        status=outcomes,
        archive=st.none() | archives,
        copies=st.lists(copies, max_size=3),
        ended=moments,
    )
    def finish(
        self, data: st.DataObject, status: RunStatus, archive: Archive | None, copies: list[Copy], ended: datetime
    ) -> None:
        if not self.model:
            return
        run = self.model[data.draw(st.sampled_from(sorted(self.model)))]
        run = dataclasses.replace(
            run, status=status, archive=archive, copies=tuple(copies), ended=ended, message=status.value
        )
        self.catalog.finish_run(run)
        self.model[run.id] = run

    @rule(
        data=st.data(),
        backup_id=backup_ids,
        outcome=st.lists(
            st.tuples(moments, st.none() | archives, st.lists(copies, max_size=2)), min_size=1, max_size=3
        ),
    )
    def find(
        self, data: st.DataObject, backup_id: str, outcome: list[tuple[datetime, Archive | None, list[Copy]]]
    ) -> None:
        """Runs that manifests tell of, the same one more than once too, known ones and new ones."""
        ids = st.sampled_from([*sorted(self.model), "run-lost", f"run-{len(self.model)}"])
        found = [
            Run(data.draw(ids), backup_id, started, None, started, RunStatus.GOOD, "", archive, tuple(of_run))
            for started, archive, of_run in outcome
        ]
        before = len(self.model)
        for run in found:
            known = self.model.get(run.id, run)
            self.model[run.id] = dataclasses.replace(
                known, archive=known.archive or run.archive, copies=known.copies or run.copies
            )
        assert self.catalog.record_found(found) == len(self.model) - before

    @rule(backup_id=backup_ids, now=moments)
    def mark_dead(self, backup_id: str, now: datetime) -> None:
        marked = self.catalog.mark_dead_runs(backup_id, now)
        alive = [run for run in self.model.values() if (run.backup_id, run.status) == (backup_id, RunStatus.RUNNING)]
        assert [run.id for run in marked] == [run.id for run in sorted(alive, key=age)]
        for run in alive:
            message = next(dead.message for dead in marked if dead.id == run.id)
            self.model[run.id] = dataclasses.replace(run, status=RunStatus.INTERRUPTED, ended=now, message=message)
        assert [self.model[run.id] for run in marked] == marked

    @rule(intervals=st.dictionaries(backup_ids, st.sampled_from([("@daily",), ("@daily", "@weekly"), ()])), now=moments)
    def record_schedule(self, intervals: dict[str, tuple[str, ...]], now: datetime) -> None:
        self.catalog.record_schedule(intervals, now)
        self.schedule = {
            backup_id: self.schedule[backup_id] if self.schedule.get(backup_id, [None])[0] == wanted else (wanted, now)
            for backup_id, wanted in intervals.items()
        }

    @rule(backup_id=backup_ids, limit=st.integers(1, 4), slot=moments)
    def ask(self, backup_id: str, limit: int, slot: datetime) -> None:
        of_backup = sorted((run for run in self.model.values() if run.backup_id == backup_id), key=age)
        assert self.catalog.runs(backup_id, limit) == of_backup[::-1][:limit]
        assert self.catalog.slot_runs(backup_id, slot) == [run for run in of_backup if run.slot == slot]

    @invariant()
    def last_runs_are_those_of_the_model(self) -> None:
        expected = {}
        for backup_id in BACKUPS:
            of_backup = [run for run in self.model.values() if run.backup_id == backup_id]
            good = [run for run in of_backup if run.status is RunStatus.GOOD]
            expected[backup_id] = LastRuns(max(of_backup, key=age, default=None), max(good, key=age, default=None))
        assert self.catalog.last_runs(BACKUPS) == expected

    @invariant()
    def known_backups_and_schedules_are_those_of_the_model(self) -> None:
        assert self.catalog.known_backup_ids() == sorted({run.backup_id for run in self.model.values()})
        assert self.catalog.schedule_since() == {backup_id: since for backup_id, (_, since) in self.schedule.items()}


TestCatalogHistory = CatalogHistory.TestCase
TestCatalogHistory.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
