"""Which archives are unusual and how backups grow: the known cases by hand, and any history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import RunPoint, RunStatus
from operations.status.sizes import Sizes, sizes, usual_duration

BEGINNING = datetime(2026, 9, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
MB = 1_000_000


def runs(contents: Sequence[float], every: timedelta = DAY, archives: Sequence[float] | None = None) -> list[RunPoint]:
    """Good runs with so many bytes of content, one each day; archives have half of it, where nothing else is said."""
    packed = archives or [content / 2 for content in contents]
    return [
        RunPoint(str(number), BEGINNING + number * every, None, RunStatus.GOOD, int(archive), int(content), 1)
        for number, (content, archive) in enumerate(zip(contents, packed, strict=True))
    ]


def anomaly(contents: Sequence[float], archives: Sequence[float] | None = None) -> str | None:
    return sizes(runs(contents, archives=archives)).anomaly


def test_an_archive_far_smaller_than_all_before_it_is_unusual() -> None:
    found = anomaly([208 * MB, 212 * MB, 209 * MB, 211 * MB, 3.2 * MB])
    assert found == "The archive holds 3.20 MB, usually about 210 MB."


def test_an_archive_far_larger_than_all_before_it_is_unusual() -> None:
    assert anomaly([10 * MB] * 5 + [31 * MB]) == "The archive holds 31.0 MB, usually about 10.0 MB."
    assert anomaly([10 * MB] * 5 + [30 * MB]) is None


def test_content_that_no_longer_packs_is_unusual() -> None:
    packed = [20 * MB] * 6 + [99 * MB]
    assert anomaly([100 * MB] * 7, packed) == "The archive is packed to 99.0 MB, usually about 20.0 MB."


def test_a_history_of_three_runs_says_nothing() -> None:
    assert anomaly([200 * MB] * 3 + [MB]) is None
    assert anomaly([200 * MB] * 4 + [MB]) is not None


def test_what_is_empty_and_never_was_is_unusual_however_small_the_others_are() -> None:
    assert anomaly([700, 650, 700, 690, 0]) == "The archive holds 0 B, usually about 695 B."
    assert anomaly([700, 0, 700, 690, 0]) is None


ORDINARY: dict[str, Sequence[float]] = {
    "steady growth": [100 * MB * 1.1**number for number in range(30)],
    "steady shrinking": [100 * MB / 1.1**number for number in range(30)],
    "small sizes": [900, 20_000, 5_000, 90_000, 800, 60_000, 99_000],
    "larger on Sundays": [(500 if number % 7 == 0 else 20) * MB for number in range(36)],
    "smaller on Sundays": [(20 if number % 7 == 0 else 500) * MB for number in range(36)],
    "smaller once a month": [(20 if number % 31 == 0 else 500) * MB for number in range(63)],
    "always empty": [0] * 10,
    "doubled at once": [100 * MB] * 10 + [200 * MB],
    "back to what it was": [200 * MB] * 10 + [MB, MB, 200 * MB],
}


@pytest.mark.parametrize("contents", ORDINARY.values(), ids=ORDINARY)
def test_what_is_no_anomaly(contents: Sequence[float]) -> None:
    settled = 29 if len(contents) > 60 else 5
    assert [sizes(runs(contents[: end + 1])).anomaly for end in range(settled, len(contents))][-1] is None


@pytest.mark.parametrize("name", ["steady growth", "steady shrinking", "small sizes", "larger on Sundays"])
def test_no_run_of_these_is_an_anomaly(name: str) -> None:
    contents = ORDINARY[name]
    assert [end for end in range(8, len(contents)) if sizes(runs(contents[: end + 1])).anomaly] == []


def test_what_stays_unusual_is_said_three_times_and_is_usual_then() -> None:
    contents = [200 * MB] * 10 + [4 * MB, 5 * MB, 4 * MB, 4 * MB]
    said = [anomaly(contents[: end + 1]) is not None for end in range(9, len(contents))]
    assert said == [False, True, True, True, False]


def test_the_latest_sizes_and_the_usual_one() -> None:
    assert sizes([]) == Sizes()
    found = sizes(runs([10 * MB, 30 * MB, 20 * MB, 20 * MB, 22 * MB]))
    assert (found.content, found.archive, found.usual_content) == (22 * MB, 11 * MB, 20 * MB)
    assert sizes(runs([10 * MB, 12 * MB])).usual_content is None


def test_runs_without_an_archive_do_not_count() -> None:
    without = RunPoint("x", BEGINNING + 90 * DAY, None, RunStatus.GOOD)
    assert sizes([*runs([MB] * 3), without]).content == MB
    assert sizes([without]) == Sizes()


@pytest.mark.parametrize(
    ("contents", "every", "said"),
    [
        ([100 * MB + number * MB for number in range(40)], DAY, "+28 %/month"),
        ([100 * MB + number * MB for number in range(12)], DAY, "+7 %/week"),
        ([100 * MB - number * MB for number in range(12)], DAY, "-7 %/week"),
        ([100 * MB] * 40, DAY, "steady"),
        ([100 * MB + number * 100_000 for number in range(12)], timedelta(days=30), "+0 %/month"),
        ([100 * MB + number * MB for number in range(12)], timedelta(days=30), "+1 %/month"),
    ],
)
def test_the_trend(contents: list[float], every: timedelta, said: str) -> None:
    found = sizes(runs(contents, every)).trend
    assert found is not None
    assert str(found) == (said if said != "+0 %/month" else "steady")


def test_a_history_of_some_days_has_no_trend() -> None:
    assert sizes(runs([MB * number for number in range(1, 6)])).trend is None
    assert sizes(runs([MB * number for number in range(1, 40)], timedelta(hours=1))).trend is None
    assert sizes(runs([0] * 40)).trend is None


def test_one_odd_run_is_no_trend() -> None:
    found = sizes(runs([100 * MB] * 36 + [10 * MB] + [100 * MB] * 3)).trend
    assert found is not None
    assert not found.is_changing


def test_nine_of_ten_runs_take_no_longer_than_usual() -> None:
    def took(minutes: float, number: int) -> RunPoint:
        started = BEGINNING + number * DAY
        return RunPoint(str(number), started, started + timedelta(minutes=minutes), RunStatus.GOOD)

    assert usual_duration([]) is None
    assert usual_duration([took(5, 0)]) == timedelta(minutes=5)
    sundays = [took(60 if number % 7 == 0 else 5, number) for number in range(35)]
    assert usual_duration(sundays) == timedelta(minutes=60)
    assert usual_duration([*(took(5, number) for number in range(20)), took(900, 21)]) == timedelta(minutes=5)
    assert usual_duration([took(-60, 0), took(-60, 1)]) == timedelta()


histories = st.lists(st.integers(0, 10**12) | st.sampled_from([0, 10, 10**6, 10**9]), min_size=8, max_size=34)


@given(histories, st.data())
@settings(max_examples=200, deadline=None)
def test_what_was_there_before_is_no_anomaly(contents: list[int], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(contents[:-3]))
    assert sizes(runs([*contents, again])).anomaly is None


@given(histories)
@settings(max_examples=100, deadline=None)
def test_a_thousandth_of_all_that_was_there_is_one(contents: list[int]) -> None:
    large = [content + 10**6 for content in contents]
    assert sizes(runs([*large, min(large) // 1000])).anomaly is not None
    assert sizes(runs([*large, max(large) * 1000])).anomaly is not None
