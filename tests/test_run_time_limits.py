"""TIMEOUT ends a run that takes too long, and RETRIES try one that failed again."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from errors import InterruptedRun, TimedOutRun
from interruption import end_cleanly_on_signals, time_limit
from model import Run, RunStatus
from operations.running import retries
from operations.running.run import is_fulfilled, run_backup
from progress import Progress
from tests.support.holdfast import Holdfast
from tests.support.processes import command_lines

COMMAND_ID = "shop/command"


def configure(holdfast: Holdfast, *argv: str, **keys: object) -> None:
    backup = {
        "INTERVALS": "0 2 * * *",
        "COMMAND": list(argv),
        "FILENAME": "out.txt",
        "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}],
        **keys,
    }
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"COMMAND_BACKUP": [backup]}]}]})


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    return Holdfast(tmp_path / "holdfast")


def objects(holdfast: Holdfast) -> list[Path]:
    return [path for path in holdfast.storage.rglob("*") if path.is_file()]


def runs(holdfast: Holdfast) -> list[Run]:
    """Newest first."""
    with closing(open_catalog(holdfast.state, None)) as catalog:
        return list(catalog.runs(COMMAND_ID, 100))


def test_a_run_that_takes_too_long_is_ended_and_leaves_nothing(holdfast: Holdfast) -> None:
    configure(holdfast, "sh", "-c", "echo begun; exec sleep 31536007", TIMEOUT="1s")
    ended = holdfast.run("backup.py", COMMAND_ID)
    assert ended.returncode == 1
    assert ended.stderr == (
        "shop/command: failed. It took longer than 1.0 s (TIMEOUT), and was ended. What was not finished is removed; "
        "earlier copies are untouched.\n"
    )
    assert objects(holdfast) == []
    assert [run.status for run in runs(holdfast)] == [RunStatus.FAILED]
    assert [line for line in command_lines() if b"31536007" in line] == []


def test_the_backup_after_one_that_took_too_long_runs_without_its_limit(holdfast: Holdfast) -> None:
    slow = {"NAME": "a", "COMMAND": ["sleep", "31536008"], "FILENAME": "a", "TIMEOUT": "1s"}
    other = {"NAME": "b", "COMMAND": ["sh", "-c", "sleep 2; echo done"], "FILENAME": "b"}
    common = {"INTERVALS": "@daily", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    backups = [{"COMMAND_BACKUP": [{**common, **slow}, {**common, **other}]}]
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": backups}]})
    ended = holdfast.run("backup.py", "--all")
    assert ended.returncode == 1
    assert "shop/a: failed. It took longer" in ended.stderr
    assert "shop/b: good." in ended.stdout


def test_a_run_within_its_time_is_as_any_other(holdfast: Holdfast) -> None:
    configure(holdfast, "echo", "in time", TIMEOUT="1h", RETRIES=3)
    assert holdfast.run("backup.py", COMMAND_ID).returncode == 0
    assert [run.status for run in runs(holdfast)] == [RunStatus.GOOD]


def run_here(holdfast: Holdfast, catalog: Catalog, slot: datetime | None = None) -> Run | None:
    (backup,) = holdfast.configuration().backups
    observer = Progress(backup.id, None, quiet=True)
    return run_backup(holdfast.configuration(), backup, catalog, slot=slot, observer=observer)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a run wanted to wait for its next try; it need not. What the start of a run waits is not among them."""
    asked: list[float] = []
    sleep = time.sleep

    def note(seconds: float) -> None:
        if seconds >= retries.FIRST_WAIT_SECONDS:
            asked.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr("operations.running.run.time.sleep", note)
    return asked


SUCCEEDS_AT_TRY_3 = 'echo x >>"$0"; echo tried; [ "$(wc -l <"$0")" -ge 3 ]'


def test_a_failed_run_is_tried_again_until_it_is_good(holdfast: Holdfast, tmp_path: Path, waits: list[float]) -> None:
    configure(holdfast, "sh", "-c", SUCCEEDS_AT_TRY_3, str(tmp_path / "tries"), RETRIES=9)
    slot = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
    with closing(open_catalog(holdfast.state, None)) as catalog:
        last = run_here(holdfast, catalog, slot)
        assert last is not None
        assert last.status is RunStatus.GOOD
        recorded = list(catalog.runs(COMMAND_ID, 100))
        (backup,) = holdfast.configuration().backups
        assert is_fulfilled(catalog, backup, slot)
        assert run_here(holdfast, catalog, slot) is None
    assert [run.status for run in recorded] == [RunStatus.GOOD, RunStatus.FAILED, RunStatus.FAILED]
    assert {run.slot for run in recorded} == {slot}
    assert len({run.started.replace(microsecond=0) for run in recorded}) == 3
    assert waits == [60, 120]
    assert len([path for path in objects(holdfast) if path.suffix == ".zip"]) == 1


def test_tries_come_to_an_end(holdfast: Holdfast, waits: list[float]) -> None:
    configure(holdfast, "false", RETRIES=6)
    with closing(open_catalog(holdfast.state, None)) as catalog:
        last = run_here(holdfast, catalog)
    assert last is not None
    assert last.status is RunStatus.FAILED
    assert [run.status for run in runs(holdfast)] == [RunStatus.FAILED] * 7
    assert waits == [60, 120, 240, 480, 900, 900]


def test_without_retries_a_failed_run_is_not_tried_again(holdfast: Holdfast, waits: list[float]) -> None:
    configure(holdfast, "false")
    with closing(open_catalog(holdfast.state, None)) as catalog:
        run_here(holdfast, catalog)
    assert len(runs(holdfast)) == 1
    assert waits == []


def test_the_wait_for_the_next_try_can_be_ended(holdfast: Holdfast) -> None:
    configure(holdfast, "false", RETRIES=1)
    process = holdfast.start("backup.py", COMMAND_ID)
    while not (holdfast.state / "catalog.db").exists() or not any(
        run.status is RunStatus.FAILED for run in runs(holdfast)
    ):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert [run.status for run in runs(holdfast)] == [RunStatus.FAILED]


def test_a_time_limit_leaves_the_signals_as_they_were() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with pytest.raises(TimedOutRun), time_limit(1):
        signal.pause()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.alarm(0) == 0


def test_a_signal_within_a_time_limit_is_the_end_and_no_limit_comes_after_it() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        end_cleanly_on_signals()
        with pytest.raises(InterruptedRun) as raised, time_limit(3600):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        assert not isinstance(raised.value, TimedOutRun)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.alarm(0) == 0
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
