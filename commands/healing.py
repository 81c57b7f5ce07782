"""``restore.py heal``: copies that are bad or missing made again from good ones."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from command_line import complain, show, show_json
from commands.choice import COPY_HELP, copy_document
from commands.places import Lookup
from commands.verification import publication, read_copy
from errors import EXIT_ALREADY_RUNNING, EXIT_FAILED, EXIT_GOOD, UsageError
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from model import Backup
    from operations.copies.healing import HealReport
    from operations.copies.stored_copies import Listing
    from operations.verifying.check_history import CheckHistory
    from operations.verifying.checking import CopyCheck

HELP = "make copies again that are damaged or missing, from good ones on other targets"
EXAMPLES = (
    ("restore.py heal shop/uploads@20261120", "read this copy on each target, and make again what is damaged"),
    ("restore.py heal", "the same for every copy of every backup"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("copy", nargs="?", metavar="ID[@TIME]", help=COPY_HELP)


def run(arguments: argparse.Namespace) -> int:
    """Read the copies that are meant, and make again what is bad; the exit code."""
    from operations.verifying.check_history import CheckHistory

    lookup = Lookup(arguments)
    backup_text, _, time = (arguments.copy or "").partition("@")
    end_cleanly_on_signals("A copy that was being made again is there as a whole, or the next healing makes it.")
    backups = _backups(lookup, backup_text)
    reports: list[tuple[Backup, int, HealReport]] = []
    problems: list[str] = []
    exit_codes = {EXIT_GOOD}
    with CheckHistory(lookup.configuration) as history:
        for backup in backups:
            count, report, errors = _heal_one(backup, time, arguments, lookup, history)
            reports.append((backup, count, report))
            problems += [*errors, *report.problems]
            exit_codes |= {EXIT_FAILED} if errors or report.problems else set()
            if report.blocked is not None:
                problems.append(report.blocked)
                exit_codes.add(EXIT_ALREADY_RUNNING)
        problems += history.problems
    _tell(arguments, reports, problems)
    return EXIT_FAILED if EXIT_FAILED in exit_codes else max(exit_codes)


def _backups(lookup: Lookup, text: str) -> Sequence[Backup]:
    from operations.selection import find_backup

    if not text:
        return lookup.configuration.backups
    return [find_backup(lookup.configuration, text)]


def _heal_one(
    backup: Backup, time: str, arguments: argparse.Namespace, lookup: Lookup, history: CheckHistory
) -> tuple[int, HealReport, list[str]]:
    """How many copies were read, what was healed, what could not be read. Raises UsageError."""
    from operations.verifying.verification import Batch, read_back

    listing = lookup.listing(backup)
    only = _times(listing, backup.id, time) if time else None
    copies = [copy for copy in listing.copies if only is None or copy.keys.timestamp in only]
    errors = list(listing.errors)
    checks = []
    batches = [Batch(copies, len(copies))]
    with publication(lookup.configuration, backup.id, batches) as published:
        for check in read_back(batches, partial(read_copy, arguments=arguments, observer=published)):
            checks.append(check)
            history.record_verification(check)
            if check.obstacle is not None:
                errors.append(f"{check.copy} could not be read: {check.obstacle}")
    return len(checks), heal_backup(backup, arguments, lookup, listing, checks, history, only), errors


def heal_backup(
    backup: Backup,
    arguments: argparse.Namespace,
    lookup: Lookup,
    listing: Listing,
    checks: Sequence[CopyCheck],
    history: CheckHistory,
    only: Collection[str] | None = None,
) -> HealReport:
    """Make again what these checks have found bad, and what is missing."""
    from operations.copies.healing import Healing
    from progress import Progress
    from schedules.times import machine_zone

    healing = Healing(backup, lookup.configuration.state_directory, lookup.keyring, listing, checks)
    with Progress(backup.id, None, quiet=arguments.quiet or arguments.json) as progress:
        report = healing.run(machine_zone(), progress.reach, only)
    for healed in report.healed:
        history.record_verification(healed.check)
    return report


def _times(listing: Listing, backup_id: str, time: str) -> set[str]:
    found = {copy.keys.timestamp for copy in listing.copies if copy.keys.timestamp.startswith(time)}
    if not found:
        raise UsageError(f"There is no copy {backup_id}@{time}. restore.py list {backup_id} shows which there are.")
    return found


def healed_documents(report: HealReport) -> list[dict[str, object]]:
    """For ``--json``."""
    return [
        {"copy": copy_document(each.copy), "from": str(each.source), "reasons": each.reasons} for each in report.healed
    ]


def _tell(
    arguments: argparse.Namespace, reports: Sequence[tuple[Backup, int, HealReport]], problems: Sequence[str]
) -> None:
    if arguments.json:
        healed = [document for _, _, report in reports for document in healed_documents(report)]
        show_json({"read": sum(count for _, count, _ in reports), "healed": healed, "errors": problems})
        return
    if not arguments.quiet:
        for backup, count, report in reports:
            for each in report.healed:
                show(str(each))
            copies = "1 copy" if count == 1 else f"{count:,} copies"
            show(f"{backup.id}: {copies} read, {len(report.healed):,} made again")
    for problem in problems:
        complain(problem)
