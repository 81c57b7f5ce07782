"""Scheduled times that went by without a run, made up by real processes: once, and said."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree

SINCE_DAYS = 3


@pytest.fixture
def slot() -> datetime:
    """The scheduled time of the backup: an hour ago, every day."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)


@pytest.fixture
def holdfast(tmp_path: Path, slot: datetime, monkeypatch: pytest.MonkeyPatch) -> Holdfast:
    """Scheduled for three days, and never run."""
    monkeypatch.setenv("TZ", "UTC")
    holdfast = Holdfast(tmp_path / "holdfast")
    intervals = f"{slot.minute} {slot.hour} * * *"
    holdfast.configure(make_tree(tmp_path / "tree", files=3), INTERVALS=intervals)
    with closing(open_catalog(holdfast.state, None)) as catalog:
        catalog.record_schedule({BACKUP_ID: (intervals,)}, datetime.now(UTC) - timedelta(days=SINCE_DAYS))
    return holdfast


def runs(holdfast: Holdfast) -> list[tuple[str, datetime | None]]:
    """The status and the scheduled time of each run, oldest first."""
    with closing(open_catalog(holdfast.state, None)) as catalog:
        return [(run.status.value, run.slot) for run in reversed(catalog.runs(BACKUP_ID, 100))]


def missed(holdfast: Holdfast) -> str:
    ended = holdfast.run("backup.py", "--missed")
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_a_missed_run_is_made_up_once_and_said(holdfast: Holdfast, slot: datetime) -> None:
    """Once, although three scheduled times went by."""
    assert f"shop/files: good (caught up: it was due at {slot:%Y-%m-%d %H:%M})." in missed(holdfast)
    assert missed(holdfast) == ""
    assert runs(holdfast) == [("good", slot)]
    assert len(holdfast.parts(".manifest.json")) == 1


def test_what_ran_in_time_is_not_made_up(holdfast: Holdfast, slot: datetime) -> None:
    assert holdfast.run("backup.py", "--scheduled", BACKUP_ID).returncode == 0
    assert missed(holdfast) == ""
    assert runs(holdfast) == [("good", slot)]


def test_a_slot_has_one_run_however_often_cron_starts_it(holdfast: Holdfast, slot: datetime) -> None:
    """As when the clock is set back over a scheduled time."""
    for _ in range(3):
        ended = holdfast.run("backup.py", "--scheduled", BACKUP_ID)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert runs(holdfast) == [("good", slot)]
    assert len(holdfast.parts(".manifest.json")) == 1


def test_two_lines_of_one_time_make_one_run(holdfast: Holdfast, slot: datetime) -> None:
    """As where two intervals fall together: cron starts both lines in the same second."""
    started = [holdfast.start("backup.py", "--scheduled", BACKUP_ID) for _ in range(4)]
    for process in started:
        process.communicate()
        assert process.returncode in (0, 11)
    assert runs(holdfast) == [("good", slot)]
    assert len(holdfast.parts(".manifest.json")) == 1


def test_a_person_may_run_it_as_often_as_they_like(holdfast: Holdfast, slot: datetime) -> None:
    holdfast.back_up()
    holdfast.back_up()
    assert holdfast.run("backup.py", "--scheduled", BACKUP_ID).returncode == 0
    assert runs(holdfast) == [("good", None), ("good", None), ("good", slot)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: signal.Signals(number).name)
def test_a_run_that_was_ended_from_outside_is_made_up_once(
    holdfast: Holdfast, slot: datetime, number: signal.Signals
) -> None:
    event = {"point": "os.fdatasync", "nth": 1, "when": "before", "signal": number}
    ended = holdfast.run_command(holdfast.command_with_plan([event], "--scheduled", BACKUP_ID))
    assert ended.returncode in (-signal.SIGKILL, 143)
    assert "caught up" in missed(holdfast)
    assert missed(holdfast) == ""
    assert runs(holdfast) == [("interrupted", slot), ("good", slot)]
    assert sorted(path.name.partition("Z")[2] for path in holdfast.copies.iterdir()) == [
        "",
        ".index.zst",
        ".manifest.json",
        ".zip",
    ]


def test_nothing_is_made_up_that_was_scheduled_only_now(holdfast: Holdfast, slot: datetime) -> None:
    with closing(open_catalog(holdfast.state, None)) as catalog:
        catalog.record_schedule({}, datetime.now(UTC))
        catalog.record_schedule({BACKUP_ID: ("0 2 * * *",)}, datetime.now(UTC))
    assert missed(holdfast) == ""
    assert runs(holdfast) == []


def test_one_process_makes_up_for_it_while_another_is_at_it(holdfast: Holdfast, slot: datetime) -> None:
    """After a reboot the crontab's own line and the minute-wise main.py begin at about the same moment."""
    event = {"point": "os.fdatasync", "nth": 1, "when": "before", "signal": signal.SIGSTOP}
    first = holdfast.start_command(holdfast.command_with_plan([event], "--missed"))
    os.waitid(os.P_PID, first.pid, os.WSTOPPED)
    assert missed(holdfast) == ""
    first.send_signal(signal.SIGCONT)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 0
    assert "caught up" in output
    assert missed(holdfast) == ""
    assert runs(holdfast) == [("good", slot)]


def test_json_says_what_was_made_up(holdfast: Holdfast, slot: datetime) -> None:
    document: dict[str, Any] = json.loads(holdfast.run("backup.py", "--missed", "--json").stdout)
    (run,) = document["runs"]
    assert (run["backup"], run["status"], run["slot"]) == (BACKUP_ID, "good", slot.isoformat())
    assert json.loads(holdfast.run("backup.py", "--missed", "--json").stdout) == {"runs": []}
