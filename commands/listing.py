"""``restore.py list``: the copies on each target."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from command_line import complain, show, show_json, table
from commands.choice import ID_HELP, copy_document, require_target
from commands.places import Lookup
from errors import EXIT_FAILED, EXIT_GOOD

if TYPE_CHECKING:
    from archives.manifest import Manifest
    from model import Backup
    from operations.copies.discovery import StoredBackup
    from operations.copies.stored_copies import StoredCopy

HELP = "the copies on each target"
EXAMPLES = (
    ("restore.py list", "every copy of every backup"),
    ("restore.py list shop/uploads", "the copies of one backup"),
    ("restore.py list --from /mnt/usb", "what lies on a disk, with or without a configuration"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", nargs="?", metavar="ID", help=ID_HELP)


def run(arguments: argparse.Namespace) -> int:
    """Show the copies; the exit code."""
    lookup = Lookup(arguments)
    backups: Sequence[Backup | StoredBackup]
    errors: list[str] = []
    if arguments.backup is not None:
        backups = [lookup.named(arguments.backup)]
        require_target(backups[0], arguments.storage)
    else:
        backups = lookup.all()
        errors = lookup.discovery.errors
    listings = lookup.listings(backups)
    copies = [copy for listing in listings for copy in listing.copies]
    # A target that cannot be reached fails for all that lies there, and for each of its backups.
    errors = list(dict.fromkeys([*errors, *(error for listing in listings for error in listing.errors)]))
    if arguments.json:
        documents = [{**copy_document(copy), "orphaned": lookup.is_orphaned(copy.backup_id)} for copy in copies]
        show_json({"copies": documents, "errors": errors})
        return EXIT_FAILED if errors else EXIT_GOOD
    if copies:
        header = ("COPY", "MADE", "", "FILES", "CONTENT", "ARCHIVE", "TARGET")
        rows = [_copy_row(copy, is_orphaned=lookup.is_orphaned(copy.backup_id)) for copy in copies]
        show(table(header, rows))
        if any(lookup.is_orphaned(copy.backup_id) for copy in copies):
            show("\nAn orphaned copy is of a backup that the configuration has no more: it stays, and can be restored.")
    elif not errors:
        show("There is no copy yet. backup.py --all makes one of each backup now.")
    for error in errors:
        complain(error)
    if lookup.is_of_place and lookup.discovery.misplaced:
        complain(lookup.discovery.remark)
    return EXIT_FAILED if errors else EXIT_GOOD


def _copy_row(copy: StoredCopy, *, is_orphaned: bool) -> tuple[str, ...]:
    from utils import format_size

    name = f"{copy.backup_id}@{copy.keys.timestamp}"
    if copy.manifest is None:
        return (name, "", "unreadable", "", "", "", f"{copy.target}: {copy.error}")
    manifest = copy.manifest
    words = [*_words(copy, manifest), *(["orphaned"] if is_orphaned else [])]
    return (
        name,
        manifest.started.astimezone().strftime("%Y-%m-%d %H:%M"),
        ", ".join(words),
        f"{manifest.content.files:,}",
        format_size(manifest.content.size),
        format_size(manifest.archive.size),
        str(copy.target),
    )


def _words(copy: StoredCopy, manifest: Manifest) -> Iterator[str]:
    """How it stands, in the third column."""
    yield manifest.status.value
    if copy.damage is not None:
        yield "damaged"
    if copy.is_encrypted:
        yield "encrypted"
    if copy.pin is not None:
        yield "pinned"
    if copy.origin is not None and copy.origin.remark is not None and copy.keyring.trusted:
        yield "unsigned" if copy.origin.public_key is None else "unknown key"
