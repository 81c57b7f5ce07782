"""Programs on another machine, over one SSH connection: each has a channel of its own, and never a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from errors import HostError, SshError, SshUnavailableError
from hosts.command import Command
from hosts.outcome import OutputTail
from hosts.remote_command import RemoteCommand
from hosts.remote_shell import LAUNCHER, ending_input
from ssh.connection import SshChannel, SshConnection, SshServer, connect

# What a program said before it ended is on its way with its exit status.
_SECONDS_FOR_LAST_WORDS = 5.0


class SshCommandHost:
    """A server that is reached over SSH. See ``hosts.command.CommandHost`` for the contract.

    The connection is made when the first program is started; a later one makes a new one where it broke.
    """

    def __init__(self, server: SshServer) -> None:
        at = "" if server.port == 22 else f" port {server.port}"
        self.name = f"{server.credentials.username}@{server.address}{at}"
        self._server = server
        self._lock = threading.Lock()
        self._connection: SshConnection | None = None

    def start(self, command: Command, *, feeds_input: bool = False) -> RemoteCommand:
        with self._translated():
            connection = self._connected()
        return RemoteCommand(
            command,
            self.name,
            lambda error_output: self._wire(connection, error_output),
            lambda group: self._end_group(connection, group),
            feeds_input=feeds_input,
        )

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None

    def _connected(self) -> SshConnection:
        with self._lock:
            if self._connection is None or not self._connection.is_open:
                if self._connection:
                    self._connection.close()
                self._connection = connect(self._server)
            return self._connection

    def _wire(self, connection: SshConnection, error_output: OutputTail) -> _SshWire:
        with self._translated():
            return _SshWire(self.name, connection, connection.start(LAUNCHER), error_output)

    def _end_group(self, connection: SshConnection, group: int) -> None:
        with suppress(SshError):  # the connection broke, and the program has seen the end of its input
            channel = connection.start(LAUNCHER)
            channel.send(ending_input(group))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with _translated(self.name):
            yield


class _SshWire:
    """The channel of one program. See ``hosts.remote_command.Wire``."""

    def __init__(self, name: str, connection: SshConnection, channel: SshChannel, error_output: OutputTail) -> None:
        self._name = name
        self._connection = connection
        self._channel = channel
        self._error_output = error_output
        self._listener = threading.Thread(target=self._listen, name=f"what {name} says", daemon=True)
        self._listener.start()

    def receive(self) -> bytes:
        with _translated(self._name):
            return self._channel.receive_patiently()

    def send(self, data: bytes) -> bool:
        try:
            self._channel.send_patiently(data)
        except SshUnavailableError as error:
            if self._connection.is_open:
                return False
            raise _unreachable(self._name, error) from error
        return True

    def finish_input(self) -> None:
        with suppress(SshUnavailableError):  # it has ended: its exit status says how
            self._channel.finish_input()

    def exit_status(self) -> int | None:
        status = self._channel.exit_status()
        self._listener.join(_SECONDS_FOR_LAST_WORDS)
        return status

    def why_cut(self) -> str:
        if self._connection.is_open:
            return "ended, and the server did not say with which exit status (a signal may have ended it)"
        return "was cut off: the connection to the SSH server broke"

    def close(self) -> None:
        self._channel.close()
        self._listener.join(_SECONDS_FOR_LAST_WORDS)

    def _listen(self) -> None:
        with suppress(SshError):  # whoever receives the standard output is told
            while said := self._channel.receive_errors():
                self._error_output.add(said)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except SshUnavailableError as error:
        raise _unreachable(name, error) from error
    except SshError as error:
        raise HostError(f"{name} cannot be used. {error}") from error


def _unreachable(name: str, error: SshUnavailableError) -> HostError:
    return HostError(f"{name} cannot be reached. {error}")
