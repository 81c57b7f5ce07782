"""Who is told what: the events of backups, the channels that take messages, and pings."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from model.secret import Secret


class Event(enum.StrEnum):
    """What somebody may want to be told of a backup. ``DRILL_FAILED`` is any proof that failed: a copy that was read
    back and is bad, a drill that failed, or either that could not be done."""

    FAILURE = "failure"
    PARTIAL = "partial"
    LATE = "late"
    RECOVERED = "recovered"
    DRILL_FAILED = "drill_failed"
    SUCCESS = "success"


USUAL_EVENTS = frozenset(Event) - {Event.SUCCESS}
"""What is told where nothing else is asked for: whatever needs somebody, and its end."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One entry of ``NOTIFY``. ``url`` is one of Apprise (https://github.com/caronc/apprise/wiki), and holds what
    signs in there. ``summary`` is a cron expression; ``line`` is where the entry begins."""

    url: Secret
    events: frozenset[Event] = USUAL_EVENTS
    summary: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Ping:
    """An address that is asked for when a run begins and ends, as https://healthchecks.io/docs/http_api/ says.

    Whoever knows ``url`` can ping in its name. With ``has_log`` the end of the run's log is sent when it failed.
    """

    url: Secret
    has_log: bool = False
