"""Upload sessions: one for a name, expiring, and invisible until the last fragment."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .clock import Clock, iso_8601
from .content import Content
from .errors import GraphError
from .items import Drive, Item
from .names import key_of
from .settings import Settings

OPEN = "open"


@dataclass(eq=False)
class UploadSession:
    """One session. ``target`` is path and query of its address; times are those of the emulator's clock."""

    target: str
    app_id: str
    drive: Drive
    parent: Item
    name: str
    behaviour: str
    file_system_info: dict[str, str]
    content: Content
    capped_at: float
    expires_at: float
    received: int = 0
    total: int | None = None
    state: str = OPEN
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def reservation(self) -> tuple[str, str]:
        return (self.parent.id, key_of(self.name))

    @property
    def path(self) -> str:
        return f"{self.parent.path}/{self.name}".lstrip("/")


class SessionTable:
    """All sessions there ever were, by the target of their addresses. Callers hold the emulation's lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_target: dict[str, UploadSession] = {}

    def create(
        self,
        drive: Drive,
        parent: Item,
        name: str,
        item: dict[str, Any],
        app_id: str,
        content: Content,
        limits: Settings,
    ) -> UploadSession:
        """Open one for a new file. Raises GraphError where the name is taken, by a file or by another session."""
        self.end_expired()
        behaviour = item["@microsoft.graph.conflictBehavior"]
        name = drive.name_for(parent, name, behaviour)
        if limits.quota_checked_at == "create":
            drive.check_space(max(item.get("fileSize", 1), 1))
        secret = secrets.token_urlsafe(30)
        target = (
            f"/personal/backup/_api/v2.0/drives/{drive.settings.id}/items/{parent.id}/uploadSession"
            f"?guid='{secrets.token_hex(16)}'&overwrite=False&rename=False&dc=0&tempauth=v1.{secret}"
        )
        now = self._clock.seconds()
        session = UploadSession(
            target,
            app_id,
            drive,
            parent,
            name,
            behaviour,
            item.get("fileSystemInfo", {}),
            content,
            capped_at=now + limits.session_cap_seconds,
            expires_at=now + min(limits.session_seconds, limits.session_cap_seconds),
        )
        drive.reserved.add(session.reservation)
        self._by_target[target] = session
        return session

    def app_of(self, target: str) -> str:
        """The app that opened it; empty if there is no such session."""
        return self._by_target[target].app_id if target in self._by_target else ""

    def find_open(self, target: str, status_after_cap: int) -> UploadSession:
        """Raises GraphError where there is none, or no more."""
        self.end_expired()
        session = self._by_target.get(target)
        if session is not None and session.state == "capped":
            raise GraphError(
                status_after_cap, "unauthenticated", "The address of the upload session is no longer valid."
            )
        if session is None or session.state != OPEN:
            message = "The upload session was not found."
            raise GraphError(404, "itemNotFound", message, inner=("invalidRequest", "uploadSessionNotFound"))
        return session

    def slide(self, session: UploadSession, seconds: float) -> None:
        """A fragment came: it lives on for so long, up to the cap."""
        session.expires_at = min(self._clock.seconds() + seconds, session.capped_at)

    def end(self, session: UploadSession, state: str) -> None:
        """It is over, and its name is free."""
        session.state = state
        session.drive.reserved.discard(session.reservation)

    def end_expired(self) -> None:
        """End those whose time, or whose folder, is gone."""
        now = self._clock.seconds()
        for session in self.opened():
            if now >= session.capped_at:
                self.end(session, "capped")
            elif now >= session.expires_at or session.parent.id not in session.drive.items:
                self.end(session, "expired")

    def opened(self) -> list[UploadSession]:
        return [session for session in self._by_target.values() if session.state == OPEN]

    def lose(self, target: str) -> bool:
        """The service forgets the session; whether there was an open one."""
        session = self._by_target.get(target)
        if session is None or session.state != OPEN:
            return False
        self.end(session, "lost")
        return True

    def expiration(self, session: UploadSession) -> str:
        """As Graph writes it."""
        left = session.expires_at - self._clock.seconds()
        return iso_8601(self._clock.now() + timedelta(seconds=left))
