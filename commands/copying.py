"""``restore.py copy``: a copy onto another target, as it is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from command_line import complain, show, show_json
from commands.choice import Choice, add_copy_arguments, choose_to_read, copy_document, listed, target_named
from commands.keys import add_key_arguments
from errors import EXIT_GOOD, HoldfastError
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from model import Target
    from operations.copies.copying import Copied
    from operations.copies.stored_copies import StoredCopy

HELP = "put a copy onto another target, as it is"
EXAMPLES = (
    ("restore.py copy shop/uploads --to offsite", "its newest good copy onto another of its targets"),
    ("restore.py copy shop/uploads@20261120 --to USB:kept", "an older one to any path of a storage"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_copy_arguments(parser)
    add_key_arguments(parser)
    parser.add_argument(
        "--to",
        required=True,
        metavar="TARGET",
        help="the storage of another target of the backup, or STORAGE:PATH for any path of a configured storage",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be copied, and where to")


def run(arguments: argparse.Namespace) -> int:
    """Copy it; the exit code. With ``--storage`` it is read from there."""
    choice = choose_to_read(arguments)
    target = target_named(choice.configuration, choice.configured_backup, arguments.to)
    if arguments.dry_run:
        return _dry_run(arguments, choice, target)
    end_cleanly_on_signals(f"On {target} there is all of it, or nothing.")
    copied = _copied(arguments, choice, target)
    if copied.source is None:
        _require_sound(choice, copied.copy)
    if arguments.json:
        came_from = str(copied.source.target) if copied.source is not None else None
        show_json({"copy": copy_document(copied.copy), "from": came_from, "remarks": copied.remarks})
        return EXIT_GOOD
    for remark in copied.remarks:
        complain(remark)
    if not arguments.quiet:
        show(_sentence(copied, target))
    return EXIT_GOOD


def _copied(arguments: argparse.Namespace, choice: Choice, target: Target) -> Copied:
    from operations.copies.copying import Copied, Destination, copy_to, is_place, sources_of
    from operations.locks import lock_backup
    from progress import Progress

    state = choice.configuration.state_directory
    sources = sources_of(choice.listing.copies, choice.copy, target)
    if not sources and is_place(choice.copy.target, target):
        return Copied(choice.copy)
    expected = choice.copy.manifest.archive.size if choice.copy.manifest is not None else None
    with (
        lock_backup(state, choice.backup.id),
        Progress(choice.backup.id, expected, quiet=arguments.quiet or arguments.json) as progress,
    ):
        return copy_to(Destination(choice.configured_backup, target, state), sources, progress.reach)


def _require_sound(choice: Choice, there: StoredCopy) -> None:
    """What was there already is read through before it is called good."""
    from operations.copies.copying import is_same_run
    from operations.verifying.verify import verify_copy

    wanted = choice.copy.manifest
    if wanted is not None and there.manifest is not None and not is_same_run(wanted, there.manifest):
        raise HoldfastError(f"{there} is there already, and is another one than {choice.copy}. Nothing was changed.")
    problems = verify_copy(there, lambda _member, _size: None).problems
    if problems:
        raise HoldfastError(
            f"{there} is there already, and is damaged. Nothing was changed.\n  {listed(problems)}\n"
            f"restore.py heal {there.backup_id}@{there.keys.timestamp} makes it again from a good one."
        )


def _sentence(copied: Copied, target: Target) -> str:
    from utils import format_size

    manifest = copied.copy.manifest
    size = format_size(manifest.archive.size) if manifest is not None else ""
    name = f"{copied.copy.backup_id}@{copied.copy.keys.timestamp}"
    if copied.source is None:
        return f"{name} is on {target} already, and is sound ({size} read)."
    return f"{name} was copied from {copied.source.target} to {target} ({size})."


def _dry_run(arguments: argparse.Namespace, choice: Choice, target: Target) -> int:
    from operations.copies.copying import Destination
    from utils import format_size

    copy = choice.copy
    is_there = Destination(choice.configured_backup, target, choice.configuration.state_directory).has(copy.keys)
    if arguments.json:
        show_json({"copy": copy_document(copy), "to": str(target), "is_there": is_there})
        return EXIT_GOOD
    if is_there:
        show(f"{copy.backup_id}@{copy.keys.timestamp} is on {target} already.")
    else:
        size = format_size(copy.manifest.archive.size) if copy.manifest is not None else "nothing that can be read"
        show(f"{copy} would be copied to {target} ({size}).")
    return EXIT_GOOD
