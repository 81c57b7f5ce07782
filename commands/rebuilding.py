"""``restore.py rebuild``: the catalog again, from the manifests on the targets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from command_line import complain, show, show_json, table
from commands.choice import listed
from commands.places import Lookup
from errors import EXIT_FAILED, EXIT_GOOD
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from operations.copies.rebuild import FoundHistory

HELP = "make the catalog again from the manifests on the targets"
EXAMPLES = (
    ("restore.py rebuild", "after the state folder or the catalog was lost"),
    ("restore.py rebuild --from /mnt/usb/backups", "take in the runs whose copies lie in a folder"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Record every run that a manifest tells of and the catalog does not know; the exit code."""
    from catalog import open_catalog

    lookup = Lookup(arguments)
    histories = _histories(arguments, lookup)
    end_cleanly_on_signals("What was recorded until then is in the catalog; restore.py rebuild goes on with the rest.")
    configuration = lookup.configuration
    catalog = open_catalog(configuration.state_directory, configuration.catalog_url)
    try:
        new = catalog.record_found(run for history in histories for run in history.runs)
    finally:
        catalog.close()
    problems = [*lookup.discovery.errors, *(problem for history in histories for problem in history.problems)]
    _tell(arguments, lookup, histories, new, problems)
    return EXIT_FAILED if problems else EXIT_GOOD


def _histories(arguments: argparse.Namespace, lookup: Lookup) -> list[FoundHistory]:
    from operations.copies.rebuild import history_of, without_shared_runs
    from progress import Steps

    found = lookup.stored()
    with Steps("reading manifests", len(found), quiet=arguments.quiet or arguments.json) as steps:
        histories = []
        for backup in found:
            steps.begin(backup.id)
            histories.append(history_of(backup.id, lookup.listing(backup)))
    return without_shared_runs(histories)


def _tell(
    arguments: argparse.Namespace, lookup: Lookup, histories: list[FoundHistory], new: int, problems: list[str]
) -> None:
    from utils import format_count

    runs = sum(len(history.runs) for history in histories)
    if arguments.json:
        documents = [_document(history, lookup) for history in histories]
        remarks = [remark for history in histories for remark in history.remarks]
        show_json({"backups": documents, "runs": runs, "new_runs": new, "problems": problems, "remarks": remarks})
        return
    if histories and not arguments.quiet:
        header = ("BACKUP", "RUNS", "COPIES", "BYTES", "NEWEST", "")
        show(table(header, [_row(history, lookup) for history in histories]))
        known = runs - new
        what_was_known = f"; {known:,} {'was' if known == 1 else 'were'} there already" if known else ""
        show(f"\n{format_count(new, 'run')} recorded in the catalog{what_was_known}.")
    elif not (problems or arguments.quiet):
        show("There is no copy on the targets, so there is nothing to record.")
    for history in histories:
        for remark in history.remarks:
            complain(f"warning: {remark}")
    if problems:
        complain(f"This could not be read, or is not believed:\n  {listed(problems)}")


def _row(history: FoundHistory, lookup: Lookup) -> tuple[str, ...]:
    newest = history.newest
    return (
        history.backup_id,
        f"{len(history.runs):,}",
        f"{history.copies:,}",
        f"{history.size:,}",
        newest.astimezone().strftime("%Y-%m-%d %H:%M") if newest else "none",
        "orphaned" if lookup.is_orphaned(history.backup_id) else "",
    )


def _document(history: FoundHistory, lookup: Lookup) -> dict[str, object]:
    newest = history.newest
    return {
        "backup": history.backup_id,
        "orphaned": lookup.is_orphaned(history.backup_id),
        "runs": len(history.runs),
        "copies": history.copies,
        "size": history.size,
        "newest": newest.isoformat() if newest else None,
    }
