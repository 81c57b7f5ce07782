"""``restore.py list``: the copies on each target."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

import command_line
from command_line import complain, show, show_json, table
from commands.choice import ID_HELP, backup_named, copy_document, require_target
from errors import EXIT_FAILED, EXIT_GOOD

if TYPE_CHECKING:
    from model import Backup
    from operations.copies import StoredCopy

HELP = "the copies on each target"
EXAMPLES = (
    ("restore.py list", "every copy of every backup"),
    ("restore.py list shop/uploads", "the copies of one backup"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", nargs="?", metavar="ID", help=ID_HELP)


def run(arguments: argparse.Namespace) -> int:
    """Show the copies; the exit code."""
    from operations.copies import list_all_copies

    configuration = command_line.load(arguments)
    backups: Sequence[Backup] = configuration.backups
    if arguments.backup is not None:
        backups = [backup_named(configuration, arguments.backup)]
        require_target(backups[0], arguments.storage)
    elif arguments.storage is not None:
        backups = [b for b in backups if any(target.storage.name == arguments.storage for target in b.targets)]
    listings = list_all_copies(backups, arguments.storage)
    copies = [copy for listing in listings for copy in listing.copies]
    errors = [error for listing in listings for error in listing.errors]
    if arguments.json:
        show_json({"copies": [copy_document(copy) for copy in copies], "errors": errors})
        return EXIT_FAILED if errors else EXIT_GOOD
    if copies:
        header = ("COPY", "MADE", "", "FILES", "CONTENT", "ARCHIVE", "STORAGE")
        show(table(header, [_copy_row(copy) for copy in copies]))
    elif not errors:
        show("There is no copy yet. backup.py --all makes one of each backup now.")
    for error in errors:
        complain(error)
    return EXIT_FAILED if errors else EXIT_GOOD


def _copy_row(copy: StoredCopy) -> tuple[str, ...]:
    from utils import format_size

    name = f"{copy.backup_id}@{copy.keys.timestamp}"
    if copy.manifest is None:
        return (name, "", "unreadable", "", "", "", f"{copy.target.storage.name}: {copy.error}")
    manifest = copy.manifest
    return (
        name,
        manifest.started.astimezone().strftime("%Y-%m-%d %H:%M"),
        f"{manifest.status.value}, pinned" if copy.pin is not None else manifest.status.value,
        f"{manifest.content.files:,}",
        format_size(manifest.content.size),
        format_size(manifest.archive.size),
        copy.target.storage.name,
    )
