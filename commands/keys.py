"""What opens encrypted copies, and who is believed: from the command line and the configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import is_terminal
from errors import EncryptionKeyError, UsageError

if TYPE_CHECKING:
    from model import Configuration, Secret
    from operations.copies.keyring import Keyring


def add_key_arguments(parser: argparse.ArgumentParser) -> None:
    """What opens encrypted copies, and whether one is used that nobody vouches for."""
    group = parser.add_argument_group("keys")
    group.add_argument(
        "--identity",
        action="append",
        type=Path,
        metavar="FILE",
        help="the private key of an encrypted copy, from `main.py keygen` or age-keygen, or an SSH key; may be given "
        "several times (default: AGE_IDENTITY_FILE)",
    )
    group.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="the passphrase of an encrypted copy, or of the SSH key (default: it is asked for on a terminal)",
    )
    group.add_argument(
        "--untrusted",
        action="store_true",
        help="use a copy although no key that is trusted here has signed its manifest",
    )


def keyring(arguments: argparse.Namespace, configuration: Configuration) -> Keyring:
    """What opens and vouches for copies. Raises HoldfastError where a file that is named cannot be read."""
    from operations.copies.keyring import Keyring

    if not hasattr(arguments, "identity"):
        return Keyring.of(configuration)
    passphrase = _passphrase_of(arguments.passphrase_file) if arguments.passphrase_file is not None else None
    ask = _ask_passphrase if is_terminal(sys.stdin) and is_terminal(sys.stderr) else None
    return Keyring.of(configuration, arguments.identity or (), passphrase, ask)


def _passphrase_of(path: Path) -> Secret:
    from model import Secret

    try:
        text = path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UsageError(f"The passphrase cannot be read from {path}: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise UsageError(f"The passphrase in {path} is not UTF-8 text.") from None
    if not text:
        raise UsageError(f"The file {path} is empty, and should hold a passphrase.")
    return Secret(text)


def _ask_passphrase(name: str) -> Secret:
    import getpass

    from model import Secret

    try:
        return Secret(getpass.getpass(f"Passphrase of {name}: "))
    except EOFError:
        raise EncryptionKeyError(f"No passphrase of {name} was given.") from None
