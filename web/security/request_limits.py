"""What a request may be: no body larger, and none slower, than any that the dashboard has a use for."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.security.problems import Problem

LARGEST_BODY = 65_536
"""In bytes. Nobody uploads anything here: the largest request is a restore with some hundred paths."""

SLOWEST_BODY = 20.0
"""In seconds, from the first to the last byte of a body."""


class RequestLimits:
    """Raises Problem (413, 408) where whoever reads the body has come to the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _check_length(Headers(scope=scope).get("content-length"))
        deadline = asyncio.get_running_loop().time() + SLOWEST_BODY
        received = 0
        is_complete = False

        async def receive_within_limits() -> Message:
            nonlocal received, is_complete
            if is_complete:
                return await receive()  # which waits for the client to go away
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time.") from None
            received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if received > LARGEST_BODY:
                raise _too_large()
            return message

        await self._app(scope, receive_within_limits, send)


def _check_length(text: str | None) -> None:
    if text is not None and int(text) > LARGEST_BODY:  # the server has checked that it is a number
        raise _too_large()


def _too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The request is too large: it may have {LARGEST_BODY:,} bytes.",
        {"Connection": "close"},
    )
