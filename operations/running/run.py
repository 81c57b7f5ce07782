"""Everything around one run of a backup: its lock, its record in the catalog, its log, and how it is said to end."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from catalog import Catalog
from errors import HoldfastError, InterruptedRun, TimedOutRun
from interruption import time_limit
from model import INTERRUPTED_BY_SIGNAL, Backup, Configuration, Note, NoteKind, Run, RunStatus
from operations.backup import Attempt, Outcome, back_up
from operations.locks import lock_backup
from operations.metrics_file import write_metrics
from operations.observer import Observer
from operations.retention.prune_targets import prune_after
from operations.running.hooks import RunHooks
from operations.running.only import why_left_out
from operations.running.resume import resume_uploads
from operations.running.retries import wait_before
from operations.running.run_log import run_log
from operations.running.spooled_copy import waiting_copies
from operations.status.unusual_size import note_unusual_size
from operations.usage import record_usage
from storages.workplace import Workplace
from utils import format_count, format_duration, format_size, make_private_directory, printable, redact, utc_now

_NAMED_PATHS = 5
_RECENT_RUNS = 50


def run_backup(
    configuration: Configuration,
    backup: Backup,
    catalog: Catalog,
    *,
    slot: datetime | None,
    observer: Observer,
) -> Run | None:
    """Run it, again where it fails and may be tried again, and return how that ended.

    What ended otherwise than well is in the catalog and in a log too; each try is a run of its own there. ``slot`` is
    the scheduled time that this run fulfils, None where a person started it; where it had its run already, nothing is
    done and the answer is None. Raises AlreadyRunningError, HoldfastError where the state folder or the catalog cannot
    be used, and InterruptedRun or KeyboardInterrupt once everything was put right.
    """
    with lock_backup(configuration.state_directory, backup.id):
        run = _run_once(configuration, backup, catalog, slot, observer, is_retry=False)
        for retry in range(backup.retries):
            if run is None or not _is_worth_another_try(run):
                break
            seconds = wait_before(retry)
            observer.wait(utc_now() + timedelta(seconds=seconds))
            time.sleep(seconds)
            run = _run_once(configuration, backup, catalog, slot, observer, is_retry=True)
        return run


def _run_once(
    configuration: Configuration,
    backup: Backup,
    catalog: Catalog,
    slot: datetime | None,
    observer: Observer,
    *,
    is_retry: bool,
) -> Run | None:
    """One try. A slot that had a run is none that waits for one, but where this is a retry of just that run."""

    def has_had_its_run() -> bool:
        return slot is not None and not is_retry and is_fulfilled(catalog, backup, slot)

    state = configuration.state_directory
    recent = catalog.runs(backup.id, _RECENT_RUNS)
    started = _start_time(recent)
    dead_runs = catalog.mark_dead_runs(backup.id, started)
    if has_had_its_run():
        return None
    run = Run(uuid.uuid4().hex, backup.id, started, slot)
    observer.begin(run)
    workplace = Workplace(state)
    with run_log(state, backup.id, started, log_format=configuration.log_format, run_id=run.id) as log:
        for dead in dead_runs:
            log.warning("the run that began at %s was killed; what it left half done is removed", dead.started)
        resume_uploads(backup, recent, catalog, workplace, log, observer.upload)
        if has_had_its_run():
            return None
        attempt = Attempt(
            backup,
            run.id,
            started,
            _unfinished_runs([*dead_runs, *recent]),
            state,
            workplace,
            configuration.own_folders,
            _last_archive_size(recent),
        )
        try:
            return _recorded(run, configuration, attempt, catalog, log, observer)
        finally:
            write_metrics(configuration, catalog, log)


def _is_worth_another_try(run: Run) -> bool:
    """Where every copy is whole, what failed came after them: another try would only make them once more."""
    has_all_copies = bool(run.copies) and all(copy.error is None for copy in run.copies)
    return run.status is RunStatus.FAILED and not has_all_copies


def is_fulfilled(catalog: Catalog, backup: Backup, slot: datetime) -> bool:
    """Whether this scheduled time had its run, or has it now: neither a clock that was set back nor a second interval
    of the same time may make another."""
    return any(run.status is not RunStatus.INTERRUPTED for run in catalog.slot_runs(backup.id, slot))


def _recorded(
    run: Run,
    configuration: Configuration,
    attempt: Attempt,
    catalog: Catalog,
    log: logging.Logger,
    observer: Observer,
) -> Run:
    """Back up with the hooks around it, and record how it ended, whatever happens."""
    log.info("%s begins", run.backup_id)
    hooks = RunHooks(attempt.backup, log)
    error: BaseException | None = None
    try:
        catalog.begin_run(run)
        run = _tried(run, attempt, hooks, log, observer)
    except BaseException as raised:
        error = raised
        run = _ended_by(raised, run, attempt, log)
    try:
        run = hooks.after(run)
    except (InterruptedRun, KeyboardInterrupt) as raised:
        error = raised
        message = f"{run.message}\nThe program that runs after it was interrupted.".lstrip()
        run = _ended(run, RunStatus.INTERRUPTED, message)
    run = note_unusual_size(run, catalog, log)
    catalog.finish_run(run)
    if isinstance(error, InterruptedRun) and not isinstance(error, TimedOutRun):
        raise InterruptedRun(f"{error} {run.message.removeprefix(INTERRUPTED_BY_SIGNAL)}", error.exit_code) from error
    if error is not None and not isinstance(error, HoldfastError | TimedOutRun):
        raise error
    if error is not None:
        return run
    run = _pruned(run, configuration, attempt, catalog, log)
    record_usage(run, attempt.backup, catalog, attempt.workplace, log)
    return run


def _pruned(run: Run, configuration: Configuration, attempt: Attempt, catalog: Catalog, log: logging.Logger) -> Run:
    """Remove old copies now that the run is recorded. Where that fails the run is as good as it was, and says so."""
    try:
        problems = prune_after(run, configuration, attempt.backup, attempt.workplace, log)
    except InterruptedRun as interruption:
        message = f"{interruption} The run had ended by then; old copies that are still there go after the next one."
        raise InterruptedRun(message, interruption.exit_code) from interruption
    if problems:
        message = "\n".join(filter(None, [run.message, "Old copies could not be removed:", *problems]))
        run = replace(run, message=redact(message))
        catalog.finish_run(run)
    return run


def _tried(run: Run, attempt: Attempt, hooks: RunHooks, log: logging.Logger, observer: Observer) -> Run:
    """How it ended, where no error ended it."""
    why_skipped = hooks.before()
    if why_skipped is not None:
        log.info("%s", why_skipped)
        return _ended(run, RunStatus.SKIPPED, why_skipped)
    _make_spool(attempt.state_directory / "spool")
    with time_limit(attempt.backup.timeout):
        outcome = back_up(attempt, lambda note: _log_note(log, note), observer)
    run = _ended(run, outcome.status, _message(outcome))
    run = replace(run, archive=outcome.archive, copies=outcome.copies)
    level = logging.INFO if run.status is RunStatus.GOOD else logging.WARNING
    log.log(level, "%s: %s", run.status.value, summary(run))
    for target, copy in zip(attempt.backup.targets, outcome.copies, strict=True):
        if copy.status is RunStatus.SKIPPED:
            log.info("%s", why_left_out(target))
    for problem in outcome.problems:
        log.error("%s", problem)
    return run


def _ended_by(error: BaseException, run: Run, attempt: Attempt, log: logging.Logger) -> Run:
    """The run that an error ended; what was noted on that belongs to the message."""
    notes: list[str] = getattr(error, "__notes__", [])
    if isinstance(error, InterruptedRun | KeyboardInterrupt):
        is_over = isinstance(error, TimedOutRun)
        beginning = f"{error} " if is_over else INTERRUPTED_BY_SIGNAL
        message = "\n".join([beginning + _after_interruption(attempt), *notes])
        log.log(logging.ERROR if is_over else logging.WARNING, "%s", message)
        return _ended(run, RunStatus.FAILED if is_over else RunStatus.INTERRUPTED, message)
    if isinstance(error, HoldfastError):
        message = "\n".join([str(error), *notes])
        log.error("%s", message)
        return _ended(run, RunStatus.FAILED, message)
    log.error("it met an error that it does not know", exc_info=error)
    return _ended(run, RunStatus.FAILED, "\n".join([f"{type(error).__name__}: {error}", *notes]))


def _start_time(recent: Iterable[Run]) -> datetime:
    """Now, but never in a second in which another run began (clocks go back): a copy is named by its second."""
    taken = {run.started.replace(microsecond=0) for run in recent}
    while (now := utc_now()).replace(microsecond=0) in taken:
        time.sleep(0.05)
    return now


def _unfinished_runs(runs: Iterable[Run]) -> tuple[datetime, ...]:
    """When those began that may have left something on a target: a failed one, too, where it could not clean up."""
    return tuple(run.started for run in runs if run.status in (RunStatus.INTERRUPTED, RunStatus.FAILED))


def _after_interruption(attempt: Attempt) -> str:
    if any(waiting_copies(attempt.state_directory, attempt.backup.id)):
        return "The archive is whole and waits on this machine; the next run goes on with its upload."
    return "What was not finished is removed; earlier copies are untouched."


def _last_archive_size(recent: Iterable[Run]) -> int:
    """That of the newest run that made one, in bytes; 0 where none did."""
    return next((run.archive.size for run in recent if run.archive is not None), 0)


def _make_spool(path: Path) -> None:
    try:
        make_private_directory(path)
    except OSError as error:
        raise HoldfastError(f"The folder {path} cannot be made: {error.strerror}. Check STATE_DIR.") from error


def _log_note(log: logging.Logger, note: Note) -> None:
    level = logging.WARNING if note.kind is NoteKind.UNREADABLE else logging.INFO
    log.log(level, "%s: %s: %s", note.kind.value, printable(note.path), note.reason)


def _ended(run: Run, status: RunStatus, message: str) -> Run:
    return replace(run, status=status, ended=utc_now(), message=redact(message))


def _message(outcome: Outcome) -> str:
    """What there is to say of a run that made an archive; nothing of one that is simply good."""
    lines = [f"{copy.storage}: {copy.error}" for copy in outcome.copies if copy.error is not None]
    count = outcome.notes.counts.get(NoteKind.UNREADABLE.value, 0)
    if count:
        lines.append(f"{format_count(count, 'path')} could not be read, so the archive is without:")
        unreadable = [note for note in outcome.notes.first if note["kind"] == NoteKind.UNREADABLE.value]
        lines += [f"  {note['path']} ({note['reason']})" for note in unreadable[:_NAMED_PATHS]]
        if count > _NAMED_PATHS:
            lines.append("  … and others: the log and the manifest name them")
    lines += outcome.problems
    return "\n".join(lines)


def summary(run: Run) -> str:
    archive, ended = run.archive, run.ended or run.started
    if archive is None:
        return "no archive was made"
    return (
        f"{format_count(archive.file_count, 'file')}, {format_size(archive.content_size)}, packed to "
        f"{format_size(archive.size)} in {format_duration((ended - run.started).total_seconds())}"
    )
