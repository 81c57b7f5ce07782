"""Programs in a Docker container, by its API: at a local socket, at DOCKER_HOST, or on another host (a bridge to it).

Each program is an ``exec`` of the launcher in ``remote_shell``, so ``docker inspect`` of it shows that constant script
and no environment, argument or secret. There is never a terminal, and no time-out on a silent stream: the state of the
container is looked at instead (docker-py#2097). The output ends well only with an exit status of 0 (docker-py#1989).
"""

from __future__ import annotations

import threading
from contextlib import suppress

from errors import HostError
from hosts.command import Command, CommandHost
from hosts.docker_api import DockerApi, DockerDeadlines
from hosts.docker_containers import Found, chosen, described
from hosts.docker_stream import BrokenStreamError, DockerStream
from hosts.outcome import OutputTail
from hosts.remote_command import RemoteCommand
from model import DockerContainer

# What runc answers for a program that was ended by SIGKILL, as all are when their container ends.
_KILLED = 137


class DockerCommandHost:
    """A container. See ``hosts.command.CommandHost`` for the contract.

    ``outer`` is the host that Docker runs on, where that is not this machine. The container is looked up for each
    program, as it may have been made anew.
    """

    def __init__(
        self, container: DockerContainer, outer: CommandHost | None = None, deadlines: DockerDeadlines | None = None
    ) -> None:
        self._place = f" on {outer.name}" if outer else ""
        self.name = described(container) + self._place
        self._container = container
        self._outer = outer
        self._deadlines = deadlines or DockerDeadlines()
        self._lock = threading.Lock()
        self._docker: DockerApi | None = None

    def start(self, command: Command, *, feeds_input: bool = False) -> RemoteCommand:
        docker = self._connected()
        if feeds_input and docker.is_encrypted:
            raise HostError(
                f"The program {command} cannot be given its input on {self.name}: Docker is reached over TLS, which "
                "has no way to end the input alone. Reach it by its Unix socket, with SSH where it is elsewhere."
            )
        found = chosen(self._container, docker.containers(), self._place)
        return RemoteCommand(
            command,
            self.name,
            lambda error_output: _DockerWire(docker, found, self.name, error_output),
            lambda group: docker.end_group(found, group),
            feeds_input=feeds_input,
        )

    def close(self) -> None:
        with self._lock:
            if self._docker:
                self._docker.close()
            elif self._outer:
                self._outer.close()
            self._docker = None

    def _connected(self) -> DockerApi:
        with self._lock:
            if self._docker and self._docker.bridge_failure:  # what broke may be whole again
                self._docker.close()
                self._docker = None
            if self._docker is None:
                self._docker = DockerApi(self._container.docker_host, self._outer, self._deadlines)
            return self._docker


class _DockerWire:
    """The exec of one program. See ``hosts.remote_command.Wire``."""

    def __init__(self, docker: DockerApi, found: Found, name: str, error_output: OutputTail) -> None:
        self._docker = docker
        self._found = found
        self._name = name
        self._identity, connection = docker.start(found)
        self._stream = DockerStream(connection, error_output)
        self._is_broken = False

    def receive(self) -> bytes:
        while True:
            try:
                return self._stream.receive(self._docker.deadlines.quiet)
            except TimeoutError:
                self._docker.check_alive(self._found, self._name)
            except BrokenStreamError:
                self._is_broken = True
                return b""

    def send(self, data: bytes) -> bool:
        try:
            self._stream.send(data, lambda: self._docker.check_alive(self._found, self._name))
        except OSError:
            return False
        return True

    def finish_input(self) -> None:
        with suppress(OSError):  # it has ended: its exit status says how
            self._stream.finish_input()

    def exit_status(self) -> int | None:
        if self._is_broken:
            return None
        status = self._docker.exit_status(self._identity)
        if status == _KILLED and self._docker.ended_with_its_program(self._found):
            return None
        return status

    def why_cut(self) -> str:
        return self._docker.why_cut(self._found)

    def close(self) -> None:
        self._stream.close()
