"""What the pages show, held in memory: how every backup stands, a year of outcomes, sizes, the space in use.

A thread asks the catalog twice a second which backups changed, and reads those again; once a minute it looks at what
the clock alone changes. So a page costs no question to the catalog, whatever the number of runs in it.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from itertools import islice
from typing import Protocol

from catalog import Catalog, StandingFacts
from errors import HoldfastError
from model import Configuration, RunStatus, Usage
from operations.status.levels import Level
from operations.status.overview import Standing, facts_of
from operations.status.overview import standing as standing_of
from schedules.times import local_zone
from utils import utc_now
from web.charts.calendar import CODE_OF_STATUS, DAYS, Days, first_day

_POLL_SECONDS = 0.5
_CLOCK_SECONDS = 60
_BATCH = 50
_SPARKLINE = 30

_logger = logging.getLogger(__name__)

Listener = Callable[[frozenset[str]], None]


class Configured(Protocol):
    """Where the configuration comes from: it is another object once the file changed."""

    def current(self) -> Configuration: ...


@dataclass(frozen=True, slots=True)
class BackupState:
    """One backup. ``facts`` are what its standing was made of. ``version`` is that of the view in which anything of it
    changed last."""

    standing: Standing
    facts: StandingFacts
    days: Days
    version: int = 0

    @property
    def level(self) -> Level:
        """How it stands, in one word."""
        return self.standing.level

    @property
    def sizes(self) -> list[int]:
        """Those of its newest good archives in bytes, oldest first."""
        newest = self.facts.good[-_SPARKLINE:]
        return [run.archive_size for run in newest if run.archive_size is not None]

    @property
    def usage(self) -> tuple[Usage, ...]:
        """What lies on its targets, and on those that it had before."""
        return self.facts.usage

    @property
    def project(self) -> str:
        """The name of its project, as far as it is known."""
        backup = self.standing.backup
        return backup.project if backup is not None else self.standing.backup_id.partition("/")[0]

    @property
    def project_id(self) -> str:
        """Its project as it stands in ids and addresses."""
        return self.standing.backup_id.partition("/")[0]


@dataclass(frozen=True)
class View:
    """Everything at one moment; it never changes. ``states`` are in the order of the configuration, then the orphaned
    ones. ``is_whole`` is false until it is known how all of them stand; their calendars come later."""

    version: int
    configuration: Configuration
    states: Mapping[str, BackupState]
    is_whole: bool
    today: date
    problem: str | None = None

    @cached_property
    def projects(self) -> Mapping[str, Sequence[BackupState]]:
        """By their ids as in addresses, in the order of the configuration."""
        found: dict[str, list[BackupState]] = {}
        for state in self.states.values():
            found.setdefault(state.project_id, []).append(state)
        return found


@dataclass
class _Known:
    """What the thread remembers: the newest revision of each backup that it read."""

    configuration: Configuration
    revisions: dict[str, int] = field(default_factory=dict)
    first: date = date.min
    clock: datetime | None = None


class Snapshot:
    """Safe in several threads. ``now`` is the clock."""

    def __init__(self, catalog: Catalog, configured: Configured, now: Callable[[], datetime] = utc_now) -> None:
        self._catalog = catalog
        self._configured = configured
        self._now = now
        self._listeners: list[Listener] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)
        configuration = configured.current()
        self._known = _Known(configuration)
        self._view = View(0, configuration, {}, False, _today(now()))

    @property
    def view(self) -> View:
        """The newest one."""
        return self._view

    def listen(self, listener: Listener) -> None:
        """Have it called, in the snapshot's thread, with the ids of the backups of which something changed."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin to read, in a thread of its own. There is a view at once, an empty one."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.refresh()
            self._stopping.wait(_POLL_SECONDS)

    def refresh(self) -> None:
        """Look once. What cannot be read now is read the next time, and the view says why."""
        try:
            self._refresh()
        except HoldfastError as error:
            if self._view.problem != str(error):
                self._publish(self._view.states, frozenset(), problem=str(error))
        except Exception:
            _logger.exception("The snapshot could not be made")

    def _refresh(self) -> None:
        known, now = self._known, self._now()
        configuration = self._configured.current()
        revisions = self._catalog.revisions()
        ids = _ordered_ids(configuration, revisions)
        changed = [each for each in ids if revisions.get(each, 0) != known.revisions.get(each, -1)]
        is_due = known.clock is None or not timedelta() <= now - known.clock < timedelta(seconds=_CLOCK_SECONDS)
        self._turn_calendar(first_day(_today(now)))
        if configuration is not known.configuration:
            wanted = set(ids)
        else:
            wanted = {*changed, *(self._rescheduled() if is_due else ())}
        for batch in _batches([each for each in ids if each in wanted]):
            configured = {backup.id: backup for backup in configuration.backups}
            self._stand(configuration, ids, facts_of(batch, configured, self._catalog, now), now)
            if self._stopping.is_set():
                return
        others = {each: state.facts for each, state in self._view.states.items() if each not in wanted}
        if is_due or list(self._view.states) != ids:
            self._stand(configuration, ids, others, now)
            known.clock = now
        known.configuration = configuration
        if not self._view.is_whole or self._view.problem:
            self._publish(self._view.states, frozenset(), is_whole=True)
        for batch in _batches(changed):
            self._read_histories(batch)
            if self._stopping.is_set():
                return
        known.revisions = {each: revisions.get(each, 0) for each in ids}

    def _rescheduled(self) -> list[str]:
        """Backups that ``main.py`` has put into the schedule, or given other intervals, since they were read."""
        since = self._catalog.schedule_since()
        states = self._view.states.items()
        return [backup_id for backup_id, state in states if state.facts.scheduled_since != since.get(backup_id)]

    def _stand(
        self, configuration: Configuration, ids: Sequence[str], facts: Mapping[str, StandingFacts], now: datetime
    ) -> None:
        """How these stand now, which costs no question to the catalog. ``ids`` are all that there are."""
        configured = {backup.id: backup for backup in configuration.backups}
        before = self._view.states
        version = self._view.version + 1
        states = dict(before)
        changed = set(before.keys() - set(ids))
        for backup_id in facts.keys() & set(ids):
            backup = configured.get(backup_id)
            made = standing_of(backup_id, backup, facts[backup_id], now, configuration.state_directory)
            state = before.get(backup_id)
            if state is None:
                states[backup_id] = BackupState(made, facts[backup_id], _no_days(self._known.first), version=version)
                changed.add(backup_id)
            elif state.standing != made or state.facts != facts[backup_id]:
                states[backup_id] = replace(state, standing=made, facts=facts[backup_id], version=version)
                changed.add(backup_id)
        ordered = {each: states[each] for each in ids if each in states}
        if changed or list(ordered) != list(before) or configuration is not self._view.configuration:
            self._publish(ordered, frozenset(changed), configuration=configuration)

    def _read_histories(self, backup_ids: Collection[str]) -> None:
        states = dict(self._view.states)
        version = self._view.version + 1
        first = self._known.first
        since = datetime.combine(first, time(), local_zone())
        for backup_id in backup_ids:
            states[backup_id] = replace(
                states[backup_id],
                days=_days(first, self._catalog.outcomes(backup_id, since)),
                version=version,
            )
        self._publish(states, frozenset(backup_ids))

    def _turn_calendar(self, first: date) -> None:
        """Each Monday the calendars begin a week later, and each day the last day is another one."""
        before = self._known.first
        self._known.first = first
        today = _today(self._now())
        if self._view.states and first != before:
            version = self._view.version + 1
            states = {
                backup_id: replace(state, days=_moved(state.days, first), version=version)
                for backup_id, state in self._view.states.items()
            }
            self._publish(states, frozenset(states), today=today)
        elif today != self._view.today:
            version = self._view.version + 1
            states = {backup_id: replace(state, version=version) for backup_id, state in self._view.states.items()}
            self._publish(states, frozenset(states), today=today)

    def _publish(
        self,
        states: Mapping[str, BackupState],
        changed: frozenset[str],
        *,
        configuration: Configuration | None = None,
        is_whole: bool | None = None,
        today: date | None = None,
        problem: str | None = None,
    ) -> None:
        view = self._view
        self._view = View(
            version=view.version + 1,
            configuration=configuration or view.configuration,
            states=states,
            is_whole=view.is_whole if is_whole is None else is_whole,
            today=today or view.today,
            problem=problem,
        )
        for listener in self._listeners:
            listener(changed)


def _ordered_ids(configuration: Configuration, revisions: Mapping[str, int]) -> list[str]:
    configured = [backup.id for backup in configuration.backups]
    return [*configured, *sorted(revisions.keys() - set(configured))]


def _batches(ids: Sequence[str]) -> Iterable[list[str]]:
    remaining = iter(ids)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def _today(now: datetime) -> date:
    return now.astimezone(local_zone()).date()


def _no_days(first: date) -> Days:
    return Days(first, bytes(DAYS), array("H", bytes(2 * DAYS)))


def _days(first: date, outcomes: Iterable[tuple[datetime, RunStatus]]) -> Days:
    """The worst outcome and the number of runs of each day in this machine's zone."""
    codes, counts = bytearray(DAYS), array("H", bytes(2 * DAYS))
    zone, start = local_zone(), first.toordinal()
    for started, status in outcomes:
        position = started.astimezone(zone).toordinal() - start
        if 0 <= position < DAYS:  # a run from the future is that of a wrong clock
            code = CODE_OF_STATUS[status]
            if code > codes[position]:
                codes[position] = code
            if counts[position] < 65_535:
                counts[position] += 1
    return Days(first, bytes(codes), counts)


def _moved(days: Days, first: date) -> Days:
    """The same days in a calendar that begins later, or earlier."""
    moved = _no_days(first)
    codes, counts = bytearray(moved.codes), array("H", moved.counts)
    shift = (first - days.first).days
    for position in range(DAYS):
        if 0 <= position + shift < DAYS:
            codes[position] = days.codes[position + shift]
            counts[position] = days.counts[position + shift]
    return Days(first, bytes(codes), counts)
