"""``restore.py verify --scheduled``: what the lines of ``VERIFY`` and ``DRILL`` in the crontab call."""

from __future__ import annotations

import argparse
import logging
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from command_line import complain, new_teller, show_json
from commands import drilling, verification
from commands.choice import Meant
from commands.healing import heal_backup, healed_documents
from commands.places import Lookup
from errors import EXIT_FAILED, EXIT_GOOD, UsageError
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from model import Backup, CheckKind, Configuration, VerifyPlan
    from operations.verifying.check_history import CheckHistory
    from operations.verifying.checking import CopyCheck


def run(arguments: argparse.Namespace) -> int:
    """Do what the plan of the backup says; the exit code. Silent where all is well."""
    from model import CheckKind
    from operations.locks import lock_check
    from operations.running.run_log import log_name, run_log
    from operations.verifying.check_history import CheckHistory
    from utils import utc_now

    kind = CheckKind.DRILL if arguments.drill else CheckKind.VERIFY
    lookup = Lookup(arguments, warn=False)
    backup, plan = _planned(lookup, arguments)
    end_cleanly_on_signals(drilling.INTERRUPTION if arguments.drill else "")
    state, started = lookup.configuration.state_directory, utc_now()
    log_path = log_name(backup.id, started, kind)
    with (
        lock_check(state, kind, backup.id),
        run_log(state, backup.id, started, kind, log_format=lookup.configuration.log_format) as log,
        CheckHistory(lookup.configuration) as history,
        _Told(arguments, lookup.configuration, backup, kind, started, log) as told,
    ):
        if arguments.drill:
            is_good = _drill(backup, arguments, lookup, history, log, log_path)
        else:
            is_good = _verify(backup, plan, arguments, lookup, history, log, log_path)
        for problem in history.problems:
            log.warning("%s", problem)
            complain(problem)
        told.is_good = is_good
    return EXIT_GOOD if is_good else EXIT_FAILED


class _Told(logging.Handler):
    """Around a check: whoever is to be told hears how it ended, with what its log says of it."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        configuration: Configuration,
        backup: Backup,
        kind: CheckKind,
        started: datetime,
        log: logging.Logger,
    ) -> None:
        super().__init__(logging.WARNING)
        self.is_good = False
        self._arguments = arguments
        self._configuration = configuration
        self._backup = backup
        self._kind = kind
        self._started = started
        self._said: list[str] = []
        log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from errors import CatalogError, InterruptedRun

        if isinstance(error, InterruptedRun | KeyboardInterrupt) or not self._backup.channels:
            return
        from catalog import open_catalog

        said = [*self._said, *([str(error)] if error is not None else [])]
        try:
            catalog = open_catalog(self._configuration.state_directory, self._configuration.catalog_url)
        except CatalogError:
            teller = new_teller(self._arguments, self._configuration, None)
            teller.check_ended(self._backup, self._kind, self.is_good, said, self._started)
            return
        with closing(catalog):
            teller = new_teller(self._arguments, self._configuration, catalog)
            teller.check_ended(self._backup, self._kind, self.is_good, said, self._started)


def _planned(lookup: Lookup, arguments: argparse.Namespace) -> tuple[Backup, VerifyPlan]:
    """The backup and its plan. Raises UsageError where the line in the crontab says what the configuration does not."""
    (text,) = arguments.copies
    configuration = lookup.configuration
    backup = next((each for each in configuration.backups if each.id == text and each.enabled), None)
    plan = backup.verify if backup is not None else None
    what = "a drill" if arguments.drill else "a verification"
    is_planned = plan is not None and (plan.drill is not None if arguments.drill else bool(plan.intervals))
    if backup is None or plan is None or not is_planned:
        raise UsageError(
            f"{configuration.path} has no enabled backup {text!r} with {what} that is scheduled. This scheduled line "
            "is outdated: `main.py sync` brings the crontab up to date."
        )
    return backup, plan


def _verify(
    backup: Backup,
    plan: VerifyPlan,
    arguments: argparse.Namespace,
    lookup: Lookup,
    history: CheckHistory,
    log: logging.Logger,
    log_path: str,
) -> bool:
    """Whether all is well in the end: what was bad and could be healed is said, and is well."""
    from operations.copies.healing import HealReport
    from operations.verifying.verification import read_back, sampled

    result = verification.Verified()
    listing = lookup.listing(backup)
    result.errors += listing.errors
    history.forget_removed(backup, listing)
    batches = sampled(listing, plan.sample, history.last_checked(backup.id))
    log.info("%s copies are listed, and %s are to be read", len(listing.copies), sum(each.count for each in batches))
    with verification.publication(lookup.configuration, backup.id, batches, log_path) as published:
        read = partial(verification.read_copy, arguments=arguments, observer=published)
        for check in read_back(batches, read):
            result.checks.append(check)
            _log_check(log, check)
            verification.tell(check, arguments, is_healed_next=plan.heal)
            history.record_verification(check)
    for error in result.errors:
        log.error("%s", error)
        complain(error)
    healing = heal_backup(backup, arguments, lookup, listing, result.checks, history) if plan.heal else HealReport()
    if healing.blocked is not None:
        healing.problems.append(f"Nothing more was made again. {healing.blocked}")
    for line in (*map(str, healing.healed), *healing.problems):
        log.warning("%s", line)
        complain(line)
    if arguments.json:
        show_json({**result.document(), "healed": healed_documents(healing)})
    return not healing.problems and result.is_good_but_for([each.copy for each in healing.healed])


def _log_check(log: logging.Logger, check: CopyCheck) -> None:
    level = logging.ERROR if check.reasons else logging.INFO
    log.log(level, "%s: %s", check.copy, "; ".join(check.reasons) or f"sound, {check.report.size:,} bytes")


def _drill(
    backup: Backup,
    arguments: argparse.Namespace,
    lookup: Lookup,
    history: CheckHistory,
    log: logging.Logger,
    log_path: str,
) -> bool:
    try:
        drill = drilling.drilled(Meant(backup), arguments, lookup, log_path)
    except UsageError as error:
        # By hand a copy that is not there is a wrong command line; here it is one that should have been made.
        drill = drilling.nothing_to_drill(backup.id, str(error))
    drilling.tell(drill, arguments)
    drilling.record(drill, history)
    for line in (*drill.errors, *drill.report.sentences()):
        log.log(logging.INFO if drill.has_passed else logging.ERROR, "%s", line)
    if arguments.json:
        show_json({"drills": [drilling.document(drill)], "errors": list(drill.errors)})
    return drill.has_passed
