"""Times as a person writes them: what is not written is meant to its end, in the machine's zone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import UsageError
from operations.copies.written_times import parse_written_time


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "last_second"),
    [
        ("2026-11-20", "2026-11-20 22:59:59"),
        ("2026-11-20 03:00", "2026-11-20 02:00:59"),
        ("2026-11-20T03:00", "2026-11-20 02:00:59"),
        ("2026-11-20 03:00:00", "2026-11-20 02:00:00"),
        ("2026-11-20T03:00:00Z", "2026-11-20 03:00:00"),
        ("2026-11-20 03:00Z", "2026-11-20 03:00:59"),
        ("2026-11-20 03:00+0530", "2026-11-19 21:30:59"),
        ("2026-11-20T03:00:00-05:00", "2026-11-20 08:00:00"),
        (" 2026-07-01 ", "2026-07-01 21:59:59"),
        ("2026-10-25 02:30", "2026-10-25 01:30:59"),  # the clocks go through it twice
        ("2026-03-29 02:30", "2026-03-29 01:30:59"),  # they leave it out: as by the clock before
        ("2026-10-25", "2026-10-25 22:59:59"),  # a day of 25 hours
    ],
)
def test_the_last_moment_that_is_meant(text: str, last_second: str) -> None:
    found = parse_written_time(text)
    assert found.tzinfo is UTC
    assert found.strftime("%Y-%m-%d %H:%M:%S") == last_second


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "20261120",
        "2026-11",
        "11/20/2026",
        "20.11.2026",
        "2026-13-01",
        "2026-02-30",
        "2026-11-20 25:00",
        "2026-11-20 3:00",
        "2026-11-20 03",
        "2026-11-20Z",
        "2026-11-20 03:00 CET",
        "9999-12-31 23:59:59",
        "٢٠٢٦-11-20",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="A time is written like 2026-11-20"):
        parse_written_time(text)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9990, 1, 1)))
def test_a_moment_that_is_written_whole_is_that_second(moment: datetime) -> None:
    expected = moment.replace(microsecond=999_999, tzinfo=UTC)
    assert parse_written_time(moment.strftime("%Y-%m-%dT%H:%M:%SZ")) == expected
