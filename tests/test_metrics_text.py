"""The metrics as text: what each says, that any name survives it, and how many series there are."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import LastChecks
from model import (
    Archive,
    Backup,
    Check,
    CheckKind,
    CheckOutcome,
    Copy,
    FileSource,
    Run,
    RunPoint,
    RunStatus,
    Secret,
    StorageDefinition,
    StorageType,
    Target,
    Usage,
)
from operations.metrics import metrics
from operations.status.deadlines import Late
from operations.status.levels import Level
from operations.status.standing import Standing, TargetStanding
from tests.support.metrics import Metrics
from tests.support.product_code import ROOT

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DISK = Target(StorageDefinition("DISK", StorageType.LOCAL, {"ROOT": "/mnt"}), "nightly")
S3 = Target(StorageDefinition("S3", StorageType.S3), "")
BACKUP = Backup("shop/files", "Shop", "files", FileSource(("/srv",)), ("0 2 * * *",), (DISK, S3))
ARCHIVE = Archive("a.zip", NOW, 123_456_789_012, "0" * 64, 31_000, 927_000_000_000)

GOOD = Run(
    "1",
    BACKUP.id,
    NOW - timedelta(hours=30),
    ended=NOW - timedelta(hours=29, minutes=59),
    status=RunStatus.GOOD,
    archive=ARCHIVE,
    copies=tuple(Copy(str(target), "k", RunStatus.GOOD, 1) for target in (DISK, S3)),
)
FAILED = replace(
    GOOD,
    id="2",
    started=NOW - timedelta(hours=6),
    ended=NOW - timedelta(hours=5.5),
    status=RunStatus.FAILED,
    copies=(Copy(str(DISK), "k", RunStatus.GOOD, 1), Copy(str(S3), "k", RunStatus.FAILED, error="no answer")),
)
POINT = RunPoint(GOOD.id, GOOD.started, GOOD.ended, GOOD.status)


def standing_of(backup: Backup, last: Run | None = None, good: Run | None = None, **others: Any) -> Standing:
    """With its targets, of which each has the copy of ``good`` and has been measured."""
    point = RunPoint(good.id, good.started, good.ended, good.status) if good is not None else None
    usage = Usage(backup.id, "", 1, 1, NOW) if good is not None else None
    targets = tuple(TargetStanding(target, point, usage, is_late=False) for target in backup.targets)
    deadline = NOW if good is not None else None
    others = {"checks": LastChecks(), "targets": targets, "next_run": None, "deadline": deadline, **others}
    return Standing(backup.id, backup, last, good, **others)


NEVER = standing_of(BACKUP, level=Level.NEVER_RUN)


def check(kind: CheckKind, outcome: CheckOutcome, hours_ago: float) -> Check:
    began = NOW - timedelta(hours=hours_ago)
    return Check("c", BACKUP.id, kind, "20261120T030000Z", str(DISK), began, began, outcome)


def test_what_is_said_of_a_backup_whose_last_run_failed() -> None:
    verified = check(CheckKind.VERIFY, CheckOutcome.PASSED, 3)
    proven, drilled = check(CheckKind.DRILL, CheckOutcome.PASSED, 200), check(CheckKind.DRILL, CheckOutcome.FAILED, 2)
    checks = LastChecks(verified, proven, {CheckKind.VERIFY: verified, CheckKind.DRILL: drilled}, (verified,))
    late = Late((str(S3),), False, NOW - timedelta(hours=10), NOW - timedelta(hours=9), GOOD.started, "It failed.")
    standing = Standing(
        BACKUP.id,
        BACKUP,
        FAILED,
        GOOD,
        NOW + timedelta(hours=14),
        checks,
        targets=(
            TargetStanding(DISK, POINT, Usage(BACKUP.id, str(DISK), 7, 10**12 + 1, NOW), is_late=False),
            TargetStanding(S3, None, None, is_late=True),
        ),
        late=(late,),
        level=Level.LATE,
    )
    found = Metrics(metrics([standing]))

    def of_backup(name: str) -> float | None:
        return found.get(f"holdfast_backup_{name}", backup="shop/files", project="Shop")

    assert of_backup("enabled") == 1
    assert of_backup("last_run_timestamp_seconds") == FAILED.started.timestamp()
    assert of_backup("last_run_duration_seconds") == 1800
    assert of_backup("last_good_timestamp_seconds") == GOOD.started.timestamp()
    assert of_backup("last_good_duration_seconds") == 60
    assert of_backup("last_good_archive_bytes") == 123_456_789_012
    assert of_backup("last_good_content_bytes") == 927_000_000_000
    assert of_backup("last_good_files") == 31_000
    assert of_backup("next_run_timestamp_seconds") == (NOW + timedelta(hours=14)).timestamp()
    assert of_backup("last_verified_timestamp_seconds") == verified.started.timestamp()
    assert of_backup("last_proven_timestamp_seconds") == proven.started.timestamp()
    assert of_backup("damaged_copies") == 1
    statuses = found.all("holdfast_backup_status")
    assert len(statuses) == 7
    assert [dict(labels)["status"] for (_, labels), value in statuses.items() if value] == ["failed"]
    passed = {kind: found.get("holdfast_backup_last_check_passed", check=kind) for kind in ("verify", "drill")}
    assert passed == {"verify": 1, "drill": 0}
    assert found.get("holdfast_target_copies", target="DISK:nightly") == 7
    assert found.get("holdfast_target_used_bytes", target="DISK:nightly") == 10**12 + 1
    assert len(found.all("holdfast_target_copies")) == 1, "only of the targets that the backup has now"
    assert found.get("holdfast_target_status", target="S3", status="failed") == 1
    assert found.get("holdfast_target_status", target="DISK:nightly", status="failed") == 0
    assert found.get("holdfast_target_last_good_timestamp_seconds", target="DISK:nightly") == GOOD.started.timestamp()
    assert found.get("holdfast_target_last_good_timestamp_seconds", target="S3") == 0
    assert [found.get("holdfast_target_late", target=str(target)) for target in BACKUP.targets] == [0, 1]
    assert of_backup("late") == 1
    assert of_backup("deadline_timestamp_seconds") == late.since.timestamp()
    assert found.get("holdfast_backup_level", level="late") == 1
    assert sum(found.all("holdfast_backup_level").values()) == 1
    assert found.get("holdfast_config_valid") == 1
    assert found.get("holdfast_build_info") == 1


def test_the_deadline_can_be_compared_with_the_clock_long_after_it_was_written() -> None:
    """Cron may have died since. Where a target is late, it is since when."""

    def deadline(standing: Standing) -> float | None:
        return Metrics(metrics([standing])).get("holdfast_backup_deadline_timestamp_seconds")

    later = NOW + timedelta(hours=3)
    assert deadline(standing_of(BACKUP, GOOD, GOOD, deadline=later)) == later.timestamp()
    late = Late((str(S3),), False, NOW - timedelta(hours=10), NOW - timedelta(hours=9), GOOD.started, "It failed.")
    assert deadline(standing_of(BACKUP, GOOD, GOOD, deadline=NOW, late=(late,))) == late.since.timestamp()
    assert deadline(standing_of(replace(BACKUP, enabled=False), GOOD, GOOD, deadline=None)) is None


def test_a_backup_that_never_ran_has_times_that_alerts_see() -> None:
    found = Metrics(metrics([NEVER], is_config_valid=False))
    assert found.get("holdfast_backup_status", status="never") == 1
    for name in ("last_run", "last_good", "last_verified", "last_proven"):
        assert found.get(f"holdfast_backup_{name}_timestamp_seconds") == 0
    assert found.get("holdfast_target_last_good_timestamp_seconds", target="S3") == 0
    assert found.get("holdfast_backup_last_good_archive_bytes") is None
    assert found.get("holdfast_backup_next_run_timestamp_seconds") is None
    assert found.all("holdfast_target_status") == {}
    assert found.get("holdfast_config_valid") == 0


def test_names_and_units_are_those_that_prometheus_asks_for() -> None:
    found = Metrics(metrics([standing_of(BACKUP, GOOD, GOOD)]))
    assert all(re.fullmatch(r"holdfast_[a-z_]+", name) for name in found.types)
    assert set(found.types.values()) == {"gauge"}
    assert all(text.endswith(".") and len(text) > 20 for text in found.help.values())


def test_an_orphaned_backup_is_left_out() -> None:
    orphan = Standing("gone/files", None, GOOD, GOOD, None, LastChecks())
    assert b"gone" not in metrics([orphan, NEVER])


# What a configuration may have in a name: anything but control characters and surrogates.
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('"\\{}\u2028n,=#'), min_size=1)


@given(project=NAMES, path=NAMES)
def test_any_name_comes_back_from_the_text(project: str, path: str) -> None:
    target = replace(DISK, path=path)
    standing = standing_of(replace(BACKUP, project=project, targets=(target,)))
    found = Metrics(metrics([standing]))
    assert found.get("holdfast_backup_enabled", project=project) == 1
    assert found.get("holdfast_target_last_good_timestamp_seconds", project=project, target=f"DISK:{path}") == 0


def test_a_secret_in_a_name_is_taken_out() -> None:
    Secret("canary-of-the-metrics")
    backup = replace(BACKUP, project="canary-of-the-metrics", targets=(replace(DISK, path="canary-of-the-metrics"),))
    failed = replace(FAILED, message="canary-of-the-metrics")
    text = metrics([standing_of(backup, failed)])
    assert b"canary" not in text
    assert Metrics(text).get("holdfast_target_last_good_timestamp_seconds", target="DISK:****") == 0


@pytest.mark.parametrize("count", [1, 40])
def test_there_are_no_more_series_than_the_configuration_asks_for(count: int) -> None:
    """Whatever ran: what a run says, such as a message or the name of a file, makes none."""
    standings = [standing_of(replace(BACKUP, id=f"shop/{number}"), FAILED, GOOD) for number in range(count)]
    assert len(Metrics(metrics(standings)).series) == 2 + count * (13 + 7 + 7 + 2 * (4 + 4))


def test_the_documentation_names_every_metric_and_no_other() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    passed = check(CheckKind.VERIFY, CheckOutcome.PASSED, 1)
    checks = LastChecks(last={CheckKind.VERIFY: passed})
    standing = standing_of(BACKUP, GOOD, GOOD, next_run=NOW, checks=checks)
    made = {name for name, _ in Metrics(metrics([standing])).series}
    assert set(re.findall(r"^\| `(holdfast_\w+)`", text, re.MULTILINE)) == made
    assert set(re.findall(r"\bholdfast_\w+", text)) == made, "in a rule"
