"""What was told already: ``<state>/told.json``, so that a process that was killed tells nothing twice, nor never.

It is changed under a lock, after the messages that it says were told are in the outbox: a kill in between makes one
be told again, where it was sent meanwhile. Where the file is lost, what is wrong at that time is told once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from errors import HoldfastError
from model import CheckKind, Event
from operations.locks import one_after_the_other
from utils import format_timestamp, make_private_directory, parse_timestamp, replace_private_file

LOCK = "told"
LOCK_SECONDS = 10.0
"""The longest that a run that has ended waits for another process that tells something."""

LATE, RUN = "late", "run"
"""The kinds of trouble besides those of :class:`model.CheckKind`."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong and was told. ``told`` is when that was for the last time, ``count`` how often it
    happened since ``since``; ``targets`` are those that are late."""

    event: Event
    since: datetime
    told: datetime
    count: int = 1
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one backup: everything of the runs that began at ``runs_until`` or before, and the same of its
    checks; and which troubles have not ended."""

    runs_until: datetime | None = None
    checks_until: dict[CheckKind, datetime] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)

    def with_trouble(self, kind: str, trouble: Trouble) -> Told:
        return replace(self, troubles={**self.troubles, kind: trouble})

    def without(self, *kinds: str) -> Told:
        return replace(self, troubles={kind: each for kind, each in self.troubles.items() if kind not in kinds})


@dataclass
class Memory:
    """All of it. ``summaries`` says for each channel (its fingerprint) when its last summary was due."""

    backups: dict[str, Told] = field(default_factory=dict)
    summaries: dict[str, datetime] = field(default_factory=dict)


@contextmanager
def remembered(state_directory: Path) -> Iterator[Memory]:
    """The memory, for changes; they are written where the block ends without an error and there are some.

    Raises HoldfastError where the state folder cannot be used.
    """
    path = state_directory / "told.json"
    with one_after_the_other(state_directory, LOCK, LOCK_SECONDS):
        memory = _read(path)
        before = _document(memory)
        yield memory
        after = _document(memory)
        if after != before:
            try:
                make_private_directory(path.parent)
                replace_private_file(path, json.dumps(after, separators=(",", ":")) + "\n")
            except OSError as error:
                raise HoldfastError(f"{path} cannot be written: {error.strerror}. Check STATE_DIR.") from error


def _read(path: Path) -> Memory:
    """What was written, or nothing where the file is missing, damaged or from another version."""
    try:
        document = json.loads(path.read_bytes())
        if document["version"] != 1:
            return Memory()
        return Memory(
            {backup_id: _told(each) for backup_id, each in document["backups"].items()},
            {channel: parse_timestamp(moment) for channel, moment in document["summaries"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Memory()


def _told(document: dict[str, Any]) -> Told:
    return Told(
        datetime.fromisoformat(document["runs_until"]) if document["runs_until"] else None,
        {CheckKind(kind): datetime.fromisoformat(moment) for kind, moment in document["checks_until"].items()},
        {
            kind: Trouble(
                Event(each["event"]),
                parse_timestamp(each["since"]),
                parse_timestamp(each["told"]),
                int(each["count"]),
                tuple(map(str, each["targets"])),
            )
            for kind, each in document["troubles"].items()
        },
    )


def _document(memory: Memory) -> dict[str, Any]:
    return {
        "version": 1,
        "backups": {
            backup_id: {
                "runs_until": told.runs_until.isoformat() if told.runs_until else None,
                "checks_until": {kind.value: moment.isoformat() for kind, moment in told.checks_until.items()},
                "troubles": {
                    kind: {
                        "event": each.event.value,
                        "since": format_timestamp(each.since),
                        "told": format_timestamp(each.told),
                        "count": each.count,
                        "targets": list(each.targets),
                    }
                    for kind, each in told.troubles.items()
                },
            }
            for backup_id, told in memory.backups.items()
        },
        "summaries": {channel: format_timestamp(moment) for channel, moment in memory.summaries.items()},
    }
