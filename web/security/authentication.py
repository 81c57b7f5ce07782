"""From a cookie or an ``Authorization`` header to a Principal, for each request, before any route sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from accounts import Accounts, is_use_recorded
from errors import AccountsError
from utils import utc_now
from web.security.cookies import SESSION, get_cookie
from web.security.principal import Principal
from web.security.problems import SignInRequiredProblem

_logger = logging.getLogger(__name__)


class Authentication:
    """Sets ``request.state.principal``: nobody, where there is neither session nor token. A wrong token is refused."""

    def __init__(self, app: ASGIApp, accounts: Accounts) -> None:
        self._app = app
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["principal"] = await self._principal(HTTPConnection(scope))
        await self._app(scope, receive, send)

    async def _principal(self, request: HTTPConnection) -> Principal:
        address = request.client.host if request.client else ""
        # Both are looked up by one read of an index in memory, which takes less than handing it to a thread.
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return await self._of_token(authorization, address)
        secret = get_cookie(request, SESSION)
        now = utc_now()
        session = self._accounts.session(secret, now) if secret else None
        if session is None:
            return Principal("", None, "none", address)
        if is_use_recorded(session.last_used, now):
            await _remember(lambda: self._accounts.session_was_used(session, now))
        return Principal(session.user, session.role, "session", address, session)

    async def _of_token(self, authorization: str, address: str) -> Principal:
        scheme, _, text = authorization.partition(" ")
        now = utc_now()
        token = self._accounts.token(text.strip(), now) if scheme.lower() == "bearer" else None
        if token is None:
            raise SignInRequiredProblem("This token is not valid: it is wrong, expired, or removed.")
        if is_use_recorded(token.last_used, now):
            await _remember(lambda: self._accounts.token_was_used(token, now))
        return Principal(token.name, token.role, "token", address)


async def _remember(write: Callable[[], None]) -> None:
    """A disk that is full must not keep anyone from reading."""
    try:
        await run_in_threadpool(write)
    except AccountsError as error:
        _logger.warning("%s", error)
