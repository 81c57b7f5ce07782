"""What whoever shows the catalog asks of it: changed backups, histories, the runs of all backups, the space in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from model import Archive, Check, CheckKind, CheckOutcome, Run, RunPoint, RunStatus, Secret, Usage
from tests.support.catalogs import server

__all__ = ["server"]

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    url = Secret(request.getfixturevalue("server").new_database()) if request.param == "postgresql" else None
    return open_catalog(tmp_path / "state", url)


def good(run: Run, size: int) -> Run:
    archive = Archive(f"{run.id}.zip", run.started, size, "0" * 64, 7, size * 3)
    return replace(run, ended=run.started + timedelta(minutes=2), status=RunStatus.GOOD, archive=archive)


def test_each_record_of_a_backup_changes_its_revision_and_no_other(catalog: Catalog) -> None:
    catalog.begin_run(Run("other", "blog/db", NOW))
    run = Run("one", "shop/files", NOW)
    check = Check("c", "shop/files", CheckKind.VERIFY, "20261120T030000Z", "LOCAL", NOW, NOW, CheckOutcome.PASSED)
    steps: list[Callable[[], object]] = [
        lambda: catalog.begin_run(run),
        lambda: catalog.finish_run(good(run, 10)),
        lambda: catalog.begin_run(Run("two", "shop/files", NOW + DAY)),
        lambda: catalog.mark_dead_runs("shop/files", NOW + DAY),
        lambda: catalog.record_found([good(Run("three", "shop/files", NOW - DAY), 5)]),
        lambda: catalog.record_check(check),
        lambda: catalog.record_check(replace(check, id="d", started=NOW + DAY)),
        lambda: catalog.record_usage([Usage("shop/files", "LOCAL", 1, 10, NOW)]),
    ]
    seen = [catalog.revisions()]
    for step in steps:
        step()
        seen.append(catalog.revisions())
    of_shop = [revisions.get("shop/files", -1) for revisions in seen]
    assert of_shop == sorted(set(of_shop))
    assert len({revisions["blog/db"] for revisions in seen}) == 1


def test_what_changes_nothing_is_no_change(catalog: Catalog) -> None:
    found = good(Run("one", "shop/files", NOW), 10)
    catalog.record_found([found])
    before = catalog.revisions()
    catalog.record_found([found])
    catalog.mark_dead_runs("shop/files", NOW)
    catalog.forget_checks("shop/files", "LOCAL", [])
    catalog.last_runs(["shop/files"])
    assert catalog.revisions() == before


def test_history_has_every_run_since_then_with_its_sizes_oldest_first(catalog: Catalog) -> None:
    for number in range(4):
        run = Run(f"run-{number}", "shop/files", NOW + number * DAY)
        catalog.begin_run(run)
        if number != 2:
            catalog.finish_run(good(run, 100 + number))
    catalog.begin_run(Run("other", "blog/db", NOW + DAY))
    two_minutes = timedelta(minutes=2)
    assert catalog.history("shop/files", NOW + DAY) == [
        RunPoint("run-1", NOW + DAY, NOW + DAY + two_minutes, RunStatus.GOOD, 101, 303, 7),
        RunPoint("run-2", NOW + 2 * DAY, None, RunStatus.RUNNING),
        RunPoint("run-3", NOW + 3 * DAY, NOW + 3 * DAY + two_minutes, RunStatus.GOOD, 103, 309, 7),
    ]


def test_runs_are_paged_and_found_by_id(catalog: Catalog) -> None:
    for number in range(6):
        catalog.begin_run(Run(f"run-{number}", f"shop/{number % 2}", NOW + number * DAY))
    assert [run.id for run in catalog.runs_of_all(4)] == ["run-5", "run-4", "run-3", "run-2"]
    assert [run.id for run in catalog.runs_of_all(9, since=NOW + DAY, before=NOW + 4 * DAY)] == [
        *("run-3", "run-2", "run-1")
    ]
    assert [run.id for run in catalog.runs("shop/1", 2)] == ["run-5", "run-3"]
    assert [run.id for run in catalog.runs("shop/1", 2, before=NOW + 3 * DAY)] == ["run-1"]
    found = catalog.run("run-4")
    assert found is not None
    assert (found.backup_id, found.started) == ("shop/0", NOW + 4 * DAY)
    assert catalog.run("run-6") is None


def test_the_last_measure_of_each_target_counts(catalog: Catalog) -> None:
    catalog.record_usage([Usage("shop/files", "S3:b", 1, 10, NOW), Usage("shop/files", "LOCAL", 2, 20, NOW)])
    catalog.record_usage([Usage("shop/files", "S3:b", 3, 30, NOW + DAY)])
    assert catalog.last_usage(["shop/files", "blog/db"]) == {
        "shop/files": (Usage("shop/files", "LOCAL", 2, 20, NOW), Usage("shop/files", "S3:b", 3, 30, NOW + DAY)),
        "blog/db": (),
    }


def test_the_outcomes_of_one_backup(catalog: Catalog) -> None:
    for number in range(5):
        catalog.finish_run(good(Run(f"run {number}", "shop/files", NOW + number * DAY), 100 + number))
    catalog.finish_run(replace(Run("failed", "shop/files", NOW + 5 * DAY), status=RunStatus.FAILED))
    catalog.finish_run(good(Run("other", "blog/db", NOW + 2 * DAY), 7))
    assert sorted(catalog.outcomes("shop/files", NOW + 3 * DAY)) == [
        (NOW + 3 * DAY, RunStatus.GOOD),
        (NOW + 4 * DAY, RunStatus.GOOD),
        (NOW + 5 * DAY, RunStatus.FAILED),
    ]
    assert catalog.outcomes("shop/never", NOW) == []


def test_the_newest_runs_of_some_backups_only(catalog: Catalog) -> None:
    for number, backup_id in enumerate(("shop/files", "blog/db", "till/db", "blog/db")):
        catalog.finish_run(good(Run(f"run {number}", backup_id, NOW + number * DAY), 1))
    found = catalog.runs_of_all(10, since=NOW, before=NOW + 3 * DAY, backup_ids=["shop/files", "blog/db"])
    assert [run.id for run in found] == ["run 1", "run 0"]
