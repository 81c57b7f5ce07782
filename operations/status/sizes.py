"""How large the archives of a backup are, how they grow, and which one is unusual. Pure.

An archive is unusual where it lies far outside of all that the last runs made, so that neither steady growth nor a
larger archive each Sunday or each first of the month is: less than half of the smallest, or more than three times the
largest, and by more than 100 kB. One that holds nothing where there always was something is unusual however small the
others are. What has been unusual is so for three runs on end, and then it is what is usual.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from model import RunPoint
from utils import format_size

HISTORY = 35
"""So many good runs are looked at: a month of nightly ones, so that what comes once a month is among them."""

_FEWEST = 4
_FAR_SMALLER, _FAR_LARGER = 1 / 2, 3.0
_LEAST_DIFFERENCE = 100_000
_UNUSUAL_RUNS = 3
_ALIKE = 1.5

_MONTH, _WEEK = timedelta(days=30), timedelta(days=7)
_COMPARED = 5
_LEAST_GROWTH = 0.005

_MOST_RUNS_ARE_AS_SHORT = 0.9


@dataclass(frozen=True, slots=True)
class Trend:
    """By how much of itself the content grows in each period: 0.04 is 4 %, and below 0 it shrinks.

    The growth of a week is given where there is no history of three weeks yet.
    """

    growth: float
    period: timedelta

    def __str__(self) -> str:
        per = "month" if self.period == _MONTH else "week"
        return f"{self.growth:+.0%}/{per}".replace("%", " %") if self.is_changing else "steady"

    @property
    def is_changing(self) -> bool:
        """Whether it is by half a percent at least."""
        return abs(self.growth) >= _LEAST_GROWTH


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a backup, in bytes, of what is in its archives (``content``) and of the archives themselves.

    ``usual_content`` is the median of the runs before the newest one, None where there are fewer than four. ``anomaly``
    is a sentence where the newest one is unusual.
    """

    content: int | None = None
    archive: int | None = None
    usual_content: int | None = None
    trend: Trend | None = None
    anomaly: str | None = None


def sizes(runs: Sequence[RunPoint]) -> Sizes:
    """Of these good runs, oldest first; those without an archive do not count.

    The last :data:`HISTORY` of them say what is usual. Some of a month before the newest make a trend of a month.
    """
    known = [run for run in runs if run.content_size is not None and run.archive_size is not None]
    if not known:
        return Sizes()
    recent = known[-HISTORY - 1 :]
    contents = [_content(run) for run in recent]
    usual = round(statistics.median(contents[:-1])) if len(contents) > _FEWEST else None
    return Sizes(
        content=contents[-1],
        archive=_archive(recent[-1]),
        usual_content=usual,
        trend=_trend(known),
        anomaly=_anomaly(contents, "holds") or _anomaly([_archive(run) for run in recent], "is packed to"),
    )


def usual_duration(runs: Sequence[RunPoint]) -> timedelta | None:
    """How long these good runs take: nine of ten took no longer. None where none of them tells."""
    durations = sorted(max(run.duration, timedelta()) for run in runs[-HISTORY:] if run.duration is not None)
    return durations[int((len(durations) - 1) * _MOST_RUNS_ARE_AS_SHORT)] if durations else None


def _content(run: RunPoint) -> int:
    return run.content_size or 0


def _archive(run: RunPoint) -> int:
    return run.archive_size or 0


def _anomaly(values: Sequence[int], holds: str) -> str | None:
    """What is unusual about the newest of these values, which are in order."""
    newest = values[-1]
    earlier = _before_it_became_so(values)
    if len(earlier) < _FEWEST:
        return None
    usual = statistics.median(earlier)
    sentence = f"The archive {holds} {format_size(newest)}, usually about {format_size(usual)}."
    if newest == 0 and min(earlier) > 0:
        return sentence
    if abs(newest - usual) < _LEAST_DIFFERENCE:
        return None
    is_unusual = newest < min(earlier) * _FAR_SMALLER or newest > max(earlier) * _FAR_LARGER
    return sentence if is_unusual else None


def _before_it_became_so(values: Sequence[int]) -> Sequence[int]:
    """Those before the newest one, and before the few just before it that are like it."""
    count = 1
    while count < min(_UNUSUAL_RUNS, len(values)) and _are_alike(values[-count - 1], values[-1]):
        count += 1
    return values[:-count]


def _are_alike(one: int, other: int) -> bool:
    return max(one, other) <= _ALIKE * min(one, other)


def _trend(runs: Sequence[RunPoint], size: Callable[[RunPoint], int] = _content) -> Trend | None:
    """From some runs about a month before the newest to the newest ones; from the oldest ones where all are younger."""
    recent = runs[-_COMPARED:]
    month_ago = runs[-1].started - _MONTH
    old = [run for run in runs if run.started <= month_ago][-_COMPARED:] or list(runs[:_COMPARED])
    before, now = (statistics.median(size(run) for run in each) for each in (old, recent))
    between = _middle(recent) - _middle(old)
    if before <= 0 or between < _WEEK - timedelta(days=2):
        return None
    period = _MONTH if between >= 3 * _WEEK else _WEEK
    return Trend((now - before) / before * (period / between), period)


def _middle(runs: Sequence[RunPoint]) -> timedelta:
    """When they began, on the average, since the first day of the calendar."""
    starts = [run.started for run in runs]
    first = min(starts)
    total = sum((start - first for start in starts), timedelta())
    return (first - first.min.replace(tzinfo=first.tzinfo)) + total / len(starts)
