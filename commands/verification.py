"""``restore.py verify``: a copy read back, every byte of it checked."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from command_line import complain, show, show_json, styled
from commands.choice import add_copy_arguments, choose, copy_document, listed
from commands.keys import add_key_arguments
from errors import EXIT_FAILED, EXIT_GOOD

if TYPE_CHECKING:
    from operations.copies import StoredCopy

HELP = "read a copy back and check every byte"
EXAMPLES = (("restore.py verify shop/uploads", "the newest good copy, on each of its targets"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_copy_arguments(parser)
    add_key_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Every target that holds the copy is read: one that rots is not made good by another."""
    from operations.copies import copies_to_verify

    choice = choose(arguments, arguments.at)
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
    if not arguments.json:
        for remark in report.remarks:
            complain(remark)
    document = {
        "members": report.members,
        "size": report.size,
        "problems": report.problems,
        "remarks": report.remarks,
    }
    return {"copy": copy_document(copy), **document}
