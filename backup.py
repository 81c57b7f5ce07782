#!/usr/bin/env python3
"""The runner: cron calls it for each scheduled line, a person by hand. Without arguments: how everything stands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import command_line
from command_line import complain, show, show_json, styled
from commands import late_check, overview, telling
from errors import (
    EXIT_ALREADY_RUNNING,
    EXIT_FAILED,
    EXIT_GOOD,
    EXIT_PARTIAL,
    AlreadyRunningError,
    CatalogError,
    ConfigurationError,
    HoldfastError,
    UsageError,
)
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from catalog import Catalog
    from model import Backup, Configuration, Run
    from operations.observer import Observer
    from operations.running.dry_run import DryRun

EXAMPLES = (
    ("backup.py", "what needs you, and how every backup stands"),
    ("backup.py --check", "whether any backup is late, for monitoring: exit code 1 where one is"),
    ("backup.py shop/uploads", "run one backup now"),
    ("backup.py 'shop/*' blog", "run all backups of two projects"),
    ("backup.py --all", "run everything that is enabled"),
    ("backup.py --summary", "what a mail with a summary says"),
    ("backup.py --metrics", "the same as metrics for Prometheus; METRICS_FILE writes them after each run"),
    ("backup.py --all --dry-run", "say what would be read and where it would go"),
)

# The worst outcome decides the exit code of several runs.
_WORST_FIRST = (EXIT_FAILED, EXIT_ALREADY_RUNNING, EXIT_PARTIAL, EXIT_GOOD)


def main() -> int:
    """Parse the command line and do it; the exit code."""
    parser = command_line.new_parser("Run backups, or show how they stand.", EXAMPLES)
    parser.add_argument(
        "backups", nargs="*", metavar="ID", help="project/name, a project, or a pattern such as 'shop/*'"
    )
    parser.add_argument("--all", action="store_true", help="every enabled backup")
    parser.add_argument("--dry-run", action="store_true", help="show files, sizes and targets; write nothing")
    parser.add_argument(
        "--scheduled", action="store_true", help="as cron calls it: once for each scheduled time, silent"
    )
    parser.add_argument("--missed", action="store_true", help="catch up what was due while the machine was off")
    parser.add_argument("--check", action="store_true", help="say which backups are late; exit with 1 where any is")
    parser.add_argument("--summary", action="store_true", help="show what a summary tells; with --scheduled, send it")
    parser.add_argument(
        "--watch", action="store_true", help="as cron calls it: tell what is new, such as a late backup, and what waits"
    )
    parser.add_argument("--metrics", action="store_true", help="print how every backup stands, for Prometheus")
    command_line.add_common_options(parser)
    return command_line.run(_command, parser.parse_args())


def _check_options(arguments: argparse.Namespace, chosen: Sequence[bool]) -> None:
    """Raises UsageError where options do not go together."""
    if sum(chosen) > 1:
        raise UsageError("Give either the ids of backups, or --all, or --missed.")
    if arguments.metrics and (any(chosen) or arguments.dry_run or arguments.scheduled or arguments.json):
        raise UsageError("--metrics goes alone: it prints text in the format of Prometheus, and runs nothing.")
    if arguments.check and any(
        (arguments.all, arguments.dry_run, arguments.scheduled, arguments.missed, arguments.metrics)
    ):
        raise UsageError("--check runs nothing: it goes alone, or with the ids of backups.")
    if arguments.dry_run and (arguments.scheduled or arguments.missed or not any(chosen)):
        raise UsageError("--dry-run goes with the ids of backups, or with --all.")
    if arguments.watch and any((*chosen, arguments.summary, arguments.scheduled, arguments.metrics, arguments.check)):
        raise UsageError("--watch goes alone: it tells what is new of all backups.")
    if arguments.summary and any((*chosen, arguments.dry_run, arguments.metrics, arguments.check, arguments.json)):
        raise UsageError("--summary goes alone: it is of all backups.")
    if arguments.scheduled and not (arguments.backups or arguments.summary):
        raise UsageError("--scheduled goes with the ids of backups.")


def _command(arguments: argparse.Namespace) -> int:
    chosen = (bool(arguments.backups), arguments.all, arguments.missed)
    _check_options(arguments, chosen)
    by_person = not (arguments.scheduled or arguments.missed or arguments.check or arguments.watch)
    try:
        configuration = command_line.load(arguments, warn=by_person)
    except ConfigurationError as error:
        if arguments.watch:  # it was told, or is told by a line of a backup: every five minutes would be too often
            return error.exit_code
        raise
    if arguments.dry_run:
        return _show_dry_runs(arguments, configuration)
    from catalog import open_catalog

    try:
        catalog = open_catalog(configuration.state_directory, configuration.catalog_url)
    except CatalogError as error:
        if arguments.watch:  # a line of a backup says it; every five minutes would be too often
            command_line.new_teller(arguments, configuration, None).send(())
            return error.exit_code
        _tell_without_catalog(arguments, configuration, error)
        raise
    try:
        if arguments.metrics:
            return _show_metrics(configuration, catalog)
        if arguments.watch or arguments.summary:
            return (telling.watch if arguments.watch else telling.summary)(arguments, configuration, catalog)
        if arguments.check:
            return late_check.run(arguments, configuration, catalog)
        if not any(chosen):
            return overview.run(arguments, configuration, catalog)
        end_cleanly_on_signals()
        return (_catch_up if arguments.missed else _run_chosen)(arguments, configuration, catalog)
    finally:
        catalog.close()


def _tell_without_catalog(arguments: argparse.Namespace, configuration: Configuration, error: CatalogError) -> None:
    """A run that cannot even begin, because the disk of the state folder is full or the database away, is told."""
    from operations.telling.around import Telling

    teller = command_line.new_teller(arguments, configuration, None)
    is_run = (arguments.backups or arguments.all) and not arguments.check
    for backup in _chosen_backups(arguments, configuration) if is_run else ():
        with suppress(CatalogError), Telling(teller, backup):
            raise error


# --- running ----------------------------------------------------------------------------------------------------


def _catch_up(arguments: argparse.Namespace, configuration: Configuration, catalog: Catalog) -> int:
    from operations.running.missed import missed_runs, sole_catch_up
    from utils import utc_now

    with sole_catch_up(configuration.state_directory) as is_sole:
        due = missed_runs(configuration, catalog, utc_now()) if is_sole else []
        return _run_all(arguments, configuration, catalog, due)


def _run_chosen(arguments: argparse.Namespace, configuration: Configuration, catalog: Catalog) -> int:
    from schedules.times import CLOCK_SLACK, latest_slot
    from utils import utc_now

    now = utc_now() + CLOCK_SLACK
    due = (
        (backup, latest_slot(backup.intervals, now) if arguments.scheduled else None)
        for backup in _chosen_backups(arguments, configuration)
    )
    return _run_all(arguments, configuration, catalog, due)


def _chosen_backups(arguments: argparse.Namespace, configuration: Configuration) -> Sequence[Backup]:
    from operations.selection import select_backups

    return configuration.enabled_backups if arguments.all else select_backups(configuration, arguments.backups)


def _run_all(
    arguments: argparse.Namespace,
    configuration: Configuration,
    catalog: Catalog,
    due: Iterable[tuple[Backup, datetime | None]],
) -> int:
    """Run them one after the other, each with the scheduled time that it fulfils."""
    from operations.housekeeping import tidy_up
    from operations.running.run import is_fulfilled
    from operations.telling.around import Telling
    from utils import utc_now

    teller = command_line.new_teller(arguments, configuration, catalog)
    runs = []
    exit_codes = {EXIT_GOOD}
    for backup, slot in due:
        try:
            with Telling(teller, backup) as told:
                run = told.run = _run_one(arguments, configuration, backup, catalog, slot, told.observer)
                if run is not None:
                    _tell(arguments, backup, run)
        except AlreadyRunningError as error:
            if slot is None or not is_fulfilled(catalog, backup, slot):
                complain(str(error))
                exit_codes.add(error.exit_code)
            continue
        if run is not None:
            runs.append(run)
            exit_codes.add(_exit_code(run))
    tidy_up(configuration, utc_now())
    if arguments.json:
        from operations.status.documents import run_document

        show_json({"runs": [run_document(run) for run in runs]})
    return next(code for code in _WORST_FIRST if code in exit_codes)


def _run_one(
    arguments: argparse.Namespace,
    configuration: Configuration,
    backup: Backup,
    catalog: Catalog,
    slot: datetime | None,
    watcher: Observer,
) -> Run | None:
    from model import ActivityKind
    from operations.activities import Publication
    from operations.observer import Observers
    from operations.running.run import run_backup
    from progress import Progress

    last_good = catalog.last_runs([backup.id])[backup.id].last_good
    expected = last_good.archive.content_size if last_good and last_good.archive else None
    with (
        Progress(backup.id, expected, quiet=arguments.quiet or arguments.json) as progress,
        Publication(configuration.state_directory, ActivityKind.BACKUP, backup.id, expected) as publication,
    ):
        observer = Observers(progress, publication, watcher)
        return run_backup(configuration, backup, catalog, slot=slot, observer=observer)


def _tell(arguments: argparse.Namespace, backup: Backup, run: Run) -> None:
    """Say how a run ended: what went wrong always, what went well only to a person, and a run that was caught up."""
    from model import RunStatus
    from operations.running.only import why_left_out
    from operations.running.run import summary

    if run.status not in (RunStatus.GOOD, RunStatus.SKIPPED):
        complain(f"{run.backup_id}: {styled(run.status.value, _COLOURS[run.status.value], sys.stderr)}. {run.message}")
    elif run.status is RunStatus.GOOD and run.message:
        complain(f"{run.backup_id}: {run.message}")
    if arguments.json or arguments.quiet or arguments.scheduled:
        return
    if run.status is RunStatus.SKIPPED and not arguments.missed:
        show(f"{run.backup_id}: {styled(run.status.value, _COLOURS[run.status.value])}. {run.message}")
    if run.archive is None:
        return
    caught_up = f" (caught up: it was due at {_local(run.slot)})" if arguments.missed and run.slot else ""
    show(f"{run.backup_id}: {styled(run.status.value, _COLOURS[run.status.value])}{caught_up}. {summary(run)}")
    for target, copy in zip(backup.targets, run.copies, strict=True):
        if copy.status is RunStatus.SKIPPED:
            show(f"  {why_left_out(target)}")
        elif copy.error is None:
            show(f"  {copy.storage}: {copy.key}")


def _exit_code(run: Run) -> int:
    from model import RunStatus

    codes = {RunStatus.GOOD: EXIT_GOOD, RunStatus.SKIPPED: EXIT_GOOD, RunStatus.PARTIAL: EXIT_PARTIAL}
    return codes.get(run.status, EXIT_FAILED)


# --- showing ----------------------------------------------------------------------------------------------------

_COLOURS = {
    "good": "green",
    "partial": "yellow",
    "failed": "red",
    "interrupted": "yellow",
    "running": "bold",
    "skipped": "yellow",
}


def _show_metrics(configuration: Configuration, catalog: Catalog) -> int:
    from operations.metrics import current_metrics
    from utils import utc_now

    show(current_metrics(configuration, catalog, utc_now()).decode().removesuffix("\n"))
    return EXIT_GOOD


def _show_dry_runs(arguments: argparse.Namespace, configuration: Configuration) -> int:
    from operations.running.dry_run import dry_run
    from utils import utc_now

    spool = configuration.state_directory / "spool"
    results = []
    errors = {}
    for backup in _chosen_backups(arguments, configuration):
        try:
            result = dry_run(backup, configuration.own_folders, spool, utc_now())
        except HoldfastError as error:
            errors[backup.id] = str(error)
            complain(f"{backup.id}: {styled('it would fail', 'red', sys.stderr)}. {error}")
            continue
        results.append(result)
        if not arguments.json:
            _show_dry_run(arguments, result)
    if arguments.json:
        show_json({"dry_runs": [_dry_run_document(result) for result in results], "errors": errors})
    if errors:
        return EXIT_FAILED
    return EXIT_PARTIAL if any(result.notes.is_partial for result in results) else EXIT_GOOD


def _show_dry_run(arguments: argparse.Namespace, result: DryRun) -> None:
    from operations.running.only import why_left_out
    from utils import format_count, format_size, printable

    show(styled(result.backup.id, "bold"))
    counted = {"file": result.files, "folder": result.folders, "link": result.links, "path": result.paths}
    counts = [format_count(count, what) for what, count in counted.items() if count or what == "file"]
    size = "the size is known once it is read" if result.size is None else format_size(result.size)
    show(f"  {', '.join(counts)}: {size}")
    for target in result.backup.targets:
        show(f"  {why_left_out(target)}" if target in result.left_out else f"  to {target}")
    for note in result.notes.first if arguments.verbose else result.notes.first[:5]:
        show(f"  {note['kind']}: {note['path']} ({note['reason']})")
    if arguments.verbose:
        for member in result.largest:
            show(f"  {format_size(member.size or 0):>9}  {printable(member.path)}")


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


# --- JSON -------------------------------------------------------------------------------------------------------


def _dry_run_document(result: DryRun) -> dict[str, object]:
    return {
        "backup": result.backup.id,
        "files": result.files,
        "folders": result.folders,
        "links": result.links,
        "paths": result.paths,
        "size": result.size,
        "targets": [str(target) for target in result.backup.targets if target not in result.left_out],
        "left_out": [str(target) for target in result.left_out],
        "notes": {"counts": result.notes.counts, "first": result.notes.first},
    }


if __name__ == "__main__":
    sys.exit(main())
