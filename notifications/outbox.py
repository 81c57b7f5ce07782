"""Messages that wait to be taken: ``<state>/outbox/``, a file each, written before the first try and removed after the
last. So none is lost where there is no network, or the process is killed.

No address is stored: a file holds a fingerprint of it, and whose message it is, and the address is looked up in the
configuration when it is sent. A message is taken by one process at a time, which holds flock(2) on its file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from model import Secret
from notifications.message import Level, Message
from utils import format_timestamp, make_private_directory, parse_timestamp, replace_private_file

GIVEN_UP_AFTER = timedelta(days=3)
MOST_MESSAGES = 1_000
_HALF_WRITTEN_SECONDS = 3600.0
_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=1)


def fingerprint(url: Secret) -> str:
    """What tells one address from another and, with 48 bits, too little to find out a password by trying."""
    return hashlib.blake2b(url.reveal().encode(), digest_size=6, person=b"holdfast").hexdigest()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message on its way. ``channel`` is the fingerprint of its address, which is the ``position``-th (from 0) that
    ``owner`` has: a backup, or nothing where it concerns all of them.

    ``key`` tells one message from another: the same one is stored once. ``path`` is None where it could not be stored.
    """

    key: str
    channel: str
    owner: str
    position: int
    message: Message
    created: datetime
    attempts: int = 0
    next_try: datetime | None = None
    reason: str = ""
    path: Path | None = field(default=None, compare=False)

    def is_due(self, now: datetime) -> bool:
        """A wait that is longer than any we ever ask for is one of a clock that was set back."""
        return self.next_try is None or self.next_try <= now or self.next_try > now + _LONGEST_WAIT

    def is_given_up(self, now: datetime) -> bool:
        return self.attempts > 0 and now - self.created >= GIVEN_UP_AFTER

    def tried(self, now: datetime, reason: str) -> Waiting:
        """After one more try that came to nothing."""
        wait = min(_FIRST_WAIT * 2 ** min(self.attempts, 10), _LONGEST_WAIT)
        return replace(self, attempts=self.attempts + 1, next_try=now + wait, reason=reason)


class Outbox:
    """The folder. Methods raise OSError where they say so, and otherwise nothing."""

    def __init__(self, state_directory: Path) -> None:
        self.folder = state_directory / "outbox"

    def put(self, waiting: Waiting) -> Waiting:
        """Store a message, durably; one of the same key that is there already stays as it is. Raises OSError, such as
        on a full disk."""
        known = next(self.folder.glob(f"*-{_file_key(waiting)}.json"), None) if self.folder.is_dir() else None
        if known is not None:
            return _read(known) or replace(waiting, path=known)
        make_private_directory(self.folder)
        path = self.folder / f"{format_timestamp(waiting.created)}-{_file_key(waiting)}.json"
        self._write(path, waiting)
        return replace(waiting, path=path)

    def all(self) -> list[Waiting]:
        """The messages, oldest first. What is no message, such as one of another version, is left alone."""
        try:
            paths = sorted(path for path in self.folder.iterdir() if path.suffix == ".json")
        except OSError:
            return []
        return [waiting for waiting in map(_read, paths) if waiting is not None]

    def update(self, waiting: Waiting) -> None:
        """Remember a try. Where that cannot be, it is tried again earlier than need be."""
        if waiting.path is not None:
            with suppress(OSError):
                self._write(waiting.path, waiting)

    def remove(self, waiting: Waiting) -> None:
        """It was taken, or given up."""
        if waiting.path is not None:
            with suppress(OSError):
                waiting.path.unlink(missing_ok=True)

    @contextmanager
    def taken(self, waiting: Waiting) -> Iterator[bool]:
        """Whether this process may send it: nobody else does, or did. One that is not stored is only ours."""
        if waiting.path is None:
            yield True
            return
        try:
            descriptor = os.open(waiting.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield False
            return
        try:
            yield _is_locked(descriptor, waiting.path)
        finally:
            os.close(descriptor)

    def sweep(self) -> None:
        """Remove what processes that were killed have half written."""
        with suppress(OSError):
            for path in self.folder.glob("*.new"):
                if time.time() - path.stat().st_mtime > _HALF_WRITTEN_SECONDS:
                    path.unlink(missing_ok=True)

    def overfull(self) -> list[Waiting]:
        """The oldest ones, where there are more than may be."""
        waiting = self.all()
        return waiting[: max(len(waiting) - MOST_MESSAGES, 0)]

    def _write(self, path: Path, waiting: Waiting) -> None:
        document = {
            "version": 1,
            "key": waiting.key,
            "channel": waiting.channel,
            "owner": waiting.owner,
            "position": waiting.position,
            "title": waiting.message.title,
            "body": waiting.message.body,
            "level": waiting.message.level.value,
            "created": format_timestamp(waiting.created),
            "attempts": waiting.attempts,
            "next_try": format_timestamp(waiting.next_try) if waiting.next_try else None,
            "reason": waiting.reason,
        }
        replace_private_file(path, json.dumps(document, indent=1) + "\n")


def _file_key(waiting: Waiting) -> str:
    return hashlib.blake2b(f"{waiting.channel} {waiting.key}".encode(), digest_size=8).hexdigest()


def _is_locked(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:  # somebody else has it, or had it and it is gone
        return False


def _read(path: Path) -> Waiting | None:
    try:
        document = json.loads(path.read_bytes())
        if document["version"] != 1:
            return None
        return Waiting(
            key=str(document["key"]),
            channel=str(document["channel"]),
            owner=str(document["owner"]),
            position=int(document["position"]),
            message=Message(str(document["title"]), str(document["body"]), Level(document["level"])),
            created=parse_timestamp(document["created"]),
            attempts=int(document["attempts"]),
            next_try=parse_timestamp(document["next_try"]) if document["next_try"] else None,
            reason=str(document["reason"]),
            path=path,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
