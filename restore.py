#!/usr/bin/env python3
"""The way back: what copies there are, what is in one, files from it into a folder, and whether it is sound."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import command_line
from command_line import complain, show, show_json, styled, table
from errors import EXIT_FAILED, EXIT_GOOD, HoldfastError, UsageError

if TYPE_CHECKING:
    from archives.entry import Entry
    from model import Backup, Configuration
    from operations.copies import Listing, StoredCopy

EXAMPLES = (
    ("restore.py list", "every copy of every backup"),
    ("restore.py list shop/uploads", "the copies of one backup"),
    ("restore.py show shop/uploads", "what is in its newest good copy"),
    ("restore.py restore shop/uploads --to /tmp/back", "all of it, into a new folder"),
    ("restore.py restore shop/uploads@20261120T03 --to /tmp/back srv/shop/logo.png", "one file, as it was then"),
    ("restore.py verify shop/uploads", "read it back and check every byte"),
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

    restoring = commands.add_parser("restore", help="put files back, into a folder")
    restoring.add_argument("copy", metavar="ID[@TIME]", help=_COPY_HELP)
    restoring.add_argument(
        "paths", nargs="*", metavar="PATH", help="only these files and folders (default: everything)"
    )
    restoring.add_argument("--to", required=True, type=Path, metavar="DIR", help="the folder; new or empty")
    restoring.add_argument("--overwrite", action="store_true", help="replace files that lie in DIR already")
    restoring.set_defaults(run=_restore)

    verifying = commands.add_parser("verify", help="read a copy back and check every byte")
    verifying.add_argument("copy", metavar="ID[@TIME]", help=_COPY_HELP)
    verifying.set_defaults(run=_verify)

    for command in (listing, showing, restoring, verifying):
        command.add_argument("--storage", metavar="NAME", help="only the copies on this storage")
        command_line.add_common_options(command, is_subcommand=True)
    arguments = parser.parse_args()
    return command_line.run(arguments.run, arguments)


def _backup(configuration: Configuration, text: str) -> Backup:
    """The one backup that is meant, enabled or not: its copies stay when it no longer runs."""
    from operations.selection import find_backup

    return find_backup(configuration, text)


def _chosen(arguments: argparse.Namespace) -> StoredCopy:
    from operations.copies import choose_copy

    backup_text, _, wanted = arguments.copy.partition("@")
    configuration = command_line.load(arguments)
    backup = _backup(configuration, backup_text)
    return choose_copy(_copies(backup, arguments), backup.id, wanted or "latest")


def _copies(backup: Backup, arguments: argparse.Namespace) -> Listing:
    from operations.copies import list_copies

    names = [target.storage.name for target in backup.targets]
    if arguments.storage is not None and arguments.storage not in names:
        raise UsageError(
            f"{backup.id} has no target on a storage named {arguments.storage}, but on {', '.join(names)}."
        )
    return list_copies(backup, arguments.storage)


# --- list -------------------------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> int:
    configuration = command_line.load(arguments)
    backups: Sequence[Backup] = configuration.backups
    if arguments.backup is not None:
        backups = [_backup(configuration, arguments.backup)]
    elif arguments.storage is not None:
        backups = [b for b in backups if any(target.storage.name == arguments.storage for target in b.targets)]
    listings = [_copies(backup, arguments) for backup in backups]
    copies = [copy for listing in listings for copy in listing.copies]
    errors = [error for listing in listings for error in listing.errors]
    if arguments.json:
        show_json({"copies": [_copy_document(copy) for copy in copies], "errors": errors})
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
        manifest.status.value,
        f"{manifest.content.files:,}",
        format_size(manifest.content.size),
        format_size(manifest.archive.size),
        copy.target.storage.name,
    )


def _copy_document(copy: StoredCopy) -> dict[str, object]:
    manifest = copy.manifest
    return {
        "backup": copy.backup_id,
        "timestamp": copy.keys.timestamp,
        "storage": copy.target.storage.name,
        "key": copy.keys.archive,
        "status": manifest.status.value if manifest else None,
        "error": copy.error,
        "files": manifest.content.files if manifest else None,
        "content_size": manifest.content.size if manifest else None,
        "archive_size": manifest.archive.size if manifest else None,
        "sha256": manifest.archive.sha256 if manifest else None,
    }


# --- show -------------------------------------------------------------------------------------------------------


def _show(arguments: argparse.Namespace) -> int:
    from operations.contents import list_contents

    copy = _chosen(arguments)
    entries = list_contents(copy, [os.fsencode(path) for path in arguments.paths])
    if arguments.json:
        show_json({"copy": _copy_document(copy), "members": [_entry_document(entry) for entry in entries]})
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


# --- restore and verify -------------------------------------------------------------------------------------------


def _restore(arguments: argparse.Namespace) -> int:
    from operations.restore import restore_files
    from progress import Progress
    from utils import format_count, format_size

    copy = _chosen(arguments)
    expected = copy.manifest.content.size if copy.manifest and not arguments.paths else None
    with Progress(copy.backup_id, expected, quiet=arguments.quiet or arguments.json) as progress:
        report = restore_files(
            copy,
            arguments.to.absolute(),
            [os.fsencode(path) for path in arguments.paths],
            overwrite=arguments.overwrite,
            on_progress=progress.advance,
        )
    if arguments.json:
        show_json(
            {
                "copy": _copy_document(copy),
                "to": str(arguments.to.absolute()),
                "files": report.files,
                "folders": report.folders,
                "links": report.links,
                "size": report.size,
                "problems": report.problems,
                "remarks": report.remarks,
            }
        )
    elif not arguments.quiet:
        show(
            f"{copy}: {format_count(report.files, 'file')} ({format_size(report.size)}), "
            f"{format_count(report.folders, 'folder')} and {format_count(report.links, 'link')} "
            f"restored into {arguments.to.absolute()}"
        )
    for remark in report.remarks:
        complain(remark)
    if report.problems:
        raise HoldfastError("Not everything came back:\n  " + "\n  ".join(report.problems))
    return EXIT_GOOD


def _verify(arguments: argparse.Namespace) -> int:
    from operations.verify import verify_copy
    from progress import Progress
    from utils import format_count, format_size

    copy = _chosen(arguments)
    expected = copy.manifest.content.size if copy.manifest else None
    with Progress(copy.backup_id, expected, quiet=arguments.quiet or arguments.json) as progress:
        report = verify_copy(copy, progress.advance)
    if arguments.json:
        document = {"members": report.members, "size": report.size, "problems": report.problems}
        show_json({"copy": _copy_document(copy), **document})
        return EXIT_FAILED if report.problems else EXIT_GOOD
    if report.problems:
        raise HoldfastError(f"{copy} is damaged:\n  " + "\n  ".join(report.problems))
    if not arguments.quiet:
        show(
            f"{copy}: {styled('sound', 'green')}. {format_count(report.members, 'member')}, "
            f"{format_size(report.size)} checked"
        )
    return EXIT_GOOD


if __name__ == "__main__":
    sys.exit(main())
