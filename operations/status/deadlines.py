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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from model import Backup, Period, RunPoint, RunStatus, Target
from operations.retention.periods import end_of_period
from operations.running.retries import wait_before
from schedules.times import CLOCK_SLACK, GRACE, local_zone, next_runs

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


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is ``late``, what for longest first; and the ``deadline`` at which the first target is late unless a good
    copy is there by then. That one lies in the past where one is late, and is None where nothing is due."""

    late: tuple[Late, ...] = ()
    deadline: datetime | None = None


def outlook(backup: Backup, past: Past, now: datetime, zone: tzinfo | None = None) -> Outlook:
    """Nothing of a backup that is disabled or never due. ``zone`` is that of cron (default: the machine's)."""
    look = _Look(backup, past, now, zone or local_zone())
    promises = list(look.promises())
    found: dict[tuple[datetime, datetime | None], list[Target]] = {}
    for promise in promises:
        if promise.deadline <= now:
            copy = promise.copy
            found.setdefault((promise.slot, copy.started if copy is not None else None), []).append(promise.target)
    late = tuple(
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
    return Outlook(late, min((promise.deadline for promise in promises), default=None))


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


@dataclass(frozen=True, slots=True)
class _Promise:
    """A target is late from ``deadline`` on. ``copy`` is the run of its newest good copy."""

    target: Target
    copy: RunPoint | None
    slot: datetime
    deadline: datetime


class _Look:
    """One look at one backup; several targets mostly ask the same of it."""

    def __init__(self, backup: Backup, past: Past, now: datetime, zone: tzinfo) -> None:
        self.patience = patience(backup, past.usual)
        self._backup = backup
        self._past = past
        self._zone = zone
        self._horizon = now + CLOCK_ERROR
        self._newest = {status: run for status, run in past.newest.items() if run.started <= self._horizon}
        self._known: dict[datetime, tuple[datetime, datetime] | None] = {}

    def promises(self) -> Iterator[_Promise]:
        """One for each target that something is due on."""
        since = self._past.scheduled_since
        since = since if since is not None and since <= self._horizon else None
        for target in self._backup.targets if self._backup.enabled else ():
            copy = self._past.copies.get(str(target))
            copy = copy if copy is not None and copy.started <= self._horizon else None
            begin = _promised_since(target, copy, self._newest.get(RunStatus.GOOD), since, self._zone)
            found = self._deadline(begin) if begin is not None else None
            if found is not None:
                yield _Promise(target, copy, *found)

    def _deadline(self, begin: datetime) -> tuple[datetime, datetime] | None:
        """The first slot after ``begin``, and its deadline."""
        if begin not in self._known:
            slot = self._slot_after(begin)
            self._known[begin] = (
                (slot, max([slot + self.patience, *self._excuses(begin, slot)])) if slot is not None else None
            )
        return self._known[begin]

    def _slot_after(self, moment: datetime) -> datetime | None:
        return next(iter(next_runs(self._backup.intervals, moment, 1, self._zone)), None)

    def _excuses(self, begin: datetime, slot: datetime) -> Iterator[datetime]:
        """Until when the slot may go without a good copy."""
        failed = (self._newest.get(RunStatus.FAILED), self._newest.get(RunStatus.PARTIAL))
        if any(run is not None and run.started > begin for run in failed):
            return
        running, skipped = self._newest.get(RunStatus.RUNNING), self._newest.get(RunStatus.SKIPPED)
        if running is not None:
            yield running.started + longest_run(self._backup, self._past.usual)
        if skipped is not None and covered_until(skipped) >= slot:
            yield from self._end_of_skipping(begin, slot, skipped)

    def _end_of_skipping(self, begin: datetime, slot: datetime, skipped: RunPoint) -> Iterator[datetime]:
        following = self._slot_after(covered_until(skipped))
        slots = next_runs(self._backup.intervals, begin, _MOST_SKIPPED_SLOTS + 1, self._zone)
        if following is not None and len(slots) > _MOST_SKIPPED_SLOTS:
            yield min(following, max(slot + _LONGEST_SKIPPING - self.patience, slots[-1])) + self.patience

    def reason(self, slot: datetime) -> str:
        """What became of the newest run that could have kept the promise."""
        runs = [run for run in self._newest.values() if covered_until(run) >= slot]
        run = max(runs, key=lambda run: (run.started, run.id), default=None)
        if run is None:
            if self._past.scheduled_since is None:
                return "No run has begun, as it is not scheduled."
            return "No run has begun since then."
        began = f"The run that began at {run.started.astimezone(self._zone):%Y-%m-%d %H:%M}"
        return {
            RunStatus.RUNNING: f"{began} is still under way.",
            RunStatus.FAILED: f"{began} failed.",
            RunStatus.PARTIAL: f"{began} was partial: some of it could not be read.",
            RunStatus.INTERRUPTED: f"{began} was interrupted.",
            RunStatus.SKIPPED: f"{began} was skipped, because its BEFORE asked for it, as those before it were.",
            RunStatus.GOOD: f"{began} was good, and left no copy there.",
        }[run.status]
