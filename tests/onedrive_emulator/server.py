"""The five ports, and HTTP/1.1 on them."""

from __future__ import annotations

import itertools
import secrets
import socket
import struct
import threading
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .admin import Admin
from .dispatch import answer_to
from .download import Download
from .emulation import Emulation
from .graph import Graph
from .hosts import SERVICES, Addresses
from .http_messages import Answer, Body, ConnectionLostError, Request, ResetConnection
from .services import Service
from .settings import Settings
from .sign_in import SignIn
from .upload import Upload

_SERVICES: dict[str, Service] = {"sign_in": SignIn(), "graph": Graph(), "upload": Upload(), "download": Download()}


class EmulatorServer:
    """The emulator: five ports of the loopback address, each a free one, served by threads."""

    def __init__(self, settings: Settings, folder: Path | None = None) -> None:
        self._settings = settings
        self._folder = folder
        self._connections = itertools.count(1)
        self._servers = {name: _PortServer(name, self) for name in (*SERVICES, "admin")}
        self.addresses = Addresses({name: server.server_port for name, server in self._servers.items()})
        self.admin = Admin(self._begin_anew)
        self.emulation = Emulation(settings, self.addresses, folder)

    def start(self) -> None:
        """Serve, in threads that end with the process."""
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def next_connection(self) -> int:
        return next(self._connections)

    def _begin_anew(self, document: dict[str, Any]) -> None:
        self.emulation = Emulation(self._settings.changed(document), self.addresses, self._folder)


class _PortServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: str, emulator: EmulatorServer) -> None:
        self.service = service
        self.emulator = emulator
        super().__init__(("127.0.0.1", 0), _Connection)


class _Connection(BaseHTTPRequestHandler):
    server: _PortServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._number = self.server.emulator.next_connection()

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ConnectionLostError):
            pass  # the client went away: nothing to tell it
        except ResetConnection:
            self._reset()

    def _serve(self) -> None:
        emulation, service = self.server.emulator.emulation, self.server.service
        request = Request(
            0 if service == "admin" else next(emulation.numbers),
            service,
            self.command,
            self.path,
            self.headers,
            Body(self.rfile, self.headers),
            self._number,
            secrets.token_hex(16),
        )
        if service == "admin":
            self._send(self.server.emulator.admin.answer(request, emulation), request)
        else:
            self._send(answer_to(request, _SERVICES[service], emulation), request)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 — names of http.server

    def _send(self, answer: Answer, request: Request) -> None:
        headers = {"Date": self.date_time_string(), "request-id": request.request_id, **answer.headers}
        if answer.status != HTTPStatus.NO_CONTENT:
            headers["Content-Length"] = str(answer.length)
        lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        chunks = iter(() if request.method == "HEAD" else answer.chunks)
        # Head and body go out together: two small packets would wait for each other (Nagle's algorithm, RFC 896).
        first = next(chunks, b"")
        self.wfile.write(head + first)
        sent = len(first)
        for chunk in chunks:
            self.wfile.write(chunk)
            sent += len(chunk)
        if sent < answer.length:
            self.close_connection = True

    def _reset(self) -> None:
        """End the connection with RST in place of FIN: lingering for 0 seconds does that (socket(7), SO_LINGER)."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 — the name in http.server
        """Nothing on the terminal: the journal has it."""
