"""Where the commands of restore.py look for copies: on the targets of the configuration, or at a place (``--from``)."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

import command_line
from command_line import complain
from commands.keys import keyring
from errors import HoldfastError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model import Backup
    from operations.copies.discovery import Discovery, StoredBackup
    from operations.copies.stored_copies import Listing


def add_place_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="place",
        metavar="PLACE",
        help="look for copies here, whatever the configuration says: STORAGE, STORAGE:PATH, or a folder of this "
        "machine, with / or ./ before it. Any folder above the copies will do",
    )


class Lookup:
    """Finds backups, and lists their copies, for one command line. Each place is listed once."""

    def __init__(self, arguments: argparse.Namespace, *, warn: bool = True) -> None:
        """Raises ConfigurationError, but with ``--from``, which needs no configuration; then UsageError.

        ``warn`` as for ``command_line.load``.
        """
        self._arguments = arguments
        self._discovery: Discovery | None = None
        self.is_of_place = arguments.place is not None
        if self.is_of_place:
            self.configuration = command_line.load_readable(arguments)
        else:
            self.configuration = command_line.load(arguments, warn=warn)
        self.keyring = keyring(arguments, self.configuration)

    def all(self) -> Sequence[Backup | StoredBackup]:
        """Every backup there: those of the configuration, and then the orphaned ones; or those at the place."""
        found = self.discovery
        if self.is_of_place:
            self._require_some(found)
            return found.backups
        backups: list[Backup | StoredBackup] = [*self.configuration.backups, *self._orphaned(found)]
        name = self._arguments.storage
        if name is not None:
            backups = [each for each in backups if any(target.storage.name == name for target in each.targets)]
        return backups

    def stored(self) -> Sequence[StoredBackup]:
        """Every backup of which anything lies there, with all the places where it does: also where it is not put any
        more."""
        found = self.discovery
        if self.is_of_place:
            self._require_some(found)
        return found.backups

    def named(self, text: str) -> Backup | StoredBackup:
        """The one backup that is meant, enabled or not: its copies stay when it no longer runs.

        Only one that is not in the configuration is looked for on the storages. Raises UsageError.
        """
        from operations.selection import find_backup, find_stored, is_configured

        if not self.is_of_place and is_configured(self.configuration, text):
            return find_backup(self.configuration, text)
        found = self.discovery
        if self.is_of_place:
            self._require_some(found)
        stored = find_stored(found.backups if self.is_of_place else self._orphaned(found), text)
        if stored is not None:
            return stored
        for error in found.errors:
            complain(error)
        if not self.is_of_place:
            return find_backup(self.configuration, text)  # which says that there is none
        ids = ", ".join(backup.id for backup in found.backups)
        raise UsageError(f"There is no copy of a backup {text!r} at {self._arguments.place}. There are: {ids}.")

    def matching(self, text: str) -> Sequence[Backup | StoredBackup]:
        """Every backup that a pattern such as ``'shop/*'`` means, enabled or not. Raises UsageError where none is."""
        from operations.selection import all_matching

        found = [] if self.is_of_place else all_matching(self.configuration, text)
        return found or [self.named(text)]

    def listing(self, backup: Backup | StoredBackup) -> Listing:
        """The copies of one backup."""
        (listing,) = self.listings([backup])
        return listing

    def listings(self, backups: Sequence[Backup | StoredBackup]) -> list[Listing]:
        """Those of several."""
        from operations.copies.stored_copies import list_all_copies

        storages = self._discovery.storages if self._discovery is not None else None
        return list_all_copies(backups, self._arguments.storage, storages, self.keyring)

    def is_orphaned(self, backup_id: str) -> bool:
        """Whether it is in the configuration no more. Nothing is said of those at a place."""
        return not self.is_of_place and all(backup.id != backup_id for backup in self.configuration.backups)

    @property
    def discovery(self) -> Discovery:
        """What lies at the place, or below all targets of the configuration. Each is listed once."""
        if self._discovery is None:
            from operations.copies.discovery import Place, discover, place_named

            name = self._arguments.storage
            if self.is_of_place:
                places = [place_named(self.configuration.storages, self._arguments.place)]
            else:
                targets = [target for backup in self.configuration.backups for target in backup.targets]
                places = [Place(each.storage, each.path) for each in targets if name in (None, each.storage.name)]
            self._discovery = discover(places)
            known = {backup.id: backup.encryption for backup in self.configuration.backups}
            self._discovery.backups = [
                replace(backup, encryption=known.get(backup.id)) for backup in self._discovery.backups
            ]
        return self._discovery

    def _orphaned(self, found: Discovery) -> list[StoredBackup]:
        configured = {backup.id for backup in self.configuration.backups}
        return [backup for backup in found.backups if backup.id not in configured]

    def _require_some(self, found: Discovery) -> None:
        if found.backups:
            return
        if found.errors:
            raise HoldfastError("\n".join(found.errors))
        raise UsageError(f"There is no copy of any backup at {self._arguments.place}. {found.remark}".rstrip())
