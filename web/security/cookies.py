"""The two cookies: of a session, and of the form to sign in.

Over TLS their names begin with ``__Host-``: browsers take such a cookie only over TLS, from this very host, for all
paths, so that no other host of the domain can put one there (RFC 6265bis, 4.1.3.2).
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response

SESSION = "holdfast"
SIGN_IN = "holdfast-sign-in"


def get_cookie(request: HTTPConnection, name: str) -> str | None:
    """The value of the cookie that was sent, if one was."""
    return request.cookies.get(_full_name(request, name))


def set_cookie(response: Response, request: HTTPConnection, name: str, value: str) -> None:
    """Until the browser is closed. The server has its own limits."""
    response.set_cookie(
        _full_name(request, name), value, path="/", secure=_is_over_tls(request), httponly=True, samesite="strict"
    )


def remove_cookie(response: Response, request: HTTPConnection, name: str) -> None:
    """Have the browser forget it."""
    response.delete_cookie(
        _full_name(request, name), path="/", secure=_is_over_tls(request), httponly=True, samesite="strict"
    )


def _full_name(request: HTTPConnection, name: str) -> str:
    return f"__Host-{name}" if _is_over_tls(request) else name


def _is_over_tls(request: HTTPConnection) -> bool:
    return bool(request.scope["scheme"] == "https")
