"""What the dashboard holds in memory: it follows the catalog, the configuration and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from errors import CatalogError
from model import Archive, Check, CheckKind, CheckOutcome, Configuration, Run, RunStatus, Usage
from operations.status.levels import Level
from schedules.times import local_zone
from tests.support.configurations import load
from web.charts.calendar import DayCode
from web.snapshot import BackupState, Snapshot

MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)

CONFIG = """\
PROJECTS:
  - NAME: Web shop
    BACKUPS:
      - FILE_BACKUP:
          - {NAME: uploads, INTERVALS: "0 2 * * *", FILE_PATH: /srv, UPLOAD_TO: {STORAGE_NAME: LOCAL}}
          - {NAME: logs, INTERVALS: "0 3 * * *", FILE_PATH: /var, UPLOAD_TO: {STORAGE_NAME: LOCAL}}
"""
UPLOADS, LOGS = "Web-shop/uploads", "Web-shop/logs"


class Clock:
    """It stands still until somebody moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Site:
    """A snapshot that is refreshed by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(MONDAY)
        self.configuration = load(folder, CONFIG)
        self.catalog = open_catalog(folder / "state", None)
        self.snapshot = Snapshot(self.catalog, self, self.clock)
        self.told: list[frozenset[str]] = []
        self.snapshot.listen(self.told.append)

    def current(self) -> Configuration:
        return self.configuration

    def state(self, backup_id: str = UPLOADS) -> BackupState:
        self.snapshot.refresh()
        return self.snapshot.view.states[backup_id]

    def day(self, day: date, backup_id: str = UPLOADS) -> tuple[DayCode, int]:
        days = self.state(backup_id).days
        position = (day - days.first).days
        return DayCode(days.codes[position]), days.counts[position]

    def record(self, number: int, started: datetime, status: RunStatus = RunStatus.GOOD, size: int = 1000) -> Run:
        archive = None
        if status in (RunStatus.GOOD, RunStatus.PARTIAL):
            archive = Archive(f"{number}.zip", started, size, "0" * 64, 1, size)
        ended = None if status is RunStatus.RUNNING else started + timedelta(minutes=1)
        run = Run(f"{number:032x}", UPLOADS, started, None, ended, status, "", archive)
        self.catalog.finish_run(run)
        return run


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.catalog.close()


def test_it_is_whole_once_everything_was_read(site: Site) -> None:
    assert not site.snapshot.view.is_whole
    site.snapshot.refresh()
    assert site.snapshot.view.is_whole
    assert list(site.snapshot.view.states) == [UPLOADS, LOGS]
    assert list(site.snapshot.view.projects) == ["Web-shop"]
    assert site.state().project == "Web shop"
    assert site.state().level is Level.NEVER_RUN


def test_a_run_is_followed_from_its_beginning_to_its_end(site: Site) -> None:
    site.snapshot.refresh()
    run = site.record(1, MONDAY - timedelta(minutes=5), RunStatus.RUNNING)
    assert site.state().level is Level.RUNNING
    assert site.day(MONDAY.date()) == (DayCode.RUNNING, 1)
    site.catalog.finish_run(replace(run, status=RunStatus.FAILED, ended=MONDAY, message="No route to host."))
    assert site.state().level is Level.FAILED
    assert site.day(MONDAY.date()) == (DayCode.FAILED, 1)
    site.record(2, MONDAY - timedelta(minutes=2))
    assert site.state().level is Level.GOOD
    assert site.day(MONDAY.date()) == (DayCode.FAILED, 2), "the worst of the day"
    assert site.state().sizes == [1000]


def test_only_what_changed_is_told_and_gets_a_new_version(site: Site) -> None:
    site.snapshot.refresh()
    before = {each: site.state(each).version for each in (UPLOADS, LOGS)}
    site.told.clear()
    site.snapshot.refresh()
    assert site.told == []
    site.record(1, MONDAY)
    site.snapshot.refresh()
    assert frozenset().union(*site.told) == {UPLOADS}
    assert site.state(LOGS).version == before[LOGS]
    assert site.state(UPLOADS).version > before[UPLOADS]


@pytest.mark.parametrize(
    "change",
    [
        lambda catalog: catalog.record_usage([Usage(UPLOADS, "LOCAL", 3, 70, MONDAY)]),
        lambda catalog: catalog.record_check(
            Check("c", UPLOADS, CheckKind.VERIFY, "20261120T030000Z", "LOCAL", MONDAY, MONDAY, CheckOutcome.FAILED)
        ),
        lambda catalog: catalog.record_schedule({UPLOADS: ("0 2 * * *",)}, MONDAY),
    ],
    ids=["usage", "check", "schedule"],
)
def test_everything_else_that_is_recorded_is_seen_too(site: Site, change: Callable[[Catalog], None]) -> None:
    before = site.state()
    change(site.catalog)
    site.clock.now += timedelta(minutes=2)
    after = site.state()
    assert (after.standing, after.facts) != (before.standing, before.facts)
    assert after.version > before.version


def test_what_the_clock_alone_changes_is_seen(site: Site) -> None:
    site.catalog.record_schedule({UPLOADS: ("0 2 * * *",)}, MONDAY - 9 * DAY)
    site.record(1, MONDAY - timedelta(hours=10))
    assert site.state().level is Level.GOOD
    next_run = site.state().standing.next_run
    site.clock.now += 3 * DAY
    site.told.clear()
    assert site.state().level is Level.LATE
    assert frozenset().union(*site.told) >= {UPLOADS}
    assert site.state().standing.next_run == (next_run or MONDAY) + 3 * DAY


def test_calendars_move_on_with_the_weeks(site: Site) -> None:
    site.record(1, MONDAY)
    assert site.day(MONDAY.date()) == (DayCode.GOOD, 1)
    first = site.state().days.first
    site.clock.now = MONDAY + 6 * DAY
    assert site.state().days.first == first
    assert site.snapshot.view.today == MONDAY.date() + 6 * DAY
    site.clock.now = MONDAY + 7 * DAY
    assert site.state().days.first == first + 7 * DAY
    assert site.day(MONDAY.date()) == (DayCode.GOOD, 1)
    site.clock.now = MONDAY + 400 * DAY
    assert set(site.state().days.codes) == {DayCode.NONE}
    site.clock.now = MONDAY
    site.record(2, MONDAY + timedelta(hours=1))
    assert site.day(MONDAY.date()) == (DayCode.GOOD, 2)


def test_a_run_of_the_future_or_of_long_ago_breaks_nothing(site: Site) -> None:
    site.record(1, MONDAY + 4000 * DAY)
    site.record(2, datetime(1971, 1, 1, tzinfo=UTC))
    assert sum(site.state().days.counts) == 0


def test_a_day_is_one_of_this_machine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # UTC+9
    local_zone.cache_clear()
    try:
        site.record(1, datetime(2026, 11, 20, 20, tzinfo=UTC))
        assert site.day(date(2026, 11, 21)) == (DayCode.GOOD, 1)
        assert site.day(date(2026, 11, 20)) == (DayCode.NONE, 0)
    finally:
        monkeypatch.undo()
        local_zone.cache_clear()


def test_another_configuration_is_followed(site: Site) -> None:
    site.record(1, MONDAY)
    site.snapshot.refresh()
    site.configuration = load(site.folder, CONFIG.replace("NAME: uploads", "NAME: pictures"))
    site.snapshot.refresh()
    states = site.snapshot.view.states
    assert list(states) == ["Web-shop/pictures", LOGS, UPLOADS]
    assert [state.level for state in states.values()] == [Level.NEVER_RUN, Level.NEVER_RUN, Level.ORPHANED]
    site.configuration = load(site.folder, CONFIG)
    site.snapshot.refresh()
    assert list(site.snapshot.view.states) == [UPLOADS, LOGS]
    assert site.state().level is Level.GOOD
    assert site.day(MONDAY.date()) == (DayCode.GOOD, 1)


def test_a_catalog_that_cannot_be_read_is_told_and_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.record(1, MONDAY)
    assert site.state().level is Level.GOOD

    def refuse() -> dict[str, int]:
        raise CatalogError("The disk is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(site.catalog, "revisions", refuse)
        site.snapshot.refresh()
        assert site.snapshot.view.problem == "The disk is gone."
        assert site.state().level is Level.GOOD, "what was known is still shown"
    site.record(2, MONDAY + timedelta(minutes=5), RunStatus.FAILED)
    assert site.state().level is Level.FAILED
    assert site.snapshot.view.problem is None
