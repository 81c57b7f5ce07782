"""What the catalog remembers, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from catalog import Catalog, LastRuns
from errors import CatalogError
from model import Archive, Copy, Run, RunStatus, Secret
from tests.support.catalogs import catalog, open_again, server

__all__ = ["catalog", "open_again", "server"]

NOW = datetime(2026, 11, 20, 3, 0, 0, 123456, UTC)
MINUTE = timedelta(minutes=1)


def running(run_id: str, backup_id: str = "shop/uploads", started: datetime = NOW, slot: datetime | None = None) -> Run:
    return Run(run_id, backup_id, started, slot)


def finished(run: Run, status: RunStatus = RunStatus.GOOD) -> Run:
    archive = Archive(f"{run.id}.zip", run.started, 2**40 + 1, "ab" * 32, 70_000, 2**41 + 1)
    copies = (
        Copy("LOCAL", f"shop/{run.id}.zip", RunStatus.GOOD, 2**40 + 1),
        Copy("S3", f"shop/{run.id}.zip", RunStatus.FAILED, 0, "The bucket is gone."),
        Copy("LOCAL", f"other/{run.id}.zip", RunStatus.GOOD, 2**40 + 1),
    )
    return dataclasses.replace(
        run, status=status, ended=run.started + MINUTE, message="3 copies", archive=archive, copies=copies
    )


def test_a_run_is_remembered_whole(catalog: Catalog, open_again: Callable[[], Catalog]) -> None:
    run = running("1", slot=NOW - MINUTE)
    catalog.begin_run(run)
    assert catalog.runs("shop/uploads", 10) == [run]
    catalog.finish_run(finished(run))
    assert catalog.runs("shop/uploads", 10) == [finished(run)]
    assert open_again().runs("shop/uploads", 10) == [finished(run)]


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_status(catalog: Catalog, status: RunStatus) -> None:
    catalog.begin_run(running("1"))
    catalog.finish_run(finished(running("1"), status))
    assert [run.status for run in catalog.runs("shop/uploads", 10)] == [status]


def test_times_of_other_zones_are_the_same_moment(catalog: Catalog) -> None:
    run = running("1", started=NOW.astimezone(timezone(timedelta(hours=5, minutes=45))))
    catalog.begin_run(run)
    found = catalog.runs("shop/uploads", 1)[0]
    assert found.started == NOW
    assert found.started.tzinfo == UTC


def test_finishing_again_replaces_what_was_there(catalog: Catalog) -> None:
    run = running("1")
    catalog.begin_run(run)
    catalog.finish_run(finished(run))
    failed = dataclasses.replace(run, status=RunStatus.FAILED, ended=NOW, message="no")
    catalog.finish_run(failed)
    assert catalog.runs("shop/uploads", 10) == [failed]


def test_a_run_that_was_lost_is_recorded_when_it_ends(catalog: Catalog) -> None:
    catalog.finish_run(finished(running("1")))
    assert catalog.runs("shop/uploads", 10) == [finished(running("1"))]
    assert catalog.known_backup_ids() == ["shop/uploads"]


def test_the_same_id_cannot_begin_twice(catalog: Catalog) -> None:
    catalog.begin_run(running("1"))
    with pytest.raises(CatalogError):
        catalog.begin_run(running("1", "other/backup"))
    assert catalog.known_backup_ids() == ["shop/uploads"]


def test_runs_are_newest_first_and_limited(catalog: Catalog) -> None:
    runs = [running(str(number), started=NOW + MINUTE * (number // 2)) for number in range(6)]
    for run in runs:
        catalog.begin_run(run)
    catalog.begin_run(running("other", "shop/other"))
    assert catalog.runs("shop/uploads", 100) == runs[::-1]
    assert catalog.runs("shop/uploads", 2) == [runs[5], runs[4]]
    assert catalog.runs("shop/absent", 2) == []


def test_last_runs(catalog: Catalog) -> None:
    first, second, third = (finished(running(name, started=NOW + MINUTE * at)) for at, name in enumerate("abc"))
    partial = dataclasses.replace(second, status=RunStatus.PARTIAL)
    failed = dataclasses.replace(third, status=RunStatus.FAILED, archive=None, copies=())
    under_way = running("d", "shop/other")
    for run in (failed, first, partial):
        catalog.begin_run(dataclasses.replace(run, archive=None, copies=(), status=RunStatus.RUNNING))
        catalog.finish_run(run)
    catalog.begin_run(under_way)
    assert catalog.last_runs(["shop/uploads", "shop/other", "shop/never"]) == {
        "shop/uploads": LastRuns(failed, first),
        "shop/other": LastRuns(under_way, None),
        "shop/never": LastRuns(None, None),
    }
    assert catalog.last_runs([]) == {}


def found(number: int, backup_id: str = "shop/uploads") -> Run:
    """A run as its manifest tells it."""
    return dataclasses.replace(finished(running(f"{number:05}", backup_id, NOW + MINUTE * number)), message="")


def test_runs_that_were_found_are_recorded_whole(catalog: Catalog) -> None:
    runs = [found(number, f"shop/{number % 3}") for number in range(1_234)]
    assert catalog.record_found(iter(runs)) == 1_234
    assert catalog.known_backup_ids() == ["shop/0", "shop/1", "shop/2"]
    for backup_id in catalog.known_backup_ids():
        of_backup = [run for run in runs if run.backup_id == backup_id]
        assert catalog.runs(backup_id, 10_000) == of_backup[::-1]
        assert catalog.last_runs([backup_id]) == {backup_id: LastRuns(of_backup[-1], of_backup[-1])}
    assert catalog.record_found([*runs, found(9_999)]) == 1
    assert catalog.record_found([]) == 0


def test_of_a_run_that_is_known_only_what_is_missing_is_taken(catalog: Catalog) -> None:
    known = [running(f"{number:05}", started=NOW + MINUTE * number) for number in range(5)]
    whole = dataclasses.replace(finished(known[0]), message="as it was", copies=finished(known[0]).copies[1:2])
    without_archive = dataclasses.replace(finished(known[1]), archive=None)
    without_copies = dataclasses.replace(finished(known[2]), status=RunStatus.FAILED, copies=())
    for run in (whole, without_archive, without_copies):
        catalog.finish_run(run)
    catalog.begin_run(known[3])
    catalog.begin_run(known[4])
    (dead, _) = catalog.mark_dead_runs("shop/uploads", NOW + 9 * MINUTE)
    assert catalog.record_found([found(number, "other/backup") for number in range(4)]) == 0
    assert catalog.runs("shop/uploads", 10)[1:] == [
        dataclasses.replace(dead, archive=found(3).archive, copies=found(3).copies),
        dataclasses.replace(without_copies, copies=found(2).copies),
        dataclasses.replace(without_archive, archive=found(1).archive),
        whole,
    ]
    assert catalog.runs("shop/uploads", 1)[0].copies == ()
    assert catalog.known_backup_ids() == ["shop/uploads"]


def test_a_run_that_is_found_twice_is_one(catalog: Catalog) -> None:
    whole = found(1)
    first = dataclasses.replace(whole, archive=None)
    second = dataclasses.replace(whole, copies=whole.copies[:1], message="the second")
    assert catalog.record_found([first, second]) == 1
    assert catalog.runs("shop/uploads", 10) == [whole]


def test_runs_may_be_found_by_several_at_once(open_again: Callable[[], Catalog]) -> None:
    runs = [found(number) for number in range(700)]
    orders = [runs, runs[::-1], runs[350:] + runs[:350]]
    with ThreadPoolExecutor(3) as threads:
        counts = list(threads.map(lambda order: open_again().record_found(order), orders))
    assert sum(counts) >= 700
    assert open_again().runs("shop/uploads", 1_000) == runs[::-1]


def test_slot_runs(catalog: Catalog) -> None:
    runs = [running(str(number), started=NOW + MINUTE * number, slot=NOW) for number in range(3)]
    for run in reversed(runs):
        catalog.begin_run(run)
    catalog.begin_run(running("by hand"))
    catalog.begin_run(running("other", "shop/other", slot=NOW))
    assert catalog.slot_runs("shop/uploads", NOW) == runs
    assert catalog.slot_runs("shop/uploads", NOW + MINUTE) == []


def test_dead_runs_become_interrupted_and_others_stay(catalog: Catalog) -> None:
    done, dead, other = finished(running("1")), running("2", started=NOW + MINUTE), running("3", "shop/other")
    catalog.finish_run(done)
    catalog.begin_run(dead)
    catalog.begin_run(other)
    marked = catalog.mark_dead_runs("shop/uploads", NOW + 9 * MINUTE)
    assert [(run.id, run.status, run.ended) for run in marked] == [("2", RunStatus.INTERRUPTED, NOW + 9 * MINUTE)]
    assert "killed" in marked[0].message
    assert catalog.runs("shop/uploads", 10) == [marked[0], done]
    assert catalog.runs("shop/other", 10) == [other]
    assert catalog.mark_dead_runs("shop/uploads", NOW) == []


def test_known_backups_are_those_that_ran(catalog: Catalog) -> None:
    assert catalog.known_backup_ids() == []
    for number, backup_id in enumerate(["b/b", "a/Z", "a/é", "a/z", "b/b"]):
        catalog.begin_run(running(str(number), backup_id))
    catalog.record_schedule({"never/ran": ("@daily",)}, NOW)
    assert catalog.known_backup_ids() == ["a/Z", "a/z", "a/é", "b/b"]


def test_a_schedule_stands_since_its_intervals_were_seen_first(catalog: Catalog) -> None:
    assert catalog.schedule_since() == {}
    catalog.record_schedule({"a/a": ("0 2 * * *",), "a/b": ("@daily", "0 5 * * *")}, NOW)
    later = NOW + MINUTE
    catalog.record_schedule({"a/a": ("0 3 * * *",), "a/b": ("@daily", "0 5 * * *"), "a/c": ("@hourly",)}, later)
    assert catalog.schedule_since() == {"a/a": later, "a/b": NOW, "a/c": later}
    catalog.record_schedule({"a/b": ("0 5 * * *", "@daily")}, later + MINUTE)
    assert catalog.schedule_since() == {"a/b": later + MINUTE}
    catalog.record_schedule({}, later)
    assert catalog.schedule_since() == {}


def test_secrets_and_unstorable_characters_do_not_get_in(catalog: Catalog) -> None:
    Secret("canary-of-the-catalog")
    failed = Copy("S3", "key", RunStatus.FAILED, 0, "refused canary-of-the-catalog \0 \udcff")
    run = dataclasses.replace(running("1"), message="said canary-of-the-catalog \0 \udcff é", copies=(failed,))
    catalog.finish_run(run)
    found = catalog.runs("shop/uploads", 1)[0]
    assert found.message == "said **** \\x00 \\udcff é"
    assert found.copies[0].error == "refused **** \\x00 \\udcff"
