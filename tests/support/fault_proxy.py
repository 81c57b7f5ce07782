"""A loopback proxy that stands before a server and plans faults in HTTP.

A fault is planned for the n-th request from now on, and may last for several. ``settle``, which the end of the context
calls too, asserts that each plan was met, and forgets them. The signature of S3 covers the Host header, which is handed
on as the client wrote it.
"""

from __future__ import annotations

import enum
import http.client
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


class Fault(enum.StrEnum):
    """What happens to a request. Those with a status never reach the server."""

    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    THROTTLED = "429 with Retry-After"
    FAILED = "500"
    UNAVAILABLE = "503 with HTML"
    RESET = "reset mid-body"
    LOST_ANSWER = "lost response after commit"
    ALTERED = "wrong bytes stored"
    STALLED = "no answer for a long time"
    TRUNCATED_ANSWER = "truncated download"
    ALTERED_ANSWER = "corrupted download"


STATUS = {
    Fault.UNAUTHORIZED: 401,
    Fault.FORBIDDEN: 403,
    Fault.THROTTLED: 429,
    Fault.FAILED: 500,
    Fault.UNAVAILABLE: 503,
}
HTML = b"<html><head><title>Service Unavailable</title></head><body><hr>nginx</body>"


@dataclass(frozen=True)
class Request:
    """One that came to the proxy. ``connection`` is the client's port."""

    method: str
    target: str
    body_length: int
    connection: int


@dataclass
class Plan:
    """A fault, or an answer of our own, at the ``first`` request (from 1) and all until ``last``."""

    first: int
    last: int
    fault: Fault | None = None
    answer: tuple[int, dict[str, str], bytes] | None = None
    also: Callable[[], object] | None = None
    met: list[Request] = field(default_factory=list)


class FaultProxy:
    """A context manager; ``url`` is where clients connect. ``requests`` has every request that came, in order."""

    def __init__(self, target_url: str, stall_seconds: float = 2.0) -> None:
        self.target = urlsplit(target_url).netloc
        self.stall_seconds = stall_seconds
        self.requests: list[Request] = []
        self.plans: list[Plan] = []
        self.is_over = threading.Event()
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            def __init__(self, *arguments: Any) -> None:
                self.proxy = proxy
                super().__init__(*arguments)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, error_type: object, *_: object) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()
        if error_type is None:
            self.settle()

    def settle(self) -> None:
        """Every planned fault was met; from now on there are none, and no requests yet."""
        plans, self.plans, self.requests = self.plans, [], []
        assert [plan for plan in plans if not plan.met] == [], "a planned fault was not met"

    def plan(self, fault: Fault, nth: int = 1, times: int = 1) -> None:
        """Let the n-th request from now on, and ``times - 1`` after it, meet the fault."""
        first = len(self.requests) + nth
        self.plans.append(Plan(first, first + times - 1, fault))

    def plan_answer(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        nth: int = 1,
        times: int = 1,
        also: Callable[[], object] | None = None,
    ) -> None:
        """Answer so in place of the server, and do something ``also``."""
        first = len(self.requests) + nth
        self.plans.append(Plan(first, first + times - 1, answer=(status, headers or {}, body), also=also))

    def arrived(self, request: Request) -> Plan | None:
        """Count it; the plan for it, if there is one."""
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
            for plan in self.plans:
                if plan.first <= number <= plan.last:
                    if plan.fault is Fault.ALTERED and not request.body_length:
                        continue
                    plan.met.append(request)
                    return plan
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultProxy

    def handle_any(self) -> None:
        """One request: met by its fault, or handed on."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        plan = self.proxy.arrived(Request(self.command, self.path, len(body), self.client_address[1]))
        fault = plan.fault if plan else None
        if plan and plan.also:
            plan.also()
        if plan and plan.answer:
            return self._answer(*plan.answer)
        if fault in STATUS:
            return self._answer(STATUS[fault], *_content(fault))
        if fault is Fault.STALLED:
            self.proxy.is_over.wait(self.proxy.stall_seconds)
            return self._reset()
        if fault is Fault.RESET:
            self._hand_on(body, len(body) // 2)
            return self._reset()
        if fault is Fault.ALTERED:
            body = _altered(body)
        status, headers, content = self._hand_on(body, None)
        if fault is Fault.LOST_ANSWER:
            return self._reset()
        if fault is Fault.ALTERED_ANSWER:
            content = _altered(content)
        self._answer(status, headers, content, is_cut=fault is Fault.TRUNCATED_ANSWER)
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Nothing: the tests look at ``requests``."""

    def _hand_on(self, body: bytes, only: int | None) -> tuple[int, dict[str, str], bytes]:
        """The server's answer to the request; to ``only`` so much of its body there is none."""
        connection = http.client.HTTPConnection(self.proxy.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(body[:only])
            if only is not None:
                return 0, {}, b""
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes, is_cut: bool = False) -> None:
        self.send_response_only(status)
        lowered = {name.lower(): value for name, value in headers.items()}
        length = lowered.get("content-length") if self.command == "HEAD" else None
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self.close_connection = True

    def _reset(self) -> None:
        """End the connection as a crash does: the client sees ECONNRESET, and no orderly end."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _content(fault: Fault) -> tuple[dict[str, str], bytes]:
    if fault is Fault.UNAVAILABLE:
        return {"Content-Type": "text/html"}, HTML
    return ({"Retry-After": "0"} if fault is Fault.THROTTLED else {}), b""


def _altered(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
