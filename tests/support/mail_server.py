"""A real SMTP server on loopback: what it was given, and the moods in which a mail server can be."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER = "holdfast"


@dataclass
class MailServer:
    """A context manager. It listens on a port of its own until :meth:`stop`, and may be started again on it.

    ``messages`` are those that it took, in their order; ``refusal`` is what it answers to each one instead.
    """

    password: str = "a-mail-Passw0rd"
    messages: list[EmailMessage] = field(default_factory=list)
    refusal: str = ""
    port: int = 0
    tried_passwords: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, *, password: str | None = None, to: str = "ops@example.net") -> str:
        """What NOTIFY says to have mail sent here."""
        signed_in = f"{USER}:{self.password if password is None else password}"
        return f"mailto://{signed_in}@127.0.0.1:{self.port}/?from=backups@example.org&to={to}"

    def start(self) -> None:
        """Listen; on the same port as before, where it had one."""
        self._server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Refuse all connections from now on."""
        if self._server is not None:
            self._run(self._close(self._server))
            self._server = None

    @property
    def subjects(self) -> list[str]:
        return [str(message["subject"]) for message in self.messages]

    @property
    def bodies(self) -> list[str]:
        return [body_of(message) for message in self.messages]

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=10)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: SMTP(
                self,
                hostname="mail.example.org",
                loop=self._loop,
                authenticator=self._signed_in,
                auth_required=True,
                auth_require_tls=False,
            ),
            "127.0.0.1",
            self.port,
        )

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        await server.wait_closed()

    def _signed_in(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.tried_passwords.append(data.password.decode())
        is_right = data.login.decode() == USER and data.password.decode() == self.password
        return AuthResult(success=is_right, handled=False)  # aiosmtpd answers

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Called by aiosmtpd for each message."""
        if self.refusal:
            return self.refusal
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 Taken"


def body_of(message: EmailMessage) -> str:
    """The plain text of a mail."""
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


class StallingServer:
    """A context manager: it takes every connection, and never says a word."""

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_details: object) -> None:
        self._socket.close()

    @property
    def url(self) -> str:
        return f"mailto://{USER}:never-asked-4-it@127.0.0.1:{self.port}/?from=a@example.org&to=b@example.org"
