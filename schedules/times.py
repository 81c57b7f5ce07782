"""When an interval is due: pure functions of cron expressions, the time and a zone.

They agree with Debian's cron (crontab(5), cron(8)): where day-of-month or day-of-week begins with ``*`` both must
match, otherwise one is enough; a line with a fixed minute and hour runs once where an hour is repeated, and right after
the gap where its hour is skipped; a line with ``*`` in its minute or hour follows the clock. The library `cronsim
<https://github.com/cuu508/cronsim>`_ finds the matching local times; which instants these are on a day on which the
clock changes is settled here, because cronsim 2.8 loses some at the change itself (a gap at midnight, as in Cairo).
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache, lru_cache
from itertools import groupby, islice
from pathlib import Path
from zoneinfo import ZoneInfo

from model import Run, RunStatus

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""What crontab(5) lets one write in place of the five fields. ``@reboot`` has no time and is no interval."""

GRACE = timedelta(minutes=10)
"""A slot younger than this is not missed yet: cron, or a run that waits for its lock, may still be at it."""

CLOCK_SLACK = timedelta(seconds=30)
"""A clock that is set back a little just as cron starts a line must not make it the line of the slot before."""

RUNS_PER_SLOT = 2
"""A slot whose run was interrupted is tried once more, and not for ever: the run may be what ends the machine."""


def next_runs(intervals: Iterable[str], after: datetime, count: int, zone: tzinfo | None = None) -> list[datetime]:
    """The next ``count`` times (UTC) later than ``after`` at which one of the intervals is due, without repetitions.

    ``zone`` is the one that cron runs in (default: the machine's). Fewer are returned where no more come in 50 years.
    """
    times = heapq.merge(*(_times_after(interval, after, zone or local_zone()) for interval in intervals))
    return list(islice(_without_repetitions(times), count))


def latest_slot(intervals: Iterable[str], now: datetime, zone: tzinfo | None = None) -> datetime | None:
    """The latest time (UTC) up to and including ``now`` at which one of the intervals was due; None where never."""
    slots = [_latest(interval, now, zone or local_zone()) for interval in intervals]
    return max((slot for slot in slots if slot is not None), default=None)


def missed_slot(
    intervals: Iterable[str],
    now: datetime,
    since: datetime | None,
    runs: Iterable[Run],
    zone: tzinfo | None = None,
) -> datetime | None:
    """The latest slot, older than :data:`GRACE`, that nothing fulfilled; None where all is well.

    ``since`` is when these intervals came into force: what was due before then was never promised, and None promises
    nothing. ``runs`` are the backup's runs, in any order; older ones than the slot do not matter. Every run that
    began at the slot or later, or was still under way then, fulfils it, whoever started it and however it ended, unless
    it was interrupted.
    """
    slot = latest_slot(intervals, now - GRACE, zone)
    if slot is None or since is None or slot <= since:
        return None
    attempts = 0
    for run in runs:
        if run.status is RunStatus.INTERRUPTED:
            attempts += run.slot == slot
        elif run.slot == slot or run.ended is None or run.ended >= slot:
            return None
    return slot if attempts < RUNS_PER_SLOT else None


# --- cron's arithmetic ------------------------------------------------------------------------------------------


def _times_after(interval: str, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Times (UTC) at which one interval is due, later than ``after``, ascending."""
    local = after.astimezone(zone).replace(tzinfo=None)
    if _clock_changes(local.date(), zone):
        local = datetime.combine(local.date(), time()) - timedelta(seconds=1)
    return (due for due in _times(interval, local, zone) if due > after)


def _latest(interval: str, now: datetime, zone: tzinfo) -> datetime | None:
    local = now.astimezone(zone).replace(tzinfo=None, microsecond=0) + timedelta(seconds=1)
    if _clock_changes(local.date(), zone):
        local = datetime.combine(local.date() + timedelta(days=1), time())
    return next((due for due in _times(interval, local, zone, backwards=True) if due <= now), None)


def _times(interval: str, start: datetime, zone: tzinfo, *, backwards: bool = False) -> Iterator[datetime]:
    """Times (UTC) at which one interval is due, from the local time ``start`` (left out) on or back, in order."""
    from cronsim import CronSim

    fields = ALIASES.get(interval, interval)
    minute, hour = fields.split()[:2]
    follows_clock = minute.startswith("*") or hour.startswith("*")
    for day, moments in groupby(CronSim(fields, start, backwards), datetime.date):
        if _clock_changes(day, zone):
            due = {instant for moment in moments for instant in _instants(moment, zone, follows_clock)}
            yield from sorted(due, reverse=backwards)
        else:
            offset = _offset(day, zone)
            yield from ((moment - offset).replace(tzinfo=UTC) for moment in moments)


def _instants(moment: datetime, zone: tzinfo, follows_clock: bool) -> list[datetime]:
    """When (UTC) a line that is due at this local time runs, on a day on which the clock changes."""
    existing = []
    for fold in (0, 1):
        instant = moment.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None, fold=0) == moment:
            existing.append(instant)
    if follows_clock:
        return existing
    if not existing:
        return _instants(moment + timedelta(minutes=1), zone, follows_clock)
    return existing[:1]


@lru_cache(maxsize=4096)
def _clock_changes(day: date, zone: tzinfo) -> bool:
    return _offset(day, zone) != _offset(day + timedelta(days=1), zone)


@lru_cache(maxsize=4096)
def _offset(day: date, zone: tzinfo) -> timedelta:
    return datetime.combine(day, time(), zone).utcoffset() or timedelta()


def _without_repetitions(times: Iterable[datetime]) -> Iterator[datetime]:
    previous = None
    for due in times:
        if due != previous:
            yield due
            previous = due


# --- the machine's zone -----------------------------------------------------------------------------------------


@cache
def local_zone() -> tzinfo:
    """The zone of this process, as ``date`` shows it: ``TZ``, else the machine's."""
    return _zone_named(os.environ.get("TZ", "").removeprefix(":")) or machine_zone()


@cache
def machine_zone() -> tzinfo:
    """The zone of a program without ``TZ``, such as cron: /etc/localtime, else /etc/timezone, else UTC."""
    return _zone_of_file(Path("/etc/localtime")) or _zone_named(_first_line(Path("/etc/timezone"))) or UTC


def _zone_named(name: str) -> tzinfo | None:
    if name.startswith("/"):
        return _zone_of_file(Path(name))
    try:
        return ZoneInfo(name) if name else None
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None


def _zone_of_file(path: Path) -> tzinfo | None:
    """The zone in a TZif file, with its name where the file lies below a ``zoneinfo`` folder."""
    _, below_zoneinfo, name = str(path.resolve()).partition("/zoneinfo/")
    if below_zoneinfo and (zone := _zone_named(name)):
        return zone
    try:
        with path.open("rb") as file:
            return ZoneInfo.from_file(file, key=str(path))
    except (OSError, ValueError):
        return None


def _first_line(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").partition("\n")[0].strip()
    except OSError:
        return ""
