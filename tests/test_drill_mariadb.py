"""Drills of MariaDB databases: what cannot be restored is found, and what this machine lacks is no such thing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sources.mariadb
from model import CheckOutcome, DatabaseSource
from operations.copies.stored_copies import StoredCopy
from tests.support.database_samples import MARIADB, MARIADB_DATABASE, MARIADB_USERS, backquoted
from tests.support.drills import (
    change_descriptions,
    change_dumps,
    copy_of_source,
    drill,
    drill_base,
    owned_by_nobody,
    processes_in,
    result_of,
    start_drill,
    wait_until,
)
from tests.support.mariadb import MariadbServer, mariadb_server

ROWS = 2000
SHOP = f"""
CREATE TABLE item (n int PRIMARY KEY, text varchar(100));
INSERT INTO item SELECT seq, concat('row ', seq) FROM seq_1_to_{ROWS}; CREATE TABLE empty (n int);
ANALYZE TABLE item, empty;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    with mariadb_server() as server:
        server.sql("CREATE DATABASE shop")
        server.sql(SHOP, "shop")
        yield server


@pytest.fixture
def base() -> Iterator[Path]:
    with drill_base() as base:
        yield base


def copy_of(server: MariadbServer, tmp_path: Path, *names: str) -> StoredCopy:
    source = DatabaseSource("mariadb", names or ("shop",), server.superuser, host=str(server.socket))
    return copy_of_source(tmp_path / "storage", source)


def test_a_database_passes(server: MariadbServer, base: Path, tmp_path: Path) -> None:
    report = drill(copy_of(server, tmp_path), base, f"SELECT count(*) = {ROWS} FROM item;", "select 0.5 -- for true")
    assert report.outcome is CheckOutcome.PASSED, report.sentences()
    compared = report.compared
    assert (compared.databases, compared.tables, compared.rows, compared.assertions) == (1, 2, ROWS, 2)
    assert report.remarks == []
    assert report.tried_with.startswith("MariaDB ")


def test_all_that_a_server_may_have_passes(server: MariadbServer, base: Path, tmp_path: Path) -> None:
    """Odd names, users, sequences, views, routines, events, tables that keep their history."""
    name = backquoted(MARIADB_DATABASE)
    server.sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    server.sql(MARIADB, MARIADB_DATABASE)
    server.sql(MARIADB_USERS)
    try:
        report = drill(copy_of(server, tmp_path, "*"), base)
        assert report.outcome is CheckOutcome.PASSED, report.sentences()
        assert report.compared.databases == 2
        # Only one of the databases: rights to tables of the other one cannot be given.
        report = drill(copy_of_source(tmp_path / "one" / "storage", source_of(server, "shop")), base)
        assert report.outcome is CheckOutcome.PASSED, report.sentences()
        (remark,) = report.remarks
        assert remark.startswith("users.sql was not restored as a whole.")
    finally:
        server.sql(f"DROP DATABASE {name}")


def source_of(server: MariadbServer, *names: str) -> DatabaseSource:
    return DatabaseSource("mariadb", names, server.superuser, host=str(server.socket))


# --- what cannot be restored ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sound", "damaged", "reason"),
    [
        (b"(1000,'row", b"(1x00,'row", "Unknown column '1x00'"),
        (
            b"(1000,'row",
            b"(1001,'row",
            "ERROR ",
        ),  # in some versions "Operation not permitted" in place of the duplicate
        (b"CREATE TABLE `empty`", b"CREATE TABEL `empty`", "You have an error in your SQL syntax"),
    ],
)
def test_damaged_data_in_a_whole_frame(
    server: MariadbServer,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sound: bytes,
    damaged: bytes,
    reason: str,
) -> None:
    """Its last line is there, its CRC-32 is that of the damaged bytes, and nobody but a restore finds it."""
    sizes = change_dumps(monkeypatch, sources.mariadb, lambda data: data.replace(sound, damaged))
    report = drill(copy_of(server, tmp_path), base, "SELECT true")
    assert len(sizes) == 1
    assert report.outcome is CheckOutcome.FAILED
    (problem,) = report.problems
    assert problem.startswith("databases/shop.sql: ")
    assert reason in problem
    assert "row 1" not in problem, "the rows of the person"


def test_rows_that_are_missing(
    server: MariadbServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_rows(data: bytes) -> bytes:
        lines = data.split(b"\n")
        return b"\n".join(line for line in lines if b"'row " not in line and not line.startswith(b"INSERT"))

    sizes = change_dumps(monkeypatch, sources.mariadb, without_rows)
    report = drill(copy_of(server, tmp_path), base)
    assert sizes[0] < 10_000
    assert report.outcome is CheckOutcome.FAILED, report.sentences()
    assert "the table item is empty, and had about 2,000 rows when the backup began" in report.problems[0]


def test_a_table_that_is_missing(
    server: MariadbServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_table(description: dict[str, Any]) -> None:
        description["databases"][0]["tables"].append({"name": "lost", "engine": "InnoDB", "estimated_rows": 0})

    change_descriptions(monkeypatch, sources.mariadb, add_table)
    report = drill(copy_of(server, tmp_path), base)
    assert report.outcome is CheckOutcome.FAILED
    assert "the table lost is missing" in report.problems[0]


WRONG_ASSERTIONS = {
    "SELECT count(*) > 100000 FROM item": "does not hold: it gave 0",
    "SELECT n > 0 FROM item": "does not hold: it gave more than one value",
    "SELECT true, true": "does not hold: it gave more than one value",
    "SELECT NULL": "does not hold: it gave NULL",
    "SELECT 1 WHERE false": "does not hold: it gave no row",
    "SELECT n FROM nowhere": "Table 'shop.nowhere' doesn't exist",
    "SELECT 'ERROR 1021 (HY000)' FROM nowhere": "Table 'shop.nowhere' doesn't exist",
}


def test_assertions_that_do_not_hold(server: MariadbServer, base: Path, tmp_path: Path) -> None:
    report = drill(copy_of(server, tmp_path), base, *WRONG_ASSERTIONS)
    assert report.outcome is CheckOutcome.FAILED
    for problem, (question, reason) in zip(report.problems, WRONG_ASSERTIONS.items(), strict=True):
        assert problem.startswith(f"databases/shop.sql: the assertion {question!r} ")
        assert reason in problem


# --- what says nothing of the copy ------------------------------------------------------------------------------


def set_version(description: dict[str, Any]) -> None:
    description["server_version"] = "99.1.2-MariaDB"


def set_mysql(description: dict[str, Any]) -> None:
    description["server_version"] = "8.0.36"


def set_engine(description: dict[str, Any]) -> None:
    description["databases"][0]["tables"][0]["engine"] = "ROCKSDB"


def set_collation(description: dict[str, Any]) -> None:
    description["databases"][0].update(charset="utf8mb4", collation="utf8mb4_martian_ci")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_version, "no MariaDB server of this version or a later one is installed on this machine"),
        (set_mysql, "The copy comes from a server of version 8.0.36, which is not MariaDB."),
        (set_engine, 'The database "shop" has tables of the storage engine ROCKSDB'),
        (set_collation, "Unknown collation: 'utf8mb4_martian_ci'"),
    ],
)
def test_what_this_machine_lacks(
    server: MariadbServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, reason: str
) -> None:
    change_descriptions(monkeypatch, sources.mariadb, change)
    report = drill(copy_of(server, tmp_path), base)
    assert report.outcome is CheckOutcome.NOT_DONE, report.sentences()
    assert reason in str(report.obstacle)
    assert report.problems == []


# --- signals, kills, other users, other servers -----------------------------------------------------------------


@pytest.fixture
def endless(server: MariadbServer, tmp_path: Path) -> Path:
    """A storage with a copy whose restore waits for ever."""
    with pytest.MonkeyPatch.context() as patch:
        change_dumps(patch, sources.mariadb, lambda data: b"DO SLEEP(10000);\n" + data)
        copy_of(server, tmp_path)
    return tmp_path / "storage"


def is_restoring(base: Path) -> bool:
    return any(path.name == "shop" for path in base.glob("*/server/data/*"))


@pytest.mark.parametrize("is_isolated", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_in_the_middle(
    server: MariadbServer, endless: Path, base: Path, number: signal.Signals, *, is_isolated: bool
) -> None:
    process = start_drill(endless, base, is_isolated=is_isolated)
    assert wait_until(lambda: is_restoring(base), process)
    assert any("mariadbd" in line for line in processes_in(base))
    process.send_signal(number)
    process.wait(60)
    if number is signal.SIGTERM:
        assert process.returncode == 143
        assert processes_in(base) == []
    else:
        assert wait_until(lambda: not processes_in(base))
        assert len(list(base.iterdir())) == 1
        # The next drill removes it, also where it cannot be done itself.
        assert drill(copy_of_source(endless.parent / "next", source_of(server, "shop")), base).obstacle is None
    assert list(base.iterdir()) == []


def test_as_an_ordinary_user(server: MariadbServer, tmp_path: Path) -> None:
    copy_of(server, tmp_path)
    with owned_by_nobody(tmp_path / "storage") as (copied, scratch, user):
        outcome, sentences = result_of(start_drill(copied, scratch, "SELECT count(*) = 2000 FROM item", user=user))
    assert outcome == "passed", sentences


def test_no_setting_of_this_user_leads_to_a_server_of_theirs(server: MariadbServer, base: Path, tmp_path: Path) -> None:
    """With everything set that the client programs read, and the real one counting who comes."""
    copy_of(server, tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    options = (
        f"[client]\nsocket={server.socket}\nhost=localhost\nuser=root\n[mysqld]\ndatadir={server.socket.parent}/data\n"
    )
    (home / ".my.cnf").write_text(options)
    (home / "my.cnf").write_text(options)
    real = {
        "HOME": str(home),
        "MYSQL_HOME": str(home),
        "MARIADB_HOME": str(home),
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_TCP_PORT": "3306",
        "MYSQL_UNIX_PORT": str(server.socket),
        "MYSQL_PWD": "x",
    }
    before = connections(server)
    process = start_drill(tmp_path / "storage", base, "SELECT count(*) = 2000 FROM item", environment=real)
    outcome, sentences = result_of(process)
    assert outcome == "passed", sentences
    assert connections(server) == before + 1, "that of the question itself"
    assert server.sql("SELECT count(*) FROM item", "shop") == "2000"


def connections(server: MariadbServer) -> int:
    return int(server.sql("SHOW GLOBAL STATUS LIKE 'Connections'").split()[1])
