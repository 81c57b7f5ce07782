"""Programs in containers of a real Docker: the contract of hosts, and what only a container can get wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from hosts.command import CommandHost
from hosts.docker import DockerCommandHost
from model import DockerContainer
from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.host_contract import HostContract

__all__ = ["dockerd"]

pytestmark = requires_dockerd


def open_docker_host(url: str, container: str) -> CommandHost:
    return DockerCommandHost(DockerContainer(container, docker_host=url))


@pytest.fixture(scope="module")
def container(dockerd: Dockerd) -> Iterator[str]:
    """One without bash, for the tests that leave it as it is."""
    name = dockerd.run()
    yield name
    dockerd.remove(name)


class TestContract(HostContract):
    @pytest.fixture
    def open_host(self, dockerd: Dockerd, container: str) -> Callable[[], CommandHost]:
        return partial(open_docker_host, dockerd.url, container)
