"""Drills of PostgreSQL databases: what cannot be restored is found, and what this machine lacks is no such thing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sources.postgres
from model import Assertion, CheckOutcome, DatabaseSource
from operations.verifying import scratch_folder
from sources import scratch_postgres, scratch_server
from sources.postgres_client import Client
from tests.support.database_samples import DATABASE, POSTGRES, POSTGRES_ROLES
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
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk

ROWS = 2000
SHOP = f"""
CREATE TABLE item (n int PRIMARY KEY, text text);
INSERT INTO item SELECT n, 'row ' || n FROM generate_series(1, {ROWS}) n; CREATE TABLE empty (n int); ANALYZE;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        server.sql("CREATE DATABASE shop")
        server.sql(SHOP, "shop")
        yield server


@pytest.fixture
def base() -> Iterator[Path]:
    with drill_base() as base:
        yield base


def source_of(server: PostgresqlServer, *names: str) -> DatabaseSource:
    return DatabaseSource("postgres", names, server.superuser, host=str(server.socket_folder))


@pytest.fixture
def storage(server: PostgresqlServer, tmp_path: Path) -> Path:
    """With a copy of ``shop``."""
    copy_of_source(tmp_path / "storage", source_of(server, "shop"))
    return tmp_path / "storage"


def shop(server: PostgresqlServer, tmp_path: Path) -> Any:
    return copy_of_source(tmp_path / "storage", source_of(server, "shop"))


def test_a_database_passes(server: PostgresqlServer, base: Path, tmp_path: Path) -> None:
    report = drill(shop(server, tmp_path), base, f"SELECT count(*) = {ROWS} FROM item;", "select 1 -- for true")
    assert report.outcome is CheckOutcome.PASSED, report.sentences()
    compared = report.compared
    assert (compared.databases, compared.tables, compared.rows, compared.assertions) == (1, 2, ROWS, 2)
    assert compared.size > 10 * ROWS
    assert report.remarks == []
    assert report.tried_with.startswith("PostgreSQL ")
    (sentence,) = report.sentences()
    assert "1 database, 2 tables, 2,000 rows, 2 assertions" in sentence


def test_all_that_a_server_may_have_passes(server: PostgresqlServer, base: Path, tmp_path: Path) -> None:
    """Odd names, roles, extensions, partitions, large objects, a tablespace whose folder this machine need not have."""
    place = server.socket_folder / "a tablespace"
    place.mkdir(mode=0o700)
    os.chown(place, (server.socket_folder / "data").stat().st_uid, -1)
    server.sql(POSTGRES_ROLES)
    server.sql(POSTGRES, DATABASE)
    server.sql(f"CREATE TABLESPACE \"fast; 'one'\" OWNER owner LOCATION '{place}'")
    server.sql("CREATE TABLE elsewhere TABLESPACE \"fast; 'one'\" AS SELECT 1 AS n", DATABASE)
    try:
        copy = copy_of_source(tmp_path / "storage", source_of(server, "*"))
        asked = Assertion("SELECT count(*) >= 3000 FROM stock.item", DATABASE)
        report = drill(copy, base, asked, Assertion("SELECT EXISTS (SELECT FROM item)", "shop"))
        assert report.outcome is CheckOutcome.PASSED, report.sentences()
        assert report.compared.databases == 3  # with "postgres", which a new server has too
        assert report.compared.assertions == 2
    finally:
        server.sql(f'DROP DATABASE "{DATABASE.replace(chr(34), chr(34) * 2)}"')
        server.sql("DROP TABLESPACE \"fast; 'one'\"")


# --- what cannot be restored ------------------------------------------------------------------------------------


def test_damaged_data_in_a_whole_frame(
    server: PostgresqlServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its table of contents is sound, its CRC-32 is that of the damaged bytes, and nobody but a restore finds it."""
    sizes = change_dumps(monkeypatch, sources.postgres, lambda data: data.replace(b"1000\trow", b"1x00\trow"))
    report = drill(shop(server, tmp_path), base, "SELECT true")
    assert len(sizes) == 1
    assert report.outcome is CheckOutcome.FAILED
    (problem,) = report.problems
    assert problem.startswith("databases/shop.dump: ")
    assert 'invalid input syntax for type integer: "1x00"' in problem
    assert "COPY item, line 1000, column n" in problem
    assert report.compared.databases == 0


def test_a_duplicate_row(server: PostgresqlServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_dumps(monkeypatch, sources.postgres, lambda data: data.replace(b"1000\trow", b"1001\trow"))
    report = drill(shop(server, tmp_path), base)
    assert report.outcome is CheckOutcome.FAILED
    assert "could not create unique index" in report.problems[0]


def test_rows_that_are_missing(
    server: PostgresqlServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dump is that of the table after all its rows have gone; it was described before."""
    server.sql("CREATE DATABASE emptied TEMPLATE shop")
    original = sources.postgres._Dump.chunks
    emptied: list[str] = []

    def chunks(dump: Any) -> Iterator[bytes]:
        emptied.append(server.sql("TRUNCATE item", "emptied"))
        yield from original(dump)

    monkeypatch.setattr(sources.postgres._Dump, "chunks", chunks)
    report = drill(copy_of_source(tmp_path / "storage", source_of(server, "emptied")), base)
    server.sql("DROP DATABASE emptied")
    assert len(emptied) == 1
    assert report.outcome is CheckOutcome.FAILED
    assert report.problems == [
        "databases/emptied.dump: the table public.item is empty, and had about 2,000 rows when the backup began."
    ]


def test_a_table_that_is_missing(
    server: PostgresqlServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_table(description: dict[str, Any]) -> None:
        description["databases"][0]["tables"].append({"schema": "public", "name": "lost", "estimated_rows": 0})

    change_descriptions(monkeypatch, sources.postgres, add_table)
    report = drill(shop(server, tmp_path), base)
    assert report.outcome is CheckOutcome.FAILED
    assert report.problems == [
        "databases/shop.dump: the table public.lost is missing, which was there when the backup began."
    ]


WRONG_ASSERTIONS = {
    "SELECT count(*) > 100000 FROM item": "does not hold: it gave false",
    "SELECT n > 0 FROM item": "does not hold: it gave more than one value",
    "SELECT true, true AS b": "does not hold: it gave more than one value",
    "SELECT true WHERE false": "does not hold: it gave no row",
    "SELECT NULL::bool": "does not hold: it gave NULL",
    "SELECT 'true'": "does not hold: it gave true",
    "SELECT n FROM nowhere": 'relation "nowhere" does not exist',
    "SELECT true; DROP TABLE item": "cannot be answered",
    "DELETE FROM item RETURNING true": "cannot be answered",
}


def test_assertions_that_do_not_hold(server: PostgresqlServer, base: Path, tmp_path: Path) -> None:
    report = drill(shop(server, tmp_path), base, *WRONG_ASSERTIONS)
    assert report.outcome is CheckOutcome.FAILED
    assert report.compared.assertions == 0
    for problem, (question, reason) in zip(report.problems, WRONG_ASSERTIONS.items(), strict=True):
        assert problem.startswith(f"databases/shop.dump: the assertion {question!r} ")
        assert reason in problem


def test_an_assertion_to_a_database_that_the_copy_does_not_hold(
    server: PostgresqlServer, base: Path, tmp_path: Path
) -> None:
    report = drill(shop(server, tmp_path), base, Assertion("SELECT true", "accounting"))
    assert report.outcome is CheckOutcome.FAILED
    assert report.problems == ["The copy holds no database accounting, which the assertion 'SELECT true' asks."]


# --- what says nothing of the copy ------------------------------------------------------------------------------


def test_no_server_of_that_version(
    server: PostgresqlServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch_postgres, "installed", lambda _host, _program: [Client("/nowhere/", (9, 6, 24))])
    report = drill(shop(server, tmp_path), base)
    assert report.outcome is CheckOutcome.NOT_DONE
    assert "no PostgreSQL server of version 15 or later is installed on this machine" in str(report.obstacle)
    assert report.sentences()[0].endswith("could not be done, which says nothing of the copy.")


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("15.3 (Debian 15.3-1)", [(14, 9), (15, 1), (15, 4), (16, 2)], (15, 4)),
        ("15.3", [(14, 9), (17, 0), (16, 2)], (16, 2)),
        ("9.6.24", [(9, 5), (9, 6, 1), (10, 1)], (9, 6, 1)),
        ("9.5.1", [(9, 6, 1), (10, 1)], (9, 6, 1)),
    ],
)
def test_which_server_is_started(
    wanted: str, there: list[tuple[int, ...]], chosen: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [Client("/nowhere/", version) for version in there]
    monkeypatch.setattr(scratch_postgres, "installed", lambda _host, _program: clients)
    host = scratch_server.ScratchHost(Path("/"))
    assert scratch_postgres._suitable(host, wanted).version == chosen


def set_extensions(description: dict[str, Any]) -> None:
    description["databases"][0]["extensions"]["timescaledb"] = "2.0"


def set_locale(description: dict[str, Any]) -> None:
    description["databases"][0].update(collate="tlh_AQ.UTF-8", ctype="tlh_AQ.UTF-8")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_extensions, 'The database "shop" has the extension timescaledb, which is not installed for PostgreSQL'),
        (set_locale, 'invalid locale name: "tlh_AQ.UTF-8"'),
    ],
)
def test_what_this_machine_lacks(
    server: PostgresqlServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, reason: str
) -> None:
    change_descriptions(monkeypatch, sources.postgres, change)
    report = drill(shop(server, tmp_path), base)
    assert report.outcome is CheckOutcome.NOT_DONE, report.sentences()
    assert reason in str(report.obstacle)
    assert report.problems == []


LACKING = [
    'pg_restore: error: could not execute query: ERROR:  extension "x" is not available',
    'pg_restore: error: COPY failed for table "i": ERROR:  could not extend file "base/1/2": No space left on device',
    "ERROR:  out of memory",
    'psql:<stdin>:3: ERROR:  could not access file "$libdir/x": No such file or directory',
    "ERROR:  pg_cron can only be loaded via shared_preload_libraries",
]
SAYS_SOMETHING_OF_THE_COPY = [
    'pg_restore: error: COPY failed for table "item": ERROR:  invalid input syntax for type integer: "out of memory"',
    'CONTEXT:  COPY item, line 3, column text: "ERROR:  out of memory"',
    'pg_restore: error: COPY failed for table "i": ERROR:  invalid input: "a" ERROR:  out of memory"',
    'ERROR:  relation "x" does not exist',
]


def test_which_errors_are_those_of_this_machine() -> None:
    beginning = "The database was not restored. The program ended with exit status 1:\n"
    found = [
        error for error in LACKING + SAYS_SOMETHING_OF_THE_COPY if scratch_postgres._LACKS.search(beginning + error)
    ]
    assert found == LACKING


def test_which_database_an_assertion_asks_has_to_be_clear(server: PostgresqlServer, base: Path, tmp_path: Path) -> None:
    report = drill(copy_of_source(tmp_path / "storage", source_of(server, "shop", "postgres")), base, "SELECT true")
    assert report.outcome is CheckOutcome.NOT_DONE
    assert "does not say which of them is asked" in str(report.obstacle)


@requires_root
@pytest.mark.parametrize("is_checked", [True, False])
def test_no_room(
    server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_checked: bool
) -> None:
    """Known before; and where it is used up by others meanwhile."""
    copy = shop(server, tmp_path)
    with drill_base() as base:
        with small_disk(base / "disk", 8 << 20) as disk:
            disk.chmod(0o755)
            if not is_checked:
                monkeypatch.setattr("operations.verifying.drill_databases.require_room", lambda _folder, _size: None)
            report = drill(copy, disk)
            assert list(disk.iterdir()) == []
        (base / "disk").rmdir()
    assert report.outcome is CheckOutcome.NOT_DONE
    assert ("are free. Free some space" if is_checked else "No space left on device") in str(report.obstacle)


# --- signals, kills, other users ------------------------------------------------------------------------------------

# Outside of the database that it was made in, the index is never done.
ENDLESS = """
CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN IF current_database() <> 'endless' THEN LOOP END LOOP; END IF; RETURN n; END $$;
CREATE TABLE waits (n int); INSERT INTO waits VALUES (1); CREATE INDEX ON waits (slow(n));
"""


@pytest.fixture
def endless(server: PostgresqlServer, tmp_path: Path) -> Iterator[Path]:
    """A storage with a copy whose restore keeps a process of the server busy for ever."""
    server.sql("CREATE DATABASE endless")
    server.sql(ENDLESS, "endless")
    copy_of_source(tmp_path / "storage", source_of(server, "endless"))
    yield tmp_path / "storage"
    server.sql("DROP DATABASE endless")


def is_busy(base: Path) -> bool:
    return any("CREATE INDEX" in line for line in processes_in(base))


def abandoned_shared_memory() -> set[str]:
    """The ids of the System V segments whose maker is gone: each server of PostgreSQL has one (proc_sysvipc(5))."""
    _, *lines = Path("/proc/sysvipc/shm").read_text().splitlines()
    segments = [line.split() for line in lines]
    return {segment[1] for segment in segments if not Path("/proc", segment[4]).exists()}


@pytest.mark.parametrize("is_isolated", [True, False])
def test_a_signal_leaves_nothing(endless: Path, base: Path, *, is_isolated: bool) -> None:
    before = abandoned_shared_memory()
    process = start_drill(endless, base, is_isolated=is_isolated)
    assert wait_until(lambda: is_busy(base), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert processes_in(base) == []
    assert list(base.iterdir()) == []
    assert abandoned_shared_memory() <= before


@pytest.mark.parametrize("is_isolated", [True, False])
def test_sigkill_leaves_no_process_and_the_next_drill_removes_the_folder(
    server: PostgresqlServer, endless: Path, base: Path, tmp_path: Path, *, is_isolated: bool
) -> None:
    process = start_drill(endless, base, is_isolated=is_isolated)
    assert wait_until(lambda: is_busy(base), process)
    process.kill()
    process.wait()
    assert wait_until(lambda: not processes_in(base))
    assert len(list(base.iterdir())) == 1
    next_one = copy_of_source(tmp_path / "next", source_of(server, "shop"))
    assert drill(next_one, base).outcome is CheckOutcome.PASSED
    assert list(base.iterdir()) == []


def test_a_drill_leaves_that_of_another_alone(
    server: PostgresqlServer, endless: Path, base: Path, tmp_path: Path
) -> None:
    process = start_drill(endless, base)
    assert wait_until(lambda: is_busy(base), process)
    assert drill(copy_of_source(tmp_path / "next", source_of(server, "shop")), base).outcome is CheckOutcome.PASSED
    assert is_busy(base)
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def test_a_server_that_ends_by_itself(endless: Path, base: Path) -> None:
    process = start_drill(endless, base)
    assert wait_until(lambda: is_busy(base), process)
    ((server,),) = [[int(each.name) for each in Path("/proc").glob("[0-9]*") if is_postmaster(each, base)]]
    os.kill(server, signal.SIGKILL)
    outcome, sentences = result_of(process)
    assert outcome == "could not be done"
    assert any("The scratch server ended by itself." in sentence for sentence in sentences)


def is_postmaster(process: Path, base: Path) -> bool:
    try:
        command = (process / "cmdline").read_text().split("\0")
    except OSError:
        return False
    return command[0].endswith("/postgres") and any(str(base) in argument for argument in command)


@pytest.mark.parametrize("is_isolated", [True, False])
def test_as_an_ordinary_user(storage: Path, *, is_isolated: bool) -> None:
    with owned_by_nobody(storage) as (copied, scratch, user):
        process = start_drill(copied, scratch, "SELECT count(*) = 2000 FROM item", is_isolated=is_isolated, user=user)
        outcome, sentences = result_of(process)
    assert outcome == "passed", sentences


@requires_root
def test_in_a_private_folder_that_the_user_of_the_server_cannot_enter(
    server: PostgresqlServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the server's folder is where all users may make one, and its name is short."""
    monkeypatch.setattr(scratch_folder, "PUBLIC_BASE", base)
    copy = shop(server, tmp_path)
    long = tmp_path / ("long" * 20)
    for folder in (tmp_path / "private", long):
        folder.mkdir(mode=0o700)
        seen = base.stat().st_mtime_ns
        assert drill(copy, folder).outcome is CheckOutcome.PASSED
        assert base.stat().st_mtime_ns > seen
        assert list(folder.iterdir()) == []


# --- the servers of the person ------------------------------------------------------------------------------------


def test_no_setting_of_this_user_leads_to_a_server_of_theirs(
    server: PostgresqlServer, storage: Path, base: Path, tmp_path: Path
) -> None:
    """With everything set that libpq and the server's programs read, and the real one noting who comes."""
    server.sql("ALTER SYSTEM SET log_connections = on; SELECT pg_reload_conf()")
    home = tmp_path / "home"
    home.mkdir()
    service = f"[real]\nhost={server.socket_folder}\nport=5432\nuser=holdfast\ndbname=shop\n"
    for name, text in ((".pg_service.conf", service), (".pgpass", "*:*:*:*:x\n"), (".psqlrc", "DROP TABLE item;\n")):
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    real = {
        "PGHOST": str(server.socket_folder),
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": "5433",
        "PGUSER": "holdfast",
        "PGDATABASE": "shop",
        "PGSERVICE": "real",
        "PGSERVICEFILE": str(home / ".pg_service.conf"),
        "PGPASSFILE": str(home / ".pgpass"),
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c search_path=nowhere",
        "PGDATA": str(server.socket_folder / "data"),
        "PSQLRC": str(home / ".psqlrc"),
        "HOME": str(home),
    }
    noted = (server.socket_folder / "log").read_text().count("connection received")
    process = start_drill(storage, base, "SELECT count(*) = 2000 FROM item", environment=real)
    outcome, sentences = result_of(process)
    assert outcome == "passed", sentences
    assert (server.socket_folder / "log").read_text().count("connection received") == noted
    assert server.sql("SELECT count(*) FROM item", "shop") == "2000"
    assert (server.socket_folder / "log").read_text().count("connection received") > noted, "it notes who comes"


def test_nothing_listens_on_a_network(endless: Path, base: Path) -> None:
    process = start_drill(endless, base, is_isolated=False)
    assert wait_until(lambda: is_busy(base), process)
    (arguments,) = [line for line in processes_in(base) if "/postgres\0" in line]
    assert "--listen_addresses=\0" in arguments
    assert not any(path.name.endswith(".5432") for path in Path("/var/run/postgresql").glob(".s.*"))
    process.send_signal(signal.SIGTERM)
    process.wait(60)
