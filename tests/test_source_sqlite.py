"""SQLite: copies of live databases, here through Python's module and elsewhere through the sqlite3 program."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from errors import HoldfastError, RestoreError, SourceError
from hosts.command import CommandHost
from hosts.local_command import LocalCommandHost
from model import DatabaseSource
from sources import sqlite_here
from sources.database import Database, open_database
from tests.support.database_hosts import Elsewhere, content_of, in_pieces, stream_of
from tests.support.skips import requires_program
from tests.support.small_disk import small_disk

pytestmark = requires_program("sqlite3")

HOSTS: list[CommandHost] = [LocalCommandHost(), Elsewhere()]
EVERYWHERE = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)

SHOP = """
PRAGMA user_version = 7; PRAGMA application_id = 4711;
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, picture BLOB, twice INT GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE plain (a); CREATE INDEX by_name ON item (name); CREATE VIEW few AS SELECT * FROM item LIMIT 3;
CREATE TRIGGER note AFTER INSERT ON item BEGIN INSERT INTO plain VALUES (NEW.name); END;
CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('größe 🐘');
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO item (name, picture) SELECT 'item ' || i, randomblob(100) FROM n;
DELETE FROM plain WHERE rowid % 3 = 0;
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / 'it\'s $HOME; "größe".db'
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SHOP)
        database.commit()
    return path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where both ways put their copies. It is empty at the end of each test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def database_of(host: CommandHost, spool: Path, *paths: Path) -> Database:
    return open_database(DatabaseSource("sqlite", tuple(map(str, paths))), host, lambda note: None, spool)


def copied(host: CommandHost, spool: Path, path: Path) -> bytes:
    description, member = database_of(host, spool, path).members()
    (entry,) = json.loads(content_of(description))["databases"]
    assert (entry["name"], entry["member"].encode()) == (str(path), member.path)
    return content_of(member)


def text_of(path: Path) -> str:
    command = ["sqlite3", str(path), ".dump --preserve-rowids", "PRAGMA user_version", "PRAGMA application_id"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@EVERYWHERE
@pytest.mark.parametrize("journal_mode", ["delete", "wal", "truncate"])
def test_a_database_comes_back_whole(
    shop: Path, tmp_path: Path, temporary: Path, host: CommandHost, journal_mode: str
) -> None:
    with closing(sqlite3.connect(shop)) as writer:
        writer.execute(f"PRAGMA journal_mode = {journal_mode}")
        writer.execute("INSERT INTO item (name) VALUES ('last')")  # in WAL mode it stands in the log only
        writer.commit()
        data = copied(host, temporary, shop)
        restored = tmp_path / "new place.db"
        database_of(host, temporary, shop).restore(in_pieces(data), str(restored))
        assert text_of(restored) == text_of(shop)
        assert sorted(path.name for path in tmp_path.iterdir() if "holdfast" in path.name) == []


@EVERYWHERE
def test_a_transaction_under_way_is_not_in_the_copy(
    shop: Path, tmp_path: Path, temporary: Path, host: CommandHost
) -> None:
    before = text_of(shop)
    with closing(sqlite3.connect(shop)) as writer:
        writer.execute("INSERT INTO item (name) VALUES ('not yet')")
        (tmp_path / "copy.db").write_bytes(copied(host, temporary, shop))
        writer.rollback()
    assert text_of(tmp_path / "copy.db") == before


@EVERYWHERE
def test_an_empty_database(tmp_path: Path, temporary: Path, host: CommandHost) -> None:
    (tmp_path / "empty.db").touch()
    assert copied(host, temporary, tmp_path / "empty.db")[:6] in (b"", b"SQLite")


@EVERYWHERE
def test_a_missing_file_is_named_and_not_made(tmp_path: Path, temporary: Path, host: CommandHost) -> None:
    path = tmp_path / "missing.db"
    with pytest.raises(
        SourceError, match=rf"{path} on {host.name} was not backed up(.|\n)*there is no such file|no file"
    ):
        copied(host, temporary, path)
    assert not path.exists()


@EVERYWHERE
def test_a_file_that_is_no_database(tmp_path: Path, temporary: Path, host: CommandHost) -> None:
    path = tmp_path / "text.db"
    path.write_text("no database, only a text that is longer than any header of one\n" * 50)
    with pytest.raises(SourceError, match=r"was not backed up(.|\n)*file is not a database"):
        copied(host, temporary, path)


@EVERYWHERE
def test_a_damaged_database(shop: Path, temporary: Path, host: CommandHost) -> None:
    with shop.open("r+b") as file:
        file.seek(shop.stat().st_size // 2)
        file.write(os.urandom(20_000))
    with pytest.raises(SourceError, match=r"damaged \(PRAGMA integrity_check\)|malformed"):
        copied(host, temporary, shop)


def test_a_database_that_stays_locked(shop: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_here, "SECONDS_FOR_LOCK", 0.1)
    with closing(sqlite3.connect(shop)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match="was not backed up: database is locked"):
            copied(HOSTS[0], temporary, shop)


def test_a_path_must_be_absolute(temporary: Path) -> None:
    with pytest.raises(SourceError, match=r"must begin with a slash: -init"):
        database_of(HOSTS[1], temporary, Path("-init"))


@EVERYWHERE
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_an_existing_file_is_replaced_only_on_request(
    shop: Path, tmp_path: Path, temporary: Path, host: CommandHost, journal_mode: str
) -> None:
    with closing(sqlite3.connect(shop)) as database:
        database.execute(f"PRAGMA journal_mode = {journal_mode}")
    data = copied(host, temporary, shop)
    taken = tmp_path / "taken.db"
    with closing(sqlite3.connect(taken)) as other:
        other.execute("CREATE TABLE mine (a)")
        with pytest.raises(RestoreError, match=rf"There is a file {taken} on {host.name} already.*--replace"):
            database_of(host, temporary, shop).restore(in_pieces(data), str(taken))
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
        taken.chmod(0o640)
        database_of(host, temporary, shop).restore(in_pieces(data), str(taken), replace=True)
        # A program that has it open sees the new content, as after any other transaction.
        assert other.execute("SELECT count(*) FROM item").fetchone() == (20000,)
    assert text_of(taken) == text_of(shop)
    assert taken.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir() if "holdfast" in path.name] == []


@EVERYWHERE
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("length", [50, 100_000])
def test_a_cut_copy_restores_nothing_and_leaves_nothing(
    shop: Path, tmp_path: Path, temporary: Path, host: CommandHost, length: int, *, exists: bool
) -> None:
    data = copied(host, temporary, shop)
    assert len(data) > 1_000_000
    target = tmp_path / "target.db"
    if exists:
        shutil.copy(shop, target)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RestoreError, match=rf"The SQLite database {target} was not restored"):
        database_of(host, temporary, shop).restore(in_pieces(data[:length]), str(target), replace=True)
    assert sorted(tmp_path.iterdir()) == before
    if exists:
        assert text_of(target) == text_of(shop)


@EVERYWHERE
def test_a_copy_whose_reading_fails_leaves_nothing(
    shop: Path, tmp_path: Path, temporary: Path, host: CommandHost
) -> None:
    def failing() -> Iterator[bytes]:
        yield b"SQLite format 3\0"
        raise HoldfastError("The archive is damaged.")

    before = sorted(tmp_path.iterdir())
    with pytest.raises(HoldfastError, match=r"^The archive is damaged.$"):
        database_of(host, temporary, shop).restore(failing(), str(tmp_path / "new.db"))
    assert sorted(tmp_path.iterdir()) == before


@EVERYWHERE
def test_the_spool_is_full(shop: Path, tmp_path: Path, host: CommandHost, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        monkeypatch.setenv("TMPDIR", str(disk))
        monkeypatch.setattr(sqlite_here.Here, "_require_space", lambda self, path: None)
        with pytest.raises(SourceError, match=r"was not backed up(.|\n)*disk is full"):
            copied(host, disk, shop)
        assert list(disk.iterdir()) == []


def test_a_spool_that_is_too_small_is_named_before_the_copy(shop: Path, tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 1 << 20) as disk,
        pytest.raises(SourceError, match=rf"has to wait in {disk}, where .* free"),
    ):
        copied(HOSTS[0], disk, shop)


@EVERYWHERE
def test_a_reader_that_stops_leaves_nothing(shop: Path, temporary: Path, host: CommandHost) -> None:
    _, member = database_of(host, temporary, shop).members()
    with closing(stream_of(member)) as stream:
        assert next(stream).startswith(b"SQLite format 3\0")
    assert list(temporary.iterdir()) == []


def test_elsewhere_nothing_is_left_from_the_first_byte_on(shop: Path, temporary: Path) -> None:
    _, member = database_of(HOSTS[1], temporary, shop).members()
    with closing(stream_of(member)) as stream:
        next(stream)
        assert list(temporary.iterdir()) == []


def test_what_a_killed_run_left_in_the_spool_is_removed_and_what_another_uses_is_not(
    shop: Path, temporary: Path
) -> None:
    left = temporary / "sqlite-left"
    left.mkdir()
    (left / "copy").write_bytes(bytes(1000))
    _, member = database_of(HOSTS[0], temporary, shop).members()
    with closing(stream_of(member)) as stream:
        next(stream)
        assert not left.exists()
        (used,) = temporary.iterdir()
        copied(HOSTS[0], temporary, shop)
        assert list(temporary.iterdir()) == [used]
