"""What is left in the state folder goes where nobody needs it, and nothing else does."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from operations.housekeeping import LOGS_KEPT, abandoned_copies, tidy_up
from operations.locks import lock_backup
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree
from utils import utc_now

GONE = "old-shop/files"


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    holdfast = Holdfast(tmp_path / "holdfast")
    holdfast.configure(make_tree(tmp_path / "tree", files=1))
    return holdfast


def written(path: Path, age: timedelta, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    moment = (utc_now() - age).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_a_run_removes_what_is_nobodys_and_leaves_the_rest(holdfast: Holdfast) -> None:
    old, new = LOGS_KEPT + timedelta(days=1), LOGS_KEPT - timedelta(days=1)
    logs, spool = holdfast.state / "logs", holdfast.state / "spool"
    gone = [
        written(logs / "a/orphan/20200101T000000Z.log", old),
        written(logs / "a/orphan/drill-20200101T000000Z.log", old),
        written(logs / "b/not-empty/20200101T000000Z.log", old),
        written(spool / "upload-0123", timedelta(days=3)),
        written(spool / GONE / "old-shop-files-20200101T000000Z.zip", timedelta()),
    ]
    kept = [
        written(logs / "b/not-empty/mine.log", old),
        written(logs / "b/young/20200101T000000Z.log", old),
        written(logs / "b/young/20250101T000000Z.log", new),
        written(logs / BACKUP_ID / "20200101T000000Z.log", old),
        written(logs / "missed.log", old),
        written(spool / "upload-4567", timedelta(days=1)),
    ]
    holdfast.back_up()
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert not (logs / "a").exists()
    assert not (spool / GONE).parent.exists()


def test_it_is_done_once_a_day(holdfast: Holdfast) -> None:
    holdfast.state.mkdir()
    configuration, now = holdfast.configuration(), utc_now()
    upload = holdfast.state / "spool/upload-0123"
    tidy_up(configuration, now)
    written(upload, timedelta(days=3))
    tidy_up(configuration, now + timedelta(hours=23))
    assert upload.exists()
    tidy_up(configuration, now + timedelta(hours=25))
    assert not upload.exists()


def test_what_another_process_works_on_is_left_alone(holdfast: Holdfast) -> None:
    unfinished = written(holdfast.state / "spool" / GONE / "x.zip", timedelta(days=9))
    with lock_backup(holdfast.state, GONE):
        tidy_up(holdfast.configuration(), utc_now())
        assert unfinished.exists()
    assert list(abandoned_copies(holdfast.configuration())) == []
    assert not unfinished.exists()


def test_a_state_folder_that_cannot_be_used_is_no_error(holdfast: Holdfast) -> None:
    holdfast.state.write_text("in the way")
    tidy_up(holdfast.configuration(), utc_now())


def test_a_whole_copy_stays_and_doctor_names_it(holdfast: Holdfast) -> None:
    """A whole copy is one with its manifest; where it came from makes no difference to it."""
    holdfast.back_up()
    waiting = holdfast.state / "spool" / BACKUP_ID
    waiting.mkdir(parents=True)
    names = [path.name for path in holdfast.copies.iterdir() if path.name != "HOW-TO-RESTORE.txt"]
    for name in names:
        (waiting / name).write_bytes((holdfast.copies / name).read_bytes())
    written(waiting / "unfinished.zip", timedelta())
    configuration = json.loads(holdfast.config.read_text())
    configuration["PROJECTS"][0]["NAME"] = "renamed"
    holdfast.write(configuration)
    (holdfast.state / "tidied").unlink()
    assert holdfast.run("backup.py", "--all").returncode == 0
    assert sorted(path.name for path in waiting.iterdir()) == sorted(names)
    found = json.loads(holdfast.run("main.py", "doctor", "--json").stdout)["findings"]
    (text,) = (each["text"] for each in found if each["subject"] == "spool")
    assert str(waiting) in text
    assert f"{BACKUP_ID} is not enabled any more" in text
