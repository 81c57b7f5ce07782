"""An occurrence as the message that tells it. Pure."""

from __future__ import annotations

from model import CheckKind, Event, RunStatus
from notifications import messages
from notifications.message import Message
from notifications.messages import Facts
from operations.telling.events import Occurrence
from operations.telling.memory import Trouble


def message_of(occurrence: Occurrence, facts: Facts) -> Message:
    """What is said of it."""
    trouble, run = occurrence.trouble, occurrence.run
    if Event.RECOVERED in occurrence.events and trouble is not None:
        return messages.recovered(facts, _what_it_was(trouble, occurrence.kind), trouble.since, run)
    count, since = (trouble.count, trouble.since) if trouble is not None else (1, None)
    if occurrence.kind is not None:
        return messages.check_failed(facts, occurrence.kind, occurrence.reasons, count, since)
    if run is None:
        if trouble is None:
            raise ValueError("an occurrence is of a run, of a check, or of a trouble")
        return messages.late(facts, trouble.since, trouble.targets, occurrence.reasons[0])
    if run.status is RunStatus.GOOD:
        return messages.succeeded(facts, run)
    if run.status is RunStatus.PARTIAL:
        return messages.partial(facts, run, count, since)
    return messages.failed(facts, run, count, since)


def _what_it_was(trouble: Trouble, kind: CheckKind | None) -> str:
    if kind is not None:
        return "its drill failed" if kind is CheckKind.DRILL else "its verification failed"
    return {Event.PARTIAL: "it could not read everything", Event.LATE: "it was late"}.get(trouble.event, "it failed")
