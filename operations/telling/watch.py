"""``backup.py --watch``, every five minutes: what no process of its own tells.

A backup that is late, and no longer; a run whose process was killed; a run or a check that was recorded and not told.
It also sends what waits in the outbox, and summaries that were due while the machine was off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from catalog import Catalog
from errors import AlreadyRunningError, HoldfastError
from model import INTERRUPTED_BY_SIGNAL, Backup, Event, Run, RunStatus
from notifications import messages
from notifications.outbox import Waiting, fingerprint
from operations.locks import lock_backup
from operations.running.missed import mark_dead_runs
from operations.status.deadlines import patience
from operations.status.overview import Standing, standings
from operations.telling import events
from operations.telling.events import LEFT_TO_ITS_PROCESS, Occurrence
from operations.telling.memory import LATE, RUN, Memory, Told
from operations.telling.summaries import due_summaries
from operations.telling.teller import Teller
from schedules.times import CLOCK_SLACK, latest_slot

SECONDS = 120.0
"""The longest that one watch sends. Nobody waits for it, and the next one begins after five minutes."""

_MOST_SINGLE = 3
_RECENT_RUNS = 30

# What was due while the machine was off is made up for when it comes up again, one backup after the other.
_CATCH_UP_BEGINS = timedelta(minutes=15)
_LONGEST_CATCH_UP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Found:
    backup: Backup
    occurrence: Occurrence


def watch(teller: Teller, catalog: Catalog, now: datetime) -> list[str]:
    """Look once, and tell; the titles of messages that were given up, which nobody else would ever hear of.

    Raises CatalogError.
    """
    configuration = teller.configuration
    with_channels = [backup for backup in configuration.backups if backup.channels]
    found_now = _standings(teller, catalog, with_channels, now)

    def stored(memory: Memory) -> list[Waiting]:
        _forget(memory, {backup.id for backup in configuration.backups})
        found = [
            _Found(backup, occurrence)
            for backup in with_channels
            for occurrence in _occurrences(teller, backup, found_now[backup.id], catalog, memory, now)
        ]
        waiting = list(_store(teller, found, now))
        return waiting + due_summaries(teller, catalog, memory, now)

    waiting, is_remembered = teller.try_to_remember(stored)
    teller.outbox.sweep()
    if waiting and not is_remembered and not teller.may_tell_unremembered():
        for each in waiting:
            teller.outbox.remove(each)
        waiting = []
    delivery = teller.send(waiting or ())
    return [f"{each.message.title}: {each.reason}" for each in delivery.given_up]


def _standings(teller: Teller, catalog: Catalog, backups: Iterable[Backup], now: datetime) -> Mapping[str, Standing]:
    """How they stand, once the runs of dead processes are recorded as such."""
    configuration = teller.configuration
    by_id = {backup.id: backup for backup in backups}
    found = {each.backup_id: each for each in standings(configuration, catalog, by_id, now)}
    died = set()
    for backup_id, standing in found.items():
        try:
            last = [standing.last] if standing.last is not None else []
            if mark_dead_runs(configuration, catalog, by_id[backup_id], last, now):
                died.add(backup_id)
        except HoldfastError as error:
            teller.log(str(error))
    return found | {each.backup_id: each for each in standings(configuration, catalog, died, now)}


def _occurrences(
    teller: Teller, backup: Backup, standing: Standing, catalog: Catalog, memory: Memory, now: datetime
) -> list[Occurrence]:
    """What there is to tell of a backup; what was told of it is changed."""
    told = memory.backups.get(backup.id)
    found, told = _of_runs(backup, standing, catalog, told, now)
    for check in standing.checks.last.values():
        until = told.checks_until.get(check.kind)
        if now - check.ended < LEFT_TO_ITS_PROCESS or (until is not None and check.started <= until):
            continue
        more, told = events.of_recorded_check(check, standing.checks.damaged, told, now)
        found += more
    late, told = _of_lateness(teller, backup, standing, told, now)
    memory.backups[backup.id] = told
    return found + ([late] if late is not None else [])


def _of_runs(
    backup: Backup, standing: Standing, catalog: Catalog, told: Told | None, now: datetime
) -> tuple[list[Occurrence], Told]:
    last = standing.last_ended
    if last is None or (told is not None and told.runs_until is not None and last.started <= told.runs_until):
        return [], told or Told()
    if told is None or told.runs_until is None:
        # Until now nobody was told of it: how it stands is news where it is not good.
        newest = [last] if _is_left_to_us(last, now) else []
        found, told = events.of_runs(newest, told, now)
        return [each for each in found if each.events != {Event.SUCCESS}], told
    runs = [run for run in catalog.runs(backup.id, _RECENT_RUNS) if _is_left_to_us(run, now)]
    return events.of_runs(runs, told, now)


def _is_left_to_us(run: Run, now: datetime) -> bool:
    if run.ended is None:
        return False
    was_killed = run.status is RunStatus.INTERRUPTED and not run.message.startswith(INTERRUPTED_BY_SIGNAL)
    return was_killed or now - run.ended >= LEFT_TO_ITS_PROCESS


def _of_lateness(
    teller: Teller, backup: Backup, standing: Standing, told: Told, now: datetime
) -> tuple[Occurrence | None, Told]:
    before = told.troubles.get(LATE)
    if not standing.late:
        if before is None:
            return None, told
        if standing.last_good is not None and standing.last_good.started >= before.since - CLOCK_SLACK:
            return events.of_lateness(None, (), "", told, now)
        is_promised = backup.enabled and standing.is_scheduled
        return None, told if is_promised else told.without(LATE)
    if RUN in told.troubles and _has_tried(backup, standing, now):
        return None, told  # that it failed was told
    first = min(standing.late, key=lambda late: late.slot)
    state = teller.configuration.state_directory
    if now - first.since < _LONGEST_CATCH_UP and _is_catching_up(state):
        return None, told
    targets = [name for late in standing.late for name in late.targets]
    return events.of_lateness(first.slot, targets, first.reason, told, now)


def _has_tried(backup: Backup, standing: Standing, now: datetime) -> bool:
    """Whether a run began for the latest time at which there should be one by now."""
    latest = latest_slot(backup.intervals, now - patience(backup, standing.usual_duration))
    last = standing.last
    return latest is None or (
        last is not None and (last.ended is None or max(last.started + CLOCK_SLACK, last.ended) >= latest)
    )


def _is_catching_up(state_directory: Path) -> bool:
    """Whether missed runs are being made up for now, or will be in a moment."""
    try:
        if float(Path("/proc/uptime").read_text("ascii").split()[0]) < _CATCH_UP_BEGINS.total_seconds():
            return True
        with lock_backup(state_directory, "missed"):
            return False
    except AlreadyRunningError:
        return True
    except (OSError, ValueError, HoldfastError):
        return False


def _store(teller: Teller, found: Iterable[_Found], now: datetime) -> Iterator[Waiting]:
    """The messages: one for each, but one for all that are late for a channel where that are many."""
    late: dict[str, list[_Found]] = {}
    for each in found:
        if each.occurrence.events != {Event.LATE}:
            yield from teller.store(each.backup, each.occurrence)
            continue
        for channel in each.backup.channels:
            if Event.LATE in channel.events:
                late.setdefault(fingerprint(channel.url), []).append(each)
    for channel_print, several in late.items():
        if len(several) <= _MOST_SINGLE:
            for each in several:
                yield from (
                    waiting
                    for waiting in teller.store(each.backup, each.occurrence)
                    if waiting.channel == channel_print
                )
            continue
        facts = [teller.facts(each.backup, now) for each in several]
        slots = [each.occurrence.trouble.since for each in several if each.occurrence.trouble is not None]
        first = several[0].backup
        position = next(n for n, channel in enumerate(first.channels) if fingerprint(channel.url) == channel_print)
        key = "late " + " ".join(f"{each.backup.id} {each.occurrence.key}" for each in several)
        message = messages.several_late(facts, slots)
        yield teller.put(Waiting(key, channel_print, first.id, position, message, now))


def _forget(memory: Memory, configured: set[str]) -> None:
    """Backups that are no longer configured: nothing is told of them."""
    for backup_id in memory.backups.keys() - configured:
        del memory.backups[backup_id]
