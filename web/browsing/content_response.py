"""The answer to a download: streamed, and cut off, never ended, where not all of the content could be given."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from errors import HoldfastError
from utils import redact

# Whoever takes nothing for so many seconds gives the place of the download to somebody else.
_LONGEST_PAUSE = 120.0

_logger = logging.getLogger(__name__)


class ContentResponse(Response):
    """``first`` is the first chunk, None where there is none: it was taken before, so that what is wrong at the
    beginning is told properly. ``on_end`` is told how it ended, once.
    """

    def __init__(
        self,
        first: bytes | None,
        rest: Iterator[bytes],
        *,
        name: str,
        size: int | None,
        in_thread: Callable[[Callable[[], bytes | None]], Awaitable[bytes | None]],
        on_end: Callable[[str], None],
    ) -> None:
        super().__init__(media_type="application/octet-stream")
        del self.headers["content-length"]
        if size is not None:
            self.headers["content-length"] = str(size)
        self.headers["content-disposition"] = content_disposition(name)
        self._first = first
        self._rest = rest
        self._in_thread = in_thread
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - of the interface
        gone = asyncio.create_task(_wait_for_end(receive))
        outcome = "the dashboard ended"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            outcome = await self._send_all(send, gone)
        finally:
            gone.cancel()
            self._on_end(outcome)

    async def _send_all(self, send: Send, gone: asyncio.Task[None]) -> str:
        """How it ended. Without the last message of an answer the server closes the connection."""
        chunk = self._first
        try:
            while chunk is not None:
                async with asyncio.timeout(_LONGEST_PAUSE):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if gone.done():
                    return "broken off by the client"
                chunk = await self._in_thread(lambda: next(self._rest, None))
        except TimeoutError:
            return "broken off: the client took nothing any more"
        except OSError:
            return "broken off by the client"
        except HoldfastError as error:
            _logger.warning("A download was cut off: %s", redact(str(error)))
            return f"failed: {error}"
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return "done"


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def content_disposition(name: str) -> str:
    """``attachment`` with a file name (RFC 6266, RFC 8187): whatever ``name`` is, it names one file in a folder."""
    harmless = "".join(
        "_" if character in '/\\:*?"<>|' or not character.isprintable() else character for character in name
    )
    harmless = harmless.strip(". ") or "file"
    ascii_name = harmless.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(harmless, safe='')}"
