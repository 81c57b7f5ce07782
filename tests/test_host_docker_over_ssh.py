"""Programs in containers of another machine: one host wrapped around another, a real sshd and a real Docker."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from errors import HostError
from hosts.command import Command, CommandHost
from hosts.docker import DockerCommandHost
from hosts.docker_api import DockerDeadlines
from hosts.ssh import SshCommandHost
from model import DockerContainer
from ssh.connection import Deadlines, SshServer
from ssh.sign_in import Credentials
from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.host_contract import (
    HostContract,
    failure_of,
    output_of,
    shell,
    unique_number,
    wait_until_gone,
    wait_until_running,
)
from tests.support.sshd import USER, Sshd, requires_sshd, running_sshd, sshd

__all__ = ["dockerd", "sshd"]

pytestmark = [requires_dockerd, requires_sshd]


def server_of(sshd: Sshd) -> SshServer:
    return SshServer("127.0.0.1", Credentials(USER, sshd.user_key), sshd.port, known_hosts_file=sshd.known_hosts)


def open_nested_host(server: SshServer, url: str, container: str) -> CommandHost:
    return DockerCommandHost(DockerContainer(container, docker_host=url), SshCommandHost(server))


@pytest.fixture(scope="module")
def container(dockerd: Dockerd) -> Iterator[str]:
    name = dockerd.run()
    yield name
    dockerd.remove(name)


class TestContract(HostContract):
    @pytest.fixture
    def open_host(self, sshd: Sshd, dockerd: Dockerd, container: str) -> Callable[[], CommandHost]:
        return partial(open_nested_host, server_of(sshd), dockerd.url, container)


@contextmanager
def opened(sshd: Sshd, url: str, container: str) -> Iterator[CommandHost]:
    host = open_nested_host(server_of(sshd), url, container)
    yield host
    host.close()


def test_messages_name_both(sshd: Sshd, dockerd: Dockerd, container: str) -> None:
    place = f"{USER}@127.0.0.1 port {sshd.port}"
    with opened(sshd, dockerd.url, "absent") as host, pytest.raises(HostError) as raised:
        host.start(Command(("true",)))
    assert str(raised.value).startswith(f"The container absent was not found on {place}. Docker has: ")
    with opened(sshd, dockerd.url, container) as host:
        assert f"The program sh on the container {container} on {place} ended" in failure_of(host, "exit 3")


@pytest.mark.parametrize("script", ["yes", "echo begun; sleep 1000"])
def test_a_server_that_ends_in_mid_stream(dockerd: Dockerd, container: str, script: str) -> None:
    with running_sshd() as sshd, opened(sshd, dockerd.url, container) as host:
        number = unique_number()
        running = host.start(shell(f"{script} & sleep {number}; true"))
        with running, pytest.raises(HostError) as raised:
            for count, _ in enumerate(running.chunks()):
                if count == 0:
                    wait_until_running(number, 1)
                    sshd.stop()
        wait_until_gone(number)
    assert f"on {host.name} was cut off: " in str(raised.value)
    assert f"{USER}@127.0.0.1 port {sshd.port}" in str(raised.value)


def test_a_server_that_stalls_in_mid_stream(dockerd: Dockerd, container: str) -> None:
    with running_sshd() as sshd:
        server = replace(server_of(sshd), deadlines=Deadlines(quiet=0.2, answer=0.5))
        host = DockerCommandHost(
            DockerContainer(container, docker_host=dockerd.url),
            SshCommandHost(server),
            DockerDeadlines(quiet=0.2, answer=2),
        )
        running = host.start(shell("echo begun; sleep 1000"))
        with running, pytest.raises(HostError) as raised:
            for _ in running.chunks():
                sshd.signal_children(signal.SIGSTOP)
        host.close()
    assert "did not answer for" in str(raised.value)


@pytest.mark.parametrize("action", ["kill", "pause"])
def test_a_container_that_ends_or_pauses_in_mid_stream(sshd: Sshd, dockerd: Dockerd, action: str) -> None:
    name = dockerd.run()
    host = DockerCommandHost(
        DockerContainer(name, docker_host=dockerd.url), SshCommandHost(server_of(sshd)), DockerDeadlines(quiet=0.2)
    )
    running = host.start(shell("echo begun; sleep 1000"))
    with running, pytest.raises(HostError) as raised:
        for _ in running.chunks():
            dockerd.docker(action, name)
    host.close()
    assert ("was paused" if action == "pause" else "the container stopped while") in str(raised.value)
    if action == "pause":
        dockerd.docker("unpause", name)
    dockerd.remove(name)


def test_no_docker_on_the_server(sshd: Sshd, tmp_path: Path) -> None:
    with opened(sshd, f"unix://{tmp_path}/absent.sock", "shop-db") as host, pytest.raises(HostError) as raised:
        host.start(Command(("true",)))
    assert f"The program docker on {USER}@127.0.0.1 port {sshd.port} ended with exit status 1" in str(raised.value)
    assert "absent.sock" in str(raised.value)


def test_the_server_has_no_docker_program(dockerd: Dockerd) -> None:
    with running_sshd(lines=["SetEnv PATH=/no/such/folder"]) as sshd:
        host = open_nested_host(server_of(sshd), dockerd.url, "shop-db")
        with pytest.raises(HostError) as raised:
            host.start(Command(("true",)))
        host.close()
    assert "The program docker on " in str(raised.value)
    assert "not found" in str(raised.value)


def test_the_next_program_makes_a_new_connection_where_the_old_one_broke(dockerd: Dockerd, container: str) -> None:
    with running_sshd() as sshd, opened(sshd, dockerd.url, container) as host:
        with host.start(shell("echo begun; sleep 1000")) as running, pytest.raises(HostError):
            for _ in running.chunks():
                sshd.signal_children(signal.SIGKILL)
        assert output_of(host, "echo again") == b"again\n"


def test_one_program_after_another_takes_no_more_sessions_than_one(dockerd: Dockerd, container: str) -> None:
    with running_sshd(lines=["MaxSessions 6"]) as sshd, opened(sshd, dockerd.url, container) as host:
        assert [output_of(host, f"echo {number}") for number in range(8)] == [b"%d\n" % number for number in range(8)]


def test_the_server_is_not_known(sshd: Sshd, dockerd: Dockerd, tmp_path: Path) -> None:
    server = replace(server_of(sshd), known_hosts_file=tmp_path / "none")
    host = open_nested_host(server, dockerd.url, "shop-db")
    with pytest.raises(HostError, match="ssh-keyscan"):
        host.start(Command(("true",)))
    host.close()


def test_nothing_is_left_on_this_machine(
    sshd: Sshd, dockerd: Dockerd, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = threading.active_count()
    with tempfile.TemporaryDirectory(prefix="holdfast-tests-", dir="/tmp") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        with opened(sshd, dockerd.url, container) as host:
            assert output_of(host, "echo out") == b"out\n"
            (folder,) = Path(temporary).iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700
        assert list(Path(temporary).iterdir()) == []
    deadline = time.monotonic() + 30
    while threading.active_count() > threads:
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.01)


def test_a_temporary_folder_with_too_long_a_path(
    sshd: Sshd, dockerd: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with opened(sshd, dockerd.url, "shop-db") as host, pytest.raises(HostError, match="Set TMPDIR to a shorter path"):
        host.start(Command(("true",)))
    assert list(long.iterdir()) == []
