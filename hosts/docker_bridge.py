"""The Docker of another host, at a socket of ours.

Each connection to the socket is carried by ``docker system dial-stdio``, started on that host: it copies Docker's own
socket to and from its standard streams, and is what Docker's ``ssh://`` uses too. So the host needs the ``docker``
program and a user who may use it, and whatever can be asked of a Docker here can be asked of that one: which containers
there are, in which state, and streams. (Forwarding the socket itself would be quicker, but is a channel that paramiko
does not know and that many servers forbid; ``docker exec`` there would need each answer in a second form.)
"""

from __future__ import annotations

import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from errors import HostError
from hosts.command import Command, CommandHost, RunningCommand

_READ_BYTES = 1 << 18
_SECONDS_TO_END = 5.0


class DockerBridge:
    """Listens until it is closed. ``failure`` is what a connection ended with that was still in use."""

    def __init__(self, outer: CommandHost, docker_host: str | None) -> None:
        self.name = f"on {outer.name}"
        self.failure: HostError | None = None
        self._outer = outer
        chosen = ("--host", docker_host) if docker_host else ()
        self._command = Command(("docker", *chosen, "system", "dial-stdio"))
        self._connections: set[socket.socket] = set()
        self._carriers: list[threading.Thread] = []
        self._listener, self._folder = _listener(self.name)
        self._acceptor = threading.Thread(target=self._accept, name=f"Docker {self.name}", daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"unix://{self._folder}/docker.sock"

    def close(self) -> None:
        """End every connection, and that to the other host."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the acceptor up
        self._acceptor.join()
        self._listener.close()
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._outer.close()
        for carrier in self._carriers:
            carrier.join(_SECONDS_TO_END)
        shutil.rmtree(self._folder)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            self._connections.add(connection)
            carrier = threading.Thread(target=self._carry, args=(connection,), name=self.name, daemon=True)
            self._carriers.append(carrier)
            carrier.start()

    def _carry(self, connection: socket.socket) -> None:
        with connection:
            try:
                with self._outer.start(self._command, feeds_input=True) as running:
                    self._exchange(connection, running)
            except HostError as error:
                self.failure = self.failure or error
        self._connections.discard(connection)

    def _exchange(self, connection: socket.socket, running: RunningCommand) -> None:
        """Until both have ended, or either fails."""
        sender = threading.Thread(target=self._send, args=(connection, running), name=self.name, daemon=True)
        sender.start()
        try:
            for chunk in running.chunks():
                connection.sendall(chunk)
        except OSError:  # whoever asked has gone
            pass
        except HostError as error:
            # Said before the end is seen, which would otherwise look like that of the program in the container.
            if not _has_hung_up(connection):
                self.failure = error
        finally:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            sender.join()

    def _send(self, connection: socket.socket, running: RunningCommand) -> None:
        with suppress(HostError):  # whoever takes the output is told
            running.feed(_received(connection))


def _listener(name: str) -> tuple[socket.socket, Path]:
    """A new socket, and its folder. Raises HostError."""
    try:
        # It is for this user only: who reaches the socket is as good as root on the other host.
        folder = Path(tempfile.mkdtemp(prefix="holdfast-bridge-"))
    except OSError as error:
        raise HostError(f"No temporary folder can be made for Docker {name}: {error.strerror}.") from error
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(folder / "docker.sock"))
        listener.listen()
    except OSError as error:
        listener.close()
        shutil.rmtree(folder)
        raise HostError(
            f"No socket can be made for Docker {name} in {folder}: {error.strerror or error}. Set TMPDIR to a shorter "
            "path: that of a socket has at most 107 bytes."
        ) from error
    return listener, folder


def _has_hung_up(connection: socket.socket) -> bool:
    """Whether the other end is closed, rather than half closed, as after the input of a program."""
    poll = select.poll()
    poll.register(connection, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def _received(connection: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while data := connection.recv(_READ_BYTES):
            yield data
