"""``restore.py pin`` and ``unpin``: a copy that is held, whatever KEEP says."""

from __future__ import annotations

import argparse
import os
import pwd
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from command_line import complain, show, show_json
from commands.choice import COPY_HELP, choose, copy_document
from errors import EXIT_FAILED, EXIT_GOOD, HoldfastError, UsageError

if TYPE_CHECKING:
    from operations.copies.stored_copies import StoredCopy

HELP_PIN = "keep a copy, whatever KEEP says"
HELP_UNPIN = "let KEEP decide about a copy again"
EXAMPLES_PIN = (('restore.py pin shop/db@20261120T03 --reason "before the upgrade"', "keep it, whatever KEEP says"),)
EXAMPLES_UNPIN = (("restore.py unpin shop/db@20261120T03", "the upgrade went well"),)


def add_pin_arguments(parser: argparse.ArgumentParser) -> None:
    add_unpin_arguments(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why it is kept; the list of copies shows it")


def add_unpin_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("copy", metavar="ID[@TIME]", help=COPY_HELP)


def pin(arguments: argparse.Namespace) -> int:
    """Hold a copy on each target that has it; the exit code."""
    from operations.copies.pins import Pin
    from operations.copies.pins import pin as pin_copy
    from utils import utc_now

    if not arguments.reason.strip():
        raise UsageError("--reason needs some words: why is this copy kept?")
    new_pin = Pin(arguments.reason.strip(), f"{_user_name()}@{socket.gethostname()}", utc_now())
    return _on_each_target(arguments, lambda copy: pin_copy(copy, new_pin), "pinned")


def _user_name() -> str:
    """A container may run as a number that has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def unpin(arguments: argparse.Namespace) -> int:
    """Let KEEP decide about a copy again, on each target that has it; the exit code."""
    from operations.copies.pins import unpin as unpin_copy

    def unpin_pinned(copy: StoredCopy) -> None:
        if copy.pin is None:
            raise UsageError(f"{copy} is not pinned.")
        unpin_copy(copy)

    return _on_each_target(arguments, unpin_pinned, "no longer pinned")


def _on_each_target(arguments: argparse.Namespace, action: Callable[[StoredCopy], None], what: str) -> int:
    """Do it wherever the copy is. A target that fails, or needs nothing, does not stop the others."""
    choice = choose(arguments)
    errors: list[HoldfastError] = []
    done = []
    for copy in choice.listing.copies:
        if copy.keys.timestamp != choice.copy.keys.timestamp:
            continue
        try:
            action(copy)
            done.append(copy)
        except HoldfastError as error:
            errors.append(error)
    messages = [*choice.listing.errors, *(str(error) for error in errors)]
    if arguments.json:
        show_json({"copies": [copy_document(copy) for copy in done], "errors": messages})
    elif not arguments.quiet:
        for copy in done:
            show(f"{copy}: {what}")
    for message in messages:
        complain(message)
    return max((error.exit_code for error in errors), default=EXIT_FAILED if choice.listing.errors else EXIT_GOOD)
