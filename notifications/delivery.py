"""Sends what waits: each address in a thread of its own, so that one that does not answer delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from errors import NotificationError
from model import Secret
from notifications import channels
from notifications.message import Level, Message
from notifications.outbox import Outbox, Waiting
from utils import format_duration

SECONDS = 30.0
"""The longest that whoever has something to tell waits for all of it together."""

_MOST_SINGLE_MESSAGES = 5
_LONGEST_DIGEST = 30_000
_WORTH_SAYING = timedelta(minutes=15)
_WORST_FIRST = (Level.FAILURE, Level.WARNING, Level.SUCCESS, Level.INFO)

Send = Callable[[Secret, Message, float], None]


@dataclass
class Delivery:
    """What became of messages: taken, refused (and waiting, with the reason), given up after days."""

    taken: list[Waiting] = field(default_factory=list)
    refused: list[Waiting] = field(default_factory=list)
    given_up: list[Waiting] = field(default_factory=list)


def deliver(
    outbox: Outbox,
    waiting: Iterable[Waiting],
    url_of: Callable[[Waiting], Secret | None],
    now: datetime,
    seconds: float = SECONDS,
    send: Send = channels.send,
) -> Delivery:
    """Send these messages, oldest first for each address, and return after so many seconds at the latest.

    ``url_of`` says where one goes; None where that is not known now, so that it waits on. Of an address that does not
    take one, no other is tried. Several for one address become one message.
    """
    result = Delivery()
    groups: dict[Secret, list[Waiting]] = {}
    for each in waiting:
        url = url_of(each)
        if each.is_given_up(now) or (url is None and now - each.created >= timedelta(days=3)):
            outbox.remove(each)
            result.given_up.append(each)
        elif url is not None:
            groups.setdefault(url, []).append(each)
    deadline = time.monotonic() + seconds
    workers = [_Worker(outbox, url, group, now, deadline, send) for url, group in groups.items()]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(deadline - time.monotonic(), 0.0))
    for worker in workers:
        worker.report(result)
    return result


class _Worker:
    """Sends the messages for one address. Whoever waits for it may stop waiting at any moment."""

    def __init__(
        self, outbox: Outbox, url: Secret, group: Sequence[Waiting], now: datetime, deadline: float, send: Send
    ) -> None:
        self._outbox = outbox
        self._url = url
        self._group = group
        self._now = now
        self._deadline = deadline
        self._send = send
        self._lock = threading.Lock()
        self._taken: list[Waiting] = []
        self._refused: list[Waiting] = []
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def report(self, result: Delivery) -> None:
        with self._lock:
            result.taken += self._taken
            result.refused += self._refused
            known = {id(each) for each in (*self._taken, *self._refused)}
        if self._thread.is_alive():
            reason = "There was no time for it, or no answer."
            result.refused += [replace(each, reason=reason) for each in self._group if id(each) not in known]

    def _run(self) -> None:
        with ExitStack() as held:
            mine = [each for each in self._group if held.enter_context(self._outbox.taken(each))]
            is_many = len(mine) > _MOST_SINGLE_MESSAGES
            parts = [mine] if is_many else [[each] for each in mine]
            for number, part in enumerate(parts):
                message = digest(part, self._now) if is_many else _with_wait(part[0], self._now)
                try:
                    self._send(
                        self._url, message, min(channels.LONGEST_SECONDS, max(self._deadline - time.monotonic(), 0.1))
                    )
                except NotificationError as error:
                    self._refuse([each for rest in parts[number:] for each in rest], str(error))
                    return
                for each in part:
                    self._outbox.remove(each)
                with self._lock:
                    self._taken += part

    def _refuse(self, messages: Iterable[Waiting], reason: str) -> None:
        for each in messages:
            tried = each.tried(self._now, reason)
            self._outbox.update(tried)
            with self._lock:
                self._refused.append(tried)


def digest(waiting: Sequence[Waiting], now: datetime) -> Message:
    """Many messages as one: all of their titles, and as much of their bodies as a mail should hold."""
    levels = [each.message.level for each in waiting]
    parts = ["\n".join(f"- {each.message.title}" for each in waiting)]
    length = len(parts[0])
    left_out = 0
    for each in waiting:
        message = _with_wait(each, now)
        part = f"{'-' * 60}\n{message.title}\n\n{message.body.strip()}"
        length += len(part)
        if length > _LONGEST_DIGEST:
            left_out += 1
        else:
            parts.append(part)
    if left_out:
        parts.append(f"{'-' * 60}\n{left_out:,} of these messages are here by their title only.")
    return Message(
        f"Holdfast: {len(waiting):,} messages at once",
        "\n\n".join(parts) + "\n",
        next(level for level in _WORST_FIRST if level in levels),
    )


def _with_wait(waiting: Waiting, now: datetime) -> Message:
    """The message, and how late it is, where that is worth a line."""
    waited = now - waiting.created
    if waiting.attempts == 0 or waited < _WORTH_SAYING:
        return waiting.message
    line = f"(This message could not be sent for {format_duration(waited.total_seconds())}. {waiting.reason})"
    return replace(waiting.message, body=f"{line}\n\n{waiting.message.body}")
