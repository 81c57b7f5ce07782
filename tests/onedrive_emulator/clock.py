"""A clock that a test can put forward, so that nobody has to wait for an hour."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The real time, plus what it was put forward by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = datetime.now(UTC)
        self._began_seconds = time.monotonic()
        self._advanced_seconds = 0.0

    def seconds(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic() + self._advanced_seconds

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self.seconds() - self._began_seconds)

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        with self._lock:
            self._advanced_seconds += seconds


def iso_8601(moment: datetime) -> str:
    """``2026-11-20T03:00:00Z``, as Graph writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
