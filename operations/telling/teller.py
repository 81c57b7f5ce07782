"""Tells people how backups go: what happened becomes messages, these wait in the outbox, and are sent from there.

Nothing here ends or delays what it tells of: it begins once that is recorded and its lock is free, takes 30 seconds at
most, and raises nothing. What goes wrong stands in ``<state>/logs/notifications.log``.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from catalog import Catalog
from errors import HoldfastError
from model import Backup, Channel, CheckKind, Configuration, Event, Run, Secret
from notifications import messages
from notifications.delivery import SECONDS, Delivery, deliver
from notifications.message import Message
from notifications.messages import Commands, Facts
from notifications.outbox import Outbox, Waiting, fingerprint
from operations.log_files import append_rotating
from operations.telling import events
from operations.telling.events import Occurrence
from operations.telling.memory import Memory, Told, remembered
from operations.telling.wording import message_of
from schedules.times import local_zone, next_runs
from utils import format_count, host_name, redact, utc_now

_RECENT_RUNS = 30
_UNREMEMBERED_AGAIN_AFTER = timedelta(hours=6)


@dataclass
class Teller:
    """For one process. An address that did not take a message is not asked again by it. There is no ``catalog`` where
    that could not be opened, and ``channels`` are those that are known of a configuration which cannot be read.
    Only one that ``gives_up`` removes what nobody took for days, because it can say so."""

    configuration: Configuration
    catalog: Catalog | None
    commands: Commands
    seconds: float = SECONDS
    channels: tuple[Channel, ...] = ()
    gives_up: bool = False
    host: str = field(default_factory=host_name)
    _silent: set[Secret] = field(default_factory=set)

    # --- what happened -------------------------------------------------------------------------------------------

    def run_ended(self, backup: Backup, *, is_sent: bool = True) -> None:
        """A run of it has ended, and is recorded. ``is_sent`` is False where there is no time for it now."""
        catalog = self.catalog
        if not backup.channels or catalog is None:
            return

        def occurrences(memory: Memory) -> list[Occurrence]:
            runs = catalog.runs(backup.id, _RECENT_RUNS)
            found, memory.backups[backup.id] = events.of_runs(runs, memory.backups.get(backup.id), utc_now())
            return found

        self._tell(backup, occurrences, is_sent=is_sent)

    def run_not_recorded(self, backup: Backup, error: str) -> None:
        """One could not begin, or be recorded, because of this error."""
        if not backup.channels:
            return
        now = utc_now()
        message = messages.not_recorded(self.facts(backup, now), error)

        def stored(memory: Memory) -> list[Waiting]:
            told = memory.backups.get(backup.id, Told())
            memory.backups[backup.id] = events.with_failure(told, now)
            key = f"{backup.id} {now.isoformat()}"
            return self.message(key, backup.id, backup.channels, Event.FAILURE, message)

        self.send(self.remember(stored))

    def check_ended(
        self, backup: Backup, kind: CheckKind, is_good: bool, reasons: Sequence[str], started: datetime
    ) -> None:
        """A scheduled verification or drill of it has ended, and is recorded."""
        if not backup.channels:
            return

        def occurrences(memory: Memory) -> list[Occurrence]:
            told = memory.backups.get(backup.id, Told())
            is_well = is_good and not (kind is CheckKind.VERIFY and self._damaged(backup))
            found, memory.backups[backup.id] = events.of_check(kind, is_well, reasons, started, told, utc_now())
            return found

        self._tell(backup, occurrences, is_sent=True)

    # --- telling it ----------------------------------------------------------------------------------------------

    def _tell(self, backup: Backup, occurrences: Callable[[Memory], list[Occurrence]], *, is_sent: bool) -> None:
        def stored(memory: Memory) -> list[Waiting]:
            return [each for found in occurrences(memory) for each in self.store(backup, found)]

        try:
            waiting = self.remember(stored)
            if is_sent:
                self.send(waiting)
        except HoldfastError as error:  # the catalog
            self.log(str(error))
        except Exception as error:  # a mistake of ours: a good run must not fail for it
            self.log("".join(traceback.format_exception(error)))

    def remember(self, stored: Callable[[Memory], list[Waiting]]) -> list[Waiting]:
        """Store messages with the memory of what was told, and change it. Where there can be no memory now, they are
        told without one. Raises CatalogError."""
        waiting, _ = self.try_to_remember(stored)
        return stored(Memory()) if waiting is None else waiting

    def try_to_remember(self, stored: Callable[[Memory], list[Waiting]]) -> tuple[list[Waiting] | None, bool]:
        """The messages, None where the memory could not even be read; and whether it now says that they were told."""
        waiting: list[Waiting] | None = None
        try:
            with remembered(self.configuration.state_directory) as memory:
                waiting = stored(memory)
        except HoldfastError as error:
            self.log(str(error))
            return waiting, False
        return waiting, True

    def store(self, backup: Backup, occurrence: Occurrence) -> list[Waiting]:
        """Its message, in the outbox, for each channel that wants to know of it."""
        positions = [each for each in enumerate(backup.channels) if each[1].events & occurrence.events]
        if not positions:
            return []
        now = utc_now()
        message = message_of(occurrence, self.facts(backup, now))
        key = f"{backup.id} {occurrence.key}"
        return [self._stored(key, backup.id, position, channel, message, now) for position, channel in positions]

    def message(
        self, key: str, owner: str, channels: Sequence[Channel], event: Event, message: Message
    ) -> list[Waiting]:
        """One message of our own making, in the outbox, for each of these channels that wants to know of the event."""
        now = utc_now()
        return [
            self._stored(key, owner, position, channel, message, now)
            for position, channel in enumerate(channels)
            if event in channel.events
        ]

    def _stored(
        self, key: str, owner: str, position: int, channel: Channel, message: Message, now: datetime
    ) -> Waiting:
        return self.put(Waiting(key, fingerprint(channel.url), owner, position, message, now))

    def put(self, waiting: Waiting) -> Waiting:
        """In the outbox; where the disk is full it is only in this process."""
        try:
            return self.outbox.put(waiting)
        except OSError as error:
            self.log(f"The outbox {self.outbox.folder} cannot be written: {error.strerror}. It is sent without.")
            return waiting

    def send(self, waiting: Iterable[Waiting]) -> Delivery:
        """These messages, and what is due of those that wait. Returns after :attr:`seconds` at the latest."""
        now = utc_now()
        new = list(waiting)
        keys = {(each.channel, each.key) for each in new}
        due = [
            each
            for each in self.outbox.all()
            if (each.channel, each.key) not in keys
            and each.is_due(now)
            and (self.gives_up or not each.is_given_up(now))
        ]
        if not new and not due:
            return Delivery()
        self.make_room()
        urls = self._urls()

        def url_of(each: Waiting) -> Secret | None:
            url = urls.get(each.channel) or self._url_in_its_place(each)
            return None if url in self._silent else url

        delivery = deliver(self.outbox, [*due, *new], url_of, now, self.seconds)
        for each in delivery.refused:
            url = url_of(each)
            self._silent |= {url} if url is not None else set()
        self._log_delivery(delivery)
        return delivery

    def make_room(self) -> None:
        """Remove the oldest messages where far too many wait."""
        for each in self.outbox.overfull():
            self.outbox.remove(each)
            self.log(f"Too many messages wait; this one is given up: {each.message.title}")

    def may_tell_unremembered(self) -> bool:
        """Whether somebody who looks every five minutes may tell what cannot be remembered: the disk is full. The time
        of a file can be set on a full disk, too."""
        state = self.configuration.state_directory
        path = state / "told.json"
        try:
            path = path if path.exists() else state
            if 0 <= time.time() - path.stat().st_mtime < _UNREMEMBERED_AGAIN_AFTER.total_seconds():
                return False
            os.utime(path)
        except OSError:
            return False
        return True

    # --- what is known -------------------------------------------------------------------------------------------

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.configuration.state_directory)

    def facts(self, backup: Backup, now: datetime) -> Facts:
        """What the messages about a backup need; of the catalog as much as it says."""
        last_good, is_known = self._last_good(backup)
        upcoming = next_runs(backup.intervals, now, 1) if backup.enabled else []
        return Facts(
            backup,
            self.host,
            now,
            local_zone(),
            self.commands,
            self.configuration.state_directory,
            last_good,
            is_known,
            upcoming[0] if upcoming else None,
        )

    def _last_good(self, backup: Backup) -> tuple[Run | None, bool]:
        """The newest good run of it, and whether that is known."""
        if self.catalog is None:
            return None, False
        try:
            return self.catalog.last_runs([backup.id])[backup.id].last_good, True
        except HoldfastError:
            return None, False

    def _damaged(self, backup: Backup) -> bool:
        if self.catalog is None:
            return False
        targets = {str(target) for target in backup.targets}
        damaged = self.catalog.last_checks([backup.id])[backup.id].damaged
        return any(check.target in targets for check in damaged)

    def _urls(self) -> dict[str, Secret]:
        of_backups = (channel for backup in self.configuration.backups for channel in backup.channels)
        return {fingerprint(channel.url): channel.url for channel in (*self.channels, *of_backups)}

    def _url_in_its_place(self, waiting: Waiting) -> Secret | None:
        """Where a message goes whose address is no longer in the configuration: its password may have been wrong."""
        if not waiting.owner and waiting.position < len(self.channels):
            return self.channels[waiting.position].url
        for backup in self.configuration.backups:
            if (backup.id == waiting.owner or not waiting.owner) and waiting.position < len(backup.channels):
                return backup.channels[waiting.position].url
        return None

    # --- the log -------------------------------------------------------------------------------------------------

    def _log_delivery(self, delivery: Delivery) -> None:
        for each in delivery.taken:
            self.log(f"sent: {each.message.title}")
        for each in delivery.refused:
            kept = "It waits" if each.path is not None else "It is lost, as it could not be stored"
            self.log(f"not sent: {each.message.title}. {each.reason} {kept}.")
        for each in delivery.given_up:
            count = format_count(each.attempts, "try").replace("trys", "tries")
            self.log(f"given up after {count}: {each.message.title}. {each.reason}")

    def log(self, text: str) -> None:
        line = f"{utc_now():%Y-%m-%dT%H:%M:%SZ} {' '.join(redact(text).split())}\n"
        with suppress(OSError):
            append_rotating(self.configuration.state_directory / "logs" / "notifications.log", line)


def new_teller(
    configuration: Configuration,
    catalog: Catalog | None,
    python: Path,
    installation: Path,
    options: tuple[str, ...],
    channels: tuple[Channel, ...] = (),
) -> Teller:
    """One whose messages start our programs so: see :class:`notifications.messages.Commands`."""
    return Teller(configuration, catalog, Commands(python, installation, options), channels=channels)
