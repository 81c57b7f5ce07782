"""What came, which rules were broken, and which pauses were asked for."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

from .clock import Clock
from .http_messages import Request


@dataclass
class Entry:
    """One request. ``status`` is None where no answer was sent. ``labels`` tell what a planned fault can call it."""

    number: int
    service: str
    method: str
    target: str
    host: str
    route: str
    labels: list[str]
    app_id: str
    authorization_was_sent: bool
    user_agent: str
    content_range: str
    content_length: int | None
    range: str
    connection: int
    at: float
    status: int | None = None


@dataclass(frozen=True)
class _Pause:
    began: float
    until: float
    connection: int


class Journal:
    """The log of requests, and the violations that a test must not find."""

    def __init__(self, clock: Clock, grace_seconds: float) -> None:
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._pauses: dict[str, _Pause] = {}
        self.entries: list[Entry] = []
        self.violations: list[str] = []
        self.unknown_routes: list[str] = []

    def begin(self, request: Request) -> Entry:
        """Note a request that came."""
        entry = Entry(
            request.number,
            request.service,
            request.method,
            request.target,
            request.host,
            request.route,
            sorted(request.labels),
            request.app_id,
            request.authorization is not None,
            str(request.headers.get("User-Agent", "")),
            str(request.headers.get("Content-Range", "")),
            request.body.length,
            str(request.headers.get("Range", "")),
            request.connection,
            self._clock.seconds(),
        )
        with self._lock:
            self.entries.append(entry)
        return entry

    def requests(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(entry) for entry in self.entries]

    def violation(self, request: Request, text: str) -> None:
        """Note that this request broke a rule that no good client breaks."""
        with self._lock:
            self.violations.append(f"request {request.number}, {request.method} {request.target}: {text}")

    def unknown_route(self, request: Request) -> None:
        with self._lock:
            self.unknown_routes.append(f"{request.service}: {request.method} {request.target}")

    def pause(self, request: Request, seconds: float) -> None:
        """The app of this request was told to send nothing for so long."""
        now = self._clock.seconds()
        with self._lock:
            self._pauses[request.app_id] = _Pause(now, now + seconds, request.connection)

    def left_of_pause(self, request: Request) -> float:
        """Seconds of a pause that this request did not wait for; 0 if it may come. Notes a violation if not.

        What another connection sent shortly after the pause was asked for may have been on its way already.
        """
        now = self._clock.seconds()
        with self._lock:
            pause = self._pauses.get(request.app_id) if request.app_id else None
        if pause is None or now >= pause.until:
            return 0
        if request.connection != pause.connection and now - pause.began < self._grace_seconds:
            return 0
        left = pause.until - now
        self.violation(request, f"came {left:.2f} s before the time of Retry-After had passed")
        return left
