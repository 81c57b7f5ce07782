"""Whether messages would arrive: ``main.py doctor`` looks at the addresses, ``--notify`` sends a test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from errors import NotificationError
from model import Backup, Channel, Configuration, Ping, Secret
from notifications import channels
from notifications.message import Message
from notifications.outbox import Outbox
from notifications.ping import Signal, ping
from operations.findings import Finding, Verdict
from utils import format_count, format_duration

_AT_ONCE = 8
_WORTH_A_WARNING_SECONDS = 900


def looked_at(configuration: Configuration, now: datetime) -> Iterator[Finding]:
    """Each address of NOTIFY, without connecting to it, and what waits in the outbox."""
    for channel in distinct_channels(configuration):
        problem = channels.why_invalid(channel.url)
        if problem is not None:
            yield Finding(_subject(channel), Verdict.FAILED, problem)
    if any(backup.channels for backup in configuration.enabled_backups):
        yield _outbox(configuration, now)


def tried(configuration: Configuration, host: str) -> Iterator[Finding]:
    """A test to each address of NOTIFY and of PING, several at the same time; how it ended, in their order."""
    message = Message(
        f"Holdfast: a test from {host}",
        f"This is a test, sent by `main.py doctor --notify` on {host}. Messages about the backups of "
        f"{configuration.path} will arrive here.\n",
    )
    found = distinct_channels(configuration)
    pings = _distinct_pings(configuration)
    if not found and not pings:
        text = "Nobody is told anything: no enabled backup has NOTIFY or PING. docs/notifications.md has examples."
        yield Finding("notifications", Verdict.WARNING, text)
        return
    tasks: list[Callable[[], Finding]] = [
        *((lambda each=channel: _sent(each, message)) for channel in found),
        *((lambda each=backup, where=where: _pinged(each, where, message)) for backup, where in pings),
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda task: task(), tasks)


def wrong_addresses(configuration: Configuration) -> list[str]:
    """A warning for each address of NOTIFY that Apprise can make nothing of. It is not asked at each start, as that
    takes half a second."""
    found = ((channel, channels.why_invalid(channel.url)) for channel in distinct_channels(configuration))
    return [f"{configuration.path}:{channel.line}: NOTIFY: {problem}" for channel, problem in found if problem]


def distinct_channels(configuration: Configuration) -> list[Channel]:
    """Of enabled backups, each address once."""
    found: dict[Secret, Channel] = {}
    for backup in configuration.enabled_backups:
        for channel in backup.channels:
            found.setdefault(channel.url, channel)
    return list(found.values())


def _distinct_pings(configuration: Configuration) -> list[tuple[Backup, Ping]]:
    found: dict[Secret, tuple[Backup, Ping]] = {}
    for backup in configuration.enabled_backups:
        if backup.ping is not None:
            found.setdefault(backup.ping.url, (backup, backup.ping))
    return list(found.values())


def _subject(channel: Channel) -> str:
    """The service and the line: the address itself is secret."""
    return f"NOTIFY in line {channel.line} ({channel.url.reveal().partition('://')[0].lower()}://…)"


def _sent(channel: Channel, message: Message) -> Finding:
    try:
        channels.send(channel.url, message)
    except NotificationError as error:
        return Finding(_subject(channel), Verdict.FAILED, f"{error} Check its URL, and whether the service is up.")
    return Finding(_subject(channel), Verdict.OK, "the test was taken; look whether it arrived")


def _pinged(backup: Backup, where: Ping, message: Message) -> Finding:
    subject = f"PING of {backup.id}"
    try:
        ping(where.url, Signal.LOG, str(uuid.uuid4()), message.body)
    except NotificationError as error:
        return Finding(subject, Verdict.FAILED, f"{error} Check its URL.")
    return Finding(subject, Verdict.OK, "the test was taken, as a line of its log (/log): it counts as no run")


def _outbox(configuration: Configuration, now: datetime) -> Finding:
    waiting = Outbox(configuration.state_directory).all()
    if not waiting:
        return Finding("notifications", Verdict.OK, "no message waits to be sent")
    oldest = waiting[0]
    seconds = (now - oldest.created).total_seconds()
    count = format_count(len(waiting), "message")
    text = f"{count} could not be sent yet, the oldest for {format_duration(max(seconds, 0))}. {oldest.reason}".rstrip()
    verdict = Verdict.FAILED if seconds >= _WORTH_A_WARNING_SECONDS else Verdict.WARNING
    return Finding("notifications", verdict, f"{text} `main.py doctor --notify` tries each address.")
