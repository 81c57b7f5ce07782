"""The places where faults are planned: this machine, an SSH server and a container.

Every program that a run starts at one of them has a mark in its environment, so what a run leaves behind is found among
all processes of the machine.
"""

from __future__ import annotations

import enum
import itertools
import os
import re
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerd import Dockerd, requires_dockerd, running_dockerd
from tests.support.holding_proxy import HoldingProxy
from tests.support.machine_image import DATABASES, import_databases_image
from tests.support.s3_servers import S3Server, rclone_server
from tests.support.server_places import Here, InContainer, ServerPlace
from tests.support.sshd import USER, Sshd, requires_sshd, running_sshd

MARK_VARIABLE = "HOLDFAST_FAULT_TEST"
_SECONDS_TO_END = 30.0

# The programs of servers go on when a run has ended.
_SERVERS = {"postgres", "mariadbd"}


class Place(enum.StrEnum):
    """Where a source is read."""

    LOCAL = "local"
    SSH = "SSH"
    DOCKER = "Docker"


LOCAL = pytest.param(Place.LOCAL, id="local")
SSH = pytest.param(Place.SSH, id="ssh", marks=requires_sshd)
DOCKER = pytest.param(Place.DOCKER, id="docker", marks=requires_dockerd)
EVERYWHERE = pytest.mark.parametrize("place", [LOCAL, SSH, DOCKER])
ELSEWHERE = pytest.mark.parametrize("place", [SSH, DOCKER])


@dataclass(frozen=True)
class Spot:
    """One host: the keys of a backup there, what messages call it, and where its servers are started."""

    place: Place
    keys: dict[str, Any]
    name: str
    servers: ServerPlace
    container: str | None = None


class FaultWorld:
    """All places, with what was started for them."""

    def __init__(self, stack: ExitStack) -> None:
        self.mark = f"mark-{secrets.token_hex(8)}"
        self._stack = stack
        self._numbers = itertools.count(1)

    @cached_property
    def folder(self) -> Path:
        """One of this machine that users without rights can enter."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-faults-")))
        folder.chmod(0o755)
        return folder

    @cached_property
    def sshd(self) -> Sshd:
        return self._stack.enter_context(self.new_sshd())

    @cached_property
    def dockerd(self) -> Dockerd:
        dockerd = self._stack.enter_context(running_dockerd())
        import_databases_image(dockerd)
        return dockerd

    @cached_property
    def s3(self) -> S3Server:
        return self._stack.enter_context(rclone_server())

    @contextmanager
    def new_sshd(self, *lines: str, variables: str = "") -> Iterator[Sshd]:
        """A server whose programs have the mark, and these further variables."""
        with running_sshd(lines=[f"SetEnv {MARK_VARIABLE}={self.mark} {variables}", *lines]) as sshd:
            yield sshd

    def spot(self, place: Place, *options: str) -> Spot:
        """A host there; in a container it is a new one, with further ``options`` of ``docker run``, and not started."""
        if place is Place.SSH:
            return ssh_spot(self.sshd)
        if place is Place.DOCKER:
            name = f"faulty-{os.getpid()}-{next(self._numbers)}"
            options = ("--env", f"{MARK_VARIABLE}={self.mark}", *options)
            servers = InContainer(self.dockerd, DATABASES, name, options)
            return docker_spot(self.dockerd.url, name, servers)
        return Spot(place, {}, "this machine", Here())

    @contextmanager
    def idle_container(self, *options: str, image: str = DATABASES) -> Iterator[Spot]:
        """One that does nothing."""
        name = f"faulty-{os.getpid()}-{next(self._numbers)}"
        options = ("--name", name, "--env", f"{MARK_VARIABLE}={self.mark}", *options)
        dockerd = self.dockerd
        dockerd.run(*options, image=image)
        try:
            yield docker_spot(dockerd.url, name, InContainer(dockerd, image, name))
        finally:
            dockerd.remove(name)

    @contextmanager
    def proxied(self, spot: Spot) -> Iterator[tuple[HoldingProxy, Spot]]:
        """A way to the same host on which faults can be planned, and the host on that way."""
        is_ssh = spot.place is Place.SSH
        with HoldingProxy(("127.0.0.1", self.sshd.port) if is_ssh else self.dockerd.socket) as proxy:
            if is_ssh:
                yield proxy, ssh_spot(self.sshd, proxy.port)
            else:
                assert spot.container is not None
                yield proxy, docker_spot(f"tcp://127.0.0.1:{proxy.port}", spot.container, spot.servers)

    def processes(self) -> dict[int, str]:
        """What a run has started and has not ended, anywhere: process ids and command lines."""
        marked = f"{MARK_VARIABLE}={self.mark}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                if marked not in (folder / "environ").read_bytes():
                    continue
                if _name(int(folder.name)) not in _SERVERS and not _is_first_of_container(folder):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def kill(self, program: str) -> None:
        """SIGKILL to the program of this name that a run has started, or starts soon."""
        deadline = time.monotonic() + _SECONDS_TO_END
        while not (found := [pid for pid in self.processes() if _name(pid) == program]):
            assert time.monotonic() < deadline, f"{program} was never started"
            time.sleep(0.01)
        (process,) = found
        os.kill(process, signal.SIGKILL)

    def require_nothing_left(self, before: dict[int, str]) -> None:
        """All but the processes that were there before have ended, once programs have had time to clean up."""
        deadline = time.monotonic() + _SECONDS_TO_END
        while left := {pid: line for pid, line in self.processes().items() if pid not in before}:
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


def _name(process: int) -> str:
    """Without the folder; "" where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().removesuffix("\n")
    return ""


def _is_first_of_container(folder: Path) -> bool:
    """By its numbers in all namespaces of processes: proc(5), NSpid."""
    numbers = re.search(r"^NSpid:(.*)$", (folder / "status").read_text(), re.MULTILINE)
    return numbers is not None and len(numbers[1].split()) > 1 and numbers[1].split()[-1] == "1"


def ssh_spot(sshd: Sshd, port: int | None = None) -> Spot:
    """A server, at another port where a proxy stands before it."""
    keys = {
        "USERNAME": USER,
        "IP_ADDRESS": "127.0.0.1",
        "PORT": port or sshd.port,
        "KEY_FILE": str(sshd.user_key),
        "HOST_KEY": sshd.fingerprint(),
    }
    return Spot(Place.SSH, {"SSH": keys}, f"{USER}@127.0.0.1 port {port or sshd.port}", Here())


def docker_spot(url: str, container: str, servers: ServerPlace) -> Spot:
    """A container of the Docker at this URL."""
    keys = {"CONTAINER_NAME": container, "DOCKER_HOST": url}
    return Spot(Place.DOCKER, {"DOCKER": keys}, f"the container {container}", servers, container)


@pytest.fixture(scope="module")
def world() -> Iterator[FaultWorld]:
    with ExitStack() as stack:
        yield FaultWorld(stack)
