"""The rules that stand above all words of KEEP: what never goes, whatever the words, the runs and the clock say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import CalendarSpan, Keep, RunStatus
from operations.retention.decisions import Candidate, Decision, decide
from operations.retention.keep_rules import wanted

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
GONE = Decision(False, ("no rule of KEEP asks for it",))


def good(days_ago: float, **words: str) -> Candidate:
    return Candidate(NOW - days_ago * DAY, RunStatus.GOOD, **words)


def partial(days_ago: float, **words: str) -> Candidate:
    return Candidate(NOW - days_ago * DAY, RunStatus.PARTIAL, **words)


def stays(copies: Sequence[Candidate], keep: Keep, made: datetime | None = None, now: datetime = NOW) -> list[bool]:
    return [decision.stays for decision in decide(copies, keep, now, ZONE, made)]


def test_each_copy_has_its_reasons_in_the_order_that_was_given() -> None:
    copies = [good(2), good(1), good(3)]
    assert decide(copies, Keep(last=2), NOW, ZONE) == [
        Decision(True, ("one of the newest 2",)),
        Decision(True, ("the newest good copy", "one of the newest 2")),
        GONE,
    ]


def test_without_a_rule_everything_stays() -> None:
    for keep in (Keep(), Keep(min_count=1)):
        decisions = decide([good(1), good(500), partial(600)], keep, NOW, ZONE)
        assert decisions == [Decision(True, ("no rule of KEEP says which copies are enough",))] * 3


def test_without_a_good_copy_everything_stays() -> None:
    copies = [partial(1), partial(2), good(3, problem="the archive is missing"), good(-1)]
    decisions = decide(copies, Keep(last=1), NOW, ZONE)
    assert [decision.stays for decision in decisions] == [True] * 4
    assert all("there is no good copy" in decision.reasons for decision in decisions)


def test_nothing_goes_where_the_copy_of_the_run_is_not_there() -> None:
    copies = [good(1), good(2), good(3)]
    assert stays(copies, Keep(last=1), made=NOW - DAY) == [True, False, False]
    assert stays(copies, Keep(last=1), made=NOW) == [True] * 3
    assert stays([good(0, problem="the index is missing"), *copies], Keep(last=1), made=NOW) == [True] * 4
    assert stays([partial(0), *copies], Keep(last=1), made=NOW) == [True] * 4


def test_the_last_good_copy_stays_however_old_it_is() -> None:
    copies = [good(4000), partial(4000.5)]
    assert decide(copies, Keep(within=CalendarSpan(days=1)), NOW, ZONE) == [
        Decision(True, ("the last good copy", "within 1d of the newest")),
        Decision(True, ("within 1d of the newest",)),
    ]


def test_failing_for_weeks_removes_nothing() -> None:
    """Only partial copies are made, and time goes by: the good ones from before stay."""
    before = [good(60 + number) for number in range(7)]
    since = [partial(number) for number in range(30)]
    assert stays([*before, *since], Keep(daily=7)) == [True] * 37
    assert stays([*before, *since], Keep(within=CalendarSpan(days=7))) == [True] * 37


def test_partial_copies_take_no_place_of_good_ones_and_go_as_if_they_were_good() -> None:
    copies = [good(0), partial(1), partial(1.1), good(1.2), good(2), partial(2.1), partial(3)]
    decisions = decide(copies, Keep(daily=3), NOW, ZONE)
    assert [decision.stays for decision in decisions] == [True, True, False, True, True, False, False]
    assert decisions[1] == Decision(True, ("the newest of 2026-11-19",))
    assert decisions[6] == Decision(False, ("partial, and a newer copy is good",))


def test_a_copy_that_cannot_be_judged_stays_and_counts_for_nothing() -> None:
    copies = [good(0), Candidate(NOW - DAY, None, problem="the manifest is damaged"), good(2), good(3)]
    decisions = decide(copies, Keep(last=2), NOW, ZONE)
    assert [decision.stays for decision in decisions] == [True, True, True, False]
    assert decisions[1].reasons == ("it cannot be judged: the manifest is damaged",)


def test_a_copy_from_the_future_neither_goes_nor_lets_others_go() -> None:
    copies = [good(-3650), good(-1), good(0), good(1)]
    decisions = decide(copies, Keep(last=1), NOW, ZONE)
    assert [decision.stays for decision in decisions] == [True, True, True, False]
    assert decisions[0].reasons == ("its time is in the future",)


def test_the_clock_of_today_alone_lets_nothing_go() -> None:
    copies = [good(number) for number in range(10)]
    keep = Keep(daily=3, within=CalendarSpan(days=5))
    assert stays(copies, keep) == stays(copies, keep, now=NOW + 20_000 * DAY)


def test_a_clock_that_was_set_back_for_a_run_removes_nothing_that_was_newer() -> None:
    """The run is dated four years ago; what was made since is in the future for it."""
    made = NOW - 1500 * DAY
    copies = [Candidate(made, RunStatus.GOOD), *(good(number) for number in range(5)), good(1501)]
    assert stays(copies, Keep(last=1), made=made, now=made + timedelta(minutes=1)) == [True] * 6 + [False]


@pytest.mark.parametrize("runs_after", [1, 2, 6])
def test_a_clock_that_jumped_ahead_makes_nothing_old(runs_after: int) -> None:
    """WITHIN counts from the newest copy, and that is of the year 2036: what was within before stays."""
    before = [good(number) for number in range(20)]
    jumped = [good(-3650 - number) for number in range(runs_after)]
    now = NOW + 3700 * DAY
    decisions = decide([*before, *jumped], Keep(within=CalendarSpan(days=7)), now, ZONE)
    assert [decision.stays for decision in decisions] == [number < 7 for number in range(20)] + [True] * runs_after
    reason = "within 7d before a longer gap, and fewer copies were made after it"
    assert decisions[0].reasons == (reason,)


def test_after_a_gap_as_many_new_copies_let_the_old_ones_go() -> None:
    before = [good(100 + number) for number in range(7)]
    after = [good(number) for number in range(7)]
    assert stays([*before, *after[:6]], Keep(within=CalendarSpan(days=7))) == [True] * 13
    assert stays([*before, *after], Keep(within=CalendarSpan(days=7))) == [False] * 7 + [True] * 7


def test_copies_that_were_always_further_apart_go_as_in_restic() -> None:
    copies = [good(7 * number) for number in range(5)]
    assert stays(copies, Keep(within=CalendarSpan(days=1))) == [True, False, False, False, False]


def test_never_fewer_than_the_minimum() -> None:
    copies = [good(0), partial(0.5), good(40), good(80), good(120)]
    keep = Keep(last=1, min_count=3)
    decisions = decide(copies, keep, NOW, ZONE)
    assert [decision.stays for decision in decisions] == [True, False, True, True, False]
    assert decisions[3].reasons == ("one of at least 3 good copies",)
    assert stays([good(0), good(1, problem="it is damaged"), good(2)], Keep(last=1, min_count=2)) == [True] * 3


def test_what_is_pinned_stays_and_counts_for_the_minimum() -> None:
    copies = [good(0), good(1), good(2, pin="before the upgrade"), partial(3, pin="a start")]
    decisions = decide(copies, Keep(last=1, min_count=2), NOW, ZONE)
    assert [decision.stays for decision in decisions] == [True, False, True, True]
    assert decisions[2].reasons == ("pinned: before the upgrade",)


def test_good_copies_of_the_same_second_stay_together() -> None:
    assert stays([good(0), good(0), good(1), good(1)], Keep(last=1)) == [True, True, False, False]


# --- any history ----------------------------------------------------------------------------------------------------

# Few different steps, so that duplicates, gaps and full days are frequent; some copies are in the future.
times = st.one_of(
    st.integers(-3, 40).map(lambda hours: NOW - timedelta(hours=hours * 9)),
    st.integers(-40, 900).map(lambda days: NOW - timedelta(days=days, hours=1)),
)
candidates = st.builds(
    Candidate,
    started=times,
    status=st.sampled_from([RunStatus.GOOD, RunStatus.GOOD, RunStatus.GOOD, RunStatus.PARTIAL]),
    problem=st.sampled_from([None, None, None, None, "damaged"]),
    pin=st.sampled_from([None, None, None, None, "pinned"]),
)
counts = st.none() | st.integers(1, 6)
spans = st.none() | st.sampled_from([CalendarSpan(hours=20), CalendarSpan(days=7), CalendarSpan(months=2)])
keeps = st.builds(Keep, *[counts] * 6, within=spans, min_count=counts)
histories = st.lists(candidates, max_size=25)


def is_sound(copy: Candidate) -> bool:
    return copy.problem is None and copy.started <= NOW


def is_good(copy: Candidate) -> bool:
    return is_sound(copy) and copy.status is RunStatus.GOOD


@given(copies=histories, keep=keeps)
def test_what_goes_has_a_newer_good_copy_that_stays(copies: list[Candidate], keep: Keep) -> None:
    decisions = decide(copies, keep, NOW, ZONE)
    kept = [copy for copy, decision in zip(copies, decisions, strict=True) if decision.stays]
    for copy, decision in zip(copies, decisions, strict=True):
        assert decision.reasons
        if decision.stays:
            continue
        assert is_sound(copy)
        assert copy.pin is None
        assert any(is_good(other) and other.started > copy.started for other in kept)
    all_good = sum(map(is_good, copies))
    assert sum(map(is_good, kept)) >= min(all_good, keep.min_count or 1)


@given(copies=histories, keep=keeps)
def test_what_the_words_ask_for_stays(copies: list[Candidate], keep: Keep) -> None:
    all_good = sorted(filter(is_good, copies), key=lambda copy: copy.started, reverse=True)
    decisions = decide(all_good, keep, NOW, ZONE)
    reasons = wanted([copy.started for copy in all_good], keep, ZONE)
    for decision, asked in zip(decisions, reasons, strict=True):
        assert set(asked) <= set(decision.reasons)
        assert decision.stays or not asked


@given(copies=st.lists(candidates, max_size=25, unique_by=lambda copy: copy.started), keep=keeps)
def test_the_order_of_the_list_does_not_matter(copies: list[Candidate], keep: Keep) -> None:
    oldest_first = sorted(copies, key=lambda copy: copy.started)
    assert decide(oldest_first, keep, NOW, ZONE) == decide(oldest_first[::-1], keep, NOW, ZONE)[::-1]


@given(copies=histories, keep=keeps)
def test_what_stayed_once_stays_when_it_is_asked_again(copies: list[Candidate], keep: Keep) -> None:
    """Otherwise each pruning would take a bit more, without a new copy."""
    kept = [copy for copy, decision in zip(copies, decide(copies, keep, NOW, ZONE), strict=True) if decision.stays]
    assert all(stays(kept, keep))


@given(copies=histories, keep=keeps, hours=st.integers(1, 3000))
def test_what_goes_today_goes_tomorrow_too(copies: list[Candidate], keep: Keep, hours: int) -> None:
    """Where it could not be removed today, another good run changes nothing for it."""
    copies = [copy for copy in copies if copy.started <= NOW]
    today = stays(copies, keep)
    tomorrow = NOW + timedelta(hours=hours)
    later = stays([*copies, Candidate(tomorrow, RunStatus.GOOD)], keep, now=tomorrow)[:-1]
    assert all(was_kept or not is_kept for was_kept, is_kept in zip(today, later, strict=True))


@given(copies=histories, keep=keeps, hours=st.integers(1, 100_000))
def test_time_that_goes_by_removes_nothing(copies: list[Candidate], keep: Keep, hours: int) -> None:
    copies = [copy for copy in copies if copy.started <= NOW]
    assert stays(copies, keep) == stays(copies, keep, now=NOW + timedelta(hours=hours))
