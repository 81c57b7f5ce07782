"""The HTTP server: uvicorn on a socket that is bound before anything else, so that a taken port is told at once."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from asyncio import TimerHandle, Transport
from contextlib import closing
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from errors import DashboardError
from model import DashboardSettings
from web.services import Services

_SLOWEST_HEADERS = 15.0  # seconds from the first to the last byte of the headers of a request
_MOST_CONNECTIONS = 500
_LONGEST_HEADERS = 32_768  # bytes
_LONGEST_END = 2  # seconds that open answers get when the dashboard ends: pages that wait for news never end


def bind(settings: DashboardSettings) -> socket.socket:
    """The socket on which the dashboard listens. Raises DashboardError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=128)
    except OSError as error:
        # Python's own text of the error has the address in it once more.
        reason = os.strerror(error.errno) if error.errno else str(error)
        question = " Is it running already?" if error.errno == errno.EADDRINUSE else ""
        raise DashboardError(
            f"The dashboard cannot listen on {_netloc(settings.host, settings.port)}: {reason}.{question} Another "
            "address is given by --listen HOST:PORT, or by LISTEN below DASHBOARD in config.yaml."
        ) from error


def url(settings: DashboardSettings, listening: socket.socket) -> str:
    """The address for a browser on this machine."""
    scheme = "https" if settings.tls_cert_file else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - only compared
    return f"{scheme}://{_netloc(host, listening.getsockname()[1])}/"


def new_server(application: FastAPI, settings: DashboardSettings) -> uvicorn.Server:
    """A server that is not started yet. Raises DashboardError where the certificate cannot be used."""
    return _Server(_config(application, settings), application)


def serve(server: uvicorn.Server, listening: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM, or until ``server.should_exit`` is set; the socket is closed then."""
    with closing(listening):
        server.run(sockets=[listening])


def _config(application: FastAPI, settings: DashboardSettings) -> uvicorn.Config:
    config = uvicorn.Config(
        application,
        http=_ImpatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_LONGEST_END,
        h11_max_incomplete_event_size=_LONGEST_HEADERS,
        ssl_certfile=settings.tls_cert_file,
        ssl_keyfile=settings.tls_key_file,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise DashboardError(
            f"The certificate in {settings.tls_cert_file} cannot be used: {error}. TLS_CERT_FILE is the certificate "
            "with those that signed it (PEM), and TLS_KEY_FILE its private key."
        ) from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


class _Server(uvicorn.Server):
    """Ends the streams of events first: they never end by themselves, and uvicorn would wait for them."""

    def __init__(self, config: uvicorn.Config, application: FastAPI) -> None:
        super().__init__(config)
        self._services: Services = application.state.services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.broadcaster.end_streams()
        await super().shutdown(sockets)


class _ImpatientProtocol(H11Protocol):
    """Closes a connection on which a request is begun and does not come: uvicorn waits for it for ever (Slowloris)."""

    _deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    @property
    def _waits_for_headers(self) -> bool:
        # While it is answered there is a cycle that is not complete. Between two requests uvicorn has a limit itself.
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        if not self._waits_for_headers:
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(_SLOWEST_HEADERS, self._close_if_waiting)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_if_waiting(self) -> None:
        self._deadline = None
        if self._waits_for_headers:
            self.transport.close()


def _netloc(host: str, port: Any) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
