"""PostgreSQL: what is dumped is restored to the last row, whatever the names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from errors import RestoreError
from hosts.command import CommandHost
from hosts.local_command import LocalCommandHost
from model import DatabaseSource
from sources.programs import DESCRIPTION_PATH, dump_path
from tests.support.database_hosts import Dumped, Elsewhere, database_of, dumped, in_pieces
from tests.support.postgresql import PostgresqlServer, postgresql_server

HOSTS: list[CommandHost] = [LocalCommandHost(), Elsewhere()]
EVERYWHERE = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)

STRANGE_NAMES = [
    "a b",
    "it's",
    'say "hi"',
    "a=b",
    "dbname=postgres",
    "postgresql://other/",
    "semi;colon",
    "$HOME `id` $(id)",
    "--help",
    "-f",
    "größe 数据 🐘",
    "back\\slash",
    "a/b/../c",
    "..",
    "*",
    "line\nbreak",
    "100%",
]

ROLES = """
CREATE ROLE shop LOGIN PASSWORD 'Correct-Horse-7';
CREATE ROLE "reads all; x" NOLOGIN;
GRANT "reads all; x" TO shop;
COMMENT ON ROLE shop IS 'it''s the shop''s; -- role';
"""

SHOP = r"""
CREATE EXTENSION hstore; CREATE EXTENSION pgcrypto;
CREATE SCHEMA stock; CREATE TYPE stock.state AS ENUM ('new', 'sold');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE stock.numbers START 41; SELECT nextval('stock.numbers');
CREATE TABLE stock.item (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, price numeric(12, 2),
    gross numeric GENERATED ALWAYS AS (price * 1.19) STORED, tags hstore, picture bytea, state stock.state,
    count positive
);
INSERT INTO stock.item (name, price, tags, picture, state, count)
SELECT 'item ' || n || E' \t\\ ü 🐘', n / 7.0, hstore('n', n::text), digest(n::text, 'sha256'), 'sold', n
FROM generate_series(1, 5000) n;
CREATE INDEX ON stock.item USING gist (tags);
CREATE TABLE sale (day date, item bigint REFERENCES stock.item) PARTITION BY RANGE (day);
CREATE TABLE sale_2026 PARTITION OF sale FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO sale SELECT date '2026-01-01' + n, n + 1 FROM generate_series(0, 364) n;
CREATE TABLE log (line text); ALTER TABLE log ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log VALUES (NEW.name); RETURN NEW; END $$;
CREATE TRIGGER note AFTER INSERT ON stock.item FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO stock.item (name) VALUES ('noted');
CREATE VIEW cheap AS SELECT * FROM stock.item WHERE price < 10;
CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM stock.item;
CREATE TABLE empty ();
SELECT lo_from_bytea(4711, decode(repeat('00ff', 200000), 'hex')); COMMENT ON LARGE OBJECT 4711 IS 'large';
CREATE TABLE "odd ""name""; $x" ("a b" int); INSERT INTO "odd ""name""; $x" VALUES (1);
ALTER TABLE stock.item OWNER TO shop; GRANT SELECT ON sale TO "reads all; x"; GRANT USAGE ON SCHEMA stock TO shop;
ANALYZE;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        server.sql(ROLES)
        server.sql("CREATE DATABASE shop OWNER shop ENCODING 'UTF8' TEMPLATE template0;")
        server.sql(SHOP, "shop")
        server.sql("""COMMENT ON DATABASE shop IS 'the shop''s'; ALTER DATABASE shop SET search_path TO stock, "$user";
            ALTER DATABASE shop SET work_mem TO '7MB'; REVOKE ALL ON DATABASE shop FROM PUBLIC;
            GRANT CONNECT ON DATABASE shop TO "reads all; x" WITH GRANT OPTION;
            ALTER DATABASE shop CONNECTION LIMIT 77;
            ALTER ROLE "reads all; x" IN DATABASE shop SET statement_timeout TO '7min';
            ALTER ROLE shop IN DATABASE shop SET search_path TO stock, "$user";""")
        yield server


@pytest.fixture(scope="module")
def empty_server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        server.sql(ROLES)
        yield server


def source_of(server: PostgresqlServer, *names: str, **options: Any) -> DatabaseSource:
    options = {"username": server.superuser, "host": str(server.socket_folder), **options}
    return DatabaseSource("postgres", names, **options)


def restore(
    server: PostgresqlServer, dump: Dumped, name: str, host: CommandHost, new_name: str | None = None, **options: bool
) -> None:
    description = json.loads(dump.contents[DESCRIPTION_PATH])
    (original,) = [each for each in description["databases"] if each["name"] == name]
    data = dump.contents[original["member"].encode()]
    database = database_of(source_of(server), host)
    database.restore(in_pieces(data), new_name or name, original, **options)


def databases_of(server: PostgresqlServer) -> set[str]:
    return set(json.loads(server.sql("SELECT json_agg(datname) FROM pg_database WHERE NOT datistemplate")))


@EVERYWHERE
def test_a_database_comes_back_whole_on_an_empty_server(
    server: PostgresqlServer, empty_server: PostgresqlServer, host: CommandHost
) -> None:
    dump = dumped(source_of(server, "shop"), host)
    assert list(dump.contents) == [b"databases.json", b"globals.sql", b"databases/shop.dump"]
    assert dump.notes == []
    try:
        restore(empty_server, dump, "shop", host)
        assert empty_server.text_of("shop") == server.text_of("shop")
        assert empty_server.sql("SELECT md5(lo_get(4711))", "shop") == server.sql("SELECT md5(lo_get(4711))", "shop")
    finally:
        empty_server.sql("DROP DATABASE IF EXISTS shop")


def test_the_archive_records_what_was_dumped(server: PostgresqlServer) -> None:
    description = json.loads(dumped(source_of(server, "shop")).contents[DESCRIPTION_PATH])
    assert description["engine"] == "postgres"
    assert description["server_version"].startswith(server.sql("SHOW server_version").split()[0])
    (shop,) = description["databases"]
    assert shop["extensions"].keys() == {"plpgsql", "hstore", "pgcrypto"}
    rows = {(table["schema"], table["name"]): table["estimated_rows"] for table in shop["tables"]}
    assert rows["stock", "item"] == 5001
    assert (shop["owner"], shop["encoding"], shop["member"]) == ("shop", "UTF8", "databases/shop.dump")


@EVERYWHERE
@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_name_is_never_more_than_a_name(server: PostgresqlServer, host: CommandHost, name: str) -> None:
    new_name = name + "2"
    server.sql(f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
    try:
        server.sql("CREATE TABLE here (name text); INSERT INTO here VALUES (current_database());", name)
        # "*" alone asks for every database; beside another name it is a name.
        dump = dumped(source_of(server, name, "postgres"), host)
        restore(server, dump, name, host, new_name)
        assert json.loads(server.sql("SELECT to_json(name) FROM here", new_name)) == name
    finally:
        server.sql(f"DROP DATABASE {quoted(name)}; DROP DATABASE IF EXISTS {quoted(new_name)};")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@EVERYWHERE
def test_all_databases(server: PostgresqlServer, host: CommandHost) -> None:
    server.sql("CREATE DATABASE closed ALLOW_CONNECTIONS false; CREATE DATABASE other")
    try:
        dump = dumped(source_of(server, "*"), host)
        paths = {dump_path(name, "dump") for name in databases_of(server) - {"closed"}}
        assert dump.contents.keys() == {DESCRIPTION_PATH, b"globals.sql", *paths}
        assert [(note.path, note.reason) for note in dump.notes] == [
            (b"databases/closed.dump", "it is a database that allows no connections")
        ]
    finally:
        server.sql("DROP DATABASE closed; DROP DATABASE other;")


def test_a_missing_role_is_named_and_where_it_is_to_be_had(
    server: PostgresqlServer, empty_server: PostgresqlServer
) -> None:
    server.sql("CREATE ROLE stranger; CREATE DATABASE odd OWNER stranger")
    dump = dumped(source_of(server, "odd"))
    before = databases_of(empty_server)
    with pytest.raises(RestoreError, match=r'role "stranger" does not exist\n.*Restore the roles first'):
        restore(empty_server, dump, "odd", HOSTS[0])
    assert databases_of(empty_server) == before
    server.sql("DROP DATABASE odd; DROP ROLE stranger")


def test_an_existing_database_is_replaced_only_on_request(server: PostgresqlServer) -> None:
    dump = dumped(source_of(server, "shop"))
    server.sql("CREATE DATABASE taken")
    server.sql("CREATE TABLE mine ()", "taken")
    before = databases_of(server)
    with pytest.raises(RestoreError, match=r'There is a database "taken" on this machine already.*--replace'):
        restore(server, dump, "shop", HOSTS[0], "taken")
    assert server.sql("SELECT to_regclass('mine')", "taken") == "mine"
    restore(server, dump, "shop", HOSTS[0], "taken", replace=True)
    assert server.sql("SELECT count(*) FROM stock.item", "taken") == "5001"
    assert databases_of(server) == before
    server.sql("DROP DATABASE taken")
