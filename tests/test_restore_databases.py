"""``restore.py`` puts databases back: into new ones, over old ones only on request, and never half of one."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from operations.copies.stored_copies import StoredCopy, list_copies, read_entries
from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.holdfast import Holdfast
from tests.support.pairs import pairs
from tests.support.restored_databases import (
    ROWS,
    Engine,
    Mariadb,
    Places,
    Postgres,
    Sqlite,
    configure,
    engines,
    places,
)
from tests.support.skips import requires_program
from tests.support.sshd import Sshd, requires_sshd, sshd

__all__ = ["dockerd", "sshd"]

pytestmark = [requires_dockerd, requires_sshd, requires_program("sqlite3")]

ENGINES = ("postgres", "mariadb", "sqlite")
PLACES = ("local", "ssh", "docker")
ODD_NAME = "-rf 're\"stored'; $(id) `x` größe 数"


@pytest.fixture(scope="module")
def all_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    with engines(tmp_path_factory.mktemp("databases")) as found:
        yield found


@pytest.fixture(scope="module")
def all_places(all_engines: dict[str, Engine], sshd: Sshd, dockerd: Dockerd) -> Iterator[Places]:
    with places(sshd, dockerd, *(engine.folder for engine in all_engines.values())) as found:
        yield found


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, all_engines: dict[str, Engine]) -> Iterator[Engine]:
    """It has afterwards what it had before."""
    engine = all_engines[request.param]
    before = engine.names()
    yield engine
    assert engine.names() - before == set()
    assert engine.rows(engine.shop) == ROWS


@pytest.fixture
def holdfast(engine: Engine, all_places: Places, place: str, tmp_path: Path) -> Holdfast:
    """With a copy of ``shop/db``."""
    holdfast = Holdfast(tmp_path / "holdfast")
    configure(holdfast, db={"DB_INFO": {"TYPE": engine.type, **engine.keys(engine.shop)}, **all_places.keys(place)})
    back_up(holdfast, "shop/db")
    return holdfast


def back_up(holdfast: Holdfast, backup: str) -> None:
    finished = holdfast.run("backup.py", backup)
    assert finished.returncode == 0, finished.stderr


def copy_of(holdfast: Holdfast, number: int = 0) -> StoredCopy:
    return list_copies(holdfast.configuration().backups[number]).copies[0]


def damage(holdfast: Holdfast, copy: StoredCopy, ending: str = "") -> None:
    """Change a byte in the last megabyte of the content of a dump, beyond the middle of what is packed of it."""
    dumps = [entry for entry in read_entries(copy) if entry.member.path.startswith(b"databases/")]
    entry = next(entry for entry in dumps if entry.member.path.decode().endswith(ending))
    path = holdfast.storage / copy.keys.archive
    archive = bytearray(path.read_bytes())
    archive[entry.data_offset + entry.packed_size * 3 // 4] ^= 0x10
    path.write_bytes(archive)


@pytest.mark.parametrize("place", PLACES)
def test_into_a_new_one_and_over_an_existing_one(engine: Engine, holdfast: Holdfast) -> None:
    name = engine.new_name(ODD_NAME)
    before = engine.names()
    restored = holdfast.run("restore.py", "restore", "shop/db", f"--to-database={name}", "--json")
    assert restored.returncode == 0, restored.stderr
    document = json.loads(restored.stdout)
    (database,) = document["databases"]
    assert (database["database"], database["restored_as"]) == (engine.shop, name)
    assert (document["problems"], document["remarks"]) == ([], [])
    assert engine.rows(name) == ROWS
    engine.drop(name)

    engine.add_row()
    refused = holdfast.run("restore.py", "restore", "shop/db", f"--to-database={engine.shop}")
    assert refused.returncode == 1
    assert f'there is the database "{engine.shop}" already, so nothing was restored' in refused.stderr
    assert "--replace" in refused.stderr
    assert (engine.rows(engine.shop), engine.names()) == (ROWS + 1, before)

    replaced = holdfast.run("restore.py", "restore", "shop/db", f"--to-database={engine.shop}", "--replace")
    assert (replaced.returncode, replaced.stderr) == (0, "")
    assert f'restored as "{engine.shop}" on ' in replaced.stdout
    assert (engine.rows(engine.shop), engine.names()) == (ROWS, before)


@pytest.mark.parametrize(("engine", "place"), pairs(ENGINES, PLACES, 1), indirect=["engine"])
def test_a_damaged_copy_leaves_nothing_and_replaces_nothing(engine: Engine, holdfast: Holdfast) -> None:
    damage(holdfast, copy_of(holdfast))
    before = engine.names()
    refused = holdfast.run("restore.py", "restore", "shop/db", f"--to-database={engine.new_name('new')}")
    assert refused.returncode == 1
    assert "cannot be read as it was stored" in refused.stderr
    assert "What had been made of it was removed again." in refused.stderr
    assert engine.names() == before
    for option in ("--replace", "--json"):
        again = holdfast.run("restore.py", "restore", "shop/db", f"--to-database={engine.shop}", "--replace", option)
        assert again.returncode == 1
    assert json.loads(again.stdout)["error"]["type"] == "RestoreError"
    assert (engine.rows(engine.shop), engine.names()) == (ROWS, before)


@pytest.mark.parametrize("place", ["local"])
def test_a_copy_without_its_index_is_restored_and_its_damage_found(engine: Engine, holdfast: Holdfast) -> None:
    copy = copy_of(holdfast)
    before = engine.names()
    damaged = (holdfast.storage / copy.keys.archive).read_bytes()
    damage(holdfast, copy)
    damaged, sound = (holdfast.storage / copy.keys.archive).read_bytes(), damaged
    (holdfast.storage / copy.keys.index).unlink()
    name = engine.new_name("new")
    assert holdfast.run("restore.py", "restore", "shop/db", f"--to-database={name}").returncode == 1
    assert engine.names() == before
    (holdfast.storage / copy.keys.archive).write_bytes(sound)
    assert holdfast.run("restore.py", "restore", "shop/db", f"--to-database={name}").returncode == 0
    assert engine.rows(name) == ROWS
    engine.drop(name)


@pytest.mark.parametrize("place", ["local"])
def test_the_dump_itself_as_a_file(engine: Engine, holdfast: Holdfast, tmp_path: Path) -> None:
    restored = holdfast.run("restore.py", "restore", "shop/db", "--to", tmp_path / "files")
    assert restored.returncode == 0, restored.stderr
    described = json.loads((tmp_path / "files" / "databases.json").read_text())
    assert (tmp_path / "files" / described["databases"][0]["member"]).stat().st_size > 1_000_000


# --- the end in the middle ----------------------------------------------------------------------------------------

SLOW = """
CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN IF current_database() <> 'shop' AND current_database() <> 'slow' THEN PERFORM pg_sleep(1000); END IF; RETURN n;
END $$;
CREATE TABLE waits (n int); INSERT INTO waits VALUES (1); CREATE INDEX ON waits (slow(n));
"""
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def slow(all_engines: dict[str, Engine], all_places: Places, place: str, tmp_path: Path) -> Iterator[Holdfast]:
    """With a copy ``shop/db`` of a PostgreSQL database ``slow`` whose restore has no end."""
    engine = all_engines["postgres"]
    assert isinstance(engine, Postgres)
    engine.server.sql("CREATE DATABASE slow")
    engine.server.sql(SLOW, "slow")
    holdfast = Holdfast(tmp_path / "holdfast")
    configure(holdfast, db={"DB_INFO": engine.keys("slow"), **all_places.keys(place)})
    back_up(holdfast, "shop/db")
    yield holdfast
    engine.drop("slow")


@pytest.mark.parametrize(("replace", "place"), pairs([False, True], PLACES))
def test_sigterm_in_the_middle_leaves_what_was_there(
    slow: Holdfast, all_engines: dict[str, Engine], *, replace: bool
) -> None:
    engine = all_engines["postgres"]
    assert isinstance(engine, Postgres)
    before = engine.names()
    name = "slow" if replace else "new"
    options = [f"--to-database={name}", *(["--replace"] if replace else [])]
    process = slow.start("restore.py", "restore", "shop/db", *options)
    wait_until(lambda: engine.server.sql(SLEEPING) == "1", process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert f'"{name}" was not restored; what had been made of it was removed again.' in said
    assert engine.names() == before
    assert engine.server.sql(SLEEPING) == "0"


@pytest.mark.parametrize("place", ["local"])
def test_what_a_killed_restore_left_is_named_with_what_removes_it(
    slow: Holdfast, all_engines: dict[str, Engine]
) -> None:
    engine = all_engines["postgres"]
    assert isinstance(engine, Postgres)
    before = engine.names()
    process = slow.start("restore.py", "restore", "shop/db", "--to-database", "new")
    wait_until(lambda: engine.server.sql(SLEEPING) == "1", process)
    process.kill()
    process.communicate()
    (left,) = engine.names() - before
    engine.server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{left}'")
    # As soon as nobody is connected to it any more.
    deadline = time.monotonic() + 60
    said = ""
    while left not in said:
        assert time.monotonic() < deadline
        said = slow.run("restore.py", "restore", "shop/db", "--to-database", "slow").stderr
    assert f'A restore that was killed has left the database "{left}" on this machine. It is not whole.' in said
    (command,) = {line.partition("This removes it: ")[2] for line in said.splitlines() if left in line}
    engine.server.sql(command)
    assert engine.names() == before


def test_mariadb_ended_in_the_middle(all_engines: dict[str, Engine], tmp_path: Path) -> None:
    """By SIGTERM nothing is left; by SIGKILL a database that says what it is."""
    engine = all_engines["mariadb"]
    assert isinstance(engine, Mariadb)
    engine.server.sql("CREATE DATABASE big")
    engine.server.sql("CREATE TABLE big AS SELECT seq, repeat(md5(seq), 1000) AS text FROM seq_1_to_1500", "big")
    holdfast = Holdfast(tmp_path / "holdfast")
    configure(holdfast, db={"DB_INFO": {"TYPE": "mariadb", **engine.keys("big")}})
    back_up(holdfast, "shop/db")
    before = engine.names()
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = holdfast.start("restore.py", "restore", "shop/db", "--to-database", "new")
        wait_until(lambda: "new" in engine.names(), process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        if number is signal.SIGTERM:
            assert process.returncode == 143
            assert '"new" was not restored; what had been made of it was removed again.' in said
            assert engine.names() == before
    deadline = time.monotonic() + 60
    while "has left the database `new`" not in said:
        assert time.monotonic() < deadline
        said = holdfast.run("restore.py", "restore", "shop/db", "--to-database", "new").stderr
    assert 'there is the database "new" already' in said
    assert "This removes it: DROP DATABASE `new`;" in said
    engine.drop("new")
    engine.drop("big")


def test_sigterm_while_a_sqlite_database_is_locked(all_engines: dict[str, Engine], tmp_path: Path) -> None:
    engine = all_engines["sqlite"]
    assert isinstance(engine, Sqlite)
    holdfast = Holdfast(tmp_path / "holdfast")
    configure(holdfast, db={"DB_INFO": {"TYPE": "sqlite", **engine.keys(engine.shop)}})
    back_up(holdfast, "shop/db")
    before = engine.names()
    with closing(sqlite3.connect(engine.shop, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        process = holdfast.start("restore.py", "restore", "shop/db", f"--to-database={engine.shop}", "--replace")
        wait_until(lambda: any("holdfast-restore" in name for name in engine.names()), process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        writer.execute("ROLLBACK")
    assert process.returncode == 143, said
    assert (engine.names() - {f"{engine.shop}-journal"}, engine.rows(engine.shop)) == (before, ROWS)
