"""What is to be told of a backup, from what happened since the last time. Pure.

A trouble (runs that fail, a backup that is late, checks that fail) is told when it begins and once more when it ends.
Runs and checks that go on failing are told again each day, with how many there were: each night's failure of a nightly
backup is, and of an hourly one not every hour's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import zip_longest

from model import INTERRUPTED_BY_SIGNAL, Check, CheckKind, CheckOutcome, Event, Run, RunStatus
from operations.running.retries import wait_before
from operations.telling.memory import LATE, RUN, Told, Trouble

TOLD_AGAIN_AFTER = timedelta(hours=20)
"""A day, less what a daily run may begin earlier than the day before."""

LEFT_TO_ITS_PROCESS = timedelta(seconds=wait_before(10)) + timedelta(minutes=5)
"""For so long after a run or a check ended, its own process may still tell of it, or try it again."""

_TROUBLE_OF = {
    RunStatus.FAILED: Event.FAILURE,
    RunStatus.INTERRUPTED: Event.FAILURE,
    RunStatus.PARTIAL: Event.PARTIAL,
}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something to tell: to whoever wants to know of one of ``events``. ``key`` is that of no other.

    ``trouble`` is the one that it belongs to, or that has ended; ``run`` and ``check`` are what happened.
    """

    key: str
    events: frozenset[Event]
    run: Run | None = None
    kind: CheckKind | None = None
    reasons: tuple[str, ...] = ()
    trouble: Trouble | None = None


def of_runs(runs: Iterable[Run], told: Told | None, now: datetime) -> tuple[list[Occurrence], Told]:
    """What there is to tell of these runs of a backup, in any order, and what has been told then.

    Of a backup of which nothing was told yet only the newest run counts. Where a run failed and was tried again, the
    last try does. One that somebody interrupted who had started it is told to nobody.
    """
    ended = sorted((run for run in runs if run.ended is not None), key=lambda run: (run.started, run.id))
    told = told or Told()
    until = told.runs_until
    new = [run for run in ended if run.started > until] if until is not None else ended[-1:]
    found: list[Occurrence] = []
    for run in _last_tries(new):
        occurrence, told = _of_run(run, told, now)
        found += [occurrence] if occurrence is not None else []
    newest = new[-1].started if new else told.runs_until
    return found, replace(told, runs_until=newest)


def of_check(
    kind: CheckKind, is_good: bool, reasons: Sequence[str], started: datetime, told: Told, now: datetime
) -> tuple[list[Occurrence], Told]:
    """The same of a verification or drill that began at ``started`` and is over."""
    told = replace(told, checks_until={**told.checks_until, kind: started})
    before = told.troubles.get(kind.value)
    key = f"{kind.value} {started.isoformat()}"
    if is_good:
        if before is None:
            return [], told
        recovered = Occurrence(f"{key} recovered", frozenset({Event.RECOVERED}), kind=kind, trouble=before)
        return [recovered], told.without(kind.value)
    trouble, is_told = _grown(before, Event.DRILL_FAILED, started, now)
    told = told.with_trouble(kind.value, trouble)
    failed = Occurrence(key, frozenset({Event.DRILL_FAILED}), kind=kind, reasons=tuple(reasons), trouble=trouble)
    return ([failed] if is_told else []), told


def of_recorded_check(
    check: Check, damaged: Sequence[Check], told: Told, now: datetime
) -> tuple[list[Occurrence], Told]:
    """The same of the newest check of its kind, where its process did not tell of it; ``damaged`` are the copies that
    are known to be bad."""
    is_good = check.outcome is CheckOutcome.PASSED and not (check.kind is CheckKind.VERIFY and damaged)
    bad = damaged if check.outcome is CheckOutcome.PASSED else [check]
    reasons = [f"{each.copy} on {each.target}: {each.message or each.outcome.value}" for each in bad]
    return of_check(check.kind, is_good, reasons, check.started, told, now)


def of_lateness(
    slot: datetime | None, targets: Sequence[str], reason: str, told: Told, now: datetime
) -> tuple[Occurrence | None, Told]:
    """Whether it is to be told that these targets are late; ``slot`` is when their copies were due, None where none is
    late and that has an end to tell."""
    before = told.troubles.get(LATE)
    if slot is None:
        if before is None:
            return None, told
        ended = Occurrence(f"late {before.since.isoformat()} over", frozenset({Event.RECOVERED}), trouble=before)
        return ended, told.without(LATE)
    if before is not None and set(targets) <= set(before.targets):
        return None, told
    trouble = Trouble(Event.LATE, slot, now, targets=tuple(targets))
    key = f"late {slot.isoformat()} {' '.join(targets)}"
    occurrence = Occurrence(key, frozenset({Event.LATE}), reasons=(reason,), trouble=trouble)
    return occurrence, told.with_trouble(LATE, trouble)


def with_failure(told: Told, now: datetime) -> Told:
    """After a failure that the catalog does not know of, and that is told."""
    trouble, _ = _grown(told.troubles.get(RUN), Event.FAILURE, now, now)
    return told.with_trouble(RUN, replace(trouble, told=now))


def _last_tries(runs: Sequence[Run]) -> list[Run]:
    """Without those that failed and were tried again."""
    pairs = zip_longest(runs, runs[1:])
    return [run for run, later in pairs if later is None or not _is_retry(run, later)]


def _is_retry(run: Run, later: Run) -> bool:
    return (
        run.status is RunStatus.FAILED
        and run.slot == later.slot
        and run.ended is not None
        and later.started - run.ended <= LEFT_TO_ITS_PROCESS
    )


def _of_run(run: Run, told: Told, now: datetime) -> tuple[Occurrence | None, Told]:
    if run.status is RunStatus.SKIPPED or _was_ended_by_its_starter(run):
        return None, told
    if run.status is RunStatus.GOOD:
        ended = [told.troubles[kind] for kind in (RUN, LATE) if kind in told.troubles]
        oldest = min(ended, key=lambda trouble: trouble.since, default=None)
        events = frozenset({Event.SUCCESS, Event.RECOVERED}) if oldest else frozenset({Event.SUCCESS})
        return Occurrence(run.id, events, run, trouble=oldest), told.without(RUN, LATE)
    trouble, is_told = _grown(told.troubles.get(RUN), _TROUBLE_OF[run.status], run.started, now)
    occurrence = Occurrence(run.id, frozenset({trouble.event}), run, trouble=trouble)
    return (occurrence if is_told else None), told.with_trouble(RUN, trouble)


def _was_ended_by_its_starter(run: Run) -> bool:
    is_by_signal = run.status is RunStatus.INTERRUPTED and run.message.startswith(INTERRUPTED_BY_SIGNAL)
    return is_by_signal and run.slot is None


def _grown(before: Trouble | None, event: Event, since: datetime, now: datetime) -> tuple[Trouble, bool]:
    """The trouble with one more failure, and whether that is told."""
    if before is None:
        return Trouble(event, since, now), True
    is_other = before.event is not event
    is_told = is_other or now - before.told >= TOLD_AGAIN_AFTER or now < before.told
    count = 1 if is_other else before.count + 1
    return Trouble(event, before.since, now if is_told else before.told, count), is_told
