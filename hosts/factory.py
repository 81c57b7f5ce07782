"""The host on which the programs of a backup run, by what its configuration says."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from hosts.command import CommandHost
from hosts.containers import Containers
from hosts.docker import DockerCommandHost
from hosts.local_command import LocalCommandHost
from hosts.ssh import SshCommandHost
from model import DockerContainer, SshHost
from ssh.connection import SshServer
from ssh.sign_in import Credentials


def command_host(ssh: SshHost | None, docker: DockerContainer | None) -> CommandHost:
    """Nothing is connected before the first program is started. Whoever asks closes it."""
    outer = SshCommandHost(ssh_server(ssh)) if ssh else None
    if docker:
        return DockerCommandHost(docker, outer)
    return outer or LocalCommandHost()


def containers_of(ssh: SshHost | None, docker_host: str | None) -> Containers:
    """Those of Docker on this machine or on that server, at the URL ``docker_host`` where it is not the usual one.

    Raises HostError. Whoever asks closes them.
    """
    return Containers(docker_host, SshCommandHost(ssh_server(ssh)) if ssh else None)


def ssh_server(host: SshHost) -> SshServer:
    """The server, and those on the way to it, with what the configuration leaves out filled in."""
    credentials = Credentials(
        host.username or pwd.getpwuid(os.geteuid()).pw_name,
        _path(host.key_file),
        host.key_passphrase,
        host.password,
    )
    return SshServer(
        host.address,
        credentials,
        host.port,
        host.host_key,
        _path(host.known_hosts_file),
        jump=ssh_server(host.jump) if host.jump else None,
    )


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None
