"""``restore.py prune``: remove what KEEP lets go, or say what would go, and why."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

import command_line
from command_line import complain, show, show_json, table
from commands.choice import ID_HELP, backup_named, copy_document, require_target
from errors import EXIT_FAILED, EXIT_GOOD, AlreadyRunningError
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from model import Backup, Configuration
    from operations.retention.prune import JudgedCopy, PruneReport

HELP = "remove the copies that KEEP lets go"
EXAMPLES = (
    ("restore.py prune --dry-run", "which copies KEEP lets go, and why each of the others stays"),
    ("restore.py prune shop/uploads", "remove now what would go after the next good run"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", nargs="?", metavar="ID", help=ID_HELP)
    parser.add_argument("--dry-run", action="store_true", help="only show what would go, and why")


def run(arguments: argparse.Namespace) -> int:
    """Remove what KEEP lets go, or with ``--dry-run`` show it; the exit code."""
    configuration = command_line.load(arguments)
    backups: Sequence[Backup] = configuration.backups
    if arguments.backup is not None:
        backups = [backup_named(configuration, arguments.backup)]
        require_target(backups[0], arguments.storage)
    if not arguments.dry_run:
        end_cleanly_on_signals("What was being removed is either whole, or not listed and removed by the next run.")
    reports: list[tuple[Backup, PruneReport]] = []
    problems = []
    exit_codes = {EXIT_GOOD}
    for backup in backups:
        try:
            reports += [(backup, report) for report in _reports(arguments, configuration, backup)]
        except AlreadyRunningError as error:
            problems.append(str(error))
            exit_codes.add(error.exit_code)
    for backup, report in reports:
        problems += [f"{backup.id}: {problem}" for problem in report.problems]
        exit_codes |= {EXIT_FAILED} if report.problems else set()
    _tell(arguments, reports, problems)
    return EXIT_FAILED if EXIT_FAILED in exit_codes else max(exit_codes)


def _reports(arguments: argparse.Namespace, configuration: Configuration, backup: Backup) -> list[PruneReport]:
    from operations.retention.prune_targets import preview, prune_now

    targets = [target for target in backup.targets if arguments.storage in (None, target.storage.name)]
    if arguments.dry_run:
        return [preview(configuration, backup, target) for target in targets]
    return prune_now(configuration, backup, targets)


def _tell(
    arguments: argparse.Namespace, reports: Sequence[tuple[Backup, PruneReport]], problems: Sequence[str]
) -> None:
    judged = [each for _, report in reports for each in report.judged]
    removed = [each for _, report in reports for each in report.removed]
    if arguments.json:
        show_json({"copies": [_judged_document(each, removed) for each in judged], "errors": problems})
        return
    if arguments.dry_run and judged:
        show(table(("COPY", "", "", "TARGET", "WHY"), [_row(each) for each in judged]))
    elif arguments.dry_run and not problems:
        show("There is no copy yet.")
    elif not (arguments.dry_run or arguments.quiet):
        for each in removed:
            show(f"removed {each.copy}: {'; '.join(each.decision.reasons)}")
        for backup, report in reports:
            show(f"{backup.id}: {report.summary}")
    for problem in problems:
        complain(problem)


def _row(each: JudgedCopy) -> tuple[str, ...]:
    copy, decision = each.copy, each.decision
    status = copy.manifest.status.value if copy.manifest else "unreadable"
    name = f"{copy.backup_id}@{copy.keys.timestamp}"
    return (name, status, "stays" if decision.stays else "goes", str(copy.target), "; ".join(decision.reasons))


def _judged_document(each: JudgedCopy, removed: Sequence[JudgedCopy]) -> dict[str, object]:
    decision = {"stays": each.decision.stays, "reasons": each.decision.reasons, "removed": each in removed}
    return {**copy_document(each.copy), **decision}
