"""How backups stand by a real catalog: the level, what somebody should know and do, and each target by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from model import Archive, Check, CheckKind, CheckOutcome, Configuration, Copy, Run, RunStatus, Usage
from operations.status.documents import standing_document
from operations.status.levels import Level
from operations.status.overview import overview, standings
from operations.status.standing import NoticeKind, Standing
from tests.support.configurations import load

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TONIGHT = datetime(2026, 11, 20, 2, tzinfo=UTC)
GOOD, FAILED, PARTIAL = RunStatus.GOOD, RunStatus.FAILED, RunStatus.PARTIAL
RUNNING, SKIPPED, INTERRUPTED = RunStatus.RUNNING, RunStatus.SKIPPED, RunStatus.INTERRUPTED

CONFIGURATION = """\
PROJECTS:
  - NAME: shop
    BACKUPS:
      - FILE_BACKUP:
          - NAME: files
            INTERVALS: "0 2 * * *"
            FILE_PATH: /srv/shop
            UPLOAD_TO: [{STORAGE_NAME: LOCAL, PATH: first}, {STORAGE_NAME: LOCAL, PATH: second}]
            VERIFY: {INTERVALS: "0 5 * * *", DRILL: {INTERVALS: "0 6 1 * *"}}
          - NAME: "off"
            ENABLED: no
            INTERVALS: "0 2 * * *"
            FILE_PATH: /srv/off
            UPLOAD_TO: {STORAGE_NAME: LOCAL}
"""


@dataclass
class Site:
    """One backup, ``shop/files``, that is due at 2:00 and scheduled for long, and what is recorded of it."""

    configuration: Configuration
    catalog: Catalog

    def ran(
        self, days_ago: int, status: RunStatus = GOOD, *copies: RunStatus, size: int = 1_000_000, message: str = ""
    ) -> Run:
        """A run of 2:00. One that made an archive left a copy on both targets, where ``copies`` says nothing else."""
        started = TONIGHT - days_ago * DAY
        made = copies or ((status, status) if status in (GOOD, PARTIAL) else ())
        stored = tuple(
            Copy("LOCAL", f"{path}/shop/files/x.zip", how, size, None if how is GOOD else "No space left on device.")
            for path, how in zip(("first", "second"), made, strict=False)
        )
        run = Run(
            id=f"{days_ago} {status}",
            backup_id="shop/files",
            started=started,
            slot=started,
            ended=None if status is RUNNING else started + 5 * MINUTE,
            status=status,
            message=message,
            archive=Archive("x.zip", started, size, "0" * 64, 7, size * 2) if made else None,
            copies=stored,
        )
        self.catalog.record_found([run])
        return run

    def checked(self, kind: CheckKind, outcome: CheckOutcome, days_ago: int, target: str = "LOCAL:first") -> None:
        started = NOW - days_ago * DAY
        self.catalog.record_check(
            Check(
                f"{kind} {days_ago}", "shop/files", kind, "20261101T020000Z", target, started, started, outcome, "Why."
            )
        )

    def stands(self, now: datetime = NOW) -> Standing:
        (standing,) = standings(self.configuration, self.catalog, ["shop/files"], now)
        return standing


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("schedules.times.local_zone", lambda: UTC)
    monkeypatch.setattr("operations.status.deadlines.local_zone", lambda: UTC)
    configuration = load(tmp_path, CONFIGURATION, {"STATE_DIR": str(tmp_path / "state")})
    catalog = open_catalog(configuration.state_directory, None)
    catalog.record_schedule({"shop/files": ("0 2 * * *",)}, TONIGHT - 90 * DAY)
    return Site(configuration, catalog)


def test_a_backup_that_ran_tonight_is_good(site: Site) -> None:
    for days_ago in range(6, -1, -1):
        run = site.ran(days_ago)
    standing = site.stands()
    assert (standing.level, standing.notices, standing.late) == (Level.GOOD, (), ())
    assert (standing.last, standing.last_good, standing.last_ended) == (run, run, run)
    assert standing.next_run == TONIGHT + DAY
    assert standing.usual_duration == 5 * MINUTE
    assert [(target.name, target.last_good and target.last_good.id) for target in standing.targets] == [
        ("LOCAL:first", run.id),
        ("LOCAL:second", run.id),
    ]
    assert (standing.sizes.content, standing.sizes.usual_content) == (2_000_000, 2_000_000)


def test_what_fails_on_one_target_is_late_there_only(site: Site) -> None:
    last_whole = site.ran(3)
    for days_ago in (2, 1, 0):
        run = site.ran(days_ago, FAILED, GOOD, FAILED, message="LOCAL: No space left on device.")
    standing = site.stands()
    assert standing.level is Level.FAILED
    assert [(target.last_good and target.last_good.id, target.is_late) for target in standing.targets] == [
        (run.id, False),
        (last_whole.id, True),
    ]
    (late,) = standing.late
    assert (late.targets, late.slot, standing.late_since) == (
        ("LOCAL:second",),
        TONIGHT - 2 * DAY,
        TONIGHT - 2 * DAY + 20 * MINUTE,
    )
    failed, told = standing.notices
    assert (failed.kind, told.kind) == (NoticeKind.FAILED, NoticeKind.LATE)
    assert failed.text.endswith("failed. LOCAL: No space left on device.")
    assert "logs/shop/files/20261120T020000Z.log" in failed.advice
    assert "There is no good copy on LOCAL:second since" in told.text


Step = Callable[[Site], object]

LEVELS: dict[str, tuple[list[Step], Level, list[NoticeKind]]] = {
    "nothing yet": ([lambda site: site.catalog.record_schedule({}, NOW)], Level.NEVER_RUN, []),
    "never ran and due for long": ([], Level.LATE, [NoticeKind.LATE]),
    "running": ([lambda site: site.ran(1), lambda site: site.ran(0, RUNNING)], Level.LATE, [NoticeKind.LATE]),
    "failed": (
        [lambda site: site.ran(1), lambda site: site.ran(0, FAILED)],
        Level.FAILED,
        [NoticeKind.FAILED, NoticeKind.LATE],
    ),
    "partial": (
        [lambda site: site.ran(1), lambda site: site.ran(0, PARTIAL)],
        Level.LATE,
        [NoticeKind.PARTIAL, NoticeKind.LATE],
    ),
    "skipped": ([lambda site: site.ran(1), lambda site: site.ran(0, SKIPPED)], Level.GOOD, []),
    "good again": ([lambda site: site.ran(1, FAILED), lambda site: site.ran(0)], Level.GOOD, []),
    "a damaged copy": (
        [lambda site: site.ran(0), lambda site: site.checked(CheckKind.VERIFY, CheckOutcome.FAILED, 0)],
        Level.FAILED,
        [NoticeKind.DAMAGED],
    ),
    "damage on a target that it has no more": (
        [lambda site: site.ran(0), lambda site: site.checked(CheckKind.VERIFY, CheckOutcome.FAILED, 0, "OLD")],
        Level.GOOD,
        [],
    ),
    "a stale drill": (
        [lambda site: site.ran(0), lambda site: site.checked(CheckKind.DRILL, CheckOutcome.STALE, 0)],
        Level.WARNING,
        [NoticeKind.DRILL],
    ),
    "no drill for two months": (
        [lambda site: site.ran(0), lambda site: site.checked(CheckKind.DRILL, CheckOutcome.PASSED, 60)],
        Level.WARNING,
        [NoticeKind.UNPROVEN],
    ),
    "a drill this month": (
        [lambda site: site.ran(0), lambda site: site.checked(CheckKind.DRILL, CheckOutcome.PASSED, 18)],
        Level.GOOD,
        [],
    ),
    "no verification for two days": (
        [lambda site: site.ran(0), lambda site: site.checked(CheckKind.VERIFY, CheckOutcome.PASSED, 3)],
        Level.WARNING,
        [NoticeKind.UNPROVEN],
    ),
    "far smaller": (
        [*(lambda site, days=days: site.ran(days) for days in range(5, 0, -1)), lambda site: site.ran(0, size=9_000)],
        Level.WARNING,
        [NoticeKind.SIZE],
    ),
}


@pytest.mark.parametrize("name", LEVELS)
def test_the_level_and_what_is_told(site: Site, name: str) -> None:
    steps, level, kinds = LEVELS[name]
    for step in steps:
        step(site)
    standing = site.stands()
    assert (standing.level, [notice.kind for notice in standing.notices]) == (level, kinds)


def test_a_run_under_way_is_running_and_then_one_that_hangs(site: Site) -> None:
    site.ran(1)
    site.ran(0, RUNNING)
    assert site.stands(TONIGHT + 19 * MINUTE).level is Level.RUNNING
    late = site.stands(TONIGHT + 20 * MINUTE)
    assert late.level is Level.LATE
    assert "is still under way" in late.notices[0].text
    site.catalog.record_found([Run("by hand", "shop/files", TONIGHT + MINUTE, None, TONIGHT + MINUTE, GOOD)])
    site.catalog.record_found([Run("again", "shop/files", TONIGHT + 60 * MINUTE)])
    hangs = site.stands(TONIGHT + 90 * MINUTE)
    assert (hangs.level, [notice.kind for notice in hangs.notices]) == (Level.WARNING, [NoticeKind.SLOW])


def test_an_interrupted_run_is_a_warning_until_the_deadline(site: Site) -> None:
    site.ran(1)
    site.ran(0, INTERRUPTED, message="It was interrupted.")
    assert site.stands(TONIGHT + 10 * MINUTE).level is Level.WARNING
    assert site.stands(TONIGHT + 20 * MINUTE).level is Level.LATE


def test_disabled_and_orphaned_backups_are_so_and_nothing_else(site: Site) -> None:
    site.catalog.record_found([Run("1", "shop/off", TONIGHT - 50 * DAY, None, TONIGHT, FAILED)])
    site.catalog.record_found([Run("2", "gone/files", TONIGHT - 50 * DAY, None, TONIGHT, FAILED)])
    found = {standing.backup_id: standing for standing in overview(site.configuration, site.catalog, NOW)}
    assert list(found) == ["shop/files", "shop/off", "gone/files"]
    assert [found[backup_id].level for backup_id in ("shop/off", "gone/files")] == [Level.DISABLED, Level.ORPHANED]
    assert [found[backup_id].notices for backup_id in ("shop/off", "gone/files")] == [(), ()]


def test_the_document_of_a_standing(site: Site) -> None:
    site.ran(1)
    site.ran(0, FAILED, GOOD, FAILED, message="LOCAL: No space left on device.")
    site.catalog.record_usage([Usage("shop/files", "LOCAL:first", 2, 20, NOW)])
    document = standing_document(site.stands())
    assert (document["backup"], document["project"], document["level"]) == ("shop/files", "shop", "failed")
    assert document["scheduled"] is True
    assert document["late_since"] == "2026-11-20T02:20:00+00:00"
    assert document["targets"] == [
        {
            "target": "LOCAL:first",
            "only": None,
            "last_good": "2026-11-20T02:00:00+00:00",
            "late": False,
            "copies": 2,
            "size": 20,
            "measured": "2026-11-20T12:00:00+00:00",
        },
        {
            "target": "LOCAL:second",
            "only": None,
            "last_good": "2026-11-19T02:00:00+00:00",
            "late": True,
            "copies": None,
            "size": None,
            "measured": None,
        },
    ]
    assert [notice["kind"] for notice in document["notices"]] == ["failed", "late"]
    assert document["size"]["archive"] == 1_000_000
    assert document["usual_duration"] == 300
