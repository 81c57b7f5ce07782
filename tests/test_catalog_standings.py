"""How backups stand, as the catalog answers it for many at once: as a plain look through all runs would, on SQLite and
PostgreSQL."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import Catalog, StandingFacts
from catalog.standing_queries import EARLIER_GOOD, NEWEST_GOOD
from model import Archive, Check, CheckKind, CheckOutcome, Copy, Run, RunPoint, RunStatus, Usage
from tests.support.catalogs import catalog, open_again, server

__all__ = ["catalog", "open_again", "server"]

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD, FAILED, PARTIAL, SKIPPED = RunStatus.GOOD, RunStatus.FAILED, RunStatus.PARTIAL, RunStatus.SKIPPED
FIRST, SECOND = ("LOCAL", "first/shop/files/"), ("LOCAL", "second/shop/files/")


def run(number: int, status: RunStatus, *copies: RunStatus, backup_id: str = "shop/files") -> Run:
    """Of so many days before now; with a copy below ``first`` and ``second`` for each of the ``copies``."""
    started = NOW - number * DAY
    ended = None if status is RunStatus.RUNNING else started + timedelta(minutes=5)
    archive = Archive("a.zip", started, 100 + number, "0" * 64, 7, 300 + number) if copies else None
    places = zip(("first", "second"), copies, strict=False)
    stored = tuple(Copy("LOCAL", f"{path}/{backup_id}/x.zip", how, 1) for path, how in places)
    return Run(f"{backup_id} {number:03} {status}", backup_id, started, None, ended, status, "", archive, stored)


def point(of: Run) -> RunPoint:
    archive = of.archive
    sizes = (archive.size, archive.content_size, archive.file_count) if archive is not None else ()
    return RunPoint(of.id, of.started, of.ended, of.status, *sizes)


def facts(catalog: Catalog, *places: tuple[str, str]) -> StandingFacts:
    found = catalog.standing_facts({"shop/files": places}, until=NOW + DAY, earlier=NOW - 30 * DAY)
    return found["shop/files"]


def test_nothing_is_known_of_a_backup_that_never_ran(catalog: Catalog) -> None:
    assert facts(catalog, FIRST) == StandingFacts()


def test_the_last_runs_and_the_newest_of_each_status(catalog: Catalog) -> None:
    runs = [
        run(5, GOOD, GOOD),
        run(4, FAILED),
        run(3, PARTIAL, PARTIAL),
        run(2, SKIPPED),
        run(1, RunStatus.RUNNING),
        run(6, GOOD, GOOD),
        run(0, GOOD, GOOD, backup_id="blog/db"),
    ]
    catalog.record_found(runs)
    found = facts(catalog, FIRST)
    assert (found.last, found.last_good, found.last_ended) == (runs[4], runs[0], runs[2])
    assert found.newest == {each.status: point(each) for each in runs[:5]}


def test_two_targets_on_one_storage_are_told_apart_by_their_paths(catalog: Catalog) -> None:
    both, one, only_first = run(9, GOOD, GOOD, GOOD), run(3, FAILED, GOOD, FAILED), run(2, GOOD, GOOD, SKIPPED)
    catalog.record_found([both, one])
    assert facts(catalog, FIRST, SECOND).copies == {FIRST: point(one), SECOND: point(both)}
    catalog.record_found([only_first])
    found = facts(catalog, FIRST, SECOND, ("LOCAL", "fir"), ("S3", FIRST[1]), ("LOCAL", "shop/files/"))
    assert found.copies == {FIRST: point(only_first), SECOND: point(both), ("LOCAL", "fir"): point(only_first)}


def test_partial_copies_and_runs_from_the_future_do_not_count(catalog: Catalog) -> None:
    good, partial, future = run(5, GOOD, GOOD), run(1, PARTIAL, PARTIAL), run(-400, GOOD, GOOD)
    catalog.record_found([good, partial, future])
    found = facts(catalog, FIRST)
    assert (found.last, found.last_good) == (future, future)
    assert (found.last_ended, found.newest[GOOD], found.copies) == (partial, point(good), {FIRST: point(good)})
    assert found.good == (point(good),)


def test_the_newest_good_runs_and_some_of_a_month_earlier(catalog: Catalog) -> None:
    nightly = [run(number, FAILED if number % 3 == 0 else GOOD, GOOD) for number in range(100)]
    hourly = [
        Run(f"h{hour:03}", "blog/db", NOW - timedelta(hours=hour), status=GOOD, ended=NOW) for hour in range(1000)
    ]
    catalog.record_found([*nightly, *hourly])
    good = [point(each) for each in reversed(nightly) if each.status is GOOD]
    assert facts(catalog, FIRST).good == tuple(good[-NEWEST_GOOD:])
    other = catalog.standing_facts({"blog/db": []}, until=NOW + DAY, earlier=NOW - 30 * DAY)["blog/db"].good
    starts = [(NOW - each.started) // timedelta(hours=1) for each in other]
    assert starts == [*range(719 + EARLIER_GOOD, 719, -1), *range(NEWEST_GOOD - 1, -1, -1)]


def test_checks_usage_and_schedule_are_among_the_facts(catalog: Catalog) -> None:
    check = Check("c", "shop/files", CheckKind.VERIFY, "20261120T030000Z", "LOCAL", NOW, NOW, CheckOutcome.PASSED)
    usage = Usage("shop/files", "LOCAL:first", 2, 20, NOW)
    catalog.record_check(check)
    catalog.record_usage([usage])
    catalog.record_schedule({"shop/files": ("@daily",)}, NOW - DAY)
    found = facts(catalog, FIRST)
    assert (found.checks.verified, found.usage, found.scheduled_since) == (check, (usage,), NOW - DAY)


statuses = st.sampled_from([GOOD, GOOD, FAILED, PARTIAL, SKIPPED])
histories = st.lists(st.tuples(statuses, statuses, statuses), max_size=12)


@given(drawn=histories, others=histories)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_history_is_answered_as_by_a_look_through_all_runs(
    catalog: Catalog, drawn: list[tuple[RunStatus, RunStatus, RunStatus]], others: list[tuple[RunStatus, ...]]
) -> None:
    """Each example is a backup of its own, in one catalog."""
    backup_id = f"shop/{uuid.uuid4().hex}"
    runs = [run(20 - number, *each, backup_id=backup_id) for number, each in enumerate(drawn)]
    catalog.record_found(runs)
    catalog.record_found(run(20 - number, *each, backup_id="blog/db") for number, each in enumerate(others))
    places = [("LOCAL", f"{path}/{backup_id}/") for path in ("first", "second")]
    found = catalog.standing_facts({backup_id: places}, until=NOW, earlier=NOW - 30 * DAY)[backup_id]
    newest_first = runs[::-1]
    newest = {status: next(each for each in newest_first if each.status is status) for status, _, _ in drawn}
    assert found.newest == {status: point(each) for status, each in newest.items()}
    assert found.last_ended == next((each for each in newest_first if each.status is not SKIPPED), None)
    assert found.good == tuple(point(each) for each in runs if each.status is GOOD)
    copies = {
        place: next((point(each) for each in newest_first if each.copies[index].status is GOOD), None)
        for index, place in enumerate(places)
    }
    assert found.copies == {place: copy for place, copy in copies.items() if copy is not None}
