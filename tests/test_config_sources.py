"""Databases and commands as they arrive in the model, and the programs around a backup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config import load_configuration
from model import Backup, CommandSource, DatabaseSource, Hooks, Secret, Source
from tests.support.configurations import HOME, command_backup, db_backup, file_backup, load, write


def database(folder: Path, written: str, **keys: str) -> Source:
    return load(folder, db_backup(DB_INFO=written, **keys), {"SECRET": "geheim"}).backups[0].source


def command(folder: Path, **keys: str) -> Source:
    return load(folder, command_backup(**keys), {"SECRET": "geheim"}).backups[0].source


# --- databases ----------------------------------------------------------------------------------------------------


def test_every_key_of_postgres(tmp_path: Path) -> None:
    written = """{TYPE: postgres, NAME: shop, USERNAME: shop user, PASSWORD: "${SECRET}", HOST: db.example.com,
              PORT: 5433, SSLMODE: Verify-Full, SSLROOTCERT: ~/ca.crt, SSLCERT: /user.crt, SSLKEY: /user.key}"""
    assert database(tmp_path, written) == DatabaseSource(
        engine="postgres",
        names=("shop",),
        username="shop user",
        password=Secret("geheim"),
        host="db.example.com",
        port=5433,
        settings={
            "SSLMODE": "verify-full",
            "SSLROOTCERT": f"{HOME}/ca.crt",
            "SSLCERT": "/user.crt",
            "SSLKEY": "/user.key",
        },
    )


def test_a_service_of_postgres(tmp_path: Path) -> None:
    assert database(tmp_path, "{NAME: shop, SERVICE: my shop, PASSWORD: a}") == DatabaseSource(
        "postgres", ("shop",), password=Secret("a"), settings={"SERVICE": "my shop"}
    )


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_every_key_of_mariadb_and_mysql(engine: str, tmp_path: Path) -> None:
    written = f"""{{TYPE: {engine}, NAME: [a, b], USERNAME: u, PASSWORD: '', HOST: 2001:db8::1, PORT: 3307,
              SSL_CA: /ca, SSL_CERT: /cert, SSL_KEY: /key}}"""
    assert database(tmp_path, written, DOCKER="{CONTAINER_NAME: c}") == DatabaseSource(
        engine,
        ("a", "b"),
        "u",
        Secret(""),
        "2001:db8::1",
        3307,
        {"SSL_CA": "/ca", "SSL_CERT": "/cert", "SSL_KEY": "/key"},
    )


@pytest.mark.parametrize("engine", ["postgres", "mariadb", "mysql"])
def test_servers_with_nothing_but_a_name(engine: str, tmp_path: Path) -> None:
    assert database(tmp_path, f"{{TYPE: {engine}, NAME: shop}}") == DatabaseSource(engine, ("shop",))


@pytest.mark.parametrize(
    ("written", "paths"), [("/srv/a.db", ("/srv/a.db",)), ("[/srv//a.db, ~/b.db]", ("/srv/a.db", f"{HOME}/b.db"))]
)
def test_sqlite(written: str, paths: tuple[str, ...], tmp_path: Path) -> None:
    assert database(tmp_path, f"{{TYPE: SQLite, FILE_PATH: {written}}}") == DatabaseSource("sqlite", paths)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ('"*"', ("*",)),
        ('["*"]', ("*",)),
        ("[a, A]", ("a", "A")),
        ("-c", ("-c",)),
        ("--all", ("--all",)),
        ('"it\'s; $(rm) `x` \\"y\\" \\\\"', ('it\'s; $(rm) `x` "y" \\',)),
        ("' a  b '", (" a  b ",)),
        ("größe-数据库-🐘", ("größe-数据库-🐘",)),
        ("dbname=x host=y", ("dbname=x host=y",)),
        ("[0123, yes, null]", ("0123", "yes", "null")),
    ],
)
def test_names_of_databases(written: str, names: tuple[str, ...], tmp_path: Path) -> None:
    assert database(tmp_path, f"{{NAME: {written}}}") == DatabaseSource("postgres", names)


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("/var/run/postgresql/", "/var/run/postgresql"),
        ("/run/mysqld/my sqld.sock", "/run/mysqld/my sqld.sock"),
    ],
)
def test_where_a_database_listens(written: str, host: str, tmp_path: Path) -> None:
    assert database(tmp_path, f"{{NAME: a, HOST: {written}}}") == DatabaseSource("postgres", ("a",), host=host)


# --- commands -----------------------------------------------------------------------------------------------------


def test_a_command_with_everything(tmp_path: Path) -> None:
    assert command(
        tmp_path,
        NAME="directory",
        COMMAND="[slapcat, -n, 1, '', ' a  b', '*', null, '$HOME $${X}']",
        FILENAME="größe 1.ldif",
        ENVIRONMENT='{API_TOKEN: "${SECRET}", PIN: 0123, EMPTY: "", NOTHING: , _a1: null}',
    ) == CommandSource(
        argv=("slapcat", "-n", "1", "", " a  b", "*", "null", "$HOME ${X}"),
        filename="größe 1.ldif",
        environment={
            "API_TOKEN": Secret("geheim"),
            "PIN": Secret("0123"),
            "EMPTY": Secret(""),
            "_a1": Secret("null"),
        },
    )


def test_a_program_alone_needs_no_list(tmp_path: Path) -> None:
    assert command(tmp_path, COMMAND="/usr/sbin/slapcat") == CommandSource(("/usr/sbin/slapcat",), "directory.ldif")


def test_an_unnamed_command_is_called_command(tmp_path: Path) -> None:
    assert load(tmp_path, command_backup()).backups[0].id == "shop/command"
    assert load(tmp_path, command_backup(NAME="directory")).backups[0].id == "shop/directory"


@pytest.mark.parametrize(
    ("written", "warnings"),
    [("{API_TOKEN: a}", 1), ("{MODE: fast}", 1), ("{LANG: C.UTF-8, LC_ALL: C, TZ: UTC}", 0), ('{PIN: "${SECRET}"}', 0)],
)
def test_variables_of_a_command_are_secrets_but_for_public_ones(written: str, warnings: int, tmp_path: Path) -> None:
    path = write(tmp_path, command_backup(ENVIRONMENT=written))
    path.chmod(0o644)
    assert len(load_configuration(path, {"SECRET": "geheim"}).warnings) == warnings


def test_a_public_variable_is_a_plain_text(tmp_path: Path) -> None:
    source = command(tmp_path, ENVIRONMENT='{LANG: C.UTF-8, LANGUAGE: "de"}')
    assert isinstance(source, CommandSource)
    assert source.environment == {"LANG": "C.UTF-8", "LANGUAGE": Secret("de")}


# --- around a backup ----------------------------------------------------------------------------------------------

HOOKS = {"BEFORE": "[systemctl, stop, shop]", "AFTER": "true", "ON_FAILURE": "[sh, -c, 'echo \"$0\" | mail root']"}
MEANT = Hooks(("systemctl", "stop", "shop"), ("true",), ("sh", "-c", 'echo "$0" | mail root'))


@pytest.mark.parametrize("kind", [file_backup, db_backup, command_backup])
def test_programs_around_every_kind_of_backup(kind: Callable[..., str], tmp_path: Path) -> None:
    assert load(tmp_path, kind(**HOOKS)).backups[0].hooks == MEANT
    assert load(tmp_path, kind()).backups[0].hooks == Hooks()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1),
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1d", 86_400),
        ("30d", 2_592_000),
        ('"2 h"', 7200),
        ("", None),
    ],
)
def test_how_long_a_run_may_take(written: str, seconds: int | None, tmp_path: Path) -> None:
    assert load(tmp_path, file_backup(TIMEOUT=written)).backups[0].timeout == seconds


@pytest.mark.parametrize(("written", "retries"), [("0", 0), ("2", 2), ("10", 10), ("", 0)])
def test_how_often_a_run_is_tried_again(written: str, retries: int, tmp_path: Path) -> None:
    assert load(tmp_path, file_backup(RETRIES=written)).backups[0].retries == retries


DEFAULTS = "DEFAULTS: {BEFORE: [a, b], AFTER: [c], ON_FAILURE: d, TIMEOUT: 2h, RETRIES: 2}\n"


def around(backup: Backup) -> tuple[Hooks, int | None, int]:
    return backup.hooks, backup.timeout, backup.retries


def test_defaults_hold_around_every_kind_of_backup(tmp_path: Path) -> None:
    groups = [kind().split("BACKUPS:\n")[1] for kind in (db_backup, command_backup)]
    backups = load(tmp_path, DEFAULTS + file_backup() + "".join(groups)).backups
    assert [around(backup) for backup in backups] == [(Hooks(("a", "b"), ("c",), ("d",)), 7200, 2)] * 3


def test_a_backup_can_say_otherwise_or_have_no_program(tmp_path: Path) -> None:
    keys = {"BEFORE": "[]", "AFTER": "[e, f]", "TIMEOUT": "1m", "RETRIES": "0"}
    (backup,) = load(tmp_path, DEFAULTS + file_backup(**keys)).backups
    assert around(backup) == (Hooks((), ("e", "f"), ("d",)), 60, 0)
