"""Requests, bodies and answers of HTTP/1.1, as the services see them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from .faults import Fault

BLOCK_SIZE = 1 << 20


class ConnectionLostError(Exception):
    """The client went away before its request was complete."""


class ResetConnection(BaseException):
    """A planned fault: the connection is reset, without an answer or without the rest of one."""


@dataclass
class Answer:
    """``chunks`` make up a body of ``length`` bytes."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] = ()
    length: int = 0


def json_answer(status: int, document: object, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(document).encode("utf-8")
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, [body], len(body))


def html_answer(status: int, title: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>".encode()
    return Answer(status, {"Content-Type": "text/html", **(headers or {})}, [body], len(body))


class Body:
    """The body of one request, read once."""

    def __init__(self, stream: BufferedIOBase, headers: Message) -> None:
        self._stream = stream
        length = headers.get("Content-Length", "")
        self.is_chunked = "Transfer-Encoding" in headers
        self.length = int(length) if length.isascii() and length.isdigit() and not self.is_chunked else None
        self.unread = self.length or 0

    def blocks(self, limit: int | None = None) -> Iterator[memoryview]:
        """The next bytes, in blocks that are valid until the next one is asked for. Raises ConnectionLostError."""
        left = self.unread if limit is None else min(self.unread, limit)
        buffer = memoryview(bytearray(min(left, BLOCK_SIZE)))
        while left:
            wanted = buffer[: min(left, len(buffer))]
            try:
                count = self._stream.readinto(wanted)
            except OSError as error:
                raise ConnectionLostError from error
            self.unread -= count
            left -= count
            if count < len(wanted):
                # What arrived of a block that was cut off is dropped: services keep whole requests only.
                raise ConnectionLostError
            yield wanted

    def read(self) -> bytes:
        """All of it."""
        return b"".join(bytes(block) for block in self.blocks())

    def drain(self) -> None:
        """Read the rest and forget it: a client reads the answer only when it has sent everything."""
        if self.is_chunked:
            self._drain_chunks()
        else:
            for _ in self.blocks():
                pass

    def _drain_chunks(self) -> None:
        """RFC 9112 section 7.1."""
        self.is_chunked = False
        while size := int(self._stream.readline(100).partition(b";")[0].strip() or b"0", 16):
            self._stream.read(size + 2)
        while self._stream.readline(1000).strip():
            pass


@dataclass
class Request:
    """One request. ``labels`` are the names of routes that a planned fault can name it by."""

    number: int
    service: str
    method: str
    target: str
    headers: Message
    body: Body
    connection: int
    request_id: str
    app_id: str = ""
    route: str = ""
    labels: frozenset[str] = frozenset()
    faults: list[Fault] = field(default_factory=list)

    @property
    def path(self) -> str:
        """As it was sent: still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def host(self) -> str:
        """The name in ``Host``, without a port."""
        return str(self.headers.get("Host", "")).partition(":")[0].lower()

    @property
    def authorization(self) -> str | None:
        value = self.headers.get("Authorization")
        return None if value is None else str(value)

    def due(self, kind: str) -> Fault | None:
        """The planned fault of this kind that is to happen to this request."""
        return next((fault for fault in self.faults if fault.kind == kind), None)

    def json(self) -> dict[str, Any] | None:
        """The body as a JSON object; None if it is none."""
        try:
            document = json.loads(self.body.read())
        except ValueError:
            return None
        return document if isinstance(document, dict) else None
