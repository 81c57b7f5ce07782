"""The places of the matrix: this machine, an SSH server, a container, and a container on an SSH server.

Each has servers that are full and servers that are empty, all started when they are first asked for. Whatever needs a
password gets one that holds the same mark, so that one search finds them all.
"""

from __future__ import annotations

import enum
import itertools
import os
import secrets
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from tests.support import database_samples as samples
from tests.support.dockerd import BUSYBOX, Dockerd, running_dockerd
from tests.support.machine_image import DATABASES, import_databases_image
from tests.support.mariadb import MariadbServer, mariadb_server
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.server_places import InContainer, ServerPlace
from tests.support.sshd import USER, Sshd, free_port, make_key, public_key, running_sshd

Server = TypeVar("Server")

# Where a folder of this machine is seen in containers.
DATA_IN_CONTAINERS = "/srv/-the 'data'; $HOME ü"


class Place(enum.StrEnum):
    """Where a source is read."""

    LOCAL = "local"
    SSH = "SSH"
    DOCKER = "Docker"
    DOCKER_OVER_SSH = "Docker over SSH"

    @property
    def is_ssh(self) -> bool:
        return self in (Place.SSH, Place.DOCKER_OVER_SSH)

    @property
    def is_container(self) -> bool:
        return self in (Place.DOCKER, Place.DOCKER_OVER_SSH)


@dataclass(frozen=True)
class Container:
    """Its name, and a label that no other has."""

    name: str
    label: str

    @property
    def options(self) -> tuple[str, ...]:
        """Those of ``docker run``."""
        return ("--label", self.label)


@dataclass(frozen=True)
class Pair(Generic[Server]):
    """Servers of one engine at one place, with their containers where they are in some."""

    full: Server
    empty: Server
    containers: tuple[Container, Container] | None


class World:
    """All places, with what was started for them. ``folder`` is one of this machine, for data."""

    def __init__(self, stack: ExitStack) -> None:
        self.mark = f"Canary-{secrets.token_hex(8)}"
        self._stack = stack
        self._numbers = itertools.count(1)
        # Not tmp_path: users and containers must get into it.
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-matrix-"))
        self.folder.chmod(0o755)
        stack.callback(shutil.rmtree, self.folder)

    def password(self, of: str) -> str:
        """With all that a shell, SQL, YAML, an option file or ``.env`` could take for something else."""
        return f"{self.mark} {of} #;'\"\\n$HOME ${{x:-y}} `id` $(id) é\\"

    def host_keys(self, place: Place, container: Container | None = None) -> dict[str, Any]:
        """The keys SSH and DOCKER of a backup at this place; the former needs ``SSH_KEY_PASSPHRASE``."""
        keys: dict[str, Any] = {}
        if place.is_ssh:
            keys["SSH"] = {
                "USERNAME": USER,
                "IP_ADDRESS": "127.0.0.1",
                "PORT": self.sshd.port,
                "KEY_FILE": str(self._ssh_key),
                "KEY_PASSPHRASE": "${SSH_KEY_PASSPHRASE}",
                "HOST_KEY": self.sshd.fingerprint(),
            }
        if place.is_container:
            assert container is not None
            named = {"LABEL": container.label} if place.is_ssh else {"CONTAINER_NAME": container.name}
            keys["DOCKER"] = {**named, "DOCKER_HOST": self.dockerd.url}
        return keys

    @cached_property
    def sshd(self) -> Sshd:
        return self._stack.enter_context(running_sshd())

    @cached_property
    def dockerd(self) -> Dockerd:
        dockerd = self._stack.enter_context(running_dockerd())
        import_databases_image(dockerd)
        return dockerd

    @cached_property
    def data(self) -> Path:
        """The folder of this machine that containers see as DATA_IN_CONTAINERS."""
        folder = self.folder / "data"
        folder.mkdir()
        return folder

    @cached_property
    def container(self) -> Container:
        """One with GNU tar, and with the folder ``data``."""
        return self._idle_container(DATABASES)

    @cached_property
    def small_container(self) -> Container:
        """One with nothing but busybox, and with the folder ``data``."""
        return self._idle_container(BUSYBOX)

    @cached_property
    def postgresql_here(self) -> Pair[PostgresqlServer]:
        return self._postgresql(None)

    @cached_property
    def postgresql_in_containers(self) -> Pair[PostgresqlServer]:
        return self._postgresql((self._new_container(), self._new_container()))

    @cached_property
    def mariadb_here(self) -> Pair[MariadbServer]:
        return self._mariadb(None)

    @cached_property
    def mariadb_in_containers(self) -> Pair[MariadbServer]:
        return self._mariadb((self._new_container(), self._new_container()))

    def _postgresql(self, containers: tuple[Container, Container] | None) -> Pair[PostgresqlServer]:
        """Both have the superuser ``samples.USER`` with the same password; only one has more."""
        full, empty = (
            self._stack.enter_context(postgresql_server(port=self._port(5432, container), place=self._place(container)))
            for container in containers or (None, None)
        )
        user = samples.quoted(samples.USER)
        password = self.password("PostgreSQL").replace("'", "''")
        full.sql(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")
        verifier = full.sql("SELECT rolpassword FROM pg_authid WHERE oid >= 16384")
        empty.sql(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{verifier}'")
        full.sql(samples.POSTGRES_ROLES)
        full.sql(samples.POSTGRES, samples.DATABASE)
        return Pair(full, empty, containers)

    def _mariadb(self, containers: tuple[Container, Container] | None) -> Pair[MariadbServer]:
        """Both have the user ``samples.USER`` with all rights and the same password; only one has more."""
        full, empty = (
            self._stack.enter_context(mariadb_server(port=self._port(3306, container), place=self._place(container)))
            for container in containers or (None, None)
        )
        user = f"{samples.backquoted(samples.USER)}@'%'"
        password = self.password("MariaDB").replace("\\", "\\\\").replace("'", "\\'")
        for server in (full, empty):
            server.sql(f"CREATE USER {user} IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO {user} WITH GRANT OPTION;")
        database = samples.backquoted(samples.MARIADB_DATABASE)
        full.sql(f"CREATE DATABASE {database} CHARACTER SET latin1 COLLATE latin1_german2_ci")
        full.sql(samples.MARIADB, samples.MARIADB_DATABASE)
        full.sql(samples.MARIADB_USERS)
        return Pair(full, empty, containers)

    def _idle_container(self, image: str) -> Container:
        container = self._new_container()
        mount = f"type=bind,source={self.data},target={DATA_IN_CONTAINERS}"
        self.dockerd.run("--name", container.name, *container.options, "--mount", mount, image=image)
        return container

    def _new_container(self) -> Container:
        number = next(self._numbers)
        return Container(f"shop-db.{os.getpid()}_{number}-", f"which=the; 'odd' \"$label\" ü {number}")

    def _place(self, container: Container | None) -> ServerPlace | None:
        return InContainer(self.dockerd, DATABASES, container.name, container.options) if container else None

    def _port(self, usual: int, container: Container | None) -> int:
        return usual if container else free_port()

    @cached_property
    def _ssh_key(self) -> Path:
        folder = self.folder / '-ke\'ys "$HOME"; ü'
        folder.mkdir()
        key = make_key(folder / "-i 'd'", passphrase=self.password("SSH"))
        with (self.sshd.folder / "authorized_keys").open("a") as accepted:
            accepted.write(f"{public_key(key)}\n")
        return key
