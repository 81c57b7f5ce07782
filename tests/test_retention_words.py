"""The words of KEEP that restic has too keep what the real restic keeps; days, weeks and clock changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import CalendarSpan, Keep, Period
from operations.retention.keep_rules import wanted
from operations.retention.periods import before, is_wanted, period_name
from tests.support.restic_forget import GOLDEN_FILE, ZONE, Restic, histories, keep_of, keeps_oldest
from tests.support.skips import requires_program

GOLDEN = json.loads(GOLDEN_FILE.read_text())
OLDEST = "the oldest, while"

moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]).map(
    ZoneInfo
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def kept(times: list[datetime], keep: Keep, *, with_oldest: bool) -> list[datetime]:
    """The oldest of a history stays since restic 0.17 while there are fewer periods than are asked for."""
    return [
        moment
        for moment, reasons in zip(times, wanted(times, keep, ZONE), strict=True)
        if any(with_oldest or not reason.startswith(OLDEST) for reason in reasons)
    ]


@pytest.mark.parametrize("history", GOLDEN["histories"], ids=lambda history: str(history["name"]))
def test_what_restic_kept_is_kept(history: dict[str, Any]) -> None:
    assert GOLDEN["zone"] == ZONE.key
    assert "restic 0.14" in GOLDEN["made_by"]
    times = [datetime.fromisoformat(text) for text in history["times"]]
    for decision in history["decisions"]:
        expected = [times[index] for index in decision["kept"]]
        assert kept(times, keep_of(decision["keep"]), with_oldest=False) == expected, decision["keep"]
    assert len({tuple(decision["kept"]) for decision in history["decisions"]}) > 5, "the policies differ"


@requires_program("restic")
def test_the_restic_of_this_machine_keeps_the_same(tmp_path: Path) -> None:
    times = histories()["irregular"][:9]
    restic = Restic(tmp_path)
    restic.add("irregular", times)
    with_oldest = keeps_oldest()
    for keep in (Keep(daily=2, yearly=3), Keep(last=2, hourly=3), Keep(within=CalendarSpan(days=1, hours=2), weekly=2)):
        assert restic.kept("irregular", keep) == kept(times, keep, with_oldest=with_oldest), keep


def test_the_oldest_stays_until_there_are_enough_periods() -> None:
    """As the tests of restic 0.17 have it: ten years are asked for and there are three."""
    times = [at(text) for text in ("2016-01-18 12:02", "2015-11-22 10:20", "2014-11-22 10:20", "2014-08-08 10:20")]
    assert kept(times, Keep(yearly=10), with_oldest=True) == times
    assert wanted(times, Keep(yearly=10), ZONE)[-1] == ["the oldest, while there are fewer than 10 years"]
    assert kept(times, Keep(yearly=3), with_oldest=True) == times[:3]


def test_every_reason_is_said() -> None:
    times = [at("2026-11-20 02:00"), at("2026-11-19 02:00"), at("2026-11-18 02:00"), at("2026-10-31 02:00")]
    keep = Keep(last=1, hourly=1, daily=2, weekly=1, monthly=2, yearly=1, within=CalendarSpan(days=2))
    assert wanted(times, keep, ZONE) == [
        [
            "one of the newest 1",
            "the newest of 2026-11-20 03h",
            "the newest of 2026-11-20",
            "the newest of 2026-W47",
            "the newest of 2026-11",
            "the newest of 2026",
            "within 2d of the newest",
        ],
        ["the newest of 2026-11-19", "within 2d of the newest"],
        [],
        ["the newest of 2026-10"],
    ]


def test_a_day_begins_when_it_does_for_the_people_of_the_zone() -> None:
    late, early = at("2026-06-30 22:30"), at("2026-06-30 21:30")
    assert wanted([late, early], Keep(monthly=2), ZoneInfo("Europe/Berlin")) == [
        ["the newest of 2026-07"],
        ["the newest of 2026-06"],
    ]
    assert wanted([late, early], Keep(monthly=1), ZoneInfo("UTC")) == [["the newest of 2026-06"], []]


def test_weeks_belong_to_the_year_of_their_thursday() -> None:
    assert period_name(at("2027-01-03 12:00"), Period.WEEK, ZONE) == "2026-W53"
    assert period_name(at("2027-01-04 12:00"), Period.WEEK, ZONE) == "2027-W01"


def test_the_hour_that_a_clock_repeats_is_one_hour() -> None:
    names = [period_name(at(f"2026-10-25 0{hour}:30"), Period.HOUR, ZONE) for hour in range(3)]
    assert names == ["2026-10-25 02h", "2026-10-25 02h", "2026-10-25 03h"]


def test_the_hour_that_a_clock_skips_is_none() -> None:
    names = [period_name(at(f"2026-03-29 0{hour}:30"), Period.HOUR, ZONE) for hour in range(3)]
    assert names == ["2026-03-29 01h", "2026-03-29 03h", "2026-03-29 04h"]


@pytest.mark.parametrize(
    ("moment", "span", "expected"),
    [
        ("2026-03-31 10:00", CalendarSpan(months=1), "2026-03-03 11:00"),  # 31 February; and it was winter time
        ("2028-02-29 12:00", CalendarSpan(years=1), "2027-03-01 12:00"),
        ("2026-10-25 12:00", CalendarSpan(days=1), "2026-10-24 11:00"),  # 25 hours: the clock was set back
        ("2026-10-25 12:00", CalendarSpan(hours=24), "2026-10-24 12:00"),
        ("2026-01-15 00:00", CalendarSpan(years=1, months=2, days=3, hours=4), "2024-11-11 20:00"),
        ("2026-01-15 00:00", CalendarSpan(years=3000), "0001-01-01 00:00"),
    ],
)
def test_a_span_is_counted_by_the_calendar(moment: str, span: CalendarSpan, expected: str) -> None:
    assert before(at(moment), span, ZONE) == at(expected)


def test_a_span_is_written_as_restic_writes_it() -> None:
    assert str(CalendarSpan(1, 2, 3, 4)) == "1y2m3d4h"
    assert str(CalendarSpan(days=14)) == "14d"


@given(moment=moments, span=st.builds(CalendarSpan, *[st.integers(0, 40)] * 4), zone=zones)
def test_before_is_earlier_by_about_that_long(moment: datetime, span: CalendarSpan, zone: ZoneInfo) -> None:
    days = span.years * 365.25 + span.months * 30.44 + span.days + span.hours / 24
    assert abs((moment - before(moment, span, zone)) - timedelta(days=days)) < timedelta(days=5)


# --- ONLY ---------------------------------------------------------------------------------------------------------


def test_a_target_without_only_takes_every_run() -> None:
    assert is_wanted(None, at("2026-11-20 02:00"), [at("2026-11-20 01:00")], ZONE)


@pytest.mark.parametrize(
    ("only", "started", "there", "expected"),
    [
        (Period.MONTH, "2026-11-01 02:00", ["2026-10-03 02:00"], True),
        (Period.MONTH, "2026-11-20 02:00", ["2026-10-03 02:00"], True),  # all earlier runs of November failed there
        (Period.MONTH, "2026-11-20 02:00", ["2026-11-01 02:00"], False),
        (Period.MONTH, "2026-10-31 23:30", ["2026-11-01 02:00"], False),  # November has begun in Berlin
        (Period.WEEK, "2026-11-23 02:00", ["2026-11-22 02:00"], True),
        (Period.YEAR, "2026-12-31 22:30", ["2026-01-01 02:00"], False),
        (Period.DAY, "2026-11-20 02:00", [], True),
        (Period.MONTH, "2026-11-20 02:00", ["2036-11-01 02:00"], True),  # made when the clock was wrong
    ],
)
def test_only_the_first_good_copy_of_a_period_goes_there(
    only: Period, started: str, there: list[str], expected: bool
) -> None:
    assert is_wanted(only, at(started), [at(text) for text in there], ZONE) == expected


@given(outcomes=st.lists(st.tuples(moments, st.booleans()), max_size=30), only=st.sampled_from(Period), zone=zones)
def test_each_period_with_a_run_that_was_good_there_has_one_copy(
    outcomes: list[tuple[datetime, bool]], only: Period, zone: ZoneInfo
) -> None:
    """The times come in any order: clocks jump."""
    copies: list[datetime] = []
    for started, was_good_there in outcomes:
        if is_wanted(only, started, copies, zone) and was_good_there:
            copies.append(started)
    names = [period_name(moment, only, zone) for moment in copies]
    assert len(names) == len(set(names))
    assert set(names) == {period_name(started, only, zone) for started, was_good_there in outcomes if was_good_there}
