"""``restore.py verify --drill``: a copy restored for real, compared, and removed again."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import complain, show, show_json, styled
from commands.choice import Meant, copy_document, listed, meant_by, require_trusted
from commands.places import Lookup
from errors import EXIT_FAILED, EXIT_GOOD, HoldfastError, UsageError
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from model import Configuration, DrillPlan
    from operations.copies.stored_copies import StoredCopy
    from operations.verifying.check_history import CheckHistory
    from operations.verifying.drill_report import DrillReport

INTERRUPTION = "What was restored for the drill is removed."

_COLOURS = {"passed": "green", "failed": "red", "could not be done": "yellow", "stale": "yellow"}


@dataclass(frozen=True, slots=True)
class Drilled:
    """One drill. ``copy`` is None where there was none to be had; ``errors`` are targets that could not be listed, and
    newer copies that cannot be read."""

    backup_id: str
    copy: StoredCopy | None
    report: DrillReport
    started: datetime
    ended: datetime
    errors: tuple[str, ...]

    @property
    def has_passed(self) -> bool:
        from model import CheckOutcome

        return self.report.outcome is CheckOutcome.PASSED and not self.errors


def run(arguments: argparse.Namespace) -> int:
    """Drill each of the copies that are meant; the exit code."""
    from operations.verifying.check_history import CheckHistory

    lookup = Lookup(arguments)
    end_cleanly_on_signals(INTERRUPTION)
    meant = [each for text in arguments.copies for each in meant_by(text, lookup, arguments.at, arguments.storage)]
    drills: list[Drilled] = []
    missing: list[str] = []
    with CheckHistory(lookup.configuration) as history:
        for each in meant:
            try:
                drills.append(drilled(each, arguments, lookup))
            except UsageError as error:
                if len(meant) == 1:
                    raise
                missing.append(str(error))
                continue
            tell(drills[-1], arguments)
            if not lookup.is_of_place:
                record(drills[-1], history)
        problems = history.problems
    if arguments.json:
        errors = [*missing, *(error for each in drills for error in each.errors)]
        show_json({"drills": [document(each) for each in drills], "errors": errors})
    for message in (*missing, *problems):
        complain(message)
    return EXIT_GOOD if not missing and all(each.has_passed for each in drills) else EXIT_FAILED


def drilled(meant: Meant, arguments: argparse.Namespace, lookup: Lookup, log_path: str = "") -> Drilled:
    """Restore one copy for real. One that was not chosen for its age is not judged by it. ``log_path`` is published.

    Raises UsageError where there is no copy.
    """
    from operations.verifying.checking import is_gone
    from operations.verifying.drill import why_stale
    from operations.verifying.drill_report import DrillReport
    from utils import utc_now

    started = utc_now()
    listing = lookup.listing(meant.backup)
    errors = list(listing.errors)
    backup = lookup.configuration.find(meant.backup.id)
    plan = backup.verify.drill if backup is not None and backup.verify is not None else None
    try:
        copy = meant.chosen_of(listing)
        require_trusted(copy, is_wanted=arguments.untrusted)
    except UsageError:
        raise
    except HoldfastError as error:
        # Where the manifests cannot be read, the drill finds out whether that is a fault of the copy.
        if not listing.copies or listing.copies[0].manifest is not None:
            report = DrillReport(meant.backup.id, obstacle=str(error))
            return Drilled(meant.backup.id, None, report, started, utc_now(), ())
        copy = listing.copies[0]
    stale = None
    if meant.is_newest:
        newer = (each for each in listing.copies if each.keys.timestamp > copy.keys.timestamp and not each.manifest)
        errors += [f"{each} is newer and cannot be read: {each.error}." for each in newer]
        if backup is not None and copy.manifest is not None:
            stale = why_stale(backup, copy.manifest, started)
    report = _drill(copy, plan, stale, arguments, lookup.configuration, log_path)
    if report.problems and is_gone(copy):
        obstacle = f"{copy} was removed in the meantime, as KEEP asks. The next drill takes a newer one."
        report = DrillReport(str(copy), obstacle=obstacle)
    return Drilled(meant.backup.id, copy, report, started, utc_now(), tuple(errors))


def _drill(
    copy: StoredCopy,
    plan: DrillPlan | None,
    stale: str | None,
    arguments: argparse.Namespace,
    configuration: Configuration,
    log_path: str,
) -> DrillReport:
    """With a bar for a person, and published for other processes."""
    from model import ActivityKind
    from operations.activities import Publication
    from operations.observer import Observers
    from operations.verifying.drill import drill_copy
    from progress import Progress

    expected = copy.manifest.content.size if copy.manifest is not None else None
    state = configuration.state_directory
    with (
        Progress(copy.backup_id, expected, quiet=arguments.quiet or arguments.json) as progress,
        Publication(state, ActivityKind.DRILL, copy.backup_id, expected, log_path) as publication,
    ):
        assertions = plan.assertions if plan is not None else ()
        return drill_copy(
            copy, _folder(configuration, plan), Observers(progress, publication).advance, assertions, stale
        )


def nothing_to_drill(backup_id: str, why: str) -> Drilled:
    """A drill that could not be done, as there is no copy."""
    from operations.verifying.drill_report import DrillReport
    from utils import utc_now

    return Drilled(backup_id, None, DrillReport(backup_id, obstacle=why), utc_now(), utc_now(), ())


def _folder(configuration: Configuration, plan: DrillPlan | None) -> Path:
    if plan is not None and plan.folder is not None:
        return Path(plan.folder)
    return configuration.state_directory / "drill"


def record(drill: Drilled, history: CheckHistory) -> None:
    """Have the catalog remember it, where there was a copy."""
    if drill.copy is not None:
        history.record_drill(drill.copy, drill.report, drill.started, drill.ended)


def tell(drill: Drilled, arguments: argparse.Namespace) -> None:
    """Say how it ended: what is wrong always, what is well only to a person."""
    if arguments.json:
        return
    for error in drill.errors:
        complain(error)
    outcome = drill.report.outcome.value
    sentences = listed(drill.report.sentences())
    if outcome == "passed":
        if not (arguments.quiet or arguments.scheduled):
            show(f"{drill.backup_id}: drill {styled(outcome, _COLOURS[outcome])}. {sentences}")
    else:
        complain(f"{drill.backup_id}: drill {styled(outcome, _COLOURS[outcome], sys.stderr)}. {sentences}")


def document(drill: Drilled) -> dict[str, object]:
    """For ``--json``."""
    report = drill.report
    return {
        "backup": drill.backup_id,
        "copy": copy_document(drill.copy) if drill.copy is not None else None,
        "outcome": report.outcome.value,
        "problems": report.problems,
        "obstacle": report.obstacle,
        "stale": report.stale,
        "remarks": report.remarks,
        "compared": asdict(report.compared),
        "tried_with": report.tried_with,
        "seconds": round(report.seconds, 3),
    }
