"""Which database of a copy is meant, into which server it goes, and the accounts that belong to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operations.copies.stored_copies import list_copies, read_entries
from tests.support.holdfast import Holdfast
from tests.support.mariadb import MariadbServer, mariadb_server
from tests.support.postgresql import PostgresqlServer, postgresql_server

RAW = {"INTERVALS": "0 3 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": ""}]}


@pytest.fixture(scope="module")
def full() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        server.sql("CREATE ROLE shop LOGIN PASSWORD 'Correct-Horse-7'; CREATE ROLE reader")
        for name in ("shop", "a b", "stock"):
            server.sql(f'CREATE DATABASE "{name}" OWNER shop')
            server.sql(f"CREATE TABLE item AS SELECT n FROM generate_series(1, {len(name)}) n", name)
            server.sql("ALTER TABLE item OWNER TO shop; GRANT SELECT ON item TO reader", name)
        yield server


@pytest.fixture(scope="module")
def empty() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        server.sql("CREATE ROLE ordinary LOGIN PASSWORD 'Ordinary-Pony-4' CREATEDB")
        yield server


@pytest.fixture(scope="module")
def users() -> Iterator[MariadbServer]:
    with mariadb_server() as server:
        server.sql("CREATE DATABASE shop; CREATE TABLE shop.item (n int); CREATE USER clerk IDENTIFIED BY 'Clerk-99'")
        server.sql("GRANT SELECT ON shop.item TO clerk")
        yield server


def postgres(server: PostgresqlServer, *names: str, **keys: Any) -> dict[str, Any]:
    return {"NAME": list(names), "USERNAME": server.superuser, "HOST": str(server.socket_folder), **keys}


@pytest.fixture(scope="module")
def holdfast(
    full: PostgresqlServer,
    empty: PostgresqlServer,
    users: MariadbServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Holdfast:
    """Backups of everything; ``shop/empty`` and ``shop/ordinary`` name the empty server."""
    folder = tmp_path_factory.mktemp("installation")
    (folder / "file").write_text("file")
    mariadb = {"TYPE": "mariadb", "NAME": "shop", "USERNAME": users.superuser, "HOST": str(users.socket)}
    ordinary = postgres(empty, "postgres", USERNAME="ordinary", PASSWORD="Ordinary-Pony-4")
    databases = [
        {"NAME": "all", **RAW, "DB_INFO": postgres(full, "shop", "a b", "stock")},
        {"NAME": "one", **RAW, "DB_INFO": postgres(full, "shop")},
        {"NAME": "maria", **RAW, "DB_INFO": mariadb},
        {"NAME": "empty", **RAW, "DB_INFO": postgres(empty, "postgres")},
        {"NAME": "ordinary", **RAW, "DB_INFO": ordinary},
    ]
    command = {"NAME": "command", **RAW, "COMMAND": ["echo", "text"], "FILENAME": "said.txt"}
    files = {"NAME": "files", **RAW, "FILE_PATH": str(folder / "file")}
    backups = [{"DB_BACKUPS": databases}, {"COMMAND_BACKUP": [command]}, {"FILE_BACKUP": [files]}]
    holdfast = Holdfast(folder / "holdfast")
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": backups}]})
    finished = holdfast.run("backup.py", *(f"shop/{name}" for name in ("all", "one", "maria", "command", "files")))
    assert finished.returncode == 0, finished.stderr
    return holdfast


def names_of(server: PostgresqlServer) -> set[str]:
    return set(json.loads(server.sql("SELECT json_agg(datname) FROM pg_database WHERE NOT datistemplate")))


def roles_of(server: PostgresqlServer) -> set[str]:
    return set(json.loads(server.sql("SELECT json_agg(rolname) FROM pg_roles WHERE oid >= 16384")))


@pytest.fixture
def target(empty: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """The empty server; it is emptied again."""
    yield empty
    for name in names_of(empty) - {"postgres"}:
        empty.sql(f'DROP DATABASE "{name}"')
    for role in roles_of(empty) - {"ordinary"}:
        empty.sql(f'DROP ROLE "{role}"')


def restore(holdfast: Holdfast, *arguments: str) -> tuple[int, str]:
    """The exit code, and all that was said."""
    finished = holdfast.run("restore.py", "restore", *arguments)
    return finished.returncode, finished.stdout + finished.stderr


def test_roles_that_are_missing_are_made_and_said(holdfast: Holdfast, target: PostgresqlServer) -> None:
    code, said = restore(holdfast, "shop/one", "--to-database", "back", "--on", "shop/empty")
    assert code == 0, said
    assert "Made on this machine, as they were missing: reader, shop" in said
    assert target.sql("SELECT count(*) FROM item", "back") == "4"
    assert roles_of(target) == {"ordinary", "shop", "reader"}
    code, said = restore(holdfast, "shop/one", "--to-database", "again", "--on", "shop/empty")
    assert (code, "Made on" in said) == (0, False)


def test_without_accounts_what_is_missing_is_named(holdfast: Holdfast, target: PostgresqlServer) -> None:
    code, said = restore(holdfast, "shop/one", "--to-database", "back", "--on", "shop/empty", "--no-accounts")
    assert code == 1
    assert 'role "shop" does not exist' in said
    assert (names_of(target), roles_of(target)) == ({"postgres"}, {"ordinary"})


def test_a_user_who_may_make_no_roles_restores_the_data_all_the_same(
    holdfast: Holdfast, target: PostgresqlServer
) -> None:
    target.sql("CREATE ROLE shop; CREATE ROLE reader; GRANT shop TO ordinary; ALTER ROLE shop CREATEDB")
    target.sql("DROP ROLE reader")
    code, said = restore(holdfast, "shop/one", "--to-database", "back", "--on", "shop/ordinary")
    assert "The roles and tablespaces were not all restored." in said
    assert "--no-accounts leaves them out." in said
    # The table is granted to a role that nobody could make, so this is as far as it can work.
    assert (code, 'role "reader" does not exist' in said) == (1, True)
    target.sql("CREATE ROLE reader")
    code, said = restore(holdfast, "shop/one", "--to-database", "back", "--on", "shop/ordinary")
    assert code == 0, said
    assert target.sql("SELECT count(*) FROM item", "back") == "4"


def test_users_of_mariadb_come_after_the_tables_that_they_may_read(holdfast: Holdfast, users: MariadbServer) -> None:
    users.sql("DROP USER clerk; DROP DATABASE shop")
    code, said = restore(holdfast, "shop/maria", "--all-databases")
    assert code == 0, said
    assert "Made on this machine, as they were missing: clerk@%" in said
    assert "GRANT SELECT ON `shop`.`item` TO `clerk`@`%`" in users.sql("SHOW GRANTS FOR clerk")
    users.sql("DROP USER clerk")
    code, said = restore(holdfast, "shop/maria", "--to-database", "other", "--no-accounts")
    assert code == 0, said
    assert users.sql("SELECT count(*) FROM mysql.user WHERE user = 'clerk'") == "0"
    users.sql("DROP DATABASE other")


def test_one_of_several(holdfast: Holdfast, target: PostgresqlServer) -> None:
    arguments = ("shop/all", "--on", "shop/empty", "--to-database", "back")
    code, said = restore(holdfast, *arguments)
    assert code == 2
    assert "holds several databases: shop, a b, stock. Name the one that is meant" in said
    code, said = restore(holdfast, *arguments, "stoc")
    assert code == 2
    assert "holds no database stoc. It holds shop, a b, stock." in said
    assert restore(holdfast, *arguments, "stock", "shop")[0] == 2
    assert names_of(target) == {"postgres"}
    assert restore(holdfast, *arguments, "a b")[0] == 0
    assert target.sql("SELECT count(*) FROM item", "back") == "3"
    code, said = restore(holdfast, "shop/all", "--on", "shop/empty", "--to-database", "by path", "databases/stock.dump")
    assert code == 0, said
    assert target.sql("SELECT count(*) FROM item", "by path") == "5"


def test_all_of_them(holdfast: Holdfast, target: PostgresqlServer) -> None:
    target.sql("CREATE DATABASE stock")
    code, said = restore(holdfast, "shop/all", "--all-databases", "--on", "shop/empty")
    assert code == 1
    assert 'there is the database "stock" already, so nothing was restored' in said
    assert (names_of(target), roles_of(target)) == ({"postgres", "stock"}, {"ordinary"})
    code, said = restore(holdfast, "shop/all", "--all-databases", "--on", "shop/empty", "--replace")
    assert code == 0, said
    assert names_of(target) == {"postgres", "shop", "a b", "stock"}
    assert target.sql("SELECT count(*) FROM item", "stock") == "5"


def test_one_that_is_damaged_keeps_nobody_else_back(
    holdfast: Holdfast, target: PostgresqlServer, tmp_path: Path
) -> None:
    (backup,) = [each for each in holdfast.configuration().backups if each.id == "shop/all"]
    (copy,) = list_copies(backup).copies
    path = holdfast.storage / copy.keys.archive
    sound = path.read_bytes()
    (entry,) = [entry for entry in read_entries(copy) if entry.member.path == b"databases/a%20b.dump"]
    damaged = bytearray(sound)
    damaged[entry.data_offset + entry.packed_size // 2] ^= 0x10
    path.write_bytes(damaged)
    try:
        code, said = restore(holdfast, "shop/all", "--all-databases", "--on", "shop/empty", "--json")
    finally:
        path.write_bytes(sound)
    document = json.loads(said)
    assert code == 1
    assert [each["restored_as"] for each in document["databases"]] == ["shop", "stock"]
    (problem,) = document["problems"]
    assert problem.startswith("a b: ")
    assert "cannot be read as it was stored" in problem
    assert names_of(target) == {"postgres", "shop", "stock"}
    assert sorted(document["accounts"]) == ["reader", "shop"]


def test_the_database_in_which_the_server_is_asked_can_be_replaced(
    holdfast: Holdfast, target: PostgresqlServer
) -> None:
    options = ("--to-database", "postgres", "--on", "shop/empty")
    assert restore(holdfast, "shop/one", *options)[0] == 1
    code, said = restore(holdfast, "shop/one", *options, "--replace")
    assert code == 0, said
    assert target.sql("SELECT count(*) FROM item") == "4"
    target.sql("DROP TABLE item; ALTER DATABASE postgres OWNER TO holdfast")


def test_a_name_that_postgresql_would_cut_is_refused(holdfast: Holdfast, target: PostgresqlServer) -> None:
    code, said = restore(holdfast, "shop/one", "--to-database", "ü" * 32, "--on", "shop/empty")
    assert code == 1
    assert "is longer than the 63 bytes" in said
    assert names_of(target) == {"postgres"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop/command", "--to-database", "x"), "holds what a program wrote (said.txt)"),
        (("shop/command", "--to-database", "x"), "--to DIR"),
        (("shop/files", "--to-database", "x"), "holds files and no database. Restore them with --to DIR."),
        (("shop/files", "--all-databases"), "holds files and no database"),
        (("shop/one", "--to-database", "x", "--on", "shop/files"), "shop/files is no backup of a database"),
        (("shop/one", "--to-database", "x", "--on", "shop/maria"), "holds databases of TYPE postgres, and shop/maria"),
        (("shop/one", "--to-database", "x", "--on", "shop/none"), "There is no backup 'shop/none'"),
        (("shop/one", "--to-database", ""), "--to-database needs a name"),
        (("shop/one", "--all-databases", "shop"), "--all-databases takes no PATH"),
        (("shop/one", "--to-database", "x", "--overwrite", "never"), "--overwrite means nothing"),
        (("shop/one", "--to", "x", "--replace"), "--replace means nothing"),
        (("shop/one", "--to", "x", "--no-accounts"), "--no-accounts means nothing"),
        (("shop/one", "--to", "x", "--to-database", "y"), "not allowed with argument"),
        (("shop/one",), "one of the arguments --to --to-database --all-databases is required"),
    ],
)
def test_what_cannot_be_meant_is_said(holdfast: Holdfast, arguments: tuple[str, ...], message: str) -> None:
    code, said = restore(holdfast, *arguments)
    assert (code, message in said) == (2, True), said


def test_the_server_cannot_be_reached(holdfast: Holdfast, tmp_path: Path) -> None:
    broken = Holdfast(tmp_path / "broken")
    written = json.loads(holdfast.config.read_text())
    written["PROJECTS"][0]["BACKUPS"][0]["DB_BACKUPS"][3]["DB_INFO"]["HOST"] = str(tmp_path)
    broken.write(written)
    options = {"env": {"LOCAL_STORAGE_ROOT": str(holdfast.storage)}}
    arguments = ("restore", "shop/one", "--to-database", "x", "--on", "shop/empty")
    finished = broken.run("restore.py", *arguments, **options)
    assert finished.returncode == 1
    assert "cannot be used from this machine" in finished.stderr
    assert "Traceback" not in finished.stderr
