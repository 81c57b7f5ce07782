"""The sources of the matrix: what each is configured with, and whether it came back whole, in two ways.

By the standard tools, from the folder into which ``unzip`` put the archive; and by ``restore.py``, through the same
place, into a server or folder that is empty.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from tests.support import database_samples as samples
from tests.support import mariadb_fingerprint, postgresql_fingerprint, sqlite_fingerprint
from tests.support.differences import assert_same
from tests.support.holdfast import Holdfast
from tests.support.mariadb import MariadbServer
from tests.support.matrix_places import DATA_IN_CONTAINERS, Container, Pair, Place, World
from tests.support.postgresql import PostgresqlServer
from tests.support.whole_trees import MIB, Node, describe_tree, differences, make_whole_tree, restored

_ODD_FOLDER = '-o\'dd "folder"; $HOME größe'


class MatrixSource(ABC):
    """A source at a place.

    ``kind`` is the key of its backups; ``programs`` are those that have to be seen while it is backed up, where it is
    not read on this machine itself; ``may_know_secrets`` are those that may have one in their environment.
    """

    kind: ClassVar[str]
    programs: ClassVar[frozenset[str]]
    may_know_secrets: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, world: World, place: Place) -> None:
        self.world = world
        self.place = place

    def keys(self) -> dict[str, Any]:
        """Those of the backup, but for what every backup has."""
        return {**self._source_keys(), **self.world.host_keys(self.place, self.container)}

    def keys_of_empty(self) -> dict[str, Any] | None:
        """Those of a backup of what is empty, to restore into; None where there is no such thing."""
        return None

    @property
    def container(self) -> Container | None:
        return self.world.container if self.place.is_container else None

    @property
    def secrets(self) -> dict[str, str]:
        """The variables that the configuration names."""
        return {"SSH_KEY_PASSPHRASE": self.world.password("SSH")} if self.place.is_ssh else {}

    @abstractmethod
    def _source_keys(self) -> dict[str, Any]: ...

    @abstractmethod
    def check_unpacked(self, folder: Path) -> None:
        """Assert that the standard tools make of this folder what was backed up."""

    @abstractmethod
    def check_restored(self, holdfast: Holdfast, backup_id: str, empty_id: str) -> None:
        """Assert that ``restore.py`` brings it back."""


class Postgresql(MatrixSource):
    kind = "DB_BACKUP"
    programs = frozenset({"pg_dump", "pg_dumpall", "pg_restore"})
    may_know_secrets = frozenset({"sh", "psql", "pg_dump", "pg_dumpall", "pg_restore"})

    def keys_of_empty(self) -> dict[str, Any]:
        container = self._servers.containers[1] if self._servers.containers else None
        return {**self._keys_of(self._servers.empty, "postgres"), **self.world.host_keys(self.place, container)}

    @property
    def container(self) -> Container | None:
        return self._servers.containers[0] if self._servers.containers else None

    @property
    def secrets(self) -> dict[str, str]:
        return {**super().secrets, "DB_PASSWORD": self.world.password("PostgreSQL")}

    def check_unpacked(self, folder: Path) -> None:
        (entry,) = json.loads((folder / "databases.json").read_text())["databases"]
        empty = self._servers.empty
        # The roles that are there already give an error each.
        self._run("psql", "--no-psqlrc", "--quiet", f"--file={folder / 'globals.sql'}", "--dbname=postgres")
        answer = self._run("pg_restore", "--create", "--exit-on-error", "--dbname=postgres", folder / entry["member"])
        assert answer.returncode == 0, answer.stderr
        self._check(samples.DATABASE)
        assert empty.text_of(samples.DATABASE) == self._servers.full.text_of(samples.DATABASE)
        self._clear()

    def check_restored(self, holdfast: Holdfast, backup_id: str, empty_id: str) -> None:
        options = (f"--to-database={samples.RESTORED}", "--on", empty_id)
        answer = holdfast.run("restore.py", "restore", backup_id, *options)
        assert answer.returncode == 0, answer.stderr
        self._check(samples.RESTORED)
        self._clear()

    @property
    def _servers(self) -> Pair[PostgresqlServer]:
        return self.world.postgresql_in_containers if self.place.is_container else self.world.postgresql_here

    def _source_keys(self) -> dict[str, Any]:
        return self._keys_of(self._servers.full, samples.DATABASE)

    def _keys_of(self, server: PostgresqlServer, database: str) -> dict[str, Any]:
        socket_folder = "/var/lib/database" if self.place.is_container else str(server.socket_folder)
        by_socket = self.place in (Place.LOCAL, Place.DOCKER_OVER_SSH)
        info = {
            "TYPE": "postgres",
            "NAME": database,
            "USERNAME": samples.USER,
            "PASSWORD": "${DB_PASSWORD}",
            "HOST": socket_folder if by_socket else "127.0.0.1",
            "PORT": server.port,
        }
        return {"DB_INFO": info}

    def _run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        server = self._servers.empty
        command = [str(server.binaries / program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **server.environment})

    def _check(self, database: str) -> None:
        """Compare the database of this name on the empty server with the one that was backed up."""
        pair, fingerprint = self._servers, postgresql_fingerprint.database_fingerprint
        assert_same(fingerprint(pair.empty, database), fingerprint(pair.full, samples.DATABASE))
        for server in (pair.empty, pair.full):
            # As after a crash: it is the first process of its container, and not every orphan is good to it.
            assert "was terminated by signal" not in (server.socket_folder / "log").read_text()
        in_server = postgresql_fingerprint.server_fingerprint
        assert_same(in_server(pair.empty), in_server(pair.full))

    def _clear(self) -> None:
        server = self._servers.empty
        for name in json.loads(server.sql("SELECT json_agg(datname) FROM pg_database WHERE NOT datistemplate")):
            if name != "postgres":
                server.sql(f"DROP DATABASE {samples.quoted(name)}")
        for name in postgresql_fingerprint.server_fingerprint(server)["roles"]:
            if name != samples.USER:
                server.sql(f"DROP ROLE {samples.quoted(name)}")


class Mariadb(MatrixSource):
    kind = "DB_BACKUP"
    programs = frozenset({"mariadb-dump"})
    may_know_secrets = frozenset({"sh"})

    def keys_of_empty(self) -> dict[str, Any]:
        container = self._servers.containers[1] if self._servers.containers else None
        return {**self._keys_of(self._servers.empty, "any"), **self.world.host_keys(self.place, container)}

    @property
    def container(self) -> Container | None:
        return self._servers.containers[0] if self._servers.containers else None

    @property
    def secrets(self) -> dict[str, str]:
        return {**super().secrets, "DB_PASSWORD": self.world.password("MariaDB")}

    def check_unpacked(self, folder: Path) -> None:
        (entry,) = json.loads((folder / "databases.json").read_text())["databases"]
        empty, database = self._servers.empty, samples.backquoted(samples.MARIADB_DATABASE)
        empty.sql(f"CREATE DATABASE {database} CHARACTER SET {entry['charset']} COLLATE {entry['collation']}")
        empty.sql((folder / entry["member"]).read_text(), samples.MARIADB_DATABASE)
        empty.sql((folder / "users.sql").read_text(), stops_at_errors=False)
        self._check(samples.MARIADB_DATABASE)
        self._check_users()
        self._clear()

    def check_restored(self, holdfast: Holdfast, backup_id: str, empty_id: str) -> None:
        """Under another name, and then under its own, which the rights of the users are about."""
        for options in (
            (f"--to-database={samples.RESTORED}", "--no-accounts"),
            (f"--to-database={samples.MARIADB_DATABASE}",),
        ):
            answer = holdfast.run("restore.py", "restore", backup_id, *options, "--on", empty_id)
            assert answer.returncode == 0, answer.stderr
        self._check(samples.RESTORED)
        self._check(samples.MARIADB_DATABASE)
        self._check_users()
        self._clear()

    @property
    def _servers(self) -> Pair[MariadbServer]:
        return self.world.mariadb_in_containers if self.place.is_container else self.world.mariadb_here

    def _source_keys(self) -> dict[str, Any]:
        return self._keys_of(self._servers.full, samples.MARIADB_DATABASE)

    def _keys_of(self, server: MariadbServer, database: str) -> dict[str, Any]:
        socket = "/var/lib/database/socket" if self.place.is_container else str(server.socket)
        by_socket = self.place in (Place.LOCAL, Place.DOCKER_OVER_SSH)
        where = {"HOST": socket} if by_socket else {"HOST": "127.0.0.1", "PORT": server.port}
        info = {"TYPE": "mariadb", "NAME": database, "USERNAME": samples.USER, "PASSWORD": "${DB_PASSWORD}", **where}
        return {"DB_INFO": info}

    def _check(self, database: str) -> None:
        pair, fingerprint = self._servers, mariadb_fingerprint.database_fingerprint
        assert_same(fingerprint(pair.empty, database), fingerprint(pair.full, samples.MARIADB_DATABASE))

    def _check_users(self) -> None:
        found, expected = (
            mariadb_fingerprint.server_fingerprint(server, "root", samples.USER)
            for server in (self._servers.empty, self._servers.full)
        )
        assert_same(found, expected)

    def _clear(self) -> None:
        server = self._servers.empty
        for name in (samples.MARIADB_DATABASE, samples.RESTORED):
            server.sql(f"DROP DATABASE IF EXISTS {samples.backquoted(name)}")
        for user in mariadb_fingerprint.server_fingerprint(server, "root", samples.USER)["users"]:
            name, host = samples.backquoted(user["user"]), samples.backquoted(user["host"])
            server.sql(f"DROP USER {name}@{host}" if user["host"] else f"DROP ROLE {name}")


class _FromFolder(MatrixSource):
    """A source that lies in a folder of its own, below the one that containers see."""

    def __init__(self, world: World, place: Place) -> None:
        super().__init__(world, place)
        self._name = f"{type(self).__name__} {place.value} {_ODD_FOLDER}"
        self._folder = world.data / self._name
        self._folder.mkdir()

    @property
    def _seen(self) -> str:
        """Its path where it is read."""
        return f"{DATA_IN_CONTAINERS}/{self._name}" if self.place.is_container else str(self._folder)


class Sqlite(_FromFolder):
    kind = "DB_BACKUP"
    programs = frozenset({"sqlite3"})

    def __init__(self, world: World, place: Place) -> None:
        super().__init__(world, place)
        self._file = self._folder / '-s\'hop "x"; $(id) ü.db'
        with closing(sqlite3.connect(self._file)) as database:
            database.executescript(samples.SQLITE)

    def keys_of_empty(self) -> dict[str, Any]:
        return self.keys()

    def check_unpacked(self, folder: Path) -> None:
        (entry,) = json.loads((folder / "databases.json").read_text())["databases"]
        assert entry["name"] == f"{self._seen}/{self._file.name}"
        self._check(folder / entry["member"])

    def check_restored(self, holdfast: Holdfast, backup_id: str, empty_id: str) -> None:
        to = f"--to-database={self._seen}/{samples.RESTORED}"
        answer = holdfast.run("restore.py", "restore", backup_id, to, "--on", empty_id)
        assert answer.returncode == 0, answer.stderr
        self._check(self._folder / samples.RESTORED)

    def _source_keys(self) -> dict[str, Any]:
        return {"DB_INFO": {"TYPE": "sqlite", "FILE_PATH": f"{self._seen}/{self._file.name}"}}

    def _check(self, path: Path) -> None:
        fingerprint = sqlite_fingerprint.database_fingerprint
        assert_same(fingerprint(path), fingerprint(self._file))


def _node(kind: str, name: bytes, parent: int = 0, size: int = 0, **others: Any) -> Node:
    values: dict[str, Any] = {
        "mode": 0o640,
        "modified_ns": 1_700_000_000_123_456_789,
        "owner": 12345,
        "seed": size,
        "first": 0,
    }
    values |= {"is_sparse": False, "link_target": b"no/such $file", "extended_attributes": (), **others}
    return Node(kind, parent, name, size=size, **values)


_NODES = [
    _node("folder", "-rf 'a' \"b\"; $HOME ü".encode(), mode=0o2750),
    _node("folder", b"\xff not UTF-8", parent=1, mode=0o1777, modified_ns=981_173_106 * 10**9),
    _node("file", b"--to\nline\\n*", parent=1, size=3 * MIB + 17, mode=0o4755, owner=65534),
    _node("file", b"%41 ?[a]", parent=2, size=4097, mode=0, extended_attributes=(("user.b c", b"\0\xff"),)),
    _node("file", b"x" * 255, size=0),
    _node("file", "café 漢🎉".encode(), size=5000, modified_ns=1_000_000_000 * 10**9),
    _node("file", b"holes", size=40 * MIB, is_sparse=True),
    _node("hard link", b"the same", parent=2, first=0),
    _node("hard link", b"the same again", first=0),
    _node("symlink", b"to nowhere", parent=1),
    _node("symlink", b"out", link_target=b"/etc/passwd"),
    *(_node("file", b"small %d" % number, size=number * 37) for number in range(60)),
]


class Files(_FromFolder):
    """In containers it is GNU tar on one way, and busybox's on the other."""

    kind = "FILE_BACKUP"
    programs = frozenset({"tar"})

    def __init__(self, world: World, place: Place) -> None:
        super().__init__(world, place)
        self._tree = self._folder / "-tree; 'x'"
        make_whole_tree(_NODES, self._tree)
        (self._tree / "left out.tmp").touch()

    @property
    def container(self) -> Container | None:
        if self.place is Place.DOCKER:
            return self.world.small_container
        return super().container

    def check_unpacked(self, folder: Path) -> None:
        """A ZIP says neither which files are one, nor extended attributes."""
        found, expected = (
            {
                path: (each.kind, each.mode, each.owner, each.size, each.content)
                for path, each in describe_tree(root).items()
            }
            for root in (self._below(folder), self._tree)
        )
        del expected[b"left out.tmp"]
        assert_same(found, expected)

    def check_restored(self, holdfast: Holdfast, backup_id: str, _empty_id: str) -> None:
        folder = holdfast.folder / "restored"
        answer = holdfast.run("restore.py", "restore", backup_id, "--to", folder)
        assert answer.returncode == 0, answer.stderr
        expected = describe_tree(self._tree)
        del expected[b"left out.tmp"]
        found = describe_tree(self._below(folder))
        assert [text for text in differences(expected, found) if not self._is_beyond_tar(text)] == []

    def _below(self, folder: Path) -> Path:
        return restored(folder, Path(self._seen) / self._tree.name)

    def _is_beyond_tar(self, difference: str) -> bool:
        """Busybox's tar says whole seconds, no extended attributes and no holes."""
        parts = (": modified_ns was", ": extended_attributes was", ": data_extents was")
        return self.place is Place.DOCKER and any(part in difference for part in parts)

    def _source_keys(self) -> dict[str, Any]:
        return {"FILE_PATH": f"{self._seen}/{self._tree.name}", "EXCLUDE": ["*.tmp"]}


class Command(MatrixSource):
    kind = "COMMAND_BACKUP"
    programs = frozenset({"sleep"})
    may_know_secrets = frozenset({"sh", "sleep", "sha256sum"})

    _WORDS = ("-n", "a b", "it's", '"quoted"', "$HOME `id` $(id)", "a;b & c | d > e", "*", "\\n", "ü 🐘", "", "--")
    _SCRIPT = (
        'sleep 0.1; printf "%s\\0" "$@"; printf %s "$TOKEN" | sha256sum; '
        'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done'
    )
    _FILENAME = "-out 'put'; $x ü.bin"

    @property
    def container(self) -> Container | None:
        return self.world.small_container if self.place.is_container else None

    @property
    def secrets(self) -> dict[str, str]:
        return {**super().secrets, "TOKEN": self.world.password("command")}

    def check_unpacked(self, folder: Path) -> None:
        self._check(folder)

    def check_restored(self, holdfast: Holdfast, backup_id: str, _empty_id: str) -> None:
        folder = holdfast.folder / "restored"
        answer = holdfast.run("restore.py", "restore", backup_id, "--to", folder)
        assert answer.returncode == 0, answer.stderr
        self._check(folder)

    def _check(self, folder: Path) -> None:
        words = b"".join(word.encode() + b"\0" for word in self._WORDS)
        digest = hashlib.sha256(self.secrets["TOKEN"].encode()).hexdigest()
        assert [path.name for path in folder.iterdir()] == [self._FILENAME]
        assert (folder / self._FILENAME).read_bytes() == words + f"{digest}  -\n".encode() + bytes(range(256))

    def _source_keys(self) -> dict[str, Any]:
        return {
            "COMMAND": ["sh", "-c", self._SCRIPT, "sh", *self._WORDS],
            "FILENAME": self._FILENAME,
            "ENVIRONMENT": {"TOKEN": "${TOKEN}"},
        }


SOURCES: tuple[type[MatrixSource], ...] = (Files, Postgresql, Mariadb, Sqlite, Command)
