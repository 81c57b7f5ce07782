"""Docker's API, at a local socket, at DOCKER_HOST, or on another host (a bridge to it)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from errors import HostError
from hosts.command import CommandHost
from hosts.docker_bridge import DockerBridge
from hosts.docker_containers import Found, capitalized
from hosts.remote_shell import LAUNCHER_ARGV, ending_input
from utils import redact

if TYPE_CHECKING:
    import socket

_SECONDS_TO_NOTICE = 3.0

_USUAL_DOCKER = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class DockerDeadlines:
    """In seconds: for each answer of Docker's API, for an exit status after the end of the output, and after how much
    silence of a program the state of its container is looked at."""

    answer: float = 60.0
    exit_status: float = 10.0
    quiet: float = 30.0


class DockerApi:
    """One Docker and its API. Methods raise HostError."""

    def __init__(self, url: str | None, outer: CommandHost | None, deadlines: DockerDeadlines) -> None:
        self.deadlines = deadlines
        self._bridge = DockerBridge(outer, url) if outer else None
        try:
            self.api = self._connected_api(url)
        except BaseException:
            if self._bridge:
                self._bridge.close()
            raise

    @property
    def is_encrypted(self) -> bool:
        return str(self.api.base_url).startswith("https:")

    def containers(self) -> list[dict[str, Any]]:
        """All of them, as GET /containers/json tells."""
        with self.translated():
            listed: list[dict[str, Any]] = self.api.containers(all=True)
            return listed

    def start(self, found: Found, *, listens: bool = True) -> tuple[str, socket.socket]:
        """An exec of the launcher, and the connection to it."""
        with self.translated():
            created = self.api.exec_create(
                found.identity, list(LAUNCHER_ARGV), stdin=True, stdout=listens, stderr=listens, tty=False
            )
            answered = self.api.exec_start(created["Id"], socket=True)
        # The SDK wraps a Unix or TCP socket, and the wrapper knows no half close; a TLS socket it hands out as it is.
        connection: socket.socket = getattr(answered, "_sock", answered)
        connection.settimeout(self.deadlines.quiet)
        return created["Id"], connection

    def end_group(self, found: Found, group: int) -> None:
        """End a group of processes in the container."""
        with suppress(HostError, OSError):  # the container, or Docker, has ended meanwhile
            _, connection = self.start(found, listens=False)
            with connection:
                connection.sendall(ending_input(group))

    def exit_status(self, identity: str) -> int | None:
        """That of an exec whose output has ended; None where Docker does not tell it in time, or the way to it broke.

        Docker may notice the end of a program some time after that of its output.
        """
        deadline = time.monotonic() + self.deadlines.exit_status
        while self.bridge_failure is None:
            try:
                with self.translated():
                    state = self.api.exec_inspect(identity)
            except HostError:
                return None
            if not state["Running"]:
                status: int | None = state["ExitCode"]
                return status
            if time.monotonic() > deadline:
                return None
            time.sleep(0.01)
        return None

    def start_container(self, identity: str) -> None:
        """Nothing happens to one that runs already."""
        with self.translated():
            self.api.start(identity)

    def stop_container(self, identity: str, seconds: int) -> None:
        """It is asked to end, and killed where it has not ended after so many seconds."""
        with self.translated():
            self.api.stop(identity, timeout=seconds)

    def inspected(self, identity: str) -> dict[str, Any]:
        """All that Docker knows of a container: GET /containers/{id}/json."""
        with self.translated():
            answer: dict[str, Any] = self.api.inspect_container(identity)
            return answer

    def check_alive(self, found: Found, name: str) -> None:
        """Raise HostError unless the container runs."""
        state = self._state(found)
        if state.get("Paused"):
            raise HostError(
                f"{capitalized(name)} was paused while a program ran. Let it go on with: docker unpause {found.name}"
            )
        if not state.get("Running"):
            raise HostError(f"{capitalized(name)} {_stopped(state)}.")

    def ended_with_its_program(self, found: Found) -> bool:
        """Whether the container of a program that was killed has ended. Docker may say so some time after it."""
        deadline = time.monotonic() + _SECONDS_TO_NOTICE
        while time.monotonic() < deadline:
            try:
                if not self._state(found).get("Running"):
                    return True
            except HostError:
                return True
            time.sleep(0.05)
        return False

    @property
    def bridge_failure(self) -> HostError | None:
        return self._bridge.failure if self._bridge else None

    def why_cut(self, found: Found) -> str:
        """The predicate of a program whose exit status is not known."""
        if self.bridge_failure:
            return f"was cut off: {self.bridge_failure}"
        try:
            state = self._state(found)
        except HostError as error:
            if getattr(error.__cause__, "status_code", None) == HTTPStatus.NOT_FOUND:
                return "was cut off: the container has ended, and was removed"
            return f"was cut off: {error}"
        if state.get("Running"):
            return "was cut off: the connection to Docker ended before the program did"
        return f"was cut off: the container {_stopped(state)}"

    def close(self) -> None:
        self.api.close()
        if self._bridge:
            self._bridge.close()

    def _state(self, found: Found) -> dict[str, Any]:
        state: dict[str, Any] = self.inspected(found.identity)["State"]
        return state

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the SDK raises into HostError."""
        import docker  # type: ignore[import-untyped]

        try:
            yield
        except docker.errors.APIError as error:
            said = redact(str(error.explanation or error))
            raise HostError(f"Docker ({self._name}) refused what was asked of it: {said}") from error
        except (docker.errors.DockerException, OSError) as error:  # what `requests` raises are OSErrors
            raise self.bridge_failure or HostError(_unreachable(self._name, error, self.deadlines)) from error

    def _connected_api(self, url: str | None) -> Any:
        """A docker.APIClient, whose types nobody has written down."""
        import docker

        environment: Mapping[str, str] = {**os.environ, "DOCKER_HOST": url} if url else os.environ
        self._name = environment.get("DOCKER_HOST") or _USUAL_DOCKER
        if self._bridge:
            self._name = self._bridge.name
            environment = {"DOCKER_HOST": self._bridge.url}
        elif self._name.startswith("ssh:"):
            raise HostError(
                f"DOCKER_HOST is {self._name}. Name the server under SSH instead, beside DOCKER: then its key is "
                "checked, and everything else that needs it can use the connection."
            )
        with self.translated():
            arguments = docker.utils.kwargs_from_env(environment)
            api = docker.APIClient(version="auto", timeout=self.deadlines.answer, **arguments)
        # The SDK would keep a connection for each URL that it asked, and each program has its own. Over SSH each takes
        # one of the 10 sessions that a server allows (MaxSessions, sshd_config(5)). `num_pools` is not obeyed.
        api.headers["Connection"] = "close"
        return api


def _stopped(state: dict[str, Any]) -> str:
    reason = ", as it needed more memory than it may have" if state.get("OOMKilled") else ""
    return f"stopped while a program ran in it (exit status {state.get('ExitCode')}){reason}"


def _unreachable(name: str, error: BaseException, deadlines: DockerDeadlines) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, PermissionError) for cause in causes):
        return (
            f"Docker ({name}) does not let this user in: permission denied. Put the user into the group docker (who is "
            "in it can do everything that root can), or run Holdfast as one who may use Docker."
        )
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return f"Docker ({name}) did not answer for {deadlines.answer:.0f} s."
    known = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    reason = known.strerror if known else redact(str(error))
    return f"Docker ({name}) cannot be reached: {reason}. Check that it runs (docker ps shows it), and DOCKER_HOST."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it stands for: urllib3 carries the cause among the arguments."""
    seen: list[BaseException] = [error]
    for each in seen:
        yield each
        inner = [each.__cause__, each.__context__, *each.args, getattr(each, "reason", None)]
        seen += [found for found in inner if isinstance(found, BaseException) and found not in seen]
