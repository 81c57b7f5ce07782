"""The metrics as text: what each says, that any name survives it, and how many series there are."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

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
    RunStatus,
    Secret,
    StorageDefinition,
    StorageType,
    Target,
    Usage,
)
from operations.metrics import metrics
from operations.status.overview import Standing
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
NEVER = Standing(BACKUP.id, BACKUP, None, None, None, LastChecks())


def check(kind: CheckKind, outcome: CheckOutcome, hours_ago: float) -> Check:
    began = NOW - timedelta(hours=hours_ago)
    return Check("c", BACKUP.id, kind, "20261120T030000Z", str(DISK), began, began, outcome)


def test_what_is_said_of_a_backup_whose_last_run_failed() -> None:
    verified = check(CheckKind.VERIFY, CheckOutcome.PASSED, 3)
    proven, drilled = check(CheckKind.DRILL, CheckOutcome.PASSED, 200), check(CheckKind.DRILL, CheckOutcome.FAILED, 2)
    checks = LastChecks(verified, proven, {CheckKind.VERIFY: verified, CheckKind.DRILL: drilled}, (verified,))
    standing = Standing(BACKUP.id, BACKUP, FAILED, GOOD, NOW + timedelta(hours=14), checks)
    usage = {BACKUP.id: [Usage(BACKUP.id, str(DISK), 7, 10**12 + 1, NOW), Usage(BACKUP.id, "OLD", 9, 9, NOW)]}
    found = Metrics(metrics([standing], usage))

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
    assert found.get("holdfast_target_last_good_timestamp_seconds", target="S3") == GOOD.started.timestamp()
    assert found.get("holdfast_config_valid") == 1
    assert found.get("holdfast_build_info") == 1


def test_a_backup_that_never_ran_has_times_that_alerts_see() -> None:
    found = Metrics(metrics([NEVER], {}, is_config_valid=False))
    assert found.get("holdfast_backup_status", status="never") == 1
    for name in ("last_run", "last_good", "last_verified", "last_proven"):
        assert found.get(f"holdfast_backup_{name}_timestamp_seconds") == 0
    assert found.get("holdfast_target_last_good_timestamp_seconds", target="S3") == 0
    assert found.get("holdfast_backup_last_good_archive_bytes") is None
    assert found.get("holdfast_backup_next_run_timestamp_seconds") is None
    assert found.all("holdfast_target_status") == {}
    assert found.get("holdfast_config_valid") == 0


def test_names_and_units_are_those_that_prometheus_asks_for() -> None:
    found = Metrics(metrics([Standing(BACKUP.id, BACKUP, GOOD, GOOD, NOW, LastChecks())], {}))
    assert all(re.fullmatch(r"holdfast_[a-z_]+", name) for name in found.types)
    assert set(found.types.values()) == {"gauge"}
    assert all(text.endswith(".") and len(text) > 20 for text in found.help.values())


def test_an_orphaned_backup_is_left_out() -> None:
    orphan = Standing("gone/files", None, GOOD, GOOD, None, LastChecks())
    assert b"gone" not in metrics([orphan, NEVER], {"gone/files": [Usage("gone/files", "S3", 1, 1, NOW)]})


# What a configuration may have in a name: anything but control characters and surrogates.
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('"\\{}\u2028n,=#'), min_size=1)


@given(project=NAMES, path=NAMES)
def test_any_name_comes_back_from_the_text(project: str, path: str) -> None:
    target = replace(DISK, path=path)
    standing = replace(NEVER, backup=replace(BACKUP, project=project, targets=(target,)))
    found = Metrics(metrics([standing], {}))
    assert found.get("holdfast_backup_enabled", project=project) == 1
    assert found.get("holdfast_target_last_good_timestamp_seconds", project=project, target=f"DISK:{path}") == 0


def test_a_secret_in_a_name_is_taken_out() -> None:
    Secret("canary-of-the-metrics")
    backup = replace(BACKUP, project="canary-of-the-metrics", targets=(replace(DISK, path="canary-of-the-metrics"),))
    failed = replace(FAILED, message="canary-of-the-metrics")
    text = metrics([Standing(backup.id, backup, failed, None, None, LastChecks())], {})
    assert b"canary" not in text
    assert Metrics(text).get("holdfast_target_last_good_timestamp_seconds", target="DISK:****") == 0


@pytest.mark.parametrize("count", [1, 40])
def test_there_are_no_more_series_than_the_configuration_asks_for(count: int) -> None:
    """Whatever ran: what a run says, such as a message or the name of a file, makes none."""
    standings = [
        Standing(f"shop/{number}", replace(BACKUP, id=f"shop/{number}"), FAILED, GOOD, NOW, LastChecks())
        for number in range(count)
    ]
    assert len(Metrics(metrics(standings, {})).series) == 2 + count * (12 + 7 + 2 * (1 + 4))


def test_the_documentation_names_every_metric_and_no_other() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    passed = check(CheckKind.VERIFY, CheckOutcome.PASSED, 1)
    standing = Standing(BACKUP.id, BACKUP, GOOD, GOOD, NOW, LastChecks(last={CheckKind.VERIFY: passed}))
    made = {name for name, _ in Metrics(metrics([standing], {BACKUP.id: [Usage(BACKUP.id, "S3", 1, 1, NOW)]})).series}
    assert set(re.findall(r"^\| `(holdfast_\w+)`", text, re.MULTILINE)) == made
    assert set(re.findall(r"\bholdfast_\w+", text)) == made, "in a rule"
