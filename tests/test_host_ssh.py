"""Programs over SSH: the contract of hosts against a real sshd, and what only a connection can get wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from hosts.command import CommandHost
from hosts.ssh import SshCommandHost
from ssh.connection import SshServer
from ssh.sign_in import Credentials
from tests.support.host_contract import HostContract
from tests.support.sshd import USER, Sshd, requires_sshd, sshd

__all__ = ["sshd"]

pytestmark = requires_sshd


def server(sshd: Sshd) -> SshServer:
    return SshServer("127.0.0.1", Credentials(USER, sshd.user_key), sshd.port, known_hosts_file=sshd.known_hosts)


def open_ssh_host(server: SshServer) -> CommandHost:
    return SshCommandHost(server)


class TestContract(HostContract):
    @pytest.fixture
    def open_host(self, sshd: Sshd) -> Callable[[], CommandHost]:
        return partial(open_ssh_host, server(sshd))
