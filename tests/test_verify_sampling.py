"""Which copies are read back: the newest good one each time, and each of the others in its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.verifying.sampling import Readable, in_turn, sample_size
from utils import format_timestamp

DAY = timedelta(days=1)
FIRST = datetime(2026, 1, 1, 3, tzinfo=UTC)


def copies(*are_good: bool) -> list[Readable]:
    """One for each day, oldest first."""
    return [Readable(format_timestamp(FIRST + day * DAY), FIRST + day * DAY, good) for day, good in enumerate(are_good)]


def sample(present: Sequence[Readable], percent: int, last_checked: Mapping[str, datetime]) -> list[Readable]:
    return in_turn(present, last_checked)[: sample_size(len(present), percent)]


def test_the_newest_good_copy_and_the_one_that_waits_longest() -> None:
    good = copies(True, True, True, True)
    assert sample(good, 10, {}) == [good[3], good[0]]
    assert sample(good, 10, {good[0].name: FIRST + 9 * DAY}) == [good[3], good[1]]
    assert sample(good, 75, {good[0].name: FIRST + 9 * DAY}) == [good[3], good[1], good[2]]


def test_partial_and_unreadable_copies_have_their_turn_too() -> None:
    mixed = copies(True, False, True, False)
    assert sample(mixed, 100, {}) == [mixed[2], mixed[0], mixed[1], mixed[3]]
    none_good = copies(False, False, False)
    assert sample(none_good, 1, {}) == none_good[:2]


@pytest.mark.parametrize(
    ("count", "percent", "expected"), [(0, 10, 0), (1, 10, 1), (20, 10, 2), (21, 10, 3), (7, 100, 7)]
)
def test_how_many(count: int, percent: int, expected: int) -> None:
    assert sample_size(count, percent) == expected


@given(
    are_good=st.lists(st.booleans(), min_size=1, max_size=25),
    percent=st.integers(1, 100),
    new_ones=st.lists(st.integers(0, 4), min_size=25, max_size=25),
    checked=st.dictionaries(st.integers(0, 24), st.integers(0, 60)),
)
def test_every_copy_is_reached_although_new_ones_come_each_time(
    are_good: list[bool], percent: int, new_ones: list[int], checked: dict[int, int]
) -> None:
    present = copies(*are_good)
    last_checked = {present[day].name: FIRST + after * DAY for day, after in checked.items() if day < len(present)}
    to_reach = {copy.name for copy in present}
    now = FIRST + 100 * DAY
    for count in new_ones[: len(are_good)]:
        chosen = sample(present, percent, last_checked)
        newest_good = max((copy.made for copy in present if copy.is_good), default=None)
        assert newest_good is None or chosen[0].made == newest_good
        assert len(set(chosen)) == len(chosen) <= max(2, len(present) * percent / 100 + 1)
        to_reach -= {copy.name for copy in chosen}
        for copy in chosen:
            now += timedelta(minutes=1)
            last_checked[copy.name] = now
        for _ in range(count):
            now += timedelta(minutes=1)
            present.append(Readable(format_timestamp(now), now, True))
    assert to_reach == set()
