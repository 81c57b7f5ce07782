"""Next and latest runs: the known cases by hand, and any case against a minute-by-minute model of Debian's cron."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules import times
from schedules.times import latest_slot, local_zone, next_runs

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"


def at(text: str, zone: str = "UTC", *, second_time: bool = False) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=int(second_time)).astimezone(UTC)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        # Thursday, 2026-01-01. Both fields restricted: either is enough.
        ("0 0 13 * 5", ["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"]),
        ("0 0 1,15 * 1", ["2026-01-05", "2026-01-12", "2026-01-15", "2026-01-19"]),
        # One begins with a star: both must match, although `*/2` is a restriction.
        ("0 0 */2 * 5", ["2026-01-09", "2026-01-23", "2026-02-13", "2026-02-27"]),
        ("0 0 13 * */2", ["2026-01-13", "2026-06-13", "2026-08-13", "2026-09-13"]),
        ("0 0 * * 5", ["2026-01-02", "2026-01-09", "2026-01-16", "2026-01-23"]),
        # A star that is not the first character is none: `1-31` and `1,*` are restrictions.
        ("0 0 1-31 * 5", ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"]),
        ("0 0 29 2 *", ["2028-02-29", "2032-02-29", "2036-02-29", "2040-02-29"]),
        ("0 0 * * 7", ["2026-01-04", "2026-01-11", "2026-01-18", "2026-01-25"]),
        ("0 0 * * SUN", ["2026-01-04", "2026-01-11", "2026-01-18", "2026-01-25"]),
        ("@weekly", ["2026-01-04", "2026-01-11", "2026-01-18", "2026-01-25"]),
        ("@monthly", ["2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"]),
        ("@yearly", ["2027-01-01", "2028-01-01", "2029-01-01", "2030-01-01"]),
        ("@annually", ["2027-01-01", "2028-01-01", "2029-01-01", "2030-01-01"]),
        ("@daily", ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"]),
        ("@midnight", ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"]),
        ("@hourly", ["2026-01-01T01:00", "2026-01-01T02:00", "2026-01-01T03:00", "2026-01-01T04:00"]),
    ],
)
def test_day_of_month_and_day_of_week(interval: str, expected: list[str]) -> None:
    assert next_runs([interval], at("2026-01-01"), 4, UTC) == [at(day) for day in expected]


@pytest.mark.parametrize(
    ("zone", "interval", "after", "expected"),
    [
        # Berlin, 2026-03-29: 2:00 becomes 3:00. What was due in the gap runs right after it, and once.
        (BERLIN, "30 2 * * *", "2026-03-28 12:00", ["2026-03-29 03:00", "2026-03-30 02:30"]),
        (BERLIN, "0,30 2 * * *", "2026-03-28 12:00", ["2026-03-29 03:00", "2026-03-30 02:00"]),
        (BERLIN, "0 2,3 * * *", "2026-03-28 12:00", ["2026-03-29 03:00", "2026-03-30 02:00"]),
        (BERLIN, "0 3 * * *", "2026-03-28 12:00", ["2026-03-29 03:00", "2026-03-30 03:00"]),
        # With a star in the minute or hour it follows the clock: nothing is made up for.
        (BERLIN, "*/30 2 * * *", "2026-03-28 12:00", ["2026-03-30 02:00", "2026-03-30 02:30"]),
        (BERLIN, "30 * * * *", "2026-03-29 01:00", ["2026-03-29 01:30", "2026-03-29 03:30"]),
        # New York, 2026-03-08: the same.
        (NEW_YORK, "30 2 * * *", "2026-03-07 12:00", ["2026-03-08 03:00", "2026-03-09 02:30"]),
        (NEW_YORK, "15 */2 * * *", "2026-03-08 00:30", ["2026-03-08 04:15", "2026-03-08 06:15"]),
        # Berlin, 2026-10-25: 2:00 to 3:00 comes twice. A fixed time runs the first time only.
        (BERLIN, "30 2 * * *", "2026-10-24 12:00", ["2026-10-25 02:30", "2026-10-26 02:30"]),
        (BERLIN, "0,30 2 * * *", "2026-10-25 02:00", ["2026-10-25 02:30", "2026-10-26 02:00"]),
        (BERLIN, "*/30 2 * * *", "2026-10-24 12:00", ["2026-10-25 02:00", "2026-10-25 02:30", "2 02:00", "2 02:30"]),
        (BERLIN, "30 * * * *", "2026-10-25 02:00", ["2026-10-25 02:30", "2 02:30", "2026-10-25 03:30"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31 12:00", ["2026-11-01 01:30", "2026-11-02 01:30"]),
        (NEW_YORK, "@hourly", "2026-11-01 00:30", ["2026-11-01 01:00", "2 01:00", "2026-11-01 02:00"]),
        # Cairo's day begins in the gap: 0:00 becomes 1:00.
        ("Africa/Cairo", "0 0 * * *", "2024-04-25 12:00", ["2024-04-26 01:00", "2024-04-27 00:00"]),
        ("Africa/Cairo", "*/30 1 26 4 *", "2024-04-25 12:00", ["2024-04-26 01:00", "2024-04-26 01:30"]),
        # Santiago's day ends with an hour that comes twice: 24:00 becomes 23:00.
        ("America/Santiago", "30 23 4 * *", "2026-04-04 12:00", ["2026-04-04 23:30", "2026-05-04 23:30"]),
    ],
)
def test_daylight_saving(zone: str, interval: str, after: str, expected: list[str]) -> None:
    """``2 02:30`` is 02:30 of the day before it in the list, for the second time."""
    moments: list[datetime] = []
    day = ""
    for text in expected:
        is_second = text.startswith("2 ")
        day = day if is_second else text[:10]
        moments.append(at(f"{day} {text[-5:]}", zone, second_time=is_second))
    assert next_runs([interval], at(after, zone), len(moments), ZoneInfo(zone)) == moments
    for moment in moments:
        assert latest_slot([interval], moment, ZoneInfo(zone)) == moment
        assert latest_slot([interval], moment + timedelta(seconds=59.9), ZoneInfo(zone)) == moment


def test_several_intervals_make_one_row_of_runs_without_repetitions() -> None:
    runs = next_runs(["0 2 * * *", "@daily", "0 */2 1 1 *"], at("2026-01-01 20:00"), 5, UTC)
    assert runs == [
        at("2026-01-01 22:00"),
        at("2026-01-02 00:00"),
        at("2026-01-02 02:00"),
        at("2026-01-03 00:00"),
        at("2026-01-03 02:00"),
    ]
    assert latest_slot(["0 2 * * *", "@daily"], at("2026-01-05 01:00"), UTC) == at("2026-01-05")


def test_a_run_of_this_very_moment_is_the_latest_and_not_the_next() -> None:
    noon = at("2026-01-01 12:00")
    assert latest_slot(["0 12 * * *"], noon, UTC) == noon
    assert next_runs(["0 12 * * *"], noon, 1, UTC) == [noon + timedelta(days=1)]
    assert latest_slot(["0 12 * * *"], noon - timedelta(microseconds=1), UTC) == noon - timedelta(days=1)
    assert next_runs(["0 12 * * *"], noon - timedelta(microseconds=1), 1, UTC) == [noon]


def test_without_intervals_nothing_is_due() -> None:
    assert next_runs([], at("2026-01-01"), 3, UTC) == []
    assert latest_slot([], at("2026-01-01"), UTC) is None


# --- any case ---------------------------------------------------------------------------------------------------

RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
CHANGES = [
    (BERLIN, "2026-03-29 01:00"),
    (BERLIN, "2026-10-25 01:00"),
    (NEW_YORK, "2026-03-08 07:00"),
    (NEW_YORK, "2026-11-01 06:00"),
    ("Australia/Lord_Howe", "2026-04-04 15:00"),
    ("Australia/Lord_Howe", "2026-10-03 15:30"),
    ("America/Santiago", "2026-04-05 03:00"),
    ("America/Santiago", "2026-09-06 04:00"),
    ("Africa/Cairo", "2024-04-25 22:00"),
    ("Africa/Cairo", "2024-10-31 21:00"),
    ("America/Havana", "2024-03-10 05:00"),
    ("America/Havana", "2024-11-03 05:00"),
    ("Asia/Kolkata", "2026-06-01 00:00"),
]


def term(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    # Ends that differ: cronsim 2.8 takes `1-1/2` for `1-59/2`.
    ends = st.tuples(number, number).filter(lambda pair: pair[0] != pair[1])
    span = ends.map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.sampled_from(["/2", "/3", "/7", "/20"] if high > 20 else ["/2", "/3"])
    return st.one_of(
        number.map(str), span, st.builds(str.__add__, span, step), st.builds(str.__add__, st.just("*"), step)
    )


def field(low: int, high: int) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), term(low, high), st.lists(term(low, high), min_size=2, max_size=3).map(",".join))


def values(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def runs_of_cron(interval: str, start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Debian's cron, minute by minute: lines with a star follow the clock, the others a clock that is never set back
    and that runs through the minutes of a gap at once (cron.c: ``virtualTime``)."""
    fields = interval.split(" ")
    minutes, hours, days, months, weekdays = (values(text, *span) for text, span in zip(fields, RANGES, strict=True))
    follows_clock = fields[0].startswith("*") or fields[1].startswith("*")
    both_days = fields[2].startswith("*") or fields[4].startswith("*")

    def is_due(local: datetime) -> bool:
        day = local.day in days
        weekday = local.isoweekday() in weekdays or local.isoweekday() % 7 in weekdays
        day_is_right = (day and weekday) if both_days else (day or weekday)
        return local.minute in minutes and local.hour in hours and local.month in months and day_is_right

    moment = start - timedelta(days=1)
    virtual = moment.astimezone(zone).replace(tzinfo=None)
    while moment <= end:
        local = moment.astimezone(zone).replace(tzinfo=None)
        due = is_due(local) if follows_clock else False
        while virtual < local:
            virtual += timedelta(minutes=1)
            due |= not follows_clock and is_due(virtual)
        if due and start < moment <= end:
            yield moment
        moment += timedelta(minutes=1)


@settings(max_examples=200)
@given(
    st.sampled_from(CHANGES),
    st.tuples(field(0, 59), field(0, 23), field(1, 31), st.just("*") | field(1, 12), field(0, 7)).map(" ".join),
    st.integers(0, 1500),
    st.integers(60, 2500),
    st.floats(0, 1),
)
def test_every_case_agrees_with_debians_cron(
    change: tuple[str, str], interval: str, minutes_before: int, minutes_after: int, part: float
) -> None:
    zone = ZoneInfo(change[0])
    start = at(change[1]) - timedelta(minutes=minutes_before)
    end = at(change[1]) + timedelta(minutes=minutes_after)
    expected = list(runs_of_cron(interval, start, end, zone))
    found = next_runs([interval], start, len(expected) + 1, zone) if expected or is_possible(interval) else []
    assert [run for run in found if run <= end] == expected

    now = start + (end - start) * part
    before_now = [run for run in expected if run <= now]
    if before_now:
        assert latest_slot([interval], now, zone) == before_now[-1]


def is_possible(interval: str) -> bool:
    """cronsim refuses 31 February and the like, as the configuration does."""
    _, _, day, month, _ = interval.split(" ")
    longest = max(
        31 if number in (1, 3, 5, 7, 8, 10, 12) else 30 if number != 2 else 29 for number in values(month, 1, 12)
    )
    return min(values(day, 1, 31)) <= longest


# --- the machine's zone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [("Europe/Berlin", BERLIN), (":America/New_York", NEW_YORK), ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo")],
)
def test_tz_names_the_zone(monkeypatch: pytest.MonkeyPatch, value: str, name: str) -> None:
    monkeypatch.setenv("TZ", value)
    assert local_zone.__wrapped__() == ZoneInfo(name)


@pytest.mark.parametrize("value", ["", "Nowhere/Nothing", "../../etc/passwd", "/etc/passwd", "/nowhere", "\0"])
def test_a_tz_that_names_no_zone_is_passed_over(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.delenv("TZ", raising=False)
    of_the_machine = local_zone.__wrapped__()
    if "\0" not in value:
        monkeypatch.setenv("TZ", value)
    assert str(local_zone.__wrapped__()) == str(of_the_machine)


def test_a_zone_file_outside_of_the_zone_folder_is_read(tmp_path: Path) -> None:
    copy = tmp_path / "localtime"
    copy.write_bytes(Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes())
    zone = times._zone_of_file(copy)
    assert datetime(2026, 7, 1, 12, tzinfo=zone).astimezone(UTC) == at("2026-07-01 10:00")
