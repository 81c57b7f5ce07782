#!/usr/bin/env python3
"""The way back: what copies there are and which stay, what is in one, files and databases from it, and whether it is
sound. Each command is a module of ``commands``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

import command_line
from commands import (
    copying,
    finding,
    healing,
    listing,
    pins,
    places,
    pruning,
    rebuilding,
    restoring,
    showing,
    verification,
)

_Examples = Sequence[tuple[str, str]]


def main() -> int:
    """Parse the command line and do it; the exit code."""
    looking = (*listing.EXAMPLES, *showing.EXAMPLES[:1], *finding.EXAMPLES[:1])
    examples = (*looking, *restoring.EXAMPLES[:4], *verification.EXAMPLES[:1], *rebuilding.EXAMPLES[:1])
    parser = command_line.new_parser(
        "List, look into, restore and verify the copies of backups.",
        (*examples, *pruning.EXAMPLES[:1], *pins.EXAMPLES_PIN),
    )
    command_line.add_common_options(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = partial(_add_command, commands)
    add("list", listing.HELP, listing.EXAMPLES, listing.add_arguments, listing.run)
    add("show", showing.HELP, showing.EXAMPLES, showing.add_arguments, showing.run)
    add("find", finding.HELP, finding.EXAMPLES, finding.add_arguments, finding.run)
    add("restore", restoring.HELP, restoring.EXAMPLES, restoring.add_arguments, restoring.run)
    add("verify", verification.HELP, verification.EXAMPLES, verification.add_arguments, verification.run)
    add("copy", copying.HELP, copying.EXAMPLES, copying.add_arguments, copying.run)
    add("heal", healing.HELP, healing.EXAMPLES, healing.add_arguments, healing.run)
    add("prune", pruning.HELP, pruning.EXAMPLES, pruning.add_arguments, pruning.run)
    add("rebuild", rebuilding.HELP, rebuilding.EXAMPLES, rebuilding.add_arguments, rebuilding.run)
    add("pin", pins.HELP_PIN, pins.EXAMPLES_PIN, pins.add_pin_arguments, pins.pin)
    add("unpin", pins.HELP_UNPIN, pins.EXAMPLES_UNPIN, pins.add_unpin_arguments, pins.unpin)
    arguments = _parsed(parser)
    return command_line.run(arguments.run, arguments)


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    meaning: str,
    examples: _Examples,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
) -> None:
    parser = commands.add_parser(
        name,
        help=meaning,
        description=f"{meaning[0].upper()}{meaning[1:]}.",
        epilog=command_line.examples_text(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    parser.set_defaults(run=run)
    if name == "heal":  # it needs all targets of the configuration
        parser.set_defaults(storage=None, place=None)
    else:
        parser.add_argument("--storage", metavar="NAME", help="only the copies on this storage")
    if name not in ("heal", "prune"):  # copies are removed from the targets of the configuration only
        places.add_place_argument(parser)
    command_line.add_common_options(parser, is_subcommand=True)


def _parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments, where a PATH or an ID may follow an option: argparse takes all positional arguments at the first
    of them (https://github.com/python/cpython/issues/59317)."""
    arguments, rest = parser.parse_known_args()
    options_end = rest.index("--") if "--" in rest else len(rest)
    unknown = [text for text in rest[:options_end] if text.startswith("-")]
    if len(rest) == 1 and not unknown and getattr(arguments, "backup", "") is None:
        arguments.backup = rest.pop()
    several = next((name for name in ("paths", "copies") if name in arguments), None)
    if unknown or (rest and several is None):
        parser.error(f"unrecognized arguments: {' '.join(unknown or rest)}")
    if rest and several is not None:
        vars(arguments)[several] += rest[:options_end] + rest[options_end + 1 :]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
