"""Hours, days, weeks, months and years as people count them: by the local time of a zone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo

from model import CalendarSpan, Period

_NAMES = {
    Period.HOUR: "%Y-%m-%d %Hh",
    Period.DAY: "%Y-%m-%d",
    Period.WEEK: "%G-W%V",
    Period.MONTH: "%Y-%m",
    Period.YEAR: "%Y",
}


def period_name(moment: datetime, period: Period, zone: tzinfo) -> str:
    """``2026-11-20 03h``, ``2026-11-20``, ``2026-W47``, ``2026-11``, ``2026``.

    Two moments have the same name where they are in the same period. The hour that a clock repeats is one hour.
    """
    return moment.astimezone(zone).strftime(_NAMES[period])


def end_of_period(moment: datetime, period: Period, zone: tzinfo) -> datetime:
    """The first moment (UTC) that is in a later period; the end of time in the last periods that a calendar has."""
    local = moment.astimezone(zone).replace(tzinfo=None, fold=0, minute=0, second=0, microsecond=0)
    try:
        if period is Period.HOUR:
            end = local + timedelta(hours=1)
        elif period in (Period.DAY, Period.WEEK):
            days = 7 - local.weekday() if period is Period.WEEK else 1
            end = local.replace(hour=0) + timedelta(days=days)
        elif period is Period.MONTH:
            end = local.replace(year=local.year + local.month // 12, month=local.month % 12 + 1, day=1, hour=0)
        else:
            end = local.replace(year=local.year + 1, month=1, day=1, hour=0)
        return end.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.max.replace(tzinfo=UTC)


def before(moment: datetime, span: CalendarSpan, zone: tzinfo) -> datetime:
    """The moment (UTC) that lies so much earlier, by the calendar and the clock of the zone.

    A day that its month does not have runs over into the next month, as in restic (Go's ``time.AddDate``): a month
    before 31 October is 1 October.
    """
    local = moment.astimezone(zone)
    months = local.year * 12 + local.month - 1 - span.years * 12 - span.months
    days = timedelta(days=local.day - 1 - span.days)
    try:
        shifted = local.replace(year=months // 12, month=months % 12 + 1, day=1) + days
        return shifted.astimezone(UTC) - timedelta(hours=span.hours)
    except (ValueError, OverflowError):  # before the year 1
        return datetime.min.replace(tzinfo=UTC)


def is_wanted(only: Period | None, started: datetime, good_copies: Iterable[datetime], zone: tzinfo) -> bool:
    """Whether the run that begins at ``started`` goes to a target that takes only one copy for each such period.

    It does where no good copy that lies there began in the same one. So it is the first good run of each month that
    goes there, and after one that failed there, or was partial, the next.
    """
    if only is None:
        return True
    name = period_name(started, only, zone)
    return all(period_name(moment, only, zone) != name for moment in good_copies)
