"""Drills of files, SQLite databases and outputs of programs: what is found, what is left behind, and what is stale."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import operations.verifying.drill_files
from errors import StorageUnavailableError
from model import CheckOutcome, CommandSource, DatabaseSource, RunStatus
from operations.copies.stored_copies import StoredCopy
from operations.restoring.restore import RestoreReport, restore_files
from operations.verifying.drill import why_stale
from operations.verifying.drill_databases import SURELY_NOT_EMPTY, is_true, judge_tables
from sources.scratch import TableState
from storages.wrapper import StorageWrapper
from tests.support.copies import STARTED, backup_of, make_copy, path_of
from tests.support.drills import (
    copy_of_source,
    drill,
    drill_base,
    owned_by_nobody,
    result_of,
    start_drill,
    wait_until,
)
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.trees import make_tree
from tests.support.whole_trees import Node, generated_nodes, make_whole_tree

LARGE_SIZE = 3 << 20


@pytest.fixture
def base() -> Iterator[Path]:
    with drill_base() as base:
        yield base


@pytest.fixture
def copy(tmp_path: Path) -> StoredCopy:
    return make_copy(tmp_path / "storage", make_tree(tmp_path / "tree", large_size=LARGE_SIZE))


def test_files_pass(copy: StoredCopy, base: Path) -> None:
    report = drill(copy, base)
    assert report.outcome is CheckOutcome.PASSED, report.sentences()
    assert copy.manifest is not None
    content = copy.manifest.content
    compared = report.compared
    assert (compared.files, compared.folders, compared.links) == (content.files, content.folders, content.links)
    assert LARGE_SIZE < compared.size <= content.size
    assert report.remarks == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nodes=generated_nodes)
def test_whatever_a_file_system_can_hold_passes(nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("whole")
    make_whole_tree(nodes, folder / "tree")
    with drill_base() as base:
        report = drill(make_copy(folder / "storage", folder / "tree"), base)
    assert report.outcome is CheckOutcome.PASSED, report.sentences()


# --- what cannot be restored ------------------------------------------------------------------------------------


def test_a_damaged_member_is_named(copy: StoredCopy, base: Path, tmp_path: Path) -> None:
    archive = path_of(tmp_path / "storage", copy.keys.archive)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    report = drill(copy, base)
    assert report.outcome is CheckOutcome.FAILED
    (problem,) = report.problems
    assert "/tree/large: " in problem


@pytest.mark.parametrize("part", ["archive", "index"])
@pytest.mark.parametrize("is_missing", [True, False])
def test_a_part_that_is_missing_or_damaged(
    copy: StoredCopy, base: Path, tmp_path: Path, part: str, *, is_missing: bool
) -> None:
    path = path_of(tmp_path / "storage", getattr(copy.keys, part))
    if is_missing:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])
    report = drill(copy, base)
    assert report.outcome is CheckOutcome.FAILED
    (problem,) = report.problems
    assert str(path.name) in problem or "bytes where" in problem


def test_a_manifest_that_cannot_be_read(copy: StoredCopy, base: Path, tmp_path: Path) -> None:
    path = path_of(tmp_path / "storage", copy.keys.manifest)
    path.write_bytes(path.read_bytes()[:-10])
    report = drill(replace(copy, manifest=None, error="it is damaged"), base)
    assert report.outcome is CheckOutcome.FAILED


def change_content(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def change_size(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"?")


def change_mode(path: Path) -> None:
    path.chmod(0o7)


def remove(path: Path) -> None:
    path.unlink()


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def change_link(path: Path) -> None:
    link = path.parent.parent / "link"
    link.unlink()
    link.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_content, "file 7.txt: its content is another one after the restore"),
        (change_size, "file 7.txt: it has "),
        (change_mode, "file 7.txt: its mode is 0007 after the restore, and was 0644"),
        (remove, "file 7.txt: it was restored, but cannot be read back: No such file or directory"),
        (replace_by_link, "file 7.txt: it is not a file after the restore"),
        (change_link, "link: the link leads elsewhere after the restore"),
    ],
)
def test_what_was_not_restored_as_it_was_is_named(
    copy: StoredCopy,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    reason: str,
) -> None:
    """A restore that errs, and says that all is well."""
    changed: list[Path] = []

    def erring(copy: StoredCopy, folder: Path, *arguments: Any, **options: Any) -> RestoreReport:
        report = restore_files(copy, folder, *arguments, **options)
        changed.append(folder / str(tmp_path / "tree" / "folder 7" / "file 7.txt")[1:])
        change(changed[0])
        return report

    monkeypatch.setattr(operations.verifying.drill_files, "restore_files", erring)
    report = drill(copy, base)
    assert len(changed) == 1
    assert report.outcome is CheckOutcome.FAILED
    (problem,) = report.problems
    assert reason in problem


# --- what says nothing of the copy ------------------------------------------------------------------------------


class SilentStorage(StorageWrapper):
    """It does not answer any more once the restore has begun."""

    reads = 0

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads += 1
        if key.endswith(".zip"):
            raise StorageUnavailableError("The storage LOCAL does not answer.")
        return super().get(key, offset, length)


def test_a_storage_that_does_not_answer(copy: StoredCopy, base: Path) -> None:
    storage = SilentStorage(copy.storage)
    report = drill(replace(copy, storage=storage), base)
    assert storage.reads > 1
    assert report.outcome is CheckOutcome.NOT_DONE
    assert report.obstacle == "The storage LOCAL does not answer."
    assert report.problems == []


@requires_root
@pytest.mark.parametrize("is_checked", [True, False])
def test_no_room(copy: StoredCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_checked: bool) -> None:
    """Known before; and where it is used up by others meanwhile."""
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        if not is_checked:
            monkeypatch.setattr(operations.verifying.drill_files, "require_room", lambda _folder, _size: None)
        report = drill(copy, disk)
        assert list(disk.iterdir()) == []
    assert report.outcome is CheckOutcome.NOT_DONE
    assert ("are free. Free some space" if is_checked else "No space left on device") in str(report.obstacle)


def test_a_file_of_holes_needs_no_room(base: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "holes").open("wb") as file:
        file.write(b"data")
        file.truncate(64 << 20)
    os.link(tmp_path / "tree" / "holes", tmp_path / "tree" / "again")
    copy = make_copy(tmp_path / "storage", tmp_path / "tree")
    assert copy.manifest is not None
    # As if more were in it than any disk has: then the index is asked, which knows holes and links.
    content = replace(copy.manifest.content, size=1 << 60)
    report = drill(replace(copy, manifest=replace(copy.manifest, content=content)), base)
    assert report.outcome is CheckOutcome.PASSED, report.sentences()


@requires_root
def test_a_folder_that_cannot_be_made(copy: StoredCopy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    report = drill(copy, tmp_path / "file" / "scratch")
    assert report.outcome is CheckOutcome.NOT_DONE
    assert "A folder for the drill cannot be made in" in str(report.obstacle)


# --- signals, kills, other users --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ended_in_the_middle(base: Path, tmp_path: Path, number: signal.Signals) -> None:
    tree, held = make_tree(tmp_path / "tree"), tmp_path / "held"
    copy = make_copy(tmp_path / "storage", tree)
    process = start_drill(tmp_path / "storage", base, held_at=held)
    assert wait_until(held.exists, process)
    process.send_signal(number)
    process.wait(60)
    if number is signal.SIGKILL:
        (left,) = base.iterdir()
        assert any(left.rglob("*.txt"))
        # What others have there stays, whatever it is called.
        (base / "holdfast-drill-foreign").write_text("foreign")
        (base / "holdfast-drill-link").symlink_to(tree)
        assert drill(copy, base).outcome is CheckOutcome.PASSED
        assert {path.name for path in base.iterdir()} == {"holdfast-drill-foreign", "holdfast-drill-link"}
        assert (tree / "link").is_symlink()
        for path in base.iterdir():
            path.unlink()
    else:
        assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]


def test_as_an_ordinary_user_who_may_not_read_what_was_restored(tmp_path: Path) -> None:
    """Files and folders that nobody may read, of other owners, and with the set-user-ID bit."""
    tree = tmp_path / "tree"
    (tree / "closed" / "more").mkdir(parents=True)
    for name in ("closed/secret", "closed/more/program", "open"):
        (tree / name).write_text(name)
    (tree / "closed" / "secret").chmod(0)
    (tree / "closed" / "more" / "program").chmod(0o4711)
    (tree / "closed" / "more").chmod(0)
    (tree / "closed").chmod(0o100)
    if os.geteuid() != 0:
        pytest.skip("needs root, who alone can back such files up")
    make_copy(tmp_path / "storage", tree)
    with owned_by_nobody(tmp_path / "storage") as (storage, scratch, user):
        outcome, sentences = result_of(start_drill(storage, scratch, user=user))
    assert outcome == "passed", sentences


# --- SQLite, and outputs of programs ------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "größe; 'shop'?.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE item (n INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)")
        database.executemany("INSERT INTO item (text) VALUES (?)", ((f"{n:040d}",) for n in range(2000)))
        database.commit()
    return path


def test_a_sqlite_database(database: Path, base: Path, tmp_path: Path) -> None:
    copy = copy_of_source(tmp_path / "storage", DatabaseSource("sqlite", (str(database),)))
    report = drill(copy, base, "SELECT count(*) = 2000 FROM item;")
    assert report.outcome is CheckOutcome.PASSED, report.sentences()
    assert (report.compared.databases, report.compared.tables, report.compared.rows) == (1, 1, 2000)
    for question in ("SELECT count(*) = 7 FROM item", "SELECT 'yes'", "SELECT nix", "SELECT 1; SELECT 1"):
        report = drill(copy, base, question)
        assert report.outcome is CheckOutcome.FAILED
        (problem,) = report.problems
        assert f"the assertion {question!r} " in problem


def test_a_sqlite_database_that_is_damaged_in_a_whole_frame(
    database: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sources.sqlite

    original = sources.sqlite._Copy.chunks
    damaged: list[int] = []

    def chunks(content: Any) -> Iterator[bytes]:
        data = bytearray(b"".join(original(content)))
        middle = len(data) // 2
        data[middle : middle + 64] = bytes(64)
        damaged.append(middle)
        yield bytes(data)

    monkeypatch.setattr(sources.sqlite._Copy, "chunks", chunks)
    report = drill(copy_of_source(tmp_path / "storage", DatabaseSource("sqlite", (str(database),))), base)
    assert len(damaged) == 1
    assert report.outcome is CheckOutcome.FAILED, report.sentences()
    assert "integrity_check" in report.problems[0]


def test_a_database_without_its_index_is_restored_all_the_same(database: Path, base: Path, tmp_path: Path) -> None:
    copy = copy_of_source(tmp_path / "storage", DatabaseSource("sqlite", (str(database),)))
    path_of(tmp_path / "storage", copy.keys.index).unlink()
    report = drill(copy, base, "SELECT count(*) = 2000 FROM item")
    assert report.outcome is CheckOutcome.FAILED
    assert len(report.problems) == 1
    assert (report.compared.databases, report.compared.assertions) == (1, 1)


def test_what_a_program_wrote_is_only_read_again(base: Path, tmp_path: Path) -> None:
    copy = copy_of_source(tmp_path / "storage", CommandSource(("seq", "1000000"), "numbers.txt"))
    report = drill(copy, base)
    assert report.outcome is CheckOutcome.PASSED
    assert (report.compared.files, report.compared.size) == (1, 6_888_896)
    assert "nothing was restored from it" in report.sentences()[-1]
    archive = path_of(tmp_path / "storage", copy.keys.archive)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    report = drill(copy, base)
    assert report.outcome is CheckOutcome.FAILED
    assert report.problems[0].startswith("numbers.txt: ")


# --- what is pure -----------------------------------------------------------------------------------------------


def test_a_stale_copy_is_neither_good_nor_bad(copy: StoredCopy, base: Path, tmp_path: Path) -> None:
    report = drill(copy, base, stale="It is old.")
    assert report.outcome is CheckOutcome.STALE
    assert report.sentences()[-1] == "It is old."
    assert report.compared.files > 0
    path_of(tmp_path / "storage", copy.keys.archive).unlink()
    assert drill(copy, base, stale="It is old.").outcome is CheckOutcome.FAILED


@pytest.mark.parametrize(
    ("now", "took", "is_stale"),
    [
        # The intervals say 02:00, and the copy is of 20 November, 03:00.
        ("2026-11-21 01:00", 60, False),
        ("2026-11-21 02:11", 60, False),
        ("2026-11-21 02:13", 60, True),
        ("2026-11-21 05:00", 2 * 3600, False),
        ("2026-11-21 06:11", 2 * 3600, True),
        ("2026-12-24 00:00", 60, True),
    ],
)
def test_when_a_copy_is_stale(copy: StoredCopy, tmp_path: Path, now: str, took: int, *, is_stale: bool) -> None:
    assert copy.manifest is not None
    manifest = replace(copy.manifest, ended=STARTED + timedelta(seconds=took))
    backup = backup_of(tmp_path)
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = why_stale(backup, manifest, moment, UTC)
    assert (found is not None) is is_stale
    if found:
        assert "The newest good copy of shop/files is of 2026-11-20 03:00 UTC, and one of " in found
    assert why_stale(replace(backup, enabled=False), manifest, moment, UTC) is None
    assert why_stale(replace(backup, intervals=()), manifest, moment, UTC) is None


def table(rows: int | None, estimate: int, name: str = "t", *, is_there: bool = True) -> TableState:
    return TableState(name, is_there, estimate, rows)


MANY = SURELY_NOT_EMPTY


@pytest.mark.parametrize(
    ("tables", "problems", "remarks"),
    [
        ([table(5, 5)], 0, 0),
        ([table(0, 0)], 0, 0),
        ([table(0, 0), table(MANY, 0)], 0, 0),
        ([table(None, 0, is_there=False)], 1, 0),
        ([table(0, MANY), table(1, 1)], 1, 0),
        ([table(0, MANY - 1), table(1, 1)], 0, 1),  # a queue
        ([table(0, 3), table(0, 5), table(0, 0)], 2, 0),  # nothing in the whole database
        ([table(MANY, 5 * MANY)], 0, 1),
        ([table(5 * MANY, MANY)], 0, 1),
        ([table(MANY, 2 * MANY), table(2 * MANY, MANY)], 0, 0),
        ([table(None, MANY)], 0, 0),  # a partitioned table, an unpopulated view
        ([], 0, 0),
    ],
)
def test_what_is_said_of_tables(tables: list[TableState], problems: int, remarks: int) -> None:
    found = judge_tables(tables)
    assert (len(found[0]), len(found[1])) == (problems, remarks)


@pytest.mark.parametrize("rows", [[[True]], [[1]], [[-0.5]], [["1"]], [["0.5"]]])
def test_answers_that_are_true(rows: list[list[Any]]) -> None:
    assert is_true(rows)


@pytest.mark.parametrize(
    "rows",
    [[], [[]], [[False]], [[0]], [["0"]], [["0.00"]], [["t"]], [[None]], [["NULL"]], [[1, 1]], [[1], [1]], [[[1]]]],
)
def test_answers_that_are_not(rows: list[list[Any]]) -> None:
    assert not is_true(rows)


def test_a_partial_copy_says_so(copy: StoredCopy, base: Path) -> None:
    assert copy.manifest is not None
    report = drill(replace(copy, manifest=replace(copy.manifest, status=RunStatus.PARTIAL)), base)
    assert report.outcome is CheckOutcome.PASSED
    assert report.remarks[0].startswith("The copy is partial")
