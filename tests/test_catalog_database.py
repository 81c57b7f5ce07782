"""The file of the catalog: rights, migrations, many processes at once, damage, a full disk; and PostgreSQL's share."""

from __future__ import annotations

import logging
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from catalog import Catalog, open_catalog
from catalog.postgresql import MIGRATION_LOCK
from catalog.schema import HEAD_REVISION, metadata
from catalog.sqlite import DAMAGED_KEPT, SqliteDatabase
from errors import CatalogError
from model import Archive, Check, CheckKind, CheckOutcome, Copy, Run, RunStatus, Secret
from tests.support.catalogs import server
from tests.support.postgresql import PostgresqlServer
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk

__all__ = ["server"]

REPOSITORY = Path(__file__).parent.parent
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


def run_python(code: str, *arguments: object, folder: Path = REPOSITORY) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def outputs(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each printed, once all have ended well."""
    answers = [process.communicate(timeout=120)[0] for process in processes]
    assert [(process.returncode, answer) for process, answer in zip(processes, answers, strict=True)] == [
        (0, answer) for answer in answers
    ]
    return answers


# Ten backups that start at 02:00: each opens the catalog, which may not be there yet, and records its runs.
BACK_UP = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from catalog import open_catalog
from model import Copy, Run, RunStatus, Secret

state, url, backup_id = sys.argv[1:]
catalog = open_catalog(Path(state), Secret(url) if url else None)
now = datetime(2026, 11, 20, 2, tzinfo=UTC)
for number in range(20):
    catalog.mark_dead_runs(backup_id, now)
    run = Run(f"{backup_id}-{number}", backup_id, now)
    catalog.begin_run(run)
    catalog.finish_run(replace(run, status=RunStatus.GOOD, ended=now, copies=(Copy("LOCAL", "k", RunStatus.GOOD),)))
    catalog.last_runs([backup_id, "shop/0"])
print(len(catalog.runs(backup_id, 100)))
"""


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_ten_processes_at_once_on_a_new_catalog(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = "" if engine == "sqlite" else request.getfixturevalue("server").new_database()
    processes = [run_python(BACK_UP, tmp_path / "state", url, f"shop/{number}") for number in range(10)]
    assert outputs(processes) == ["20\n"] * 10
    catalog = open_catalog(tmp_path / "state", Secret(url) if url else None)
    backup_ids = [f"shop/{number}" for number in range(10)]
    assert catalog.known_backup_ids() == backup_ids
    assert all(len(catalog.runs(backup_id, 100)) == 20 for backup_id in backup_ids)
    assert list(tmp_path.rglob("*damaged*")) == []


def test_the_catalog_is_private(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        catalog = open_catalog(tmp_path / "new" / "state", None)
        catalog.begin_run(Run("1", "a/b", NOW))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*")}
    finally:
        os.umask(old_mask)
    assert modes == {"state": 0o700, "catalog.db": 0o600, "catalog.lock": 0o600}
    with sqlite3.connect(tmp_path / "new/state/catalog.db") as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        reader.execute("SELECT * FROM runs").fetchall()
        assert stat.S_IMODE((tmp_path / "new/state/catalog.db-wal").stat().st_mode) == 0o600
    reader.close()


def test_made_from_any_folder_and_with_any_characters(tmp_path: Path) -> None:
    state = tmp_path / "100% state?mode=ro#é '\""
    code = (
        "import sys; from pathlib import Path; from catalog import open_catalog; open_catalog(Path(sys.argv[1]), None)"
    )
    assert outputs([run_python(code, state, folder=Path("/"))]) == [""]
    assert (state / "catalog.db").stat().st_size > 0


def test_alembic_is_imported_only_for_a_migration(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from catalog import open_catalog
open_catalog(Path(sys.argv[1]), None).last_runs(["a/b"])
print("alembic" in sys.modules, "psycopg2" in sys.modules)
"""
    assert outputs([run_python(code, tmp_path)]) == ["True False\n"]
    assert outputs([run_python(code, tmp_path)]) == ["False False\n"]


def test_head_is_the_newest_migration() -> None:
    script = ScriptDirectory(str(REPOSITORY / "catalog/migrations"))
    assert script.get_heads() == [HEAD_REVISION]


@pytest.mark.parametrize("engine_name", ["sqlite", "postgresql"])
def test_migrations_lead_to_the_tables_of_the_schema(
    engine_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if engine_name == "sqlite":
        open_catalog(tmp_path, None)
        engine = sa.create_engine(f"sqlite:///{tmp_path}/catalog.db")
    else:
        url = request.getfixturevalue("server").new_database()
        open_catalog(tmp_path, Secret(url))
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(sa.inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_a_catalog_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_catalog(tmp_path, None).begin_run(Run("1", "a/b", NOW))
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(CatalogError, match="made by a newer version"):
        open_catalog(tmp_path, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.db", "catalog.lock"]


def of_revision_1(engine: sa.Engine, runs: int) -> None:
    """Make the tables as the first version had them, with rows in every one."""
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(REPOSITORY / "catalog/migrations"))
        command.upgrade(config, "0001")
        time_ = "'2026-11-20 03:00:00.000000'" if engine.dialect.name == "sqlite" else "'2026-11-20 03:00:00+00'"
        execute = connection.exec_driver_sql
        execute("INSERT INTO backups VALUES ('a/b')")
        execute("INSERT INTO schedules VALUES ('a/b', '[\"@daily\"]', " + time_ + ")")
        for number in range(runs):
            execute(f"INSERT INTO runs VALUES ('{number}', 'a/b', {time_}, NULL, {time_}, 'good', 'said')")
            execute(f"INSERT INTO archives VALUES ('{number}', 'a.zip', {time_}, 1, 'abcd', 2, 3)")
            execute(f"INSERT INTO copies VALUES ('{number}', 0, 'LOCAL', 'k', 'good', 1, NULL)")


def of_revision_1_found(catalog: Catalog) -> list[Run]:
    """What the catalog says of these rows, once it has shown that it is of the newest version."""
    check = Check("1", "c/d", CheckKind.VERIFY, "20261120T030000Z", "S3", NOW, NOW, CheckOutcome.PASSED)
    catalog.record_check(check)
    assert catalog.last_checks(["c/d"])["c/d"].verified == check
    return catalog.runs("a/b", 100)


OLD_RUN = Run(
    id="0",
    backup_id="a/b",
    started=NOW,
    ended=NOW,
    status=RunStatus.GOOD,
    message="said",
    archive=Archive("a.zip", NOW, 1, "abcd", 2, 3),
    copies=(Copy("LOCAL", "k", RunStatus.GOOD, 1),),
)


@pytest.mark.parametrize("engine_name", ["sqlite", "postgresql"])
def test_a_catalog_of_the_first_version_goes_on_without_loss(
    engine_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = None if engine_name == "sqlite" else request.getfixturevalue("server").new_database()
    address = f"sqlite:///{tmp_path}/catalog.db" if url is None else url.replace("postgresql", "postgresql+psycopg2", 1)
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    of_revision_1(engine, runs=3)
    with ThreadPoolExecutor(4) as threads:  # as at 02:00, after an update
        catalogs = list(threads.map(lambda _: open_catalog(tmp_path, Secret(url) if url else None), range(4)))
    assert of_revision_1_found(catalogs[0]) == [replace(OLD_RUN, id=str(number)) for number in (2, 1, 0)]
    assert catalogs[3].schedule_since() == {"a/b": NOW}
    assert list(tmp_path.glob("*damaged*")) == []
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("interrupted_at", ["CREATE TABLE checks", "checks_by_copy", "UPDATE alembic_version"])
def test_a_migration_that_is_ended_is_done_again(interrupted_at: str, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/catalog.db", poolclass=sa.NullPool)
    of_revision_1(engine, runs=1)
    code = """
import os, sys
from pathlib import Path
import sqlalchemy as sa
from catalog import open_catalog
def die(connection, cursor, statement, *rest):
    if sys.argv[2] in statement:
        os._exit(9)
sa.event.listen(sa.Engine, "after_cursor_execute", die)
open_catalog(Path(sys.argv[1]), None)
"""
    dead = run_python(code, tmp_path, interrupted_at)
    assert (dead.communicate(timeout=60)[0], dead.returncode) == ("", 9)
    assert of_revision_1_found(open_catalog(tmp_path, None)) == [OLD_RUN]
    assert list(tmp_path.glob("*damaged*")) == []


def test_a_damaged_catalog_of_the_first_version_is_set_aside_as_it_was(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/catalog.db", poolclass=sa.NullPool)
    of_revision_1(engine, runs=300)
    content = (tmp_path / "catalog.db").read_bytes()
    broken = content[: len(content) // 2]
    (tmp_path / "catalog.db").write_bytes(broken)
    assert of_revision_1_found(open_catalog(tmp_path, None)) == []
    assert [path.read_bytes() for path in tmp_path.glob("catalog.db.damaged-*")] == [broken]


def filled(state: Path, count: int = 300) -> bytes:
    """Make a catalog of some runs, and return what its file holds."""
    catalog = open_catalog(state, None)
    for number in range(count):
        catalog.begin_run(Run(f"run {number:05} {'x' * 100}", "a/b", NOW))
    return (state / "catalog.db").read_bytes()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "no database at all": lambda content: b"hello " * 1000,
    "its beginning zeroed": lambda content: bytes(4096) + content[4096:],
    "cut off": lambda content: content[: len(content) // 2],
    "a schema that makes no sense": lambda content: content.replace(b"CREATE TABLE runs", b"CREATE TABLE ))))"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_catalog_is_set_aside(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = DAMAGES[damage](filled(tmp_path))
    (tmp_path / "catalog.db").write_bytes(broken)
    catalog = open_catalog(tmp_path, None)
    catalog.begin_run(Run("new", "a/b", NOW))
    assert [run.id for run in catalog.runs("a/b", 10)] == ["new"]
    aside = [path for path in tmp_path.glob("catalog.db.damaged-*") if not path.name.endswith(("-wal", "-shm"))]
    assert [re.sub(r"\d{8}T\d{6}Z$", "TIME", path.name) for path in aside] == ["catalog.db.damaged-TIME"]
    assert aside[0].read_bytes() == broken
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(tmp_path / "catalog.db") in warnings[0]
    assert str(aside[0]) in warnings[0]


def test_of_many_damaged_files_the_newest_stay(tmp_path: Path) -> None:
    foreign = tmp_path / "catalog.db.damaged-mine"
    foreign.write_text("mine")
    for number in range(DAMAGED_KEPT + 2):
        (tmp_path / "catalog.db").write_text(f"garbage {number}")
        open_catalog(tmp_path, None).close()
    aside = {path.read_text() for path in tmp_path.glob("catalog.db.damaged-*") if path != foreign}
    assert aside == {f"garbage {number}" for number in range(2, DAMAGED_KEPT + 2)}
    assert foreign.exists()


def test_damage_that_shows_only_in_use_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = filled(tmp_path)
    catalog = open_catalog(tmp_path, None)
    # All but the first pages, which hold the schema and the version.
    (tmp_path / "catalog.db").write_bytes(content[: 20 * 4096] + b"\x55" * (len(content) - 20 * 4096))
    under_way = Run("new", "a/b", NOW)
    catalog.finish_run(under_way)
    assert catalog.runs("a/b", 10) == [under_way]
    assert len(list(tmp_path.glob("catalog.db.damaged-*"))) >= 1
    assert "set aside" in caplog.text


def test_two_processes_that_find_damage_set_it_aside_once(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "catalog.db").write_bytes(b"garbage " * 1000)
    processes = [run_python(BACK_UP, tmp_path, "", f"shop/{number}") for number in range(5)]
    answers = outputs(processes)
    assert [answer.splitlines()[-1] for answer in answers] == ["20"] * 5
    aside = [path.read_bytes() for path in tmp_path.glob("catalog.db.damaged-*")]
    assert aside == [b"garbage " * 1000]
    assert len(open_catalog(tmp_path, None).known_backup_ids()) == 5


def test_damage_that_two_see_at_the_same_time_is_set_aside_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogs = [open_catalog(tmp_path, None) for _ in range(2)]
    (tmp_path / "catalog.db").write_bytes(b"garbage " * 1000)
    both_have_seen_it = threading.Barrier(2)
    here = threading.local()
    locked, set_aside = SqliteDatabase._locked, SqliteDatabase._set_aside

    @contextmanager
    def locked_together(database: SqliteDatabase) -> Iterator[None]:
        if not hasattr(here, "met"):
            here.met = both_have_seen_it.wait(60)
        with locked(database):
            yield

    def set_aside_late(database: SqliteDatabase, error: CatalogError) -> None:
        time.sleep(0.1)  # room for one that was not held off
        set_aside(database, error)

    monkeypatch.setattr(SqliteDatabase, "_locked", locked_together)
    monkeypatch.setattr(SqliteDatabase, "_set_aside", set_aside_late)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda number: catalogs[number].begin_run(Run(str(number), "a/b", NOW)), range(2)))
    assert both_have_seen_it.n_waiting == 0
    assert [path.read_bytes() for path in tmp_path.glob("catalog.db.damaged-*")] == [b"garbage " * 1000]
    assert [run.id for run in catalogs[0].runs("a/b", 10)] == ["1", "0"]


def test_two_damages_within_a_second_are_both_kept(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "catalog.db").write_bytes(b"garbage" * (500 + number))
        open_catalog(tmp_path, None)
    kept = sorted(path.stat().st_size for path in tmp_path.glob("catalog.db.damaged-*"))
    assert kept == [3500, 3507, 3514]


def test_killed_in_the_middle_nothing_recorded_is_lost(tmp_path: Path) -> None:
    code = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from catalog import open_catalog
from model import Run
catalog = open_catalog(Path(sys.argv[1]), None)
number = 0
while True:
    catalog.begin_run(Run(f"{number}", "a/b", datetime.now(UTC)))
    print(number, flush=True)
    number += 1
"""
    process = run_python(code, tmp_path)
    assert process.stdout is not None
    with process:
        said = [int(process.stdout.readline()) for _ in range(30)]
        process.kill()
        said += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    assert process.returncode == -signal.SIGKILL
    found = {int(run.id) for run in open_catalog(tmp_path, None).runs("a/b", 100_000)}
    assert found >= set(said)
    assert list(tmp_path.glob("*damaged*")) == []


@requires_root
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1_000_000) as state:
        catalog = open_catalog(state, None)
        catalog.begin_run(Run("before", "a/b", NOW))
        ballast = state / "ballast"
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        with pytest.raises(CatalogError, match=r"small/catalog\.db .*full"):
            for number in range(100):
                catalog.begin_run(Run(f"{number}", "a/b", NOW))
        ballast.unlink()
        catalog.begin_run(Run("after", "a/b", NOW))
        assert {"before", "after"} <= {run.id for run in catalog.runs("a/b", 1000)}


@requires_root
def test_no_room_for_a_new_catalog(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 8192) as state, pytest.raises(CatalogError, match=r"small/catalog\.db"):
        open_catalog(state, None)


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CatalogError, match=r"file/state/catalog\.db cannot be used: "):
        open_catalog(tmp_path / "file" / "state", None)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:canary-in-url@host/db",
        "sqlite:////tmp/canary-in-url",
        "canary-in-url",
        "",
        "postgresql://u:canary-in-url@h:port/db",
    ],
)
def test_urls_that_cannot_be_used_are_not_shown(url: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="CATALOG_URL must look like postgresql://") as caught:
        open_catalog(tmp_path, Secret(url))
    assert "canary-in-url" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://holdfast:canary%20password@/runs?host={tmp_path}&options=-cx%3Dcanary"
    with pytest.raises(CatalogError, match=r"postgresql:///runs cannot be used: .*Check CATALOG_URL") as caught:
        open_catalog(tmp_path, Secret(url))
    assert "canary password" not in str(caught.value)


def test_a_migration_of_postgresql_waits_for_another(server: PostgresqlServer, tmp_path: Path) -> None:
    url = server.new_database()
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with ThreadPoolExecutor(1) as thread:
        with engine.connect() as other:
            other.execute(sa.select(sa.func.pg_advisory_lock(MIGRATION_LOCK)))
            opened = thread.submit(open_catalog, tmp_path, Secret(url))
            while other.scalar(waiting) == 0:
                assert not opened.done()
                time.sleep(0.01)
            assert sa.inspect(other).get_table_names() == []
        assert opened.result(60).known_backup_ids() == []
    engine.dispose()


def test_a_password_with_special_characters(server: PostgresqlServer, tmp_path: Path) -> None:
    database = sa.make_url(server.new_database()).database
    assert database is not None
    catalog = open_catalog(tmp_path, Secret(server.url(database, password="p@ss/w%rd:#?")))
    catalog.begin_run(Run("1", "a/b", NOW))
    assert catalog.known_backup_ids() == ["a/b"]
    with pytest.raises(CatalogError) as caught:
        catalog.begin_run(Run("1", "a/b", NOW))
    assert "p@ss" not in str(caught.value)
