"""The dashboard answers only where it is called by a name of its own.

Otherwise a web page of somebody else, whose name resolves to 127.0.0.1 for a moment (DNS rebinding), could read it
through the browser of whoever is signed in.
"""

from __future__ import annotations

import ipaddress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from model import DashboardSettings
from web.security.problems import Problem

# Browsers take every name below `localhost` for this machine (RFC 6761, 6.3). Cookies do not keep ports apart, so a
# name of its own keeps the session from other servers on 127.0.0.1.
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "holdfast.localhost")


def allowed_hosts(settings: DashboardSettings) -> frozenset[str]:
    """The names and addresses by which it may be called, without ports; those of IPv6 in brackets."""
    hosts = [*_LOOPBACK, *settings.allowed_hosts]
    if not _is_every_address(settings.host):
        hosts.append(settings.host)
    return frozenset(_as_in_urls(host) for host in hosts)


def host_name(netloc: str) -> str:
    """``example.org`` of ``Example.org:8642``, as :func:`allowed_hosts` has it; ``""`` where it is none."""
    name, colon, port = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        name, port = netloc, ""
    if port and not (port.isascii() and port.isdigit()):
        return ""
    return name.lower().removesuffix(".")


class HostCheck:
    """Answers 400 and 421 (RFC 9110, 15.5.20) itself."""

    def __init__(self, app: ASGIApp, settings: DashboardSettings) -> None:
        self._app = app
        self._allowed = allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1:
                raise Problem(HTTPStatus.BAD_REQUEST, "The request must have one Host header.")
            if host_name(hosts[0]) not in self._allowed:
                raise Problem(
                    HTTPStatus.MISDIRECTED_REQUEST,
                    "The dashboard is not known by this name. Add it to ALLOWED_HOSTS below DASHBOARD in config.yaml, "
                    "and start the dashboard again.",
                )
        await self._app(scope, receive, send)


def _is_every_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _as_in_urls(host: str) -> str:
    host = host.lower().removesuffix(".")
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
