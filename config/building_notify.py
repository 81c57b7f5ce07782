"""Records to channels and pings: who is told, by the nearest of backup, project and DEFAULTS."""

from __future__ import annotations

from collections.abc import Iterator

from config.notify_secrets import remember_parts
from config.problems import Position, Problems
from config.records import Record
from model import Channel, Event, Ping, Secret
from model.telling import USUAL_EVENTS

_BACKUP_PLACE = "{backup}"


class Tellings:
    """Makes channels and pings, and reports what cannot be."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._shared_pings: dict[Position, str] = {}
        self._made: dict[Position, tuple[Channel, ...]] = {}

    def channels(self, record: Record, project: Record) -> tuple[Channel, ...]:
        """What ``NOTIFY`` says of a backup."""
        where = _nearest("NOTIFY", record, project)
        return self.channels_of(where) if where is not None else ()

    def channels_of(self, record: Record) -> tuple[Channel, ...]:
        """What ``NOTIFY`` of this map says; those whose URL is wrong are left out."""
        place = record.position_of("NOTIFY")
        if place not in self._made:  # that of DEFAULTS may be asked for a thousand times
            self._made[place] = tuple(self._channels(record))
        return self._made[place]

    def _channels(self, record: Record) -> Iterator[Channel]:
        lines: dict[Secret, int] = {}
        for entry in record.all_records("NOTIFY"):
            url = entry.secret("URL")
            if url is None:
                continue
            if url in lines:
                message = f"NOTIFY has this URL already, in line {lines[url]}. Remove one."
                self._problems.error(entry.position, message)
            lines[url] = entry.position.line
            remember_parts(url)
            summary = entry.text("SUMMARY")
            channel = Channel(url, _events(entry), summary, entry.position.line)
            if not channel.events and "SUMMARY" not in entry.positions:
                message = "Nothing is ever told here: EVENTS is empty. Write a SUMMARY beside it, or remove it."
                self._problems.warn(entry.position, message)
            yield channel

    def ping(self, record: Record, project: Record, backup_id: str) -> Ping | None:
        """What ``PING`` says of a backup."""
        where = _nearest("PING", record, project)
        entry = where.record("PING") if where is not None else None
        url = entry.secret("URL") if entry is not None else None
        if entry is None or url is None:
            return None
        text = url.reveal()
        if _BACKUP_PLACE not in text:
            other = self._shared_pings.setdefault(entry.position, backup_id)
            if other != backup_id:
                message = (
                    f"Runs of {other} and of others ping one address, so that one that fails is covered by the next. "
                    f"Write {_BACKUP_PLACE} into the URL, or give each backup its PING."
                )
                self._problems.warn(entry.position, message)
        full = Secret(text.replace(_BACKUP_PLACE, backup_id.replace("/", "-").lower()))
        remember_parts(full)
        return Ping(full, entry.flag("LOG", False))


def _nearest(key: str, record: Record, project: Record) -> Record | None:
    """The map that says it: a backup itself, its project, or DEFAULTS, which the backup has inherited from."""
    for where, is_there in (
        (record, key in record.positions and key not in record.inherited),
        (project, key in project.positions),
        (record, key in record.inherited),
    ):
        if is_there:
            return where
    return None


def _events(entry: Record) -> frozenset[Event]:
    if "EVENTS" not in entry.positions:
        return USUAL_EVENTS
    return frozenset(Event(word) for _, word in entry.texts("EVENTS"))
