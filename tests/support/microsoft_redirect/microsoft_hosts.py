"""Requests to Microsoft's hosts go to ports of the loopback address, and no request leaves this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter

_LOOPBACK = {"127.0.0.1", "localhost"}

Send = Callable[..., requests.Response]


class MicrosoftHostsAdapter(HTTPAdapter):
    """Mount it on a session at ``https://``. ``ports`` are the ports by host name."""

    def __init__(self, ports: Mapping[str, int], **options: Any) -> None:
        self._ports = ports
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """As HTTPAdapter does it, to another address. Raises requests.ConnectionError for a host that is not known."""
        return _send_elsewhere(super().send, self._ports, request, arguments, options)


def redirect_every_adapter(ports: Mapping[str, int]) -> Callable[[], None]:
    """Have every session of this process do so, whatever is mounted on it; what is returned undoes it."""
    original: Send = HTTPAdapter.send

    def send(
        self: HTTPAdapter, request: requests.PreparedRequest, *arguments: Any, **options: Any
    ) -> requests.Response:
        def bound(*given: Any, **named: Any) -> requests.Response:
            return original(self, *given, **named)

        return _send_elsewhere(bound, ports, request, arguments, options)

    setattr(HTTPAdapter, "send", send)  # noqa: B010 — mypy takes no assignment to a method
    return lambda: setattr(HTTPAdapter, "send", original)


@contextmanager
def redirected(ports: Mapping[str, int]) -> Iterator[None]:
    """The same for a block."""
    undo = redirect_every_adapter(ports)
    try:
        yield
    finally:
        undo()


def _send_elsewhere(
    send: Send,
    ports: Mapping[str, int],
    request: requests.PreparedRequest,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> requests.Response:
    parts = urlsplit(request.url or "")
    host = str(parts.hostname)
    if host in _LOOPBACK:
        return send(request, *arguments, **options)
    if host not in ports:
        raise requests.ConnectionError(f"a test tried to reach {host}", request=request)
    local = request.copy()
    local.url = urlunsplit(parts._replace(scheme="http", netloc=f"127.0.0.1:{ports[host]}"))
    local.headers["Host"] = host
    response = send(local, *arguments, **{**options, "proxies": {}})
    # A redirection is compared with the address that was asked, so that Authorization is taken off as it should be.
    response.url, response.request = str(request.url), request
    return response
