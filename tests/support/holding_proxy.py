"""A TCP proxy that can hold or reset the way to a server, at a moment that the test chooses or after so many bytes.

For faults in the middle of a stream of any protocol. Held bytes are not lost: both ends see a line that is silent, and
whoever sends waits as soon as the buffers on the way are full.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from pathlib import Path
from typing import Self

_CHUNK = 1 << 16
_SECONDS_TO_END = 10


class HoldingProxy:
    """A context manager before ``server``, an address or a Unix socket; ``port`` is where clients connect.

    All connections end with the block.
    """

    def __init__(self, server: tuple[str, int] | Path) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="holding proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self._left_to_pass: int | None = None
        self._is_held = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        self._listener = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_SECONDS_TO_END)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self) -> None:
        """Nothing passes any more, in either direction."""
        self._loop.call_soon_threadsafe(self._hold)
        assert self._is_held.wait(_SECONDS_TO_END)

    def hold_after(self, size: int) -> None:
        """The same as soon as so many bytes have come from the server, from now on."""
        self._left_to_pass = size

    def wait_until_held(self, seconds: float = 60) -> None:
        assert self._is_held.wait(seconds), "so many bytes have never come"

    def release(self) -> None:
        """Everything passes again."""
        self._left_to_pass = None
        self._loop.call_soon_threadsafe(self._passes.set)

    def reset(self) -> None:
        """End all connections as a crash does: both ends see ECONNRESET, and no orderly end. New ones pass."""
        resetting = asyncio.run_coroutine_threadsafe(self._reset(), self._loop)
        assert resetting.result(_SECONDS_TO_END) > 0, "there was no connection to reset"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            server_reader, server_writer = await self._connected()
            self._writers.add(server_writer)
            await asyncio.gather(
                self._carry(reader, server_writer, counts=False), self._carry(server_reader, writer, counts=True)
            )
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._server, Path):
            return await asyncio.open_unix_connection(self._server, limit=_CHUNK)
        return await asyncio.open_connection(*self._server, limit=_CHUNK)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        while data := await reader.read(_CHUNK):
            if counts and self._left_to_pass is not None:
                self._left_to_pass -= len(data)
                if self._left_to_pass <= 0:
                    self._left_to_pass = None
                    self._hold()
            await self._passes.wait()
            writer.write(data)
            await writer.drain()
        await self._passes.wait()
        if writer.can_write_eof():
            writer.write_eof()

    def _hold(self) -> None:
        self._passes.clear()
        self._is_held.set()

    async def _reset(self) -> int:
        ended = 0
        for writer in self._writers:
            if writer.transport.is_closing():
                continue
            connection = writer.get_extra_info("socket")
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            ended += 1
        self._writers.clear()
        self._passes.set()
        return ended

    async def _close(self) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
