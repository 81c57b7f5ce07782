"""Which backups are late: each deadline follows from the backup's own intervals. Pure.

A time at which a backup is due is a promise: soon after it a good copy of that run lies on each target. The first such
time after the newest good copy on a target is its *slot*, and the deadline is the slot plus :func:`patience`: the time
that cron may need, and twice what a run of this backup usually takes, for each of the tries that it has. A target is
late from its deadline on, until a good copy is there. Three things excuse it:

- A first run since then is still under way, and takes no more than twice its usual time.
- ``BEFORE`` said "not this time", for no more than seven days and three slots in a row.
- The target takes only one copy for each day, month … (``ONLY``), and has that of the period.

A failed or a partial run is no excuse, and none that was interrupted. What was due before the backup was scheduled, or
had its first good run where it is not scheduled, was never promised. Runs that began more than a day after ``now`` are
those of a wrong clock, and count as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from model import Backup, Period, RunPoint, RunStatus, Target
from operations.retention.periods import end_of_period
from operations.running.retries import wait_before
from schedules.times import CLOCK_SLACK, GRACE, latest_slot, local_zone, next_runs

CLOCK_ERROR = timedelta(days=1)
"""A run that began so much later than now began while the clock was wrong."""

# Where no run of it was ever good, nobody knows how long one takes; the first one moves all of the data.
_FIRST_RUN = timedelta(days=1)

_LONGEST_SKIPPING = timedelta(days=7)
_MOST_SKIPPED_SLOTS = 3

_RESOLUTION = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Past:
    """What the deadlines of one backup follow from.

    ``scheduled_since`` is since when it has its intervals, None where it is not scheduled. ``newest`` has the newest
    run of each status, and ``copies`` the run of the newest good copy on each target (``str`` of a Target). ``usual``
    is how long its good runs take: see :func:`operations.status.sizes.usual_duration`.
    """

    scheduled_since: datetime | None = None
    newest: Mapping[RunStatus, RunPoint] = field(default_factory=dict)
    copies: Mapping[str, RunPoint] = field(default_factory=dict)
    usual: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """These targets have no good copy of a run that was due at ``slot``; they are late since ``since``.

    ``targets`` are in the order of the backup, and ``is_everywhere`` where they are all that it has. ``last_good`` is
    when the run of their newest good copy began. ``reason`` is one sentence.
    """

    targets: tuple[str, ...]
    is_everywhere: bool
    slot: datetime
    since: datetime
    last_good: datetime | None
    reason: str


def late_targets(backup: Backup, past: Past, now: datetime, zone: tzinfo | None = None) -> tuple[Late, ...]:
    """What of a backup is late, what for longest first; nothing where it is disabled or never due.

    ``zone`` is the one that cron runs in (default: the machine's).
    """
    zone = zone or local_zone()
    horizon = now + CLOCK_ERROR
    if not backup.enabled:
        return ()
    look = _Look(backup, past, now, zone, {s: run for s, run in past.newest.items() if run.started <= horizon})
    since = past.scheduled_since
    since = since if since is not None and since <= horizon else None
    found: dict[tuple[datetime, datetime | None], list[Target]] = {}
    for target in backup.targets:
        copy = past.copies.get(str(target))
        copy = copy if copy is not None and copy.started <= horizon else None
        begin = _promised_since(target, copy, look.good, since, zone)
        slot = look.missed_slot(begin) if begin is not None else None
        if slot is not None:
            found.setdefault((slot, copy.started if copy is not None else None), []).append(target)
    return tuple(
        Late(
            targets=tuple(str(target) for target in targets),
            is_everywhere=len(targets) == len(backup.targets),
            slot=slot,
            since=slot + look.patience,
            last_good=last_good,
            reason=look.reason(slot),
        )
        for (slot, last_good), targets in sorted(found.items(), key=lambda item: item[0][0])
    )


def patience(backup: Backup, usual: timedelta | None) -> timedelta:
    """How long after it was due a backup is not late yet."""
    waits = sum(wait_before(retry) for retry in range(backup.retries))
    tries = 1 + backup.retries
    return GRACE + 2 * tries * (usual or timedelta()) + timedelta(seconds=waits)


def longest_run(backup: Backup, usual: timedelta | None) -> timedelta:
    """How long a run may be under way until it is one that hangs."""
    if usual is not None:
        return GRACE + 2 * usual
    return GRACE + (timedelta(seconds=backup.timeout) if backup.timeout is not None else _FIRST_RUN)


def covered_until(run: RunPoint) -> datetime:
    """A time that was due until then has had this run: it began then, or was still under way."""
    return max(run.started + CLOCK_SLACK, run.ended or run.started)


def _promised_since(
    target: Target, copy: RunPoint | None, good: RunPoint | None, since: datetime | None, zone: tzinfo
) -> datetime | None:
    """The first time later than this at which the backup is due is one of which the target must have a copy."""
    begins = [since]
    if copy is not None and target.only is not None:
        begins.append(_end_of(copy, target.only, zone))
        if good is not None and good.started > _end_of(copy, target.only, zone):
            begins.append(covered_until(good))
    else:
        # A run that was good had a copy on every target that the backup had: one without had not been added yet.
        begins += [covered_until(run) for run in (copy, good) if run is not None]
    return max((begin for begin in begins if begin is not None), default=None)


def _end_of(copy: RunPoint, only: Period, zone: tzinfo) -> datetime:
    return end_of_period(copy.started, only, zone) - _RESOLUTION


class _Look:
    """One look at one backup; several targets mostly ask the same of it."""

    def __init__(
        self, backup: Backup, past: Past, now: datetime, zone: tzinfo, newest: Mapping[RunStatus, RunPoint]
    ) -> None:
        self.good = newest.get(RunStatus.GOOD)
        self.patience = patience(backup, past.usual)
        self._backup = backup
        self._usual = past.usual
        self._is_scheduled = past.scheduled_since is not None
        self._now = now
        self._zone = zone
        self._newest = newest
        self._missed: dict[datetime, datetime | None] = {}

    def missed_slot(self, begin: datetime) -> datetime | None:
        """The first slot after ``begin``, where its deadline has passed and nothing excuses that."""
        if begin not in self._missed:
            slot = next(iter(next_runs(self._backup.intervals, begin, 1, self._zone)), None)
            is_late = slot is not None and slot + self.patience <= self._now and not self._is_excused(begin, slot)
            self._missed[begin] = slot if is_late else None
        return self._missed[begin]

    def _is_excused(self, begin: datetime, slot: datetime) -> bool:
        failed = (self._newest.get(RunStatus.FAILED), self._newest.get(RunStatus.PARTIAL))
        if any(run is not None and run.started > begin for run in failed):
            return False
        return self._is_under_way() or self._is_skipped(begin, slot)

    def _is_under_way(self) -> bool:
        run = self._newest.get(RunStatus.RUNNING)
        return run is not None and self._now < run.started + longest_run(self._backup, self._usual)

    def _is_skipped(self, begin: datetime, slot: datetime) -> bool:
        run = self._newest.get(RunStatus.SKIPPED)
        latest = latest_slot(self._backup.intervals, self._now - self.patience, self._zone)
        if run is None or latest is None or covered_until(run) < latest:
            return False
        slots = next_runs(self._backup.intervals, begin, _MOST_SKIPPED_SLOTS + 1, self._zone)
        if len(slots) <= _MOST_SKIPPED_SLOTS:
            return True
        return self._now < max(slot + _LONGEST_SKIPPING, slots[-1] + self.patience)

    def reason(self, slot: datetime) -> str:
        """What became of the newest run that could have kept the promise."""
        runs = [run for run in self._newest.values() if covered_until(run) >= slot]
        run = max(runs, key=lambda run: (run.started, run.id), default=None)
        if run is None:
            return "No run has begun since then." if self._is_scheduled else "No run has begun, as it is not scheduled."
        began = f"The run that began at {run.started.astimezone(self._zone):%Y-%m-%d %H:%M}"
        return {
            RunStatus.RUNNING: f"{began} is still under way.",
            RunStatus.FAILED: f"{began} failed.",
            RunStatus.PARTIAL: f"{began} was partial: some of it could not be read.",
            RunStatus.INTERRUPTED: f"{began} was interrupted.",
            RunStatus.SKIPPED: f"{began} was skipped, because its BEFORE asked for it, as those before it were.",
            RunStatus.GOOD: f"{began} was good, and left no copy there.",
        }[run.status]
