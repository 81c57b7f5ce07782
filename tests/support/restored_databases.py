"""Databases for tests of their restore: one server of each engine, which is reached from several places.

A container, and the SSH server, see the sockets and files of this machine at the same paths.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.dockerd import Dockerd
from tests.support.holdfast import Holdfast
from tests.support.machine_image import DATABASES, import_databases_image
from tests.support.mariadb import MariadbServer, mariadb_server
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.sshd import USER, Sshd

ROWS = 40_000
"""Of each database: more than a block of the archive."""


class Engine(ABC):
    """An engine with one database ``shop`` that has a table ``item`` with ROWS rows."""

    type: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def shop(self) -> str:
        """Its name."""
        return "shop"

    def new_name(self, name: str) -> str:
        return name

    @abstractmethod
    def keys(self, *names: str) -> dict[str, Any]:
        """DB_INFO for these databases."""

    @abstractmethod
    def make_shop(self) -> None: ...

    @abstractmethod
    def add_row(self) -> None:
        """To the table of ``shop``."""

    @abstractmethod
    def rows(self, name: str) -> int: ...

    @abstractmethod
    def names(self) -> set[str]:
        """Of all databases, and whatever a restore leaves."""

    @abstractmethod
    def drop(self, name: str) -> None: ...


class Postgres(Engine):
    type = "postgres"

    def __init__(self, server: PostgresqlServer) -> None:
        super().__init__(server.socket_folder)
        self.server = server

    def keys(self, *names: str) -> dict[str, Any]:
        return {"NAME": list(names), "USERNAME": self.server.superuser, "HOST": str(self.server.socket_folder)}

    def make_shop(self) -> None:
        self.server.sql("CREATE DATABASE shop")
        self.server.sql(
            f"CREATE TABLE item AS SELECT n, md5(n::text) AS text FROM generate_series(1, {ROWS}) n", self.shop
        )

    def add_row(self) -> None:
        self.server.sql("INSERT INTO item VALUES (0, 'new')", self.shop)

    def rows(self, name: str) -> int:
        return int(self.server.sql("SELECT count(*) FROM item", name))

    def names(self) -> set[str]:
        return set(json.loads(self.server.sql("SELECT json_agg(datname) FROM pg_database WHERE NOT datistemplate")))

    def drop(self, name: str) -> None:
        quoted = name.replace('"', '""')
        self.server.sql(f'DROP DATABASE "{quoted}"')


class Mariadb(Engine):
    type = "mariadb"

    def __init__(self, server: MariadbServer) -> None:
        super().__init__(server.socket.parent)
        self.server = server

    def keys(self, *names: str) -> dict[str, Any]:
        return {"NAME": list(names), "USERNAME": self.server.superuser, "HOST": str(self.server.socket)}

    def make_shop(self) -> None:
        self.server.sql("CREATE DATABASE shop")
        self.server.sql(f"CREATE TABLE item AS SELECT seq, md5(seq) AS text FROM seq_1_to_{ROWS}", self.shop)

    def add_row(self) -> None:
        self.server.sql("INSERT INTO item VALUES (0, 'new')", self.shop)

    def rows(self, name: str) -> int:
        return int(self.server.sql("SELECT count(*) FROM item", name))

    def names(self) -> set[str]:
        return set(self.server.sql("SHOW DATABASES").split("\n")) - {"mysql", "sys"} - _SCHEMAS

    def drop(self, name: str) -> None:
        quoted = name.replace("`", "``")
        self.server.sql(f"DROP DATABASE `{quoted}`")


class Sqlite(Engine):
    type = "sqlite"

    @property
    def shop(self) -> str:
        return str(self.folder / "shop.db")

    def new_name(self, name: str) -> str:
        return str(self.folder / name)

    def keys(self, *names: str) -> dict[str, Any]:
        return {"FILE_PATH": list(names)}

    def make_shop(self) -> None:
        with closing(sqlite3.connect(self.shop)) as database:
            database.execute("CREATE TABLE item (n, text)")
            database.executemany("INSERT INTO item VALUES (?, ?)", ((n, f"{n:040d}") for n in range(ROWS)))
            database.commit()

    def add_row(self) -> None:
        with closing(sqlite3.connect(self.shop)) as database:
            database.execute("INSERT INTO item VALUES (0, 'new')")
            database.commit()

    def rows(self, name: str) -> int:
        with closing(sqlite3.connect(f"file:{name}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM item").fetchone()[0])

    def names(self) -> set[str]:
        return {str(path) for path in self.folder.iterdir()}

    def drop(self, name: str) -> None:
        Path(name).unlink()


_SCHEMAS = {"information_schema", "performance_schema"}


@contextmanager
def engines(folder: Path) -> Iterator[dict[str, Engine]]:
    """One of each, with its ``shop``."""
    with ExitStack() as stack:
        found: list[Engine] = [
            Postgres(stack.enter_context(postgresql_server())),
            Mariadb(stack.enter_context(mariadb_server())),
            Sqlite(folder),
        ]
        for engine in found:
            engine.make_shop()
        yield {engine.type: engine for engine in found}


@dataclass
class Places:
    """Where the programs run that reach the servers."""

    sshd: Sshd
    dockerd: Dockerd
    container: str

    def keys(self, place: str) -> dict[str, Any]:
        """SSH and DOCKER of a backup."""
        if place == "local":
            return {}
        if place == "docker":
            return {"DOCKER": {"CONTAINER_NAME": self.container, "DOCKER_HOST": self.dockerd.url}}
        return {
            "SSH": {
                "USERNAME": USER,
                "IP_ADDRESS": "127.0.0.1",
                "PORT": self.sshd.port,
                "KEY_FILE": str(self.sshd.user_key),
                "HOST_KEY": self.sshd.fingerprint(),
            }
        }


@contextmanager
def places(sshd: Sshd, dockerd: Dockerd, *folders: Path) -> Iterator[Places]:
    """With a container that has these folders."""
    import_databases_image(dockerd)
    mounts = [f"--mount=type=bind,source={folder},target={folder}" for folder in folders]
    container = dockerd.run(*mounts, image=DATABASES)
    yield Places(sshd, dockerd, container)
    dockerd.remove(container)


def configure(holdfast: Holdfast, **backups: Mapping[str, Any]) -> None:
    """A configuration of one project ``shop`` with DB_BACKUPs of these names and keys."""
    shared = {"INTERVALS": "0 3 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": ""}]}
    written = [{"NAME": name, **shared, **keys} for name, keys in backups.items()]
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"DB_BACKUPS": written}]}]})
