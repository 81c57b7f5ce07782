"""A TCP proxy that counts what comes back from a server: what a whole process read over the wire, headers and all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 1 << 16


class CountingProxy:
    """``received`` are the bytes that came from the server since :meth:`reset`."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.received = 0
        self._server = server
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def reset(self) -> None:
        with self._lock:
            self.received = 0

    def serve(self) -> None:
        """Until :meth:`close`."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            threading.Thread(target=self._carry, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()

    def close(self) -> None:
        # close(2) alone does not wake who waits in accept(2).
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _carry(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if counts:
                    with self._lock:
                        self.received += len(data)
                target.sendall(data)
        for side in (source, target):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


@contextmanager
def counting_proxy(server: tuple[str, int]) -> Iterator[CountingProxy]:
    """A proxy to ``server``: connect to ``127.0.0.1`` and its ``port``."""
    proxy = CountingProxy(server)
    thread = threading.Thread(target=proxy.serve, name="counting proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
