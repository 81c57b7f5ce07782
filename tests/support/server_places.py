"""Where a test runs a server: on this machine, or in a container whose folder of data is one of this machine's."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from tests.support.dockerd import Dockerd
from tests.support.users import as_user, user_without_rights


class ServerPlace(Protocol):
    """It starts a server as the user without rights."""

    def path(self, folder: Path) -> str:
        """The folder of data as the server sees it."""

    def start(self, command: Sequence[object], folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """A signal to the answer is one to the server, whose end is its end."""


class Here:
    """See :class:`ServerPlace`."""

    def path(self, folder: Path) -> str:
        return str(folder)

    def start(self, command: Sequence[object], folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        argv = list(map(str, command))
        return subprocess.Popen(argv, cwd=folder, stderr=log, stdout=log, **as_user(user_without_rights()))


@dataclass(frozen=True)
class InContainer:
    """See :class:`ServerPlace`. ``options`` are further ones of ``docker run``."""

    dockerd: Dockerd
    image: str
    name: str
    options: tuple[str, ...] = ()

    def path(self, _folder: Path) -> str:
        return "/var/lib/database"

    def start(self, command: Sequence[object], folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        user = user_without_rights()
        argv = [
            *("docker", "--host", self.dockerd.url, "run", "--rm", "--network", "none", "--name", self.name),
            *("--mount", f"type=bind,source={folder},target={self.path(folder)}", *self.options, self.image),
            *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *map(str, command)),
        ]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log, stdout=log)
