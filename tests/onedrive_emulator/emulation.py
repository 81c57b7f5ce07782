"""Everything that one emulated tenant remembers. A reset makes a new one."""

from __future__ import annotations

import itertools
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from .clock import Clock, iso_8601
from .content import Content, store_factory
from .errors import GraphError, SignInError
from .faults import FaultPlan
from .hosts import Addresses
from .http_messages import Answer, Request
from .items import Drive, Item
from .journal import Journal
from .sessions import SessionTable
from .settings import App, Settings


@dataclass(frozen=True)
class Token:
    """An access token that was given."""

    app: App
    graph_host: str
    expires_at: float


class TokenTable:
    """The tokens that were given, and are not revoked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._revoked: set[str] = set()

    def give(self, app: App, graph_host: str, seconds: float) -> str:
        """A new one."""
        text = f"eyJ0eXAiOiJKV1Qi.{secrets.token_urlsafe(60)}"
        self._tokens[text] = Token(app, graph_host, self._clock.seconds() + seconds)
        return text

    def revoke_all(self) -> None:
        self._revoked.update(self._tokens)

    def app_of(self, authorization: str | None) -> str:
        """The id of the app that a token of this header belongs to, valid or not; empty if to none."""
        token = self._tokens.get((authorization or "").removeprefix("Bearer "))
        return token.app.client_id if token is not None else ""

    def valid(self, authorization: str | None) -> Token | None:
        text = (authorization or "").removeprefix("Bearer ")
        token = self._tokens.get(text)
        if authorization == text or token is None or text in self._revoked:
            return None
        return token if self._clock.seconds() < token.expires_at else None


@dataclass(frozen=True)
class Page:
    """What an ``@odata.nextLink`` stands for."""

    drive: Drive
    folder: Item
    offset: int
    query: dict[str, str]


@dataclass(frozen=True)
class Download:
    """What a short-lived download address stands for."""

    drive: Drive
    item_id: str
    expires_at: float


class Emulation:
    """One tenant: its settings, drives, sessions, tokens, log and planned faults.

    ``lock`` guards drives and sessions; it is never held while bytes are sent or received.
    """

    def __init__(self, settings: Settings, addresses: Addresses, folder: Path | None) -> None:
        self.settings = settings
        self.addresses = addresses
        self._folder = folder
        self.lock = threading.RLock()
        self.clock = Clock()
        self.journal = Journal(self.clock, settings.throttle_grace_seconds)
        self.plan = FaultPlan()
        self.tokens = TokenTable(self.clock)
        self.sessions = SessionTable(self.clock)
        self.pages: dict[str, Page] = {}
        self.downloads: dict[str, Download] = {}
        self.given_secrets: list[str] = []
        self.drives = {drive.id: Drive(drive, self.clock.now()) for drive in settings.drives}
        self.numbers = itertools.count(1)

    def change(self, settings: Settings) -> None:
        """Other settings from now on; drives keep what is in them."""
        with self.lock:
            self.settings = settings
            for drive in settings.drives:
                if drive.id in self.drives:
                    self.drives[drive.id].settings = drive
                else:
                    self.drives[drive.id] = Drive(drive, self.clock.now())

    def new_content(self) -> Content:
        return Content(store_factory(self.settings.keep, self._folder)())

    def date(self) -> str:
        return iso_8601(self.clock.now())

    def error_answer(self, request: Request, error: GraphError | SignInError) -> Answer:
        """The error as the service of this request writes it."""
        if isinstance(error, SignInError):
            return error.answer(request.request_id, self.date())
        spelling = "innerError" if request.service == "graph" else "innererror"
        return error.answer(request.request_id, self.date(), spelling=spelling)

    def item_document(self, request: Request, drive: Drive, item: Item) -> dict[str, object]:
        """A driveItem, with the untruths that are planned for this request or stick to the item."""
        document = drive.item_document(item)
        if item.is_folder:
            return document
        for kind in ("wrong_size", "wrong_hash", "no_hash"):
            fault = request.due(kind)
            if fault is not None:
                fault.fire()
                if fault.options.get("lasting"):
                    item.lasting_untruths.add(kind)
            if fault is not None or kind in item.lasting_untruths:
                _tell_untruth(kind, document)
        return document


def _tell_untruth(kind: str, document: dict[str, object]) -> None:
    if kind == "wrong_size":
        size = document["size"]
        assert isinstance(size, int)
        document["size"] = size + 1
    elif kind == "wrong_hash":
        document["file"] = {"hashes": {"quickXorHash": "d3JvbmcgaGFzaCBvZiBhIHRlc3Q="}}
    else:
        document["file"] = {"mimeType": "application/octet-stream"}
