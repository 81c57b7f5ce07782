"""What changes, told to every open page at once, as server-sent events (the HTML standard, section 9.2).

A thread looks at the running processes some times a second while anybody listens; changes of backups come from whoever
reads the catalog. What a slow client has not got yet is replaced by what is newer, so that each costs a bounded amount
of memory, and none holds up the others.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from model import Activity
from operations.activities import activities
from utils import HOLDFAST_VERSION
from web.activity_documents import activity_document

MOST_CLIENTS = 100

_LOOKS_EVERY = 0.3
_HEARTBEAT_EVERY = 15.0
_IS_WELCOME_EVERY = 5.0
_RETRY_MILLISECONDS = 2000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class _Client:
    """One open stream. What waits for it is replaced by what is newer; only the loop's thread touches it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.wake = asyncio.Event()
        self._running: bytes | None = None
        self._levels: dict[str, str | None] = {}

    def offer_activities(self, event: bytes) -> None:
        self._running = event
        self.wake.set()

    def offer_levels(self, levels: Mapping[str, str | None]) -> None:
        self._levels.update(levels)
        self.wake.set()

    def take(self) -> tuple[bytes | None, Mapping[str, str | None]]:
        self.wake.clear()
        taken = self._running, self._levels
        self._running, self._levels = None, {}
        return taken


class Broadcaster:
    """Safe in several threads. ``state_directory`` is where processes say what they do."""

    def __init__(self, state_directory: Path) -> None:
        self._state = state_directory
        self._lock = threading.Lock()
        self._clients: set[_Client] = set()
        self._numbers = itertools.count(1)
        self._is_over = False
        self._stopping = threading.Event()
        self._someone_listens = threading.Event()
        self._thread = threading.Thread(target=self._look, name="live", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End every stream, and the thread."""
        self.end_streams()
        self._stopping.set()
        self._someone_listens.set()
        if self._thread.ident is not None:
            self._thread.join()

    def end_streams(self) -> None:
        """Open streams end at once, and there are no new ones: the server is about to end."""
        self._is_over = True
        self._tell(lambda client: client.wake.set())

    @property
    def is_full(self) -> bool:
        """Whether so many listen that there is no room for another one."""
        return len(self._clients) >= MOST_CLIENTS

    def backups_changed(self, levels: Mapping[str, str | None]) -> None:
        """Something changed of these backups, by their ids: how each stands now, None where it is gone."""
        if levels:
            self._tell(lambda client: client.offer_levels(levels))

    async def stream(self, is_welcome: Callable[[], bool]) -> AsyncIterator[bytes]:
        """The events for one client, until it goes, it ``is_welcome`` no more, or the server ends."""
        client = _Client()
        with self._lock:
            self._clients.add(client)
            self._someone_listens.set()
        try:
            # Read once it is among the clients, so that no change falls in between.
            running = await asyncio.to_thread(activities, self._state)
            yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
            yield self._event("hello", {"version": HOLDFAST_VERSION})
            yield self._activity_event(running)
            quiet = 0.0
            while not self._is_over:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IS_WELCOME_EVERY):
                        await client.wake.wait()
                if self._is_over or not is_welcome():
                    return
                running_event, levels = client.take()
                quiet = 0.0 if running_event or levels else quiet + _IS_WELCOME_EVERY
                if running_event is not None:
                    yield running_event
                if levels:
                    yield self._event("backup", {"backups": list(levels), "levels": levels})
                if quiet >= _HEARTBEAT_EVERY:
                    quiet = 0.0
                    yield b": still here\n\n"
        finally:
            with self._lock:
                self._clients.discard(client)
                if not self._clients:
                    self._someone_listens.clear()

    def _look(self) -> None:
        told: list[Activity] = []
        while not self._stopping.is_set():
            if not self._someone_listens.wait(_HEARTBEAT_EVERY):
                continue
            running = activities(self._state)
            if _without_clock(running) != _without_clock(told):
                event = self._activity_event(running)
                self._tell(partial(_Client.offer_activities, event=event))
                told = running
            self._stopping.wait(_LOOKS_EVERY)

    def _tell(self, offer: Callable[[_Client], None]) -> None:
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with suppress(RuntimeError):  # its loop has ended
                client.loop.call_soon_threadsafe(offer, client)

    def _activity_event(self, running: Iterable[Activity]) -> bytes:
        documents = [activity_document(activity).model_dump(mode="json") for activity in running]
        return self._event("activity", {"activities": documents})

    def _event(self, name: str, data: Mapping[str, Any]) -> bytes:
        return f"id: {next(self._numbers)}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()


def _without_clock(running: Iterable[Activity]) -> list[Activity]:
    return [replace(activity, updated=_LONG_AGO) for activity in running]
