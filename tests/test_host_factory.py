"""From the configuration of a backup to its host."""

from __future__ import annotations

from pathlib import Path

from hosts.docker import DockerCommandHost
from hosts.factory import command_host, ssh_server
from hosts.local_command import LocalCommandHost
from hosts.ssh import SshCommandHost
from model import DockerContainer, Secret, SshHost
from ssh.sign_in import Credentials
from tests.support.sshd import USER


def test_each_combination_has_its_host_and_name() -> None:
    ssh, docker = SshHost("deploy", "192.0.2.7"), DockerContainer("shop-db")
    hosts = [command_host(*pair) for pair in ((None, None), (ssh, None), (None, docker), (ssh, docker))]
    assert [type(host) for host in hosts] == [LocalCommandHost, SshCommandHost, DockerCommandHost, DockerCommandHost]
    assert [host.name for host in hosts] == [
        "this machine",
        "deploy@192.0.2.7",
        "the container shop-db",
        "the container shop-db on deploy@192.0.2.7",
    ]
    for host in hosts:
        host.close()


def test_another_port_is_told() -> None:
    assert command_host(SshHost("deploy", "192.0.2.7", 2222), None).name == "deploy@192.0.2.7 port 2222"


def test_everything_that_is_configured_reaches_the_server() -> None:
    password, passphrase = Secret("password-1"), Secret("passphrase-1")
    jump = SshHost(None, "jump.example")
    server = ssh_server(
        SshHost("deploy", "db.example", 2222, "~/key", password, passphrase, "SHA256:x", "~/known", jump)
    )
    home = Path.home()
    assert server.credentials == Credentials("deploy", home / "key", passphrase, password)
    assert (server.address, server.port, server.host_key) == ("db.example", 2222, "SHA256:x")
    assert server.known_hosts_file == home / "known"
    assert server.jump is not None
    assert (server.jump.address, server.jump.credentials.username) == ("jump.example", USER)
