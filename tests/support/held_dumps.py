"""Databases whose dump is held in the middle: by a lock of another session, for as long as a test needs.

So a fault in mid-dump needs no guess about time: the dump program runs, a part of its output has come, and it waits.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from tests.support.faulty_run import CANARY, blocks_to_see, wait_until
from tests.support.mariadb import MariadbServer
from tests.support.postgresql import PostgresqlServer

DATABASE = "shop"
USER = "dumper"
PASSWORD = f"{CANARY}-of-the-database"

# Each is 130 bytes of a dump.
_ROWS = 8_500 * blocks_to_see()

_POSTGRES = f"""
CREATE TABLE item AS SELECT n, sha512(n::text::bytea) AS data FROM generate_series(1, {_ROWS}) n;
SELECT lo_from_bytea(4711, sha512('x'));
"""

_MARIADB = f"""
CREATE TABLE a_item (id INT PRIMARY KEY, data VARBINARY(64));
INSERT INTO a_item SELECT seq, UNHEX(SHA2(seq, 512)) FROM seq_1_to_{_ROWS};
CREATE TABLE z_last (id INT PRIMARY KEY); INSERT INTO z_last VALUES (1);
"""


def fill_postgresql(server: PostgresqlServer) -> None:
    """The database, and a user who may read all of it."""
    server.sql(f"CREATE ROLE {USER} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    server.sql(f"CREATE DATABASE {DATABASE}")
    server.sql(_POSTGRES, DATABASE)


def fill_mariadb(server: MariadbServer) -> None:
    """The database, and a user who may read all of it."""
    server.sql(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO {USER}@'%';")
    server.sql(f"CREATE DATABASE {DATABASE}")
    server.sql(_MARIADB, DATABASE)


class HeldPostgresql:
    """pg_dump reads tables first and large objects last, for which it has to wait here."""

    def __init__(self, server: PostgresqlServer) -> None:
        self._server = server
        self._connection = self._connected()

    def wait(self) -> None:
        """Until pg_dump waits."""
        waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'holdfast' AND wait_event_type = 'Lock'"
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            connection.autocommit = True

            def is_waiting() -> bool:
                cursor.execute(waits)
                return cursor.fetchone() is not None

            wait_until(is_waiting)

    def terminate_dump(self) -> None:
        """``pg_terminate_backend``, as an administrator may do."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast'"
        assert self._server.sql(ended) == "t"

    def release(self) -> None:
        """No session of a dump is left after it, unless the server itself is gone."""
        import psycopg2  # type: ignore[import-untyped]

        with suppress(psycopg2.Error):
            self._connection.rollback()
        self._connection.close()
        if self._server.process.poll() is None:
            sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast'"
            wait_until(lambda: self._server.sql(sessions) == "0")

    def _connected(self) -> Any:
        import psycopg2

        server = self._server
        folder = str(server.socket_folder)
        return psycopg2.connect(dbname=DATABASE, host=folder, port=server.port, user=server.superuser)

    def hold(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("LOCK TABLE pg_largeobject IN ACCESS EXCLUSIVE MODE")


class HeldMariadb:
    """mariadb-dump reads the tables by their names; it has to wait for the last one here."""

    _DUMPS = "information_schema.processlist WHERE state = 'Waiting for table metadata lock'"

    def __init__(self, server: MariadbServer) -> None:
        self._server = server
        command = ["mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root", "--batch", "--unbuffered"]
        command += ["--skip-column-names", DATABASE]
        self._client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hold(self) -> None:
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write("LOCK TABLES z_last WRITE; SELECT 'held';\n")
        self._client.stdin.flush()
        assert self._client.stdout.readline() == "held\n"

    def wait(self) -> None:
        """Until mariadb-dump waits."""
        wait_until(lambda: self._server.sql(f"SELECT 1 FROM {self._DUMPS}") == "1")

    def terminate_dump(self) -> None:
        """``KILL``, as an administrator may do."""
        identity = self._server.sql(f"SELECT id FROM {self._DUMPS}")
        self._server.sql(f"KILL {identity}")

    def release(self) -> None:
        """No session of a dump is left after it, unless the server itself is gone."""
        self._client.communicate()
        if self._server.process.poll() is None:
            sessions = f"SELECT count(*) FROM information_schema.processlist WHERE user = '{USER}'"
            wait_until(lambda: self._server.sql(sessions) == "0")


@contextmanager
def held_postgresql(server: PostgresqlServer) -> Iterator[HeldPostgresql]:
    """Every dump of the server's database stops in the middle, until the end of the block."""
    held = HeldPostgresql(server)
    try:
        held.hold()
        yield held
    finally:
        held.release()


@contextmanager
def held_mariadb(server: MariadbServer) -> Iterator[HeldMariadb]:
    """Every dump of the server's database stops in the middle, until the end of the block."""
    held = HeldMariadb(server)
    try:
        held.hold()
        yield held
    finally:
        held.release()
