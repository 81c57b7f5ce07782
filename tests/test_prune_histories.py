"""Long histories of runs and prunings on several targets: failures, gaps, clocks that jump, kills, pins and damage.

The storages are real folders, in memory where the machine has such a place: a history makes hundreds of objects.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model import CalendarSpan, Keep, RunStatus
from operations.copies.layout import CopyKeys, copy_keys, folder_key
from operations.copies.pins import Pin, pin, unpin
from operations.copies.stored_copies import StoredCopy, copies_on
from operations.retention.prune import PruneReport, prune
from tests.support.stored_copies import BACKUP_ID, Killed, Plan, PlannedStorage, local_target, put_copy

ZONE = ZoneInfo("Europe/Berlin")
BEGINNING = datetime(2026, 3, 20, 1, 30, tzinfo=UTC)  # a clock change is near
MEMORY = Path("/dev/shm")

NAMES = ("FIRST", "SECOND", "THIRD")
counts = st.none() | st.integers(1, 4)
spans = st.none() | st.sampled_from([CalendarSpan(hours=20), CalendarSpan(days=3), CalendarSpan(months=1)])
keeps = st.builds(Keep, *[counts] * 6, within=spans, min_count=counts)
kills = st.none() | st.tuples(st.integers(0, 12), st.booleans())


@dataclass
class Place:
    """A target, and what the test knows of it. ``damaged`` are the copies that the test has spoiled itself."""

    root: Path
    damaged: set[str] = field(default_factory=set)
    pinned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.target, self.storage = local_target(self.root, self.root.name)
        self.folder = folder_key(self.target.path, BACKUP_ID)
        stranger = copy_keys(self.target.path, BACKUP_ID, BEGINNING - timedelta(days=999))
        self.foreign = {
            self.folder + "read me.txt": b"not ours",
            stranger.archive: b"an archive without a manifest, and without a note that it is removed",
            copy_keys(self.target.path, BACKUP_ID + "2", BEGINNING).manifest: b"of another backup",
        }
        for key, content in self.foreign.items():
            self.storage.put(key, [content])

    def copies(self) -> list[StoredCopy]:
        return copies_on(self.target, BACKUP_ID, self.storage)

    def good(self, now: datetime) -> list[str]:
        """The timestamps of the good copies that no clock forbids to believe, oldest first."""
        return [
            copy.keys.timestamp
            for copy in self.copies()
            if copy.manifest is not None
            and copy.damage is None
            and copy.manifest.status is RunStatus.GOOD
            and copy.manifest.started <= now
        ]

    def keys(self) -> set[str]:
        return {stored.key for stored in self.storage.list("")}


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.places = [Place(Path(self.scratch.name) / name) for name in NAMES]
        self.now = BEGINNING
        self.begun: set[datetime] = set()
        self.keep = Keep(last=2)

    def teardown(self) -> None:
        self.scratch.cleanup()

    # --- time, and the mind of a person

    @rule(hours=st.integers(1, 60))
    def time_goes_by(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(days=st.sampled_from([-400, -3, -1, 1, 40, 4000]))
    def the_clock_jumps(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(keep=keeps)
    def keep_is_changed(self, keep: Keep) -> None:
        self.keep = keep

    # --- runs

    @rule(
        count=st.integers(1, 6),
        hours=st.sampled_from([1, 6, 24]),
        failing=st.sets(st.sampled_from(NAMES), max_size=2),
        status=st.sampled_from([RunStatus.GOOD, RunStatus.GOOD, RunStatus.GOOD, RunStatus.PARTIAL]),
        kill=kills,
    )
    def runs(self, count: int, hours: int, failing: set[str], status: RunStatus, kill: tuple[int, bool] | None) -> None:
        """Some runs in a row that end alike. The last of them may be killed while it prunes."""
        for number in range(count):
            started = self._start()
            for place in self.places:
                if place.target.storage.name not in failing:
                    put_copy(place.storage, place.target, started, status)
                    self._prune(place, started, status, kill if number == count - 1 else None)
            self.now = max(self.now, started) + timedelta(hours=hours)

    @rule()
    def all_targets_fail(self) -> None:
        self._start()

    @rule(kill=kills)
    def a_person_prunes(self, kill: tuple[int, bool] | None) -> None:
        for place in self.places:
            self._prune(place, None, RunStatus.GOOD, kill)

    # --- pins and damage

    @rule(data=st.data(), place=st.integers(0, 2))
    def a_copy_is_pinned(self, data: st.DataObject, place: int) -> None:
        chosen = self.places[place]
        copies = [copy for copy in chosen.copies() if copy.pin is None]
        if copies:
            copy = data.draw(st.sampled_from(copies))
            pin(copy, Pin("a reason", "me@here", self.now))
            chosen.pinned.add(copy.keys.timestamp)

    @precondition(lambda self: any(place.pinned for place in self.places))
    @rule(data=st.data())
    def a_copy_is_unpinned(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from([place for place in self.places if place.pinned]))
        timestamp = data.draw(st.sampled_from(sorted(place.pinned)))
        unpin(next(copy for copy in place.copies() if copy.keys.timestamp == timestamp))
        place.pinned.remove(timestamp)

    @rule(data=st.data(), place=st.integers(0, 2), part=st.sampled_from(["archive", "index", "manifest"]))
    def a_copy_is_damaged(self, data: st.DataObject, place: int, part: str) -> None:
        chosen = self.places[place]
        copies = chosen.copies()
        if copies:
            keys = data.draw(st.sampled_from([copy.keys for copy in copies]))
            chosen.root.joinpath(getattr(keys, part)).write_bytes(b"x")
            chosen.damaged.add(keys.timestamp)

    # --- what always holds

    @invariant()
    def what_is_listed_is_whole(self) -> None:
        for place in self.places:
            broken = {copy.keys.timestamp for copy in place.copies() if copy.manifest is None or copy.damage}
            assert broken == place.damaged

    @invariant()
    def foreign_files_and_pinned_copies_are_untouched(self) -> None:
        for place in self.places:
            for key, content in place.foreign.items():
                assert b"".join(place.storage.get(key)) == content
            assert {copy.keys.timestamp for copy in place.copies() if copy.pin is not None} == place.pinned

    # --- how

    def _start(self) -> datetime:
        """No two runs of a backup begin in the same second: operations/running/run.py sees to that."""
        while self.now in self.begun:
            self.now += timedelta(seconds=1)
        self.begun.add(self.now)
        return self.now

    def _prune(self, place: Place, made: datetime | None, status: RunStatus, kill: tuple[int, bool] | None) -> None:
        good_before = place.good(self.now)
        before = {copy.keys.timestamp for copy in place.copies()}
        plan = Plan(*kill) if kill is not None else Plan()
        report: PruneReport | None = None
        try:
            storage = PlannedStorage(place.storage, plan)
            report = prune(BACKUP_ID, place.target, storage, self.keep, self.now, ZONE, made)
        except Killed:
            assert plan.has_killed
        gone = before - {copy.keys.timestamp for copy in place.copies()}
        self._check_gone(place, gone, good_before)
        if status is not RunStatus.GOOD:
            assert gone == set(), "only a good run lets copies go"
        if report is not None:
            assert report.problems == []
            assert gone == {judged.copy.keys.timestamp for judged in report.removed}
            self._check_converged(place, made)

    def _check_gone(self, place: Place, gone: set[str], good_before: list[str]) -> None:
        good_after = place.good(self.now)
        assert gone.isdisjoint(place.damaged)
        assert gone.isdisjoint(place.pinned)
        assert len(good_after) >= min(len(good_before), self.keep.min_count or 1)
        if gone:
            assert good_after[-1] == good_before[-1]
            assert max(gone) < good_after[-1]

    def _check_converged(self, place: Place, made: datetime | None) -> None:
        """Nothing is left of what went, by whomever; and asked again, nothing more goes."""
        assert place.keys() == place.foreign.keys() | _keys_of(place, (copy.keys for copy in place.copies()))
        again = prune(BACKUP_ID, place.target, place.storage, self.keep, self.now, ZONE, made)
        assert (again.removed, again.problems) == ([], [])


def _keys_of(place: Place, copies: Iterable[CopyKeys]) -> set[str]:
    keys = set()
    for copy in copies:
        keys |= {copy.archive, copy.index, copy.manifest}
        if copy.timestamp in place.pinned:
            keys.add(copy.pin)
    return keys


Histories.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestHistories = Histories.TestCase
