"""``main.py keygen``: the keys that open copies, and the one that signs their manifests."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import command_line
from command_line import complain, show, show_json
from errors import EXIT_GOOD, ArchiveError, ConfigurationError, HoldfastError, UsageError
from utils import fsync_directory, utc_now

if TYPE_CHECKING:
    from archives.age_keys import NewIdentity
    from model import Configuration

HELP = "make the pair of keys that copies are encrypted to, and say what to keep where"
EXAMPLES = (
    ("main.py keygen", "into holdfast-identity.txt, here; take that file off this machine"),
    ("main.py keygen /media/stick/identity.txt", "onto a disk that is unplugged afterwards"),
    ("main.py keygen --show", "show the private key too, to write it down"),
    ("main.py keygen --replace-signing-key", "manifests are signed with a new key from now on"),
)

_DEFAULT_FILE = "holdfast-identity.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help=f"a new file for the private key (default: {_DEFAULT_FILE})"
    )
    parser.add_argument("--show", action="store_true", help="print the private key too, to write it down")
    parser.add_argument(
        "--replace-signing-key",
        action="store_true",
        help="make a new key that signs this machine's manifests, and nothing else; the earlier one stays trusted here",
    )


def keygen(arguments: argparse.Namespace) -> int:
    """Make an identity, or with ``--replace-signing-key`` a signing key; the exit code."""
    return _replace_signing_key(arguments) if arguments.replace_signing_key else _new_identity(arguments)


# --- an identity ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Signing:
    """The public key of this machine, or why it is not known."""

    public_key: str | None
    reason: str = ""


def _new_identity(arguments: argparse.Namespace) -> int:
    from archives.age_keys import new_identity

    path: Path = (arguments.file or Path(_DEFAULT_FILE)).absolute()
    try:
        configuration = command_line.load(arguments)
        signing = _signing_key(configuration)
    except ConfigurationError:
        configuration = command_line.load_readable(arguments)
        signing = _Signing(None, f"there is no valid configuration in {configuration.path}")
    _refuse_in_target(path, configuration)
    identity = new_identity(utc_now())
    _write_new(path, identity.text.reveal())
    remarks = list(_remarks(path, configuration))
    if arguments.json:
        private = {"private_key": _private_key(identity)} if arguments.show else {}
        document = {"file": str(path), "recipient": identity.recipient, "signing_key": signing.public_key}
        show_json({**document, **private, "remarks": remarks})
    elif arguments.show or not arguments.quiet:
        _tell(path, identity, signing, is_shown=arguments.show)
    if not arguments.json:
        for remark in remarks:
            complain(f"warning: {remark}")
    return EXIT_GOOD


def _signing_key(configuration: Configuration) -> _Signing:
    """Made where there is none yet, so that it can be kept before the first run needs it."""
    from archives.signature import signing_key

    try:
        return _Signing(signing_key(configuration.state_directory).public_key)
    except ArchiveError as error:
        return _Signing(None, str(error))


def _refuse_in_target(path: Path, configuration: Configuration) -> None:
    """Beside the copies, the private key would open them to whoever finds them."""
    from model import StorageType

    storages = [storage for storage in configuration.storages.values() if storage.type is StorageType.LOCAL]
    for root in (Path(str(storage.settings["ROOT"])) for storage in storages):
        if root.resolve() in path.resolve().parents:
            raise UsageError(
                f"{path} lies in {root}, where copies are kept: whoever finds them would find the key to them. Give "
                "another file."
            )


def _write_new(path: Path, text: str) -> None:
    """A file that only its owner can read, on the disk for good. Raises UsageError where there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{path} is there already. It may be the only key to copies, so it stays as it is: give another file, as "
            "in main.py keygen FILE."
        ) from None
    except OSError as error:
        raise HoldfastError(f"{path} cannot be made: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fsync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise HoldfastError(f"{path} cannot be written: {error.strerror}. No key was made.") from error


def _remarks(path: Path, configuration: Configuration) -> Iterator[str]:
    from model import FileSource

    for backup in configuration.enabled_backups:
        if isinstance(backup.source, FileSource) and not backup.is_remote:
            for folder in backup.source.paths:
                if Path(folder).resolve() in path.resolve().parents:
                    yield f"{path} lies in {folder}, which {backup.id} backs up: its copies get the key. Move it."


def _private_key(identity: NewIdentity) -> str:
    *_, private_key = identity.text.reveal().split()
    return private_key


def _tell(path: Path, identity: NewIdentity, signing: _Signing, *, is_shown: bool) -> None:
    show(f"A new private key is in {path}, which only you can read.\n")
    if is_shown:
        show(f"       {_private_key(identity)}\n")
    show(_STEPS.format(recipient=identity.recipient, path=shlex.quote(str(path))))
    if signing.public_key is None:
        show(f"4. The public key that checks this machine's manifests is not shown, as {signing.reason.rstrip('.')}.")
    else:
        show(_KEEP_SIGNING_KEY.format(key=signing.public_key))


_STEPS = """\
1. In config.yaml, at a backup or in DEFAULTS for all of them:

       ENCRYPT_TO: [{recipient}]

   This is the public key. Whoever has it can make backups and open none.

2. Take the file off this machine, to two places that are not lost together: a password manager, and a sheet of paper
   in a drawer elsewhere (the line that begins with AGE-SECRET-KEY-1 is enough). Then remove it here:

       shred -u {path}

   As long as it lies here, whoever takes this machine can read the copies too.

3. When it is lost, everything that is encrypted to it is lost. Nobody can help then. So try it before you need it:

       restore.py verify ID --identity FILE
"""

_KEEP_SIGNING_KEY = """\
4. This machine signs what it stores. Keep its public key with the private one above; it is no secret. Where the state
   folder of this machine is lost, only this line still tells its copies from forged ones, in config.yaml:

       TRUSTED_KEYS: ["{key}"]"""


# --- the key that signs -----------------------------------------------------------------------------------------


def _replace_signing_key(arguments: argparse.Namespace) -> int:
    from archives.signature import replace_signing_key

    if arguments.file is not None or arguments.show:
        raise UsageError("--replace-signing-key makes no identity, so neither FILE nor --show goes with it.")
    configuration = command_line.load(arguments)
    key = replace_signing_key(configuration.state_directory).public_key
    if arguments.json:
        show_json({"signing_key": key})
    elif not arguments.quiet:
        show(_REPLACED.format(key=key, trusted=configuration.state_directory / "trusted-keys"))
    return EXIT_GOOD


_REPLACED = """\
Manifests are signed with a new key from now on. What the earlier one signed stays trusted on this machine.
Keep the new public key where the state folder is not, and beside the earlier one on machines that restore from here:

       TRUSTED_KEYS: ["{key}"]

Where somebody has had the earlier private key, take its line out of {trusted}: then copies that it signed need
--untrusted, and you look at each of them before you use it."""
