"""What somebody should know of a backup, and what to do next. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from shlex import quote

from model import Backup, Check, CheckKind, CheckOutcome, Run, RunStatus
from operations.running.run_log import log_name
from operations.status import unusual_size
from operations.status.deadlines import Late, longest_run
from operations.status.levels import WORST_FIRST, Level
from operations.status.standing import Notice, NoticeKind, Standing
from schedules.times import next_runs
from utils import format_duration

# A check reads for hours, and cron starts the next one by itself.
_CHECK_PATIENCE = timedelta(days=1)

_NOTHING_BEGAN = (
    "`main.py plan --check` says whether the crontab has its line, and whether cron runs; `backup.py {id}` runs it now."
)
_HAS_LINE = "`main.py plan --check` says whether the crontab has its line."
_RUN_AGAIN = "Its log: {log}. `backup.py {id}` runs it again."


def notices_of(standing: Standing, now: datetime, state_directory: Path) -> tuple[Notice, ...]:
    """The worst first. Of a backup that is disabled or orphaned only what is known of its copies is told."""
    backup = standing.backup
    found = list(_of_checks(standing))[::-1]  # newest first
    if backup is not None and backup.enabled:
        found += _of_runs(standing, backup, now, state_directory)
        found += _of_plans(standing, backup, now)
    return tuple(sorted(found, key=lambda notice: WORST_FIRST.index(notice.level)))


def _of_runs(standing: Standing, backup: Backup, now: datetime, state_directory: Path) -> Iterator[Notice]:
    last = standing.last
    ended = _ended_badly(standing, state_directory)
    # What the notice of the newest run tells need not be said twice.
    is_told = ended is not None and last == standing.last_ended
    if ended is not None:
        yield replace(ended, level=Level.LATE) if standing.late and ended.level is Level.WARNING else ended
    for late in standing.late:
        advice = "" if is_told else _late_advice(late, standing, state_directory)
        yield Notice(NoticeKind.LATE, Level.LATE, late_text(late, with_reason=not is_told), advice)
    if standing.sizes.anomaly is not None:
        yield Notice(NoticeKind.SIZE, Level.WARNING, standing.sizes.anomaly, unusual_size.advice(standing.backup_id))
    is_running = last is not None and last.status is RunStatus.RUNNING and not standing.late
    if is_running and last is not None and now >= last.started + longest_run(backup, standing.usual_duration):
        yield _slow(standing, last)


def _ended_badly(standing: Standing, state_directory: Path) -> Notice | None:
    """What there is to say of the newest run that has ended, unless it was good."""
    run = standing.last_ended
    kinds = {
        RunStatus.FAILED: (NoticeKind.FAILED, Level.FAILED, "failed"),
        RunStatus.PARTIAL: (NoticeKind.PARTIAL, Level.WARNING, "was partial"),
        RunStatus.INTERRUPTED: (NoticeKind.INTERRUPTED, Level.WARNING, "was interrupted"),
    }
    if run is None or run.status not in kinds:
        return None
    kind, level, word = kinds[run.status]
    text = f"The run of {local(run.started)} {word}. {run.message}".rstrip()
    return Notice(kind, level, text, _filled(_RUN_AGAIN, standing, run, state_directory))


def late_text(late: Late, *, with_reason: bool = True) -> str:
    """Since when there is no good copy, and when one was due."""
    where = "" if late.is_everywhere else f" on {', '.join(late.targets)}"
    since = f"since {local(late.last_good)}" if late.last_good is not None else "yet"
    reason = f" {late.reason}" if with_reason else ""
    return f"There is no good copy{where} {since}, and one was due at {local(late.slot)}.{reason}"


def _late_advice(late: Late, standing: Standing, state_directory: Path) -> str:
    last = standing.last
    if last is None or last.started < late.slot:
        return _NOTHING_BEGAN.format(id=standing.backup_id)
    if last.status is RunStatus.RUNNING:
        return f"Its log: {state_directory / 'logs' / log_name(standing.backup_id, last.started)}."
    if last.status is RunStatus.SKIPPED:
        return "Let its BEFORE exit with 0 where it is to run, or set `ENABLED: no`."
    return _filled(_RUN_AGAIN, standing, last, state_directory)


def _filled(advice: str, standing: Standing, run: Run, state_directory: Path) -> str:
    log = state_directory / "logs" / log_name(standing.backup_id, run.started)
    return advice.format(id=standing.backup_id, log=log)


def _slow(standing: Standing, run: Run) -> Notice:
    usual = standing.usual_duration
    usually = f", and usually one takes {format_duration(usual.total_seconds())} at most" if usual is not None else ""
    return Notice(
        NoticeKind.SLOW,
        Level.WARNING,
        f"The run of {local(run.started)} is still under way{usually}.",
        "Its log says what it does. TIMEOUT in config.yaml ends one that hangs.",
    )


def _of_checks(standing: Standing) -> Iterator[Notice]:
    for check in standing.concerns:
        is_drill = check.kind is CheckKind.DRILL
        has_failed = check.outcome is CheckOutcome.FAILED
        kind = NoticeKind.DRILL if is_drill else NoticeKind.DAMAGED if has_failed else NoticeKind.VERIFICATION
        option = " --drill" if is_drill else ""
        storage = quote(check.target.partition(":")[0])
        advice = f"`restore.py verify{option} {check.backup_id}@{check.copy} --storage {storage}` shows more."
        yield Notice(kind, Level.FAILED if has_failed else Level.WARNING, _check_text(check), advice)


def _check_text(check: Check) -> str:
    what = "drill" if check.kind is CheckKind.DRILL else "verification"
    how = {CheckOutcome.FAILED: "failed", CheckOutcome.STALE: "found it stale"}.get(check.outcome, check.outcome.value)
    return f"The {what} of {check.copy} on {check.target} {how} at {local(check.started)}. {check.message}".rstrip()


def _of_plans(standing: Standing, backup: Backup, now: datetime) -> Iterator[Notice]:
    """A verification or a drill that ran once and has not for too long. Of one that never ran nobody knows since when
    it is planned."""
    plan = backup.verify
    if plan is None:
        return
    drills = plan.drill.intervals if plan.drill is not None else ()
    for kind, intervals, word in (
        (CheckKind.VERIFY, plan.intervals, "verification"),
        (CheckKind.DRILL, drills, "drill"),
    ):
        last = standing.checks.last.get(kind)
        due = next_runs(intervals, last.ended, 1) if last is not None and intervals else []
        if last is not None and due and due[0] + _CHECK_PATIENCE <= now:
            text = f"A {word} was due at {local(due[0])}, and the last one was at {local(last.started)}."
            yield Notice(
                NoticeKind.UNPROVEN,
                Level.WARNING,
                text,
                "`main.py plan --check` says whether the crontab has its line.",
            )


def local(moment: datetime) -> str:
    """``2026-11-20 03:00`` in this machine's zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
