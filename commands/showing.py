"""``restore.py show``: what is in a copy."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from command_line import show, show_json, styled
from commands.choice import add_copy_arguments, choose_to_read, copy_document
from commands.keys import add_key_arguments
from errors import EXIT_GOOD

if TYPE_CHECKING:
    from archives.entry import Entry

HELP = "what is in a copy"
EXAMPLES = (
    ("restore.py show shop/uploads", "what is in its newest good copy"),
    ("restore.py show shop/uploads@20261120 srv/shop", "what lies below a folder in an older one"),
    (
        "restore.py show shop/uploads --at 2026-11-20 '**/*.svg'",
        "all such files in the newest one of that day or before",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_copy_arguments(parser)
    add_key_arguments(parser)
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="only what lies at or below these paths; * ? [ ] and ** stand for several",
    )


def run(arguments: argparse.Namespace) -> int:
    """Show its members; the exit code."""
    from operations.copies.contents import list_contents

    copy = choose_to_read(arguments).copy
    entries = list_contents(copy, [os.fsencode(path) for path in arguments.paths])
    if arguments.json:
        show_json({"copy": copy_document(copy), "members": [entry_document(entry) for entry in entries]})
        return EXIT_GOOD
    show(f"{styled(str(copy), 'bold')}: {copy.keys.archive}")
    for entry in entries:
        show(entry_line(entry))
    return EXIT_GOOD


def entry_line(entry: Entry) -> str:
    """A member as ``ls -l`` shows it."""
    import stat

    from utils import local_time, printable

    member = entry.member
    kinds = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK}
    mode = stat.filemode(kinds[member.kind.value] | member.mode)
    owner = f"{member.user or member.uid}/{member.group or member.gid}"
    name = printable(member.path)
    if member.link_target is not None:
        name += f" -> {printable(member.link_target)}"
    if member.hard_link_to is not None:
        name += f" (the same file as {printable(member.hard_link_to)})"
    return f"{mode} {owner:<17} {entry.size:>14,} {local_time(member.modified_ns):>16} {name}"


def entry_document(entry: Entry) -> dict[str, object]:
    """A member for ``--json``."""
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
