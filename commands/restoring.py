"""``restore.py restore``: files into a folder, here or on another host, and databases into a server."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import complain, show, show_json
from commands import restore_preview
from commands.choice import (
    Choice,
    add_copy_arguments,
    also_on,
    backup_named,
    choose_to_read,
    copy_document,
    listed,
    or_the_next,
)
from commands.keys import add_key_arguments
from errors import EXIT_FAILED, EXIT_GOOD, ArchiveError, HoldfastError, InterruptedRun, UsageError
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from model import Backup, Placement
    from operations.copies.databases_in_copy import DatabasesInCopy
    from operations.copies.stored_copies import StoredCopy
    from operations.observer import Observer
    from operations.restoring.restore import RestoreReport
    from operations.restoring.restore_databases import DatabaseReport, WantedDatabase

HELP = "put files or databases back"
EXAMPLES = (
    ("restore.py restore shop/uploads --to /tmp/back", "all files, into a new folder"),
    ("restore.py restore shop/uploads@20261120T03 --to /tmp/back srv/shop/logo.png", "one file, as it was then"),
    ("restore.py restore shop/uploads --to /tmp/back --at 2026-11-20 'srv/shop/*.svg'", "some, as they were that day"),
    ("restore.py restore shop/uploads --to / --overwrite never", "what is missing, where it was"),
    (
        "restore.py restore shop/uploads --to / --overwrite older --dry-run",
        "what would be done",
    ),
    ("restore.py restore shop/uploads --on shop/web --to /srv/back", "onto the host that shop/web reads"),
    ("restore.py restore shop/db --to-database shop_back", "the database, into a new one on its server"),
    ("restore.py restore shop/db --to-database shop --replace", "in place of the one that is there"),
    ("restore.py restore shop/all-dbs --to-database back accounting", "one of several databases"),
    ("restore.py restore shop/all-dbs --all-databases --on test/db", "all of them, into another server"),
    ("restore.py restore shop/db --to /tmp/back", "the dump itself, as a file"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_copy_arguments(parser)
    add_key_arguments(parser)
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="only these files and folders (default: everything); * ? [ ] and ** stand for several. With --to-database "
        "the one database that is meant",
    )
    destination = parser.add_mutually_exclusive_group(required=True)
    destination.add_argument("--to", type=Path, metavar="DIR", help="files into this folder, which is new or empty")
    destination.add_argument(
        "--to-database", metavar="NAME", help="a database into a new one of this name (SQLite: the path of its file)"
    )
    destination.add_argument("--all-databases", action="store_true", help="every database, under its own name")
    parser.add_argument(
        "--on",
        metavar="ID",
        help="restore where this backup reads: onto its host, or into its server (default: files onto this machine, "
        "databases into the server that they came from)",
    )
    parser.add_argument(
        "--overwrite",
        choices=("never", "older", "always"),
        help="DIR may hold files: those that the copy has too are never replaced, or where they are older, or always",
    )
    parser.add_argument(
        "--owner",
        choices=("name", "number", "none"),
        help="where root restores, files belong to whom they did: by name, and by number where the name is unknown "
        "(the default); always by number; or to root",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be restored; write nothing")
    parser.add_argument("--replace", action="store_true", help="replace databases that are there already")
    parser.add_argument(
        "--no-accounts", action="store_true", help="do not make the roles or users that the server does not have"
    )


def run(arguments: argparse.Namespace) -> int:
    """Put back what the command line asks for; the exit code."""
    to_files = arguments.to is not None
    for option in ("--replace", "--no-accounts") if to_files else ("--overwrite", "--owner"):
        if getattr(arguments, option[2:].replace("-", "_")):
            what = "files are" if to_files else "a database is"
            raise UsageError(f"{option} means nothing where {what} restored; see restore.py restore --help.")
    choice = or_the_next(choose_to_read(arguments), arguments)
    on = backup_named(choice.configuration, arguments.on) if arguments.on is not None else None
    try:
        if to_files:
            return _restore_files(arguments, choice, on)
        return _restore_databases(arguments, choice, on or _own_server(choice))
    except ArchiveError:
        if others := also_on(choice):
            complain(others)
        raise


def _not_everything(choice: Choice, problems: Sequence[str]) -> HoldfastError:
    return HoldfastError(
        f"Not everything of {choice.copy} came back:\n  {listed(problems)}\n{also_on(choice)}".rstrip()
    )


def _own_server(choice: Choice) -> Backup:
    """The backup whose server the databases came from. Raises UsageError where only its copies are known."""
    from model import Backup

    if isinstance(choice.backup, Backup):
        return choice.backup
    raise UsageError(
        f"Only copies are known of {choice.backup.id}, and not which server its databases came from. Name with --on ID "
        "a backup of the configuration whose server takes them. With --to DIR the dumps are restored as files."
    )


# --- files --------------------------------------------------------------------------------------------------------


def _restore_files(arguments: argparse.Namespace, choice: Choice, on: Backup | None) -> int:
    from operations.restoring.restore import restore_files

    copy = choice.copy
    if on is not None and on.is_remote:
        return _restore_files_there(arguments, choice, on)
    folder = arguments.to.absolute()
    if arguments.dry_run:
        from operations.restoring.restore_preview import preview_files

        asked = (copy, folder, _paths(arguments), _placement(arguments))
        return restore_preview.show_files(arguments, copy, str(folder), partial(preview_files, *asked))
    end_cleanly_on_signals(f"What was restored until then lies in {folder}, every file of it whole.")
    expected = _whole_size(arguments, copy)
    with _watched(arguments, choice, expected) as (observer, on_expected):
        report = restore_files(
            copy,
            folder,
            _paths(arguments),
            _placement(arguments),
            on_progress=observer.advance,
            on_expected=on_expected,
        )
    return _tell_files(arguments, choice, str(folder), report)


def _restore_files_there(arguments: argparse.Namespace, choice: Choice, on: Backup) -> int:
    from operations.restoring.restore_there import opened_host, restore_files_there

    copy, folder = choice.copy, str(arguments.to)
    if not arguments.to.is_absolute():
        raise UsageError(f"On another host, --to needs a path that begins with a slash, and this is {folder}.")
    if arguments.dry_run:
        return _preview_files_there(arguments, copy, on)
    end_cleanly_on_signals()
    with (
        opened_host(on) as host,
        _watched(arguments, choice, _whole_size(arguments, copy)) as (observer, on_expected),
    ):
        try:
            report = restore_files_there(
                copy,
                host,
                folder,
                _paths(arguments),
                _placement(arguments),
                on_progress=observer.advance,
                on_expected=on_expected,
            )
        except InterruptedRun as interruption:
            what = f"What lies in {folder} on {host.name} now is whole; the rest was removed again."
            raise _explained(interruption, [what]) from interruption
    return _tell_files(arguments, choice, f"{folder} on {host.name}", report)


def _preview_files_there(arguments: argparse.Namespace, copy: StoredCopy, on: Backup) -> int:
    from operations.restoring.restore_preview import preview_files_there
    from operations.restoring.restore_there import opened_host

    folder = str(arguments.to)
    with opened_host(on) as host:
        asked = (copy, host, folder, _paths(arguments), _placement(arguments))
        to = f"{folder} on {host.name}"
        return restore_preview.show_files(arguments, copy, to, partial(preview_files_there, *asked))


def _whole_size(arguments: argparse.Namespace, copy: StoredCopy) -> int | None:
    return copy.manifest.content.size if copy.manifest and not arguments.paths else None


@contextmanager
def _watched(
    arguments: argparse.Namespace, choice: Choice, expected_size: int | None
) -> Iterator[tuple[Observer, Callable[[int], None] | None]]:
    """Whom to tell how it goes: a person at the terminal, and other processes; and whom the size of a selection.

    That size takes a reading of the whole index, so it is asked for only where somebody looks.
    """
    from model import ActivityKind
    from operations.activities import Publication
    from operations.observer import Observers
    from progress import Progress

    state, backup_id = choice.configuration.state_directory, choice.copy.backup_id
    with Progress(backup_id, expected_size, quiet=arguments.quiet or arguments.json) as progress:
        if arguments.dry_run:
            yield progress, None
            return
        with Publication(state, ActivityKind.RESTORE, backup_id, expected_size) as publication:
            observers = Observers(progress, publication)
            yield observers, observers.expect if arguments.paths and progress.is_shown else None


def _paths(arguments: argparse.Namespace) -> list[bytes]:
    return [os.fsencode(path) for path in arguments.paths]


def _placement(arguments: argparse.Namespace) -> Placement:
    from model import Overwrite, Owners, Placement

    overwrite = Overwrite(arguments.overwrite) if arguments.overwrite is not None else None
    return Placement(overwrite, Owners(arguments.owner or Owners.NAME))


def _tell_files(arguments: argparse.Namespace, choice: Choice, to: str, report: RestoreReport) -> int:
    from utils import format_count, format_size

    copy = choice.copy

    if arguments.json:
        show_json(
            {
                "copy": copy_document(copy),
                "to": to,
                "files": report.files,
                "folders": report.folders,
                "links": report.links,
                "size": report.size,
                "kept": report.kept,
                "problems": report.problems,
                "remarks": report.remarks,
            }
        )
        return EXIT_FAILED if report.problems else EXIT_GOOD
    if not arguments.quiet:
        show(
            f"{copy}: {format_count(report.files, 'file')} ({format_size(report.size)}), "
            f"{format_count(report.folders, 'folder')} and {format_count(report.links, 'link')} "
            f"restored into {to}"
        )
        if report.kept:
            were = "was there already and stays" if report.kept == 1 else "were there already and stay"
            show(f"{format_count(report.kept, 'file')} {were}")
    for remark in report.remarks:
        complain(remark)
    if report.problems:
        raise _not_everything(choice, report.problems)
    return EXIT_GOOD


# --- databases ----------------------------------------------------------------------------------------------------


def _restore_databases(arguments: argparse.Namespace, choice: Choice, on: Backup) -> int:
    from operations.copies.databases_in_copy import DatabasesInCopy
    from operations.restoring.restore_databases import DatabaseRestore, opened_server

    contents = DatabasesInCopy(choice.copy)
    wanted = _wanted(arguments, contents)
    expected = sum(each.stored.entry.size for each in wanted)
    end_cleanly_on_signals()
    with (
        opened_server(on, contents, choice.configuration.state_directory) as (database, host_name),
        _watched(arguments, choice, expected) as (observer, _),
    ):
        restore = DatabaseRestore(contents, database, host_name, observer.advance)
        if arguments.dry_run:
            return restore_preview.show_databases(arguments, choice.copy, restore, wanted)
        try:
            restore.run(wanted, replace=arguments.replace, with_accounts=not arguments.no_accounts)
        except InterruptedRun as interruption:
            raise _explained(interruption, _after_interruption(wanted, restore.report)) from interruption
        finally:
            if not arguments.json:
                for remark in restore.report.remarks:
                    complain(remark)
    return _tell_databases(arguments, choice, host_name, restore.report)


def _wanted(arguments: argparse.Namespace, contents: DatabasesInCopy) -> list[WantedDatabase]:
    from operations.restoring.restore_databases import WantedDatabase

    if not arguments.all_databases:
        if not arguments.to_database:
            raise UsageError("--to-database needs a name.")
        return [WantedDatabase(contents.choose(arguments.paths), arguments.to_database)]
    if arguments.paths:
        raise UsageError("--all-databases takes no PATH. One database is restored with --to-database NAME PATH.")
    return [WantedDatabase(stored, stored.name) for stored in contents.databases]


def _after_interruption(wanted: Sequence[WantedDatabase], report: DatabaseReport) -> list[str]:
    """What the server has now."""
    missing = [f'"{each.name}"' for each in wanted if each not in report.restored]
    if not missing:
        return ["The databases were restored, but not all of the accounts."]
    sentences = [f"{', '.join(missing)} was not restored; what had been made of it was removed again."]
    if report.restored:
        sentences.append(f"Restored before: {', '.join(each.name for each in report.restored)}.")
    return sentences


def _explained(interruption: InterruptedRun, usually: Sequence[str]) -> InterruptedRun:
    """With what there is now. Where that is not as usually, who was restoring has noted it."""
    notes: Sequence[str] = getattr(interruption, "__notes__", usually)
    return InterruptedRun(" ".join([str(interruption), *notes]), interruption.exit_code)


def _tell_databases(arguments: argparse.Namespace, choice: Choice, host_name: str, report: DatabaseReport) -> int:
    from utils import format_size

    copy = choice.copy

    if arguments.json:
        restored = [
            {"database": each.stored.name, "restored_as": each.name, "size": each.stored.entry.size}
            for each in report.restored
        ]
        show_json(
            {
                "copy": copy_document(copy),
                "on": host_name,
                "databases": restored,
                "accounts": report.accounts,
                "problems": report.problems,
                "remarks": report.remarks,
            }
        )
        return EXIT_FAILED if report.problems else EXIT_GOOD
    if not arguments.quiet:
        for each in report.restored:
            size = format_size(each.stored.entry.size)
            show(f'{copy}: the database "{each.stored.name}" ({size}) restored as "{each.name}" on {host_name}')
        if report.accounts:
            show(f"Made on {host_name}, as they were missing: {', '.join(report.accounts)}")
    if report.problems:
        raise _not_everything(choice, report.problems)
    return EXIT_GOOD
