"""PostgreSQL: whatever goes wrong is an error that says what and where, and never a dump called good."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from errors import HoldfastError, HostileArchiveError, RestoreError, SourceError
from hosts.command import Command, CommandHost, RunningCommand
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Secret
from sources import postgres_client
from tests.support.database_hosts import Elsewhere, content_with, database_of, dumped, in_pieces
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.processes import command_lines, processes_of

HOSTS: list[CommandHost] = [LocalCommandHost(), Elsewhere()]
EVERYWHERE = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)

PASSWORD = "Canary-0815-canary"

# More than all pipes on the way hold, so that a dump is under way as long as nobody reads on.
BIG = """
CREATE TABLE big (id int, data bytea);
INSERT INTO big SELECT n, decode(repeat(md5(n::text), 2000), 'hex') FROM generate_series(1, 400) n;
ALTER TABLE big OWNER TO owner; GRANT SELECT ON big TO reader;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with big_server() as server:
        yield server


@contextmanager
def big_server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        for role in ("reader LOGIN", "owner LOGIN CREATEDB"):
            server.sql(f"CREATE ROLE {role} PASSWORD '{PASSWORD}'")
        server.sql("CREATE DATABASE shop OWNER owner")
        server.sql(BIG, "shop")
        yield server


def source_of(server: PostgresqlServer, name: str = "shop", **options: Any) -> DatabaseSource:
    options = {"username": "reader", "password": Secret(PASSWORD), "host": str(server.socket_folder), **options}
    return DatabaseSource("postgres", (name,), **options)


def dump_until(source: DatabaseSource, host: CommandHost, in_the_middle: Callable[[], None]) -> bytes:
    """The dump of the last database, with something happening after its first chunk."""
    *_, member = database_of(source, host).members()
    return content_with(member, in_the_middle)


@EVERYWHERE
def test_a_wrong_password(server: PostgresqlServer, host: CommandHost) -> None:
    with pytest.raises(SourceError, match=f'"shop" at .* cannot be used from {host.name}.*') as caught:
        dumped(source_of(server, password=Secret("Wrong-Password-11")), host)
    assert 'password authentication failed for user "reader"' in str(caught.value)
    assert "Wrong-Password-11" not in str(caught.value)


@EVERYWHERE
def test_a_missing_database(server: PostgresqlServer, host: CommandHost) -> None:
    with pytest.raises(SourceError, match=r'database "nowhere" does not exist'):
        dumped(source_of(server, "nowhere"), host)


@EVERYWHERE
def test_a_server_that_is_not_there(tmp_path: Path, host: CommandHost) -> None:
    with pytest.raises(SourceError, match=r"No such file or directory"):
        dumped(DatabaseSource("postgres", ("shop",), "reader", host=str(tmp_path)), host)


@EVERYWHERE
def test_a_table_that_may_not_be_read_is_named_before_the_dump(server: PostgresqlServer, host: CommandHost) -> None:
    server.sql('CREATE TABLE "not; yours" ()', "shop")
    try:
        with pytest.raises(SourceError, match=r'reader may not read .*: public."not; yours".*GRANT pg_read_all_data'):
            database_of(source_of(server), host).preflight()
    finally:
        server.sql('DROP TABLE "not; yours"', "shop")


def test_an_ordinary_user_dumps_roles_without_their_passwords_and_it_is_said(server: PostgresqlServer) -> None:
    dump = dumped(source_of(server))
    assert b"CREATE ROLE reader;" in dump.contents[b"globals.sql"]
    assert b"SCRAM" not in dump.contents[b"globals.sql"]
    assert [note.reason for note in dump.notes] == [
        "the passwords of roles, which reader may not read: only a superuser may"
    ]


def test_a_client_that_is_older_than_the_server_is_named(
    server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "psql").symlink_to(server.binaries / "psql")
    monkeypatch.setattr(postgres_client, "PLACES", str(program))
    with pytest.raises(
        SourceError, match=r"pg_dump on this machine is .*/pg_dump of version 9\.6\.24.*postgresql-client-\d\d"
    ):
        dumped(source_of(server))


def test_no_client_at_all(server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_client, "PLACES", str(tmp_path / "pg_dump"))
    with pytest.raises(SourceError, match=r"There is no pg_dump on this machine"):
        dumped(source_of(server))


@pytest.mark.parametrize(
    ("client", "server_version", "suits"),
    [
        ("15.4", "15.18", True),
        ("16", "9.6.3", True),
        ("14.9", "15.0", False),
        ("9.5.1", "9.6", False),
        ("9.6", "10.1", False),
    ],
)
def test_which_client_suits_which_server(client: str, server_version: str, *, suits: bool) -> None:
    installed = postgres_client.Client("", postgres_client.parse_version(client))
    assert installed.suits(postgres_client.parse_version(server_version)) is suits


@EVERYWHERE
def test_a_connection_ended_by_the_server_in_mid_dump(server: PostgresqlServer, host: CommandHost) -> None:
    def terminate() -> None:
        question = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'holdfast'"
        assert server.sql(question) == "1"

    with pytest.raises(
        SourceError, match=rf'"shop" was not dumped. The program pg_dump on {host.name} ended with .* 1'
    ):
        dump_until(source_of(server), host, terminate)


@pytest.mark.parametrize(
    ("number", "ending"),
    [
        (signal.SIGKILL, "was ended by SIGKILL"),
        (signal.SIGTERM, "ended with exit status 1:\npg_dump: terminated by user"),
    ],
)
def test_pg_dump_killed(server: PostgresqlServer, number: signal.Signals, ending: str) -> None:
    def kill() -> None:
        ours = [pid for pid, line in processes_of("pg_dump").items() if b"dbname='shop'" in line]
        assert len(ours) == 1
        os.kill(ours[0], number)

    with pytest.raises(SourceError, match=f"pg_dump on this machine {ending}"):
        dump_until(source_of(server), HOSTS[0], kill)


def test_the_server_stopped_in_mid_dump() -> None:
    with big_server() as server, pytest.raises(SourceError, match=r'"shop" was not dumped'):
        dump_until(source_of(server), HOSTS[0], server.end)


class Cutting:
    """A host on which a part of what pg_dump writes is lost, although it ends well."""

    name = "a host that loses bytes"

    def __init__(self, cut: Callable[[bytes], bytes]) -> None:
        self._host = LocalCommandHost()
        self._cut = cut
        self.has_cut = False

    def start(self, command: Command, *, feeds_input: bool = False) -> RunningCommand:
        running = self._host.start(command, feeds_input=feeds_input)
        if "--format=custom" in command.argv:
            whole, cut = running.chunks, self._cut

            def chunks() -> Iterator[bytes]:
                data = b"".join(whole())
                self.has_cut = cut(data) != data
                yield from in_pieces(cut(data))

            running.chunks = chunks  # type: ignore[method-assign]
        return running

    def close(self) -> None:
        self._host.close()


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda data: b"", "pg_restore cannot read"),
        (lambda data: data[:4], "pg_restore cannot read"),
        (lambda data: data[:1000], "pg_restore cannot read"),
        (lambda data: b"x" + data, "pg_restore cannot read"),
        (lambda data: data[:-1], "a part is missing"),
        (lambda data: data[:-5], "a part is missing"),
        (lambda data: data[: len(data) // 2], "a part is missing"),
        (lambda data: data + b"\n", "a part is missing"),
    ],
)
def test_a_dump_that_is_not_whole_is_found_although_pg_dump_ended_well(
    server: PostgresqlServer, cut: Callable[[bytes], bytes], message: str
) -> None:
    host = Cutting(cut)
    with pytest.raises(SourceError, match=message):
        dumped(source_of(server), host)
    assert host.has_cut


def test_a_database_without_any_table_is_no_damaged_dump(server: PostgresqlServer) -> None:
    server.sql("CREATE DATABASE bare")
    assert dumped(source_of(server, "bare")).contents[b"databases/bare.dump"].startswith(b"PGDMP")
    server.sql("DROP DATABASE bare")


# --- restoring ---


def owned(server: PostgresqlServer) -> DatabaseSource:
    return source_of(server, username=server.superuser, password=None)


def left_behind(server: PostgresqlServer) -> str:
    return server.sql("SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate")


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("length", [0, 100, 5000, 1_000_000])
def test_a_cut_dump_restores_nothing_and_leaves_nothing(
    server: PostgresqlServer, length: int, *, replace: bool
) -> None:
    dump = dumped(source_of(server)).contents[b"databases/shop.dump"]
    assert len(dump) > 1_000_000
    before, rows = left_behind(server), server.sql("SELECT count(*) FROM big", "shop")
    name = "shop" if replace else "new"
    with pytest.raises(RestoreError, match=rf'The database "{name}" was not restored. The program pg_restore'):
        database_of(owned(server), HOSTS[0]).restore(in_pieces(dump[:length]), name, None, replace=replace)
    assert left_behind(server) == before
    assert server.sql("SELECT count(*) FROM big", "shop") == rows


@EVERYWHERE
def test_a_dump_whose_reading_fails_leaves_nothing(server: PostgresqlServer, host: CommandHost) -> None:
    dump = dumped(source_of(server)).contents[b"databases/shop.dump"]
    before = left_behind(server)

    def failing() -> Iterator[bytes]:
        yield dump[:2_000_000]
        raise HoldfastError("The archive is damaged.")

    with pytest.raises(HoldfastError, match=r"^The archive is damaged.$"):
        database_of(owned(server), host).restore(failing(), "new")
    assert left_behind(server) == before


def test_a_database_in_use_is_not_replaced(server: PostgresqlServer) -> None:
    import psycopg2  # type: ignore[import-untyped]

    dump = dumped(source_of(server)).contents[b"databases/shop.dump"]
    server.sql("CREATE DATABASE used")
    before = left_behind(server)
    connection = psycopg2.connect(dbname="used", host=str(server.socket_folder), user=server.superuser)
    try:
        with pytest.raises(RestoreError, match=r'"used" is being accessed by other users'):
            database_of(owned(server), HOSTS[0]).restore(in_pieces(dump), "used", replace=True)
    finally:
        connection.close()
    assert left_behind(server) == before
    server.sql("DROP DATABASE used")


def test_roles_come_back_with_their_passwords_and_existing_ones_stay_as_they_are(server: PostgresqlServer) -> None:
    roles = """CREATE ROLE "odd; name" NOLOGIN;
        CREATE ROLE extra LOGIN CREATEDB PASSWORD 'Canary-2222-canary' VALID UNTIL '2030-01-01';
        ALTER ROLE extra SET search_path TO 'a b', public; GRANT "odd; name" TO extra WITH ADMIN OPTION;
        COMMENT ON ROLE extra IS E'line\\nbreak \\\\! it''s; -- x';"""
    server.sql(roles)
    dump = dumped(owned(server))
    with postgresql_server() as other:
        other.sql("CREATE ROLE reader CREATEROLE")
        database = database_of(owned(other), HOSTS[0])
        made = database.restore_accounts([dump.contents[b"globals.sql"]])
        assert sorted(made) == ["extra", "odd; name", "owner"]
        other.sql(f"ALTER ROLE reader NOCREATEROLE LOGIN PASSWORD '{PASSWORD}'")
        server.sql("ALTER ROLE reader PASSWORD NULL")
        other.sql("ALTER ROLE reader PASSWORD NULL")
        assert other.text_of_globals() == server.text_of_globals()
        assert database.restore_accounts([dump.contents[b"globals.sql"]]) == []
    server.sql(f"ALTER ROLE reader PASSWORD '{PASSWORD}'; DROP ROLE extra, \"odd; name\"")


@pytest.mark.parametrize(
    "text",
    [
        "\\! touch {file}\n",
        "CREATE ROLE x; \\! touch {file}\n",
        "CREATE ROLE x;\\! touch {file}\n",
        "COMMENT ON ROLE x IS E'\\'' \\! touch {file} ';\n",
        "COMMENT ON ROLE x IS e'\\'' \\! touch {file} ';\n",
        "/* ' */ \\! touch {file}\n/* ' */;\n",
        "CREATE ROLE x$$ ' $$ \\! touch {file}\n';",
        "\\restrict abc\\! touch {file}\n",
        "\\restrict abc \\! touch {file}\n",
        "COPY (SELECT 1) TO PROGRAM 'touch {file}';",
        "DROP ROLE owner;",
        "U&'\\'' \\! touch {file}';",
    ],
)
def test_globals_that_would_run_a_command_are_refused(server: PostgresqlServer, tmp_path: Path, text: str) -> None:
    file = tmp_path / "touched"
    before = server.text_of_globals()
    with pytest.raises(HostileArchiveError, match=r"pg_dumpall does not write"):
        database_of(owned(server), HOSTS[0]).restore_accounts([text.format(file=file).encode()])
    assert not file.exists()
    assert server.text_of_globals() == before


# --- secrets ---


def test_no_password_is_in_any_command_line(server: PostgresqlServer) -> None:
    seen: list[bytes] = []
    host = Elsewhere()
    dump = dump_until(source_of(server), host, lambda: seen.extend(command_lines()))

    def watched() -> Iterator[bytes]:
        for piece in in_pieces(dump, 5_000_000):
            yield piece
            seen.extend(command_lines())

    source = source_of(server, username="owner")
    database_of(source, host).restore(watched(), "restored")
    server.sql("DROP DATABASE restored")
    text = b"\n".join(seen)
    assert b"pg_dump" in text
    assert b"pg_restore" in text
    assert PASSWORD.encode() not in text
