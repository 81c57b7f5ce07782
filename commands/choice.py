"""What the commands of restore.py share: which copy is meant, and how it is told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from command_line import complain
from commands.places import Lookup
from errors import HoldfastError, StorageError, UsageError

if TYPE_CHECKING:
    from model import Backup, Configuration, Target
    from operations.copies.discovery import StoredBackup
    from operations.copies.pins import Pin
    from operations.copies.stored_copies import Listing, Owner, StoredCopy

_LISTED_PROBLEMS = 50

ID_HELP = "project/name of a backup"
COPY_HELP = "project/name, or project/name@TIME for an older copy; the beginning of a time will do"


@dataclass(frozen=True, slots=True)
class Choice:
    """The copy that a command line means, and all of its backup, which may be known by its copies alone.

    ``at`` is the moment that ``--at`` means.
    """

    configuration: Configuration
    backup: Backup | StoredBackup
    copy: StoredCopy
    listing: Listing
    at: datetime | None = None

    @property
    def configured_backup(self) -> Backup:
        """The backup as the configuration has it. Raises UsageError where it has none of this id."""
        backup = self.configuration.find(self.backup.id)
        if backup is not None:
            return backup
        raise UsageError(
            f"Only copies are known of {self.backup.id}: it is not in {self.configuration.path}. This needs a backup "
            "that is there."
        )


def add_copy_arguments(parser: argparse.ArgumentParser) -> None:
    """``ID[@TIME]`` and ``--at``."""
    parser.add_argument("copy", metavar="ID[@TIME]", help=COPY_HELP)
    add_at_argument(parser)


def add_at_argument(parser: argparse.ArgumentParser) -> None:
    """``--at``."""
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="the newest good copy that was made at this time or before: 2026-11-20 (at its end), '2026-11-20 03:00', "
        "2026-11-20T03:00:00Z; in this machine's time zone where none is given",
    )


def backup_named(configuration: Configuration, text: str) -> Backup:
    """The one backup that is meant, enabled or not: its copies stay when it no longer runs."""
    from operations.selection import find_backup

    return find_backup(configuration, text)


@dataclass(frozen=True, slots=True)
class Meant:
    """A backup, and the beginning of a time, or a moment before which its copy was made. Without either, the newest."""

    backup: Backup | StoredBackup
    wanted: str = ""
    at: datetime | None = None

    def chosen_of(self, listing: Listing) -> StoredCopy:
        """The copy that is meant. Raises UsageError and HoldfastError."""
        from operations.copies.stored_copies import choose_copy, choose_copy_at

        if self.at is not None:
            return choose_copy_at(listing, self.backup.id, self.at)
        return choose_copy(listing, self.backup.id, self.wanted or "latest")

    @property
    def is_newest(self) -> bool:
        return not self.wanted and self.at is None


def meant_by(text: str, lookup: Lookup, at: str | None, storage_name: str | None) -> list[Meant]:
    """What ``ID[@TIME]`` means, or a pattern, which may be several backups. Raises UsageError."""
    backup_text, wanted, moment = _split(text, at)
    backups = lookup.matching(backup_text) if not wanted and moment is None else [lookup.named(backup_text)]
    for backup in backups:
        require_target(backup, storage_name)
    return [Meant(backup, wanted, moment) for backup in backups]


def choose(arguments: argparse.Namespace, at: str | None = None) -> Choice:
    """What ``ID[@TIME]`` and ``--storage`` mean, and ``at``. Raises UsageError and HoldfastError."""
    backup_text, wanted, moment = _split(arguments.copy, at)
    lookup = Lookup(arguments)
    meant = Meant(lookup.named(backup_text), wanted, moment)
    require_target(meant.backup, arguments.storage)
    listing = lookup.listing(meant.backup)
    return Choice(lookup.configuration, meant.backup, meant.chosen_of(listing), listing, moment)


def _split(text: str, at: str | None) -> tuple[str, str, datetime | None]:
    """The backup, the beginning of a time, and the moment that ``--at`` means. Raises UsageError."""
    from operations.copies.written_times import parse_written_time

    backup_text, _, wanted = text.partition("@")
    if wanted and at is not None:
        raise UsageError(f"{text} has a time already. Give it there or with --at, not both.")
    return backup_text, wanted, None if at is None else parse_written_time(at)


def choose_to_read(arguments: argparse.Namespace) -> Choice:
    """The same with ``--at``; a newer copy that cannot be read is said, where it could have been meant.

    One that nobody vouches for is refused, or said too.
    """
    from utils import format_timestamp

    choice = choose(arguments, arguments.at)
    require_trusted(choice.copy, is_wanted=arguments.untrusted)
    for error in choice.listing.errors:
        complain(error)
    limit = format_timestamp(choice.at) if choice.at is not None else "9"
    for newer in choice.listing.copies:
        if newer.manifest is None and choice.copy.keys.timestamp < newer.keys.timestamp <= limit:
            complain(f"{newer} is newer and is left out: {newer.error}.")
    return choice


def or_the_next(choice: Choice, arguments: argparse.Namespace) -> Choice:
    """The same, or with the copy of the same run on another target, and that said, where the archive cannot be read, or
    something of the copy is missing. Where no other is better, it stays as it is."""
    from operations.copies.trust import why_refused

    problem = _why_unreadable(choice.copy)
    if problem is None:
        return choice
    for other in others_of_run(choice):
        if _why_unreadable(other) is None and why_refused(other, is_wanted=arguments.untrusted) is None:
            complain(f"{choice.copy} is not whole, so {other} is taken: {problem}")
            return replace(choice, copy=other)
    return choice


def others_of_run(choice: Choice) -> list[StoredCopy]:
    """The copies of the same run on other targets, in the order of the configuration."""
    from operations.copies.copying import is_same_run

    manifest = choice.copy.manifest
    return [
        copy
        for copy in choice.listing.copies
        if copy is not choice.copy
        and copy.manifest is not None
        and manifest is not None
        and is_same_run(copy.manifest, manifest)
    ]


def also_on(choice: Choice) -> str:
    """What there is to say of the other storages that have the copy; nothing where none has it."""
    own = choice.copy.target.storage.name
    names = [copy.target.storage.name for copy in others_of_run(choice) if copy.target.storage.name != own]
    if not names:
        return ""
    return f"The same copy lies on {', '.join(names)} too; --storage {names[0]} takes it from there."


def _why_unreadable(copy: StoredCopy) -> str | None:
    """The first byte of the archive tells whether it is there, and may be read."""
    if copy.damage is not None:
        return copy.damage
    try:
        for _ in copy.storage.get(copy.keys.archive, 0, 1):
            break
    except StorageError as error:
        return str(error)
    return None


def require_trusted(copy: StoredCopy, *, is_wanted: bool) -> None:
    """Raises HoldfastError where a copy is not used because nobody vouches for it; says so where it is."""
    from operations.copies.trust import why_refused

    refusal = why_refused(copy, is_wanted=is_wanted)
    if refusal is not None:
        raise HoldfastError(refusal)
    if copy.origin is not None and copy.origin.remark is not None:
        complain(f"warning: {copy}: {copy.origin.remark}.")


def require_target(backup: Owner, storage_name: str | None) -> None:
    """Raises UsageError where the backup has no target on a storage of this name."""
    names = [target.storage.name for target in backup.targets]
    if storage_name is not None and storage_name not in names:
        raise UsageError(f"{backup.id} has no target on a storage named {storage_name}, but on {', '.join(names)}.")


def target_named(configuration: Configuration, backup: Backup, text: str) -> Target:
    """The target that ``STORAGE``, one of the backup's, or ``STORAGE:PATH`` means. Raises UsageError."""
    from config import scalars
    from model import Target

    name, separator, written = text.partition(":")
    if name not in configuration.storages:
        known = ", ".join(sorted(configuration.storages))
        raise UsageError(f"There is no storage {name!r} in {configuration.path}. There are: {known}.")
    targets = [target for target in backup.targets if target.storage.name == name]
    if not separator:
        if len(targets) == 1:
            return targets[0]
        raise UsageError(
            f"{backup.id} has {'several targets' if targets else 'no target'} on {name}. Write {name}:PATH, with the "
            "path that is meant."
        )
    try:
        path = str(scalars.TARGET_PATH.check(written))
    except ValueError as error:
        raise UsageError(f"The path of {text!r} {error}.") from None
    return next((target for target in targets if target.path == path), Target(configuration.storages[name], path))


def copy_document(copy: StoredCopy) -> dict[str, object]:
    """A copy for ``--json``."""
    manifest = copy.manifest
    return {
        "backup": copy.backup_id,
        "timestamp": copy.keys.timestamp,
        "storage": copy.target.storage.name,
        "key": copy.keys.archive,
        "status": manifest.status.value if manifest else None,
        "error": copy.error,
        "encrypted": copy.is_encrypted,
        "signature": copy.origin.trust.value if copy.origin else None,
        "signed_by": copy.origin.public_key if copy.origin else None,
        "pin": _pin_document(copy.pin),
        "files": manifest.content.files if manifest else None,
        "content_size": manifest.content.size if manifest else None,
        "archive_size": manifest.archive.size if manifest else None,
        "sha256": manifest.archive.sha256 if manifest else None,
    }


def _pin_document(pin: Pin | None) -> dict[str, object] | None:
    if pin is None:
        return None
    return {"reason": pin.reason, "by": pin.by, "when": pin.when.isoformat() if pin.when else None}


def listed(problems: Sequence[str]) -> str:
    """The first problems, a line each: of a million damaged files nobody reads all."""
    lines = list(problems[:_LISTED_PROBLEMS])
    if len(problems) > len(lines):
        lines.append(f"… and {len(problems) - len(lines):,} more; --json lists all")
    return "\n  ".join(lines)
