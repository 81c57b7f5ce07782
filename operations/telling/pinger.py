"""``PING``: tells an address that a run begins and how it ended, while the run goes on."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from errors import NotificationError
from model import Member, Ping, Run, RunStatus, Target
from notifications.ping import LONGEST_BODY, LONGEST_SECONDS, Signal, ping
from operations.running.run_log import log_name

_SIGNALS = {RunStatus.GOOD: Signal.SUCCESS, RunStatus.SKIPPED: Signal.LOG}
_SECONDS_ON_A_SIGNAL = 3.0


class Pinger:
    """An ``operations.observer.Observer`` of one run with its retries. Nothing is raised: what was not taken is told
    to ``log``, and nobody waits for the ping of the start."""

    def __init__(self, where: Ping | None, state_directory: Path, log: Callable[[str], None]) -> None:
        self._where = where
        self._state = state_directory
        self._log = log
        self._id = str(uuid.uuid4())
        self._start: threading.Thread | None = None
        self._run: Run | None = None

    def begin(self, run: Run) -> None:
        self._run = run
        if self._where is not None and self._start is None:
            self._start = threading.Thread(target=self._send, args=(Signal.START,), name="ping", daemon=True)
            self._start.start()

    def wait(self, until: datetime) -> None:
        """The end is told after the last try."""

    def expect(self, size: int) -> None:
        """Sizes are told to nobody."""

    def advance(self, member: Member, size: int) -> None:
        """Nor is the progress."""

    def upload(self, target: Target, sent: int, size: int) -> None:
        """Nor are uploads."""

    def ended(self, run: Run) -> None:
        """It ended so; one that was skipped has neither succeeded nor failed."""
        self._run = run
        signal = _SIGNALS.get(run.status, Signal.FAIL)
        bodies = {Signal.LOG: run.message, Signal.FAIL: self._tail()}
        self._end(signal, bodies.get(signal, ""))

    def failed(self, error: str) -> None:
        """It could not begin, or not be recorded."""
        self._end(Signal.FAIL, error if self._where is not None and self._where.has_log else "")

    def interrupted(self) -> None:
        """A signal ended it, so that there is little time."""
        if self._run is not None:
            self._end(Signal.FAIL, self._tail(), _SECONDS_ON_A_SIGNAL)

    def _end(self, signal: Signal, body: str, seconds: float = LONGEST_SECONDS) -> None:
        if self._where is None:
            return
        if self._start is not None:
            self._start.join(seconds)
        self._send(signal, body, seconds)

    def _send(self, signal: Signal, body: str = "", seconds: float = LONGEST_SECONDS) -> None:
        if self._where is None:
            return
        try:
            ping(self._where.url, signal, self._id, body, seconds)
        except NotificationError as error:
            self._log(f"{error} It was {signal.name.lower()} of {self._run.backup_id if self._run else 'a run'}.")

    def _tail(self) -> str:
        """The end of the log, which has no secrets."""
        if self._run is None or self._where is None or not self._where.has_log:
            return ""
        with suppress(OSError):
            path = self._state / "logs" / log_name(self._run.backup_id, self._run.started)
            return path.read_bytes()[-LONGEST_BODY:].decode("utf-8", "replace")
        return ""
