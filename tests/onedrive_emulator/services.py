"""What the four services have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .emulation import Emulation
from .http_messages import Answer, Request

Handler = Callable[[], Answer]


class Service(Protocol):
    """One of the services, for one request."""

    def app_of(self, request: Request, emulation: Emulation) -> str:
        """The id of the app that sends it; empty if that is not known."""

    def resolve(self, request: Request, emulation: Emulation) -> tuple[str, frozenset[str], Handler] | None:
        """Route, more labels, and what handles it; None if there is no such route."""
