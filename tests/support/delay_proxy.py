"""A TCP proxy that makes the way to a server longer: half of the round trip in each direction.

Bytes are sent on as soon as their time has come, however many are under way, so nothing but the latency is added. For
the measurements of S3 and SFTP over far lines, and for any other protocol over TCP::

    with delay_proxy(("127.0.0.1", 9000), round_trip=0.1) as port:
        ...  # connect to 127.0.0.1:port
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 1 << 16
# Under way in one direction of one connection: enough for 300 MB/s over a round trip of 0.2 s.
_MOST_UNDERWAY = 64 << 20


@contextmanager
def delay_proxy(server: tuple[str, int], round_trip: float) -> Iterator[int]:
    """The port of a proxy to ``server``; ``round_trip`` is in seconds. All connections end with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="delay proxy")
    thread.start()
    try:
        proxy = _Proxy(server, round_trip / 2)
        listener = asyncio.run_coroutine_threadsafe(proxy.listen(), loop).result()
        yield listener.sockets[0].getsockname()[1]
        asyncio.run_coroutine_threadsafe(proxy.close(listener), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Proxy:
    def __init__(self, server: tuple[str, int], delay: float) -> None:
        self._server = server
        self._delay = delay
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)

    async def close(self, listener: asyncio.Server) -> None:
        listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server, limit=_CHUNK)
            await asyncio.gather(self._carry(reader, server_writer), self._carry(server_reader, writer))
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        underway: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_UNDERWAY // _CHUNK)

        async def deliver() -> None:
            while True:
                due, data = await underway.get()
                await asyncio.sleep(due - time.monotonic())
                if not data:
                    break
                writer.write(data)
                await writer.drain()
            with suppress(OSError):
                writer.close()

        delivery = asyncio.create_task(deliver())
        try:
            data = b"."
            while data:
                data = await reader.read(_CHUNK)
                await underway.put((time.monotonic() + self._delay, data))
            await delivery
        finally:
            delivery.cancel()
