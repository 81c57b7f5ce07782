"""Drills by whole processes: three ways in which they end, what is said of each, and what the catalog remembers."""

from __future__ import annotations

import argparse
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import operations.verifying.drill
import sources.postgres
from catalog import LastChecks, open_catalog
from commands.choice import Meant
from commands.drilling import drilled
from commands.places import Lookup
from errors import EXIT_ALREADY_RUNNING, EXIT_FAILED, EXIT_GOOD, EXIT_USAGE
from model import CheckKind, CheckOutcome, DatabaseSource
from operations.copies.stored_copies import StoredCopy
from operations.locks import lock_check
from operations.verifying.drill_report import DrillReport
from tests.support.age_keys import make_key_pair
from tests.support.drills import change_dumps, copy_of_source
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.postgresql import postgresql_server
from tests.support.trees import make_tree

MONTHLY = "0 6 1 * *"
ROWS = 2000


class Site:
    """An installation with a backup of a SQLite database, or of files, and a drill of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.holdfast = Holdfast(folder / "holdfast")

    def configure(self, kind: str, keys: dict[str, object], **drill: object) -> None:
        backup = {
            "NAME": "files",
            "INTERVALS": "0 2 * * *",
            "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}],
            "VERIFY": {"DRILL": {"INTERVALS": MONTHLY, **drill}},
            **keys,
        }
        self.holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{kind: [backup]}]}]})

    def configure_files(self, **keys: object) -> None:
        self.configure("FILE_BACKUP", {"FILE_PATH": str(self.folder / "tree"), **keys})

    def drill(self, *arguments: str, **options: Any) -> Any:
        ended = self.holdfast.run("restore.py", "verify", "--drill", BACKUP_ID, *arguments, **options)
        scratch = self.holdfast.state / "drill"
        assert not scratch.exists() or list(scratch.iterdir()) == []
        return ended

    def last(self) -> LastChecks:
        with closing(open_catalog(self.holdfast.state, None)) as catalog:
            return catalog.last_checks([BACKUP_ID])[BACKUP_ID]

    def log(self) -> str:
        return max((self.holdfast.state / "logs" / BACKUP_ID).glob("drill-*.log")).read_text()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With a copy of some files."""
    site = Site(tmp_path)
    make_tree(tmp_path / "tree", files=3)
    site.configure_files()
    site.holdfast.back_up()
    return site


def database(folder: Path) -> Path:
    file = folder / "shop.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE item (n)")
        connection.executemany("INSERT INTO item VALUES (?)", ((number,) for number in range(ROWS)))
    return file


def test_a_drill_that_passes(site: Site) -> None:
    ended = site.drill()
    assert (ended.returncode, ended.stderr) == (EXIT_GOOD, "")
    assert ended.stdout.startswith(f"{BACKUP_ID}: drill passed. {BACKUP_ID}@")
    assert "was restored and compared in " in ended.stdout
    proven = site.last().proven
    assert proven is not None
    assert (proven.kind, proven.outcome, proven.target) == (CheckKind.DRILL, CheckOutcome.PASSED, "LOCAL")
    room = site.folder / "room"
    site.configure("FILE_BACKUP", {"FILE_PATH": str(site.folder / "tree")}, FOLDER=str(room))
    ended = site.drill("--scheduled")
    assert (ended.returncode, ended.stdout, ended.stderr) == (EXIT_GOOD, "", "")
    assert list(room.iterdir()) == []
    assert "was restored and compared in " in site.log()


def test_an_assertion_that_does_not_hold_fails_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    keys: dict[str, object] = {"DB_INFO": {"TYPE": "sqlite", "FILE_PATH": str(database(tmp_path))}}
    site.configure("DB_BACKUP", keys, ASSERT=[f"select count(*) = {ROWS} from item"])
    site.holdfast.back_up()
    ended = site.drill("--scheduled")
    assert (ended.returncode, ended.stdout, ended.stderr) == (EXIT_GOOD, "", "")
    site.configure("DB_BACKUP", keys, ASSERT=[f"select count(*) > {ROWS} from item"])
    ended = site.drill("--scheduled")
    assert (ended.returncode, ended.stdout) == (EXIT_FAILED, "")
    assert "drill failed." in ended.stderr
    assert f"the assertion 'select count(*) > {ROWS} from item' does not hold" in ended.stderr
    assert site.last().last[CheckKind.DRILL].outcome is CheckOutcome.FAILED
    assert "does not hold" in site.last().last[CheckKind.DRILL].message


def test_damaged_data_in_a_whole_frame_fails_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hash and its CRC-32 are those of the damaged bytes: verify finds nothing, and a drill does."""
    site = Site(tmp_path)
    with postgresql_server() as server:
        server.sql("CREATE DATABASE shop")
        server.sql(f"CREATE TABLE item AS SELECT n, 'row ' || n AS t FROM generate_series(1, {ROWS}) n", "shop")
        site.holdfast.folder.mkdir()
        source = DatabaseSource("postgres", ("shop",), server.superuser, host=str(server.socket_folder))
        change_dumps(monkeypatch, sources.postgres, lambda data: data.replace(b"1000\trow", b"1x00\trow"))
        copy_of_source(site.holdfast.storage, source)
        site.configure(
            "DB_BACKUP", {"DB_INFO": {"NAME": "shop", "HOST": str(server.socket_folder)}}, ASSERT="select true"
        )
    verified = site.holdfast.run("restore.py", "verify", BACKUP_ID)
    assert (verified.returncode, verified.stdout.count("sound")) == (EXIT_GOOD, 1), verified.stderr
    ended = site.drill("--json")
    assert ended.returncode == EXIT_FAILED
    (drill,) = json_of(ended)["drills"]
    assert drill["outcome"] == "failed"
    assert 'invalid input syntax for type integer: "1x00"' in drill["problems"][0]
    assert drill["tried_with"].startswith("PostgreSQL ")
    assert site.last().proven is None


def json_of(ended: Any) -> dict[str, Any]:
    return dict(json.loads(ended.stdout))


def test_a_damaged_file_and_a_manifest_that_cannot_be_read_fail_it(site: Site) -> None:
    (archive,) = site.holdfast.parts(".zip")
    data = bytearray(archive.read_bytes())
    data[len(data) // 3] ^= 1
    archive.write_bytes(data)
    ended = site.drill()
    assert (ended.returncode, ended.stdout) == (EXIT_FAILED, "")
    assert "drill failed." in ended.stderr
    site.holdfast.parts(".manifest.json")[0].write_text("{")
    answer = json_of(site.drill("--scheduled", "--json"))
    assert [each["outcome"] for each in answer["drills"]] == ["failed"]


def test_a_drill_that_cannot_be_done_says_nothing_of_the_copy(site: Site, tmp_path: Path) -> None:
    site.configure_files(ENCRYPT_TO=make_key_pair("age", tmp_path).public)
    site.holdfast.back_up()
    ended = site.drill("--scheduled")
    assert (ended.returncode, ended.stdout) == (EXIT_FAILED, "")
    assert "drill could not be done." in ended.stderr
    assert "which says nothing of the copy" in ended.stderr
    assert "set AGE_IDENTITY_FILE" in ended.stderr
    assert site.last().last[CheckKind.DRILL].outcome is CheckOutcome.NOT_DONE
    opened = site.drill("--identity", str(tmp_path / "identity-age"))
    assert (opened.returncode, "drill passed." in opened.stdout) == (EXIT_GOOD, True), opened.stderr


def test_a_target_that_cannot_be_listed_is_no_fault_of_the_copy(site: Site) -> None:
    site.holdfast.storage.rename(site.folder / "aside")
    site.holdfast.storage.symlink_to(site.holdfast.storage)
    answer = json_of(site.drill("--json"))
    assert [(each["outcome"], each["copy"]) for each in answer["drills"]] == [("could not be done", None)]


def test_a_copy_that_is_too_old_is_stale(site: Site) -> None:
    for path in site.holdfast.copies.iterdir():
        path.unlink()
    days_ago = datetime.now(UTC) - timedelta(days=3)
    command = site.holdfast.command_with_plan([], BACKUP_ID, clock=days_ago.isoformat())
    assert site.holdfast.run_command(command).returncode == 0
    ended = site.drill("--scheduled")
    assert ended.returncode == EXIT_FAILED
    assert "drill stale." in ended.stderr
    assert f"The newest good copy of {BACKUP_ID} is of {days_ago:%Y-%m-%d %H:%M} UTC" in ended.stderr
    assert site.last().last[CheckKind.DRILL].outcome is CheckOutcome.STALE
    older = site.holdfast.run("restore.py", "verify", "--drill", f"{BACKUP_ID}@{days_ago:%Y}", "--json")
    assert (older.returncode, json_of(older)["drills"][0]["outcome"]) == (EXIT_GOOD, "passed")


def test_where_there_is_no_copy(site: Site) -> None:
    for path in site.holdfast.copies.iterdir():
        path.unlink()
    ended = site.drill()
    assert (ended.returncode, ended.stderr) == (EXIT_USAGE, f"There is no copy of {BACKUP_ID} on its targets.\n")
    ended = site.drill("--scheduled")
    assert (ended.returncode, "drill could not be done." in ended.stderr) == (EXIT_FAILED, True)


def test_a_line_that_is_outdated_and_two_at_once(site: Site) -> None:
    with lock_check(site.holdfast.state, CheckKind.DRILL, BACKUP_ID):
        ended = site.drill("--scheduled")
    assert (ended.returncode, "The drill of shop/files is running already" in ended.stderr) == (
        EXIT_ALREADY_RUNNING,
        True,
    )
    site.configure_files(VERIFY={"INTERVALS": MONTHLY})
    ended = site.drill("--scheduled")
    assert ended.returncode == EXIT_USAGE
    assert "with a drill that is scheduled. This scheduled line is outdated" in ended.stderr


def test_a_copy_that_is_pruned_while_it_is_drilled_has_not_failed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def drill_copy(copy: StoredCopy, *_arguments: object) -> DrillReport:
        for path in site.holdfast.copies.iterdir():
            path.unlink()
        return DrillReport(str(copy), problems=["its archive is not there"])

    monkeypatch.setattr(operations.verifying.drill, "drill_copy", drill_copy)
    for name, value in site.holdfast.environment().items():
        monkeypatch.setenv(name, value)
    given = {"config": site.holdfast.config, "env_file": None, "quiet": True, "json": False, "place": None}
    arguments = argparse.Namespace(**given, storage=None, untrusted=False)
    drill = drilled(Meant(site.holdfast.the_backup()), arguments, Lookup(arguments))
    assert drill.report.outcome is CheckOutcome.NOT_DONE
    assert drill.report.obstacle is not None
    assert "was removed in the meantime, as KEEP asks." in drill.report.obstacle
