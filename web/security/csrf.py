"""No other site can make the browser of a signed-in user act here (cross-site request forgery).

Each request that changes something and comes with a session has to carry the token of this session: in the header
``X-CSRF-Token``, or in the field ``csrf_token`` of a form. Besides, browsers say where a request comes from
(``Origin``, ``Sec-Fetch-Site``); what comes from elsewhere is refused whatever it carries. Requests with an API token
need no such token: no browser sends one by itself.
"""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.forms import is_form, parse_form
from web.security.principal import Principal
from web.security.problems import ForbiddenProblem

HEADER = "x-csrf-token"
FIELD = "csrf_token"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FROM_HERE = frozenset({"same-origin", "none"})  # `none`: typed into the address bar, or a bookmark


class CsrfCheck:
    """Raises ForbiddenProblem. It stands behind the authentication."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
            headers = Headers(scope=scope)
            _check_origin(headers, scope["scheme"])
            principal: Principal = scope["state"]["principal"]
            if principal.session is not None:
                given = headers.get(HEADER)
                if given is None and is_form(headers.get("content-type", "")):
                    body = await _body(receive)
                    given = parse_form(body).get(FIELD)
                    receive = _replayed(body, receive)
                if not is_same(given, principal.csrf_token):
                    raise ForbiddenProblem("The page is out of date. Load it again, and repeat what you did.")
        await self._app(scope, receive, send)


def is_same(given: str | None, expected: str) -> bool:
    """Compared in a time that tells nothing. Nothing is never the same."""
    return bool(given) and secrets.compare_digest((given or "").encode(), expected.encode())


def _check_origin(headers: Headers, scheme: str) -> None:
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    host = headers.get("host", "")
    # Behind a proxy that is not trusted, we may take for http what is https.
    schemes = ("https",) if scheme == "https" else ("http", "https")
    is_foreign = origin is not None and origin not in {f"{each}://{host}" for each in schemes}
    if is_foreign or (site is not None and site not in _FROM_HERE):
        raise ForbiddenProblem("This request comes from another site, and was refused.")


async def _body(receive: Receive) -> bytes:
    """All of it; RequestLimits sees to its size."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the client went away
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_sent = False

    async def replay() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
