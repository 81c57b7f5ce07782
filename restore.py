#!/usr/bin/env python3
"""The way back: what copies there are and which stay, what is in one, files and databases from it, and whether it is
sound."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import command_line
import restore_command
import restore_retention
from command_line import complain, show, show_json, styled, table
from errors import EXIT_FAILED, EXIT_GOOD
from restore_common import backup_named, choose, choose_to_read, copy_document, listed, require_target

if TYPE_CHECKING:
    from archives.entry import Entry
    from model import Backup
    from operations.copies import StoredCopy

EXAMPLES = (
    ("restore.py list", "every copy of every backup"),
    ("restore.py list shop/uploads", "the copies of one backup"),
    ("restore.py show shop/uploads", "what is in its newest good copy"),
    ("restore.py restore shop/uploads --to /tmp/back", "all of it, into a new folder"),
    ("restore.py restore shop/uploads@20261120T03 --to /tmp/back srv/shop/logo.png", "one file, as it was then"),
    ("restore.py restore shop/db --to-database shop_back", "a database, into a new one on its server"),
    ("restore.py verify shop/uploads", "read it back and check every byte"),
    *restore_retention.EXAMPLES,
)

_ID_HELP = "project/name of a backup"
_COPY_HELP = "project/name, or project/name@TIME for an older copy; the beginning of a time will do"


def main() -> int:
    """Parse the command line and do it; the exit code."""
    parser = command_line.new_parser("List, look into, restore and verify the copies of backups.", EXAMPLES)
    command_line.add_common_options(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="the copies on each target")
    listing.add_argument("backup", nargs="?", metavar="ID", help=_ID_HELP)
    listing.set_defaults(run=_list)

    showing = commands.add_parser("show", help="what is in a copy")
    showing.add_argument("copy", metavar="ID[@TIME]", help=_COPY_HELP)
    showing.add_argument("paths", nargs="*", metavar="PATH", help="only what lies at or below these paths")
    showing.set_defaults(run=_show)

    restoring = commands.add_parser(
        "restore",
        help="put files or databases back",
        description="Put files back into a folder, or databases into a server.",
        epilog=command_line.examples_text(restore_command.EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    restoring.add_argument("copy", metavar="ID[@TIME]", help=_COPY_HELP)
    restore_command.add_arguments(restoring)
    restoring.set_defaults(run=restore_command.run)

    verifying = commands.add_parser("verify", help="read a copy back and check every byte")
    verifying.add_argument("copy", metavar="ID[@TIME]", help=_COPY_HELP)
    verifying.set_defaults(run=_verify)

    pruning = commands.add_parser("prune", help="remove the copies that KEEP lets go")
    pruning.add_argument("backup", nargs="?", metavar="ID", help=_ID_HELP)
    restore_retention.add_prune_arguments(pruning)
    pruning.set_defaults(run=restore_retention.prune)

    pinning = commands.add_parser("pin", help="keep a copy, whatever KEEP says")
    pinning.add_argument("copy", metavar="ID[@TIME]", help=_COPY_HELP)
    restore_retention.add_pin_arguments(pinning)
    pinning.set_defaults(run=restore_retention.pin)

    unpinning = commands.add_parser("unpin", help="let KEEP decide about a copy again")
    unpinning.add_argument("copy", metavar="ID[@TIME]", help=_COPY_HELP)
    unpinning.set_defaults(run=restore_retention.unpin)

    for command in (listing, showing, restoring, verifying, pruning, pinning, unpinning):
        command.add_argument("--storage", metavar="NAME", help="only the copies on this storage")
        command_line.add_common_options(command, is_subcommand=True)
    arguments = _parsed(parser)
    return command_line.run(arguments.run, arguments)


def _parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments, where a PATH may follow an option: argparse takes all positional arguments at the first of them
    (https://github.com/python/cpython/issues/59317)."""
    arguments, rest = parser.parse_known_args()
    options_end = rest.index("--") if "--" in rest else len(rest)
    unknown = [text for text in rest[:options_end] if text.startswith("-")]
    if unknown or (rest and "paths" not in arguments):
        parser.error(f"unrecognized arguments: {' '.join(unknown or rest)}")
    if rest:
        arguments.paths += rest[:options_end] + rest[options_end + 1 :]
    return arguments


# --- list -------------------------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> int:
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


# --- show -------------------------------------------------------------------------------------------------------


def _show(arguments: argparse.Namespace) -> int:
    from operations.contents import list_contents

    copy = choose_to_read(arguments).copy
    entries = list_contents(copy, [os.fsencode(path) for path in arguments.paths])
    if arguments.json:
        show_json({"copy": copy_document(copy), "members": [_entry_document(entry) for entry in entries]})
        return EXIT_GOOD
    show(f"{styled(str(copy), 'bold')}: {copy.keys.archive}")
    for entry in entries:
        show(_entry_line(entry))
    return EXIT_GOOD


def _entry_line(entry: Entry) -> str:
    import stat
    from datetime import UTC, datetime

    from utils import printable

    member = entry.member
    kinds = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK}
    mode = stat.filemode(kinds[member.kind.value] | member.mode)
    owner = f"{member.user or member.uid}/{member.group or member.gid}"
    try:
        made = datetime.fromtimestamp(member.modified_ns // 1_000_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        made = str(member.modified_ns // 1_000_000_000)
    name = printable(member.path)
    if member.link_target is not None:
        name += f" -> {printable(member.link_target)}"
    if member.hard_link_to is not None:
        name += f" (the same file as {printable(member.hard_link_to)})"
    return f"{mode} {owner:<17} {entry.size:>14,} {made:>16} {name}"


def _entry_document(entry: Entry) -> dict[str, object]:
    from utils import printable

    member = entry.member
    return {
        "path": printable(member.path),
        "kind": member.kind.value,
        "size": entry.size,
        "mode": f"{member.mode:04o}",
        "user": member.user or member.uid,
        "group": member.group or member.gid,
        "modified_ns": member.modified_ns,
        "crc32": f"{entry.crc32:08x}",
        "note": entry.note,
    }


# --- verify -----------------------------------------------------------------------------------------------------


def _verify(arguments: argparse.Namespace) -> int:
    """Every target that holds the copy is read: one that rots is not made good by another."""
    from operations.copies import copies_to_verify

    choice = choose(arguments)
    listing = choice.listing
    copies = copies_to_verify(listing, choice.copy)
    reports = [_verified(copy, arguments) for copy in copies]
    if arguments.json:
        show_json({"copies": reports, "errors": listing.errors})
    for error in listing.errors:
        complain(error)
    return EXIT_FAILED if listing.errors or any(report["problems"] for report in reports) else EXIT_GOOD


def _verified(copy: StoredCopy, arguments: argparse.Namespace) -> dict[str, object]:
    from operations.verify import verify_copy
    from progress import Progress
    from utils import format_count, format_size

    expected = copy.manifest.content.size if copy.manifest else None
    with Progress(copy.backup_id, expected, quiet=arguments.quiet or arguments.json) as progress:
        report = verify_copy(copy, progress.advance)
    if report.problems and not arguments.json:
        complain(f"{copy} is {styled('damaged', 'red', sys.stderr)}:\n  {listed(report.problems)}")
    elif not (arguments.quiet or arguments.json):
        show(
            f"{copy}: {styled('sound', 'green')}. {format_count(report.members, 'member')}, "
            f"{format_size(report.size)} checked"
        )
    document = {"members": report.members, "size": report.size, "problems": report.problems}
    return {"copy": copy_document(copy), **document}


if __name__ == "__main__":
    sys.exit(main())
