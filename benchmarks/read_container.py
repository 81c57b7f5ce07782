"""Take what a program in a container writes, and do nothing with it."""

from __future__ import annotations

import sys
from contextlib import closing

from hosts.command import Command
from hosts.docker import DockerCommandHost
from model import DockerContainer


def main() -> None:
    url, container, *argv = sys.argv[1:]
    with (
        closing(DockerCommandHost(DockerContainer(container, docker_host=url))) as host,
        host.start(Command(tuple(argv))) as running,
    ):
        for _ in running.chunks():
            pass


if __name__ == "__main__":
    main()
