"""What the catalog remembers of checks, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import dataclasses
import sqlite3
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import Catalog, LastChecks, check_queries, open_catalog
from errors import CatalogError
from model import Check, CheckKind, CheckOutcome, Run, Secret
from tests.support.catalogs import catalog, open_again, server

__all__ = ["catalog", "open_again", "server"]

NOW = datetime(2026, 11, 20, 3, 0, 0, 123456, UTC)
HOUR = timedelta(hours=1)
VERIFY, DRILL = CheckKind.VERIFY, CheckKind.DRILL
PASSED, FAILED, STALE, NOT_DONE = CheckOutcome.PASSED, CheckOutcome.FAILED, CheckOutcome.STALE, CheckOutcome.NOT_DONE
MONDAY, TUESDAY = "20261116T030000Z", "20261117T030000Z"


def check(
    number: int,
    kind: CheckKind = VERIFY,
    outcome: CheckOutcome = PASSED,
    copy: str = MONDAY,
    target: str = "LOCAL",
    backup_id: str = "shop/db",
) -> Check:
    """The check of this number, so many hours after ``NOW``."""
    started = NOW + HOUR * number
    return Check(f"{number:05}", backup_id, kind, copy, target, started, started + HOUR / 2, outcome, "as found")


def record(catalog: Catalog, *checks: Check) -> None:
    for each in checks:
        catalog.record_check(each)


@pytest.mark.parametrize("kind", list(CheckKind))
@pytest.mark.parametrize("outcome", list(CheckOutcome))
def test_a_check_is_remembered_whole(
    kind: CheckKind, outcome: CheckOutcome, catalog: Catalog, open_again: Callable[[], Catalog]
) -> None:
    catalog.record_check(check(1, kind, outcome))
    assert open_again().last_checks(["shop/db"])["shop/db"].last == {kind: check(1, kind, outcome)}
    with pytest.raises(CatalogError):
        catalog.record_check(check(1, kind, outcome))


def test_a_backup_is_known_by_its_checks(catalog: Catalog) -> None:
    record(catalog, check(1, backup_id="b/b"), check(2, backup_id="b/b"))
    catalog.begin_run(Run("1", "a/a", NOW))
    assert catalog.known_backup_ids() == ["a/a", "b/b"]
    catalog.begin_run(Run("2", "b/b", NOW))
    assert catalog.known_backup_ids() == ["a/a", "b/b"]


def test_how_far_backups_are_proven(catalog: Catalog) -> None:
    history = [
        check(1, VERIFY, PASSED),
        check(2, DRILL, PASSED),
        check(3, DRILL, STALE, TUESDAY),
        check(4, DRILL, FAILED),
        check(5, VERIFY, NOT_DONE),
    ]
    other = [check(6, DRILL, PASSED, backup_id="other/x"), check(7, DRILL, NOT_DONE, backup_id="other/x")]
    record(catalog, *reversed(history), *other)
    assert catalog.last_checks(["shop/db", "other/x", "never/checked"]) == {
        "shop/db": LastChecks(history[0], history[2], {VERIFY: history[4], DRILL: history[3]}),
        "other/x": LastChecks(None, other[0], {DRILL: other[1]}),
        "never/checked": LastChecks(),
    }
    assert catalog.last_checks([]) == {}


def test_what_is_to_be_read_next(catalog: Catalog) -> None:
    record(
        catalog,
        check(1, VERIFY, PASSED),
        check(2, DRILL, STALE),
        check(3, VERIFY, FAILED),
        check(4, VERIFY, PASSED, TUESDAY, "S3"),
        check(5, VERIFY, NOT_DONE, TUESDAY),
        check(6, DRILL, PASSED, TUESDAY, backup_id="other/x"),
    )
    assert catalog.last_verified("shop/db") == {("LOCAL", MONDAY): NOW + 2 * HOUR, ("S3", TUESDAY): NOW + 4 * HOUR}
    assert catalog.last_verified("never/checked") == {}


def damaged(catalog: Catalog) -> list[str]:
    return [each.id for each in catalog.last_checks(["shop/db"])["shop/db"].damaged]


def test_a_copy_is_damaged_until_it_is_found_well(catalog: Catalog) -> None:
    record(
        catalog,
        check(1, VERIFY, FAILED),
        check(2, VERIFY, FAILED, target="S3"),
        check(3, VERIFY, PASSED, TUESDAY),
        check(4, VERIFY, FAILED),
        check(5, VERIFY, NOT_DONE),
        check(6, DRILL, FAILED, TUESDAY),
    )
    assert damaged(catalog) == ["00002", "00004"]
    record(catalog, check(7, VERIFY, PASSED))
    assert damaged(catalog) == ["00002"]
    record(catalog, check(8, DRILL, STALE, target="S3"))
    assert damaged(catalog) == []


def test_checks_of_copies_that_are_gone_are_forgotten(catalog: Catalog) -> None:
    record(
        catalog,
        check(1, VERIFY, PASSED),
        check(2, DRILL, PASSED),
        check(3, VERIFY, FAILED),
        check(4, VERIFY, FAILED, target="S3"),
        check(5, VERIFY, PASSED, TUESDAY),
        check(6, VERIFY, FAILED, backup_id="other/x"),
    )
    before = catalog.last_checks(["shop/db"])["shop/db"]
    catalog.forget_checks("shop/db", "LOCAL", [MONDAY, TUESDAY])
    assert catalog.last_checks(["shop/db"])["shop/db"] == before
    catalog.forget_checks("shop/db", "LOCAL", {TUESDAY})
    assert damaged(catalog) == ["00004"]
    assert catalog.last_verified("shop/db") == {("LOCAL", MONDAY): NOW + 2 * HOUR, ("LOCAL", TUESDAY): NOW + 5 * HOUR}
    catalog.forget_checks("shop/db", "S3", [])
    catalog.forget_checks("shop/db", "LOCAL", [])
    after = catalog.last_checks(["shop/db"])["shop/db"]
    assert (after.verified, after.proven, after.damaged) == (before.verified, before.proven, ())
    assert len(catalog.last_checks(["other/x"])["other/x"].damaged) == 1


def test_the_newest_that_passed_outlives_all_that_failed_since(
    catalog: Catalog, open_again: Callable[[], Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_queries, "NEWEST_KEPT", 3)
    record(catalog, check(0, VERIFY, PASSED), check(1, DRILL, STALE), check(2, DRILL, PASSED, TUESDAY))
    record(catalog, *(check(number, VERIFY, FAILED) for number in range(3, 9)))
    found = open_again().last_checks(["shop/db"])["shop/db"]
    assert (found.verified, found.proven) == (check(0, VERIFY, PASSED), check(2, DRILL, PASSED, TUESDAY))
    assert found.damaged == (check(8, VERIFY, FAILED),)


def test_two_hundred_of_each_kind_stay(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path, None)
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute("INSERT INTO backups (id) VALUES ('shop/db'), ('other/x')")
        rows = [check(number, kind) for kind in CheckKind for number in range(300)]
        rows += [check(number, backup_id="other/x") for number in range(300)]
        connection.executemany(
            f"INSERT INTO checks VALUES ({', '.join('?' * 9)})",
            [(f"{row.backup_id} {row.kind} {row.id}", *map(str, dataclasses.astuple(row)[1:])) for row in rows],
        )
    connection.close()
    record(catalog, check(900))
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        counted = connection.execute("SELECT backup_id, kind, count(*) FROM checks GROUP BY 1, 2 ORDER BY 1, 2")
        assert counted.fetchall() == [("other/x", "verify", 300), ("shop/db", "drill", 300), ("shop/db", "verify", 200)]
    connection.close()


def test_a_secret_in_a_message_does_not_get_in(catalog: Catalog) -> None:
    Secret("canary-of-the-checks")
    catalog.record_check(dataclasses.replace(check(1), message="said canary-of-the-checks \0 \udcff é"))
    assert catalog.last_checks(["shop/db"])["shop/db"].last[VERIFY].message == "said **** \\x00 \\udcff é"


# --- any history ------------------------------------------------------------------------------------------------

ONE_CHECK = st.tuples(
    st.sampled_from(CheckKind),
    st.sampled_from(CheckOutcome),
    st.sampled_from([MONDAY, TUESDAY]),
    st.sampled_from(["LOCAL:a", "LOCAL:b"]),
    st.integers(0, 8),
)


def expected(history: list[Check]) -> tuple[LastChecks, dict[tuple[str, str], datetime]]:
    """What is to be answered of one backup, from all that was ever recorded."""
    oldest_first = sorted(history, key=lambda each: (each.started, each.id))
    good = [each for each in oldest_first if each.outcome in (PASSED, STALE)]
    known: dict[tuple[str, str], Check] = {}
    for each in oldest_first:
        if each in good or (each.kind, each.outcome) == (VERIFY, FAILED):
            known[each.target, each.copy] = each
    last = LastChecks(
        verified=next((each for each in reversed(good) if (each.kind, each.outcome) == (VERIFY, PASSED)), None),
        proven=next((each for each in reversed(good) if each.kind is DRILL), None),
        last={each.kind: each for each in oldest_first},
        damaged=tuple(each for each in oldest_first if each in known.values() and each.outcome is FAILED),
    )
    return last, {(each.target, each.copy): each.started for each in good}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog in which each history is that of another backup."""
    return open_catalog(tmp_path_factory.mktemp("shared"), None)


@settings(max_examples=40)
@given(drawn=st.lists(ONE_CHECK, max_size=20), kept=st.integers(1, 4))
def test_no_answer_changes_because_old_checks_are_removed(
    shared: Catalog, drawn: list[tuple[CheckKind, CheckOutcome, str, str, int]], kept: int
) -> None:
    backup_id = f"shop/{uuid.uuid4().hex}"
    history = [
        dataclasses.replace(check(at, kind, outcome, copy, target, backup_id), id=f"{backup_id} {number:05}")
        for number, (kind, outcome, copy, target, at) in enumerate(drawn)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_queries, "NEWEST_KEPT", kept)
        record(shared, *history)
    last, verified = expected(history)
    assert shared.last_checks([backup_id]) == {backup_id: last}
    assert shared.last_verified(backup_id) == verified


def test_so_many_copies_are_remembered_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_queries, "NEWEST_KEPT", 3)
    monkeypatch.setattr(check_queries, "COPIES_KEPT", 10)
    catalog = open_catalog(tmp_path, None)
    record(catalog, *(check(number, copy=f"{number:05}") for number in range(25)))
    assert list(catalog.last_verified("shop/db")) == [("LOCAL", f"{number:05}") for number in range(15, 25)]
    record(catalog, *(check(number, VERIFY, FAILED, copy=f"{number:05}") for number in range(25, 40)))
    found = catalog.last_checks(["shop/db"])["shop/db"]
    assert (found.verified, len(found.damaged)) == (check(24, copy="00024"), 10)
