"""Programs in containers of another machine: one host wrapped around another, a real sshd and a real Docker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from hosts.command import CommandHost
from hosts.docker import DockerCommandHost
from hosts.ssh import SshCommandHost
from model import DockerContainer
from ssh.connection import SshServer
from ssh.sign_in import Credentials
from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.host_contract import HostContract
from tests.support.sshd import USER, Sshd, requires_sshd, sshd

__all__ = ["dockerd", "sshd"]

pytestmark = [requires_dockerd, requires_sshd]


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
        server = SshServer("127.0.0.1", Credentials(USER, sshd.user_key), sshd.port, known_hosts_file=sshd.known_hosts)
        return partial(open_nested_host, server, dockerd.url, container)
