"""What the words of KEEP ask for, by the rules of ``restic forget``. Pure.

``LAST`` … ``YEARLY`` and ``WITHIN`` are restic's ``--keep-last`` … ``--keep-yearly`` and ``--keep-within``
(https://restic.readthedocs.io/en/stable/060_forget.html, "Removing snapshots according to a policy"; as of restic
0.17: while a period still has counts left, the oldest stays too). What stands above all words is in
``operations.retention.decisions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from model import Keep, Period
from operations.retention.periods import before, period_name


def wanted(times: Sequence[datetime], keep: Keep, zone: tzinfo) -> list[list[str]]:
    """For each of these copies every reason for which a rule asks for it; where there is none, none does.

    ``times`` are when they began, the newest first. ``zone`` says when a day begins.
    """
    reasons: list[list[str]] = [[] for _ in times]
    for index in range(min(keep.last or 0, len(times))):
        reasons[index].append(f"one of the newest {keep.last}")
    counts = {
        Period.HOUR: keep.hourly,
        Period.DAY: keep.daily,
        Period.WEEK: keep.weekly,
        Period.MONTH: keep.monthly,
        Period.YEAR: keep.yearly,
    }
    for period, count in counts.items():
        if count is not None:
            _add_newest_of_each(reasons, times, period, count, zone)
    if keep.within is not None and times:
        limit = before(times[0], keep.within, zone)
        for index, moment in enumerate(times):
            if moment > limit:
                reasons[index].append(f"within {keep.within} of the newest")
    return reasons


def _add_newest_of_each(
    reasons: list[list[str]], times: Sequence[datetime], period: Period, count: int, zone: tzinfo
) -> None:
    """Only periods that have a copy are counted. The oldest copy makes the history longer until there are enough."""
    left = count
    last_name = ""
    for index, moment in enumerate(times):
        if left == 0:
            return
        name = period_name(moment, period, zone)
        if name != last_name:
            reasons[index].append(f"the newest of {name}")
            last_name = name
            left -= 1
        elif index == len(times) - 1:
            reasons[index].append(f"the oldest, while there are fewer than {count} {period.value}s")
