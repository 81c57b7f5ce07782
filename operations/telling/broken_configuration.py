"""A configuration that cannot be read stops every backup at once, so it is told: once for each set of problems, and
once more when it is good again.

``<state>/broken-configuration.json`` is there while it is broken: ``{"since": TIME, "told": <hash of the problems>}``.
A person who is editing the file is not told of what they have half written: five minutes are waited for, unless a
backup was due.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from errors import HoldfastError
from model import Channel, Event, Problem
from notifications.message import Level, Message
from notifications.outbox import Waiting
from operations.locks import one_after_the_other
from operations.telling.memory import LOCK, LOCK_SECONDS
from operations.telling.teller import Teller
from schedules.times import local_zone
from utils import format_count, format_timestamp, make_private_directory, parse_timestamp, redact, replace_private_file

PATIENCE = timedelta(minutes=5)
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Broken:
    since: datetime
    told: str = ""


def record_path(state_directory: Path) -> Path:
    """Where it is remembered that it is broken."""
    return state_directory / "broken-configuration.json"


def tell_broken(teller: Teller, problems: Sequence[Problem], now: datetime, *, was_due: bool) -> bool:
    """Tell what is wrong, to ``teller.channels``. ``was_due`` says that a backup did not run for it, so that nothing is
    waited for. Whether everybody was told who can be."""
    state = teller.configuration.state_directory
    digest = hashlib.sha256("\n".join(sorted(problem.message for problem in problems)).encode()).hexdigest()[:16]
    waiting: list[Waiting] = []
    told = False
    try:
        with one_after_the_other(state, LOCK, LOCK_SECONDS):
            broken = _read(state) or _Broken(now)
            told = broken.told == digest
            if not told and (was_due or now - broken.since >= PATIENCE or now < broken.since):
                waiting = _stored(teller, problems, digest, now)
                broken, told = _Broken(broken.since, digest), bool(waiting)
            _write(state, broken)
    except (HoldfastError, OSError) as error:
        teller.log(f"That the configuration is broken cannot be remembered: {error}")
        if not waiting and was_due:
            waiting = _stored(teller, problems, digest, now)
    delivery = teller.send(waiting)
    return told or bool(delivery.taken)


def tell_repaired(teller: Teller) -> None:
    """It can be read again."""
    state = teller.configuration.state_directory
    waiting: list[Waiting] = []
    try:
        with one_after_the_other(state, LOCK, LOCK_SECONDS):
            broken = _read(state)
            if broken is not None and broken.told:
                waiting = _stored_repaired(teller, broken)
            with suppress(OSError):
                record_path(state).unlink(missing_ok=True)
    except HoldfastError as error:
        teller.log(str(error))
    if waiting:
        teller.send(waiting)


def _stored(teller: Teller, problems: Sequence[Problem], digest: str, now: datetime) -> list[Waiting]:
    key = f"configuration {digest} {format_timestamp(now)}"
    return teller.message(key, "", teller.channels, Event.FAILURE, _broken_message(teller, problems))


def _broken_message(teller: Teller, problems: Sequence[Problem]) -> Message:
    path = teller.configuration.path
    shown = [f"  {problem}" for problem in problems[:_MOST_SHOWN]]
    more = len(problems) - _MOST_SHOWN
    lines = [
        f"The configuration {path} on {teller.host} cannot be used, so no backup of it runs. Scheduled lines in the "
        "crontab stay, and do nothing until it is repaired.",
        "",
        f"{format_count(len(problems), 'problem')}:",
        *shown,
        *([f"  … and {more:,} more"] if more > 0 else []),
        "",
        "What to do:",
        f"  Correct it, and check it with\n    {teller.commands.line('main.py', 'validate')}",
        f"  Then see what was missed\n    {teller.commands.line('backup.py')}",
    ]
    return Message(
        f"Holdfast: the configuration is broken on {teller.host}", redact("\n".join(lines)) + "\n", Level.FAILURE
    )


def _stored_repaired(teller: Teller, broken: _Broken) -> list[Waiting]:
    since = broken.since.astimezone(local_zone()).strftime("%Y-%m-%d %H:%M %Z")
    body = (
        f"The configuration {teller.configuration.path} on {teller.host} can be read again. It could not be since "
        f"{since}. Backups that were due since then are made up for, or told as late.\n\n"
        f"How each of them stands: {teller.commands.line('backup.py')}\n"
    )
    message = Message(f"Holdfast: the configuration is good again on {teller.host}", body, Level.SUCCESS)
    channels: dict[object, Channel] = {
        channel.url: channel for backup in teller.configuration.backups for channel in backup.channels
    }
    key = f"configuration repaired {format_timestamp(broken.since)}"
    return teller.message(key, "", list(channels.values()), Event.RECOVERED, message)


def _read(state_directory: Path) -> _Broken | None:
    try:
        document = json.loads(record_path(state_directory).read_bytes())
        return _Broken(parse_timestamp(document["since"]), str(document["told"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(state_directory: Path, broken: _Broken) -> None:
    """Raises OSError."""
    if _read(state_directory) != broken:
        make_private_directory(state_directory)
        document = {"since": format_timestamp(broken.since), "told": broken.told}
        replace_private_file(record_path(state_directory), json.dumps(document) + "\n")
