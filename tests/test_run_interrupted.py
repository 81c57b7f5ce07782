"""A run that is interrupted by a signal, and one that is started while another is under way."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
REMOVED = "What was not finished is removed; earlier copies are untouched."
SIGNALS = pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: signal.Signals(number).name)

# Packing and flushing it takes long enough to be met in the middle.
LARGE_SIZE = 300 << 20


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    """Two targets, one good copy on each."""
    holdfast = Holdfast(tmp_path / "holdfast")
    targets = [{"STORAGE_NAME": "LOCAL", "PATH": path} for path in ("one", "two")]
    holdfast.configure(make_tree(tmp_path / "tree"), UPLOAD_TO=targets)
    holdfast.back_up()
    return holdfast


def files(holdfast: Holdfast) -> list[str]:
    return sorted(str(path.relative_to(holdfast.storage)) for path in holdfast.storage.rglob("*") if path.is_file())


def last_run(holdfast: Holdfast) -> dict[str, object]:
    (backup,) = json.loads(holdfast.run("backup.py", "--json").stdout)["backups"]
    last: dict[str, object] = backup["last"]
    return last


# Where the archive, the index and the manifest are put, and what is waited for meanwhile.
MIDDLES = {
    "before anything is put": ("storage.clean_up", 1, "before"),
    "between the targets' preparation": ("storage.list", 1, "before"),
    "while the first target begins": ("storage.put", 1, "before"),
    "while the second target begins": ("storage.put", 2, "before"),
    "while the source is walked": ("backup._packed", 1, "after"),
    "while the archive is flushed": ("os.fdatasync", 1, "before"),
    "while the archive gets its name": ("os.link", 1, "after"),
    "while the index is flushed": ("os.fdatasync", 3, "before"),
    "while the index gets its name": ("os.link", 4, "after"),
    "between index and manifest": ("backup._manifest", 1, "before"),
    "while the manifest is flushed": ("os.fdatasync", 5, "before"),
    "before the manifest gets its name": ("os.link", 5, "before"),
}


@pytest.mark.parametrize("middle", MIDDLES)
def test_nothing_is_left_wherever_it_is_interrupted(holdfast: Holdfast, middle: str) -> None:
    before = files(holdfast)
    point, nth, when = MIDDLES[middle]
    plan = {"point": point, "nth": nth, "when": when, "signal": signal.SIGTERM}
    ended = holdfast.run_command(holdfast.command_with_plan([plan], BACKUP_ID))
    assert holdfast.trace.read_text().splitlines().count(point) >= nth, "the planned point was not reached"
    assert (ended.returncode, ended.stdout) == (143, "")
    assert ended.stderr.startswith("Interrupted by SIGTERM.")
    assert "Traceback" not in ended.stderr
    assert files(holdfast) == before
    assert last_run(holdfast)["status"] == "interrupted"
    holdfast.back_up()
    assert len(files(holdfast)) == len(before) + 6


@SIGNALS
def test_each_signal_has_its_exit_code(holdfast: Holdfast, tmp_path: Path, number: signal.Signals) -> None:
    before = files(holdfast)
    add_large_file(tmp_path)
    run = holdfast.start("backup.py", BACKUP_ID)
    wait_for_unfinished(holdfast)
    run.send_signal(number)
    output, errors = run.communicate(timeout=60)
    assert (run.returncode, output) == (EXIT_CODES[number], "")
    assert f"Interrupted by {signal.Signals(number).name}. {REMOVED}" in errors
    assert files(holdfast) == before
    last = last_run(holdfast)
    assert (last["status"], last["message"], last["copies"]) == ("interrupted", f"It was interrupted. {REMOVED}", [])
    log = max((holdfast.state / "logs" / BACKUP_ID).iterdir())
    assert "It was interrupted" in log.read_text()


def test_a_second_signal_does_not_disturb_the_cleaning_up(holdfast: Holdfast, tmp_path: Path) -> None:
    """As when a terminal is closed on a run that has just got Ctrl-C, or a machine goes down."""
    before = files(holdfast)
    add_large_file(tmp_path)
    run = holdfast.start("backup.py", BACKUP_ID)
    wait_for_unfinished(holdfast)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        run.send_signal(number)
        time.sleep(0.01)
    _, errors = run.communicate(timeout=60)
    assert run.returncode in (130, 143)  # signals that come together are taken in the order of their numbers
    assert "Interrupted by" in errors
    assert files(holdfast) == before
    assert last_run(holdfast)["status"] == "interrupted"


def test_a_copy_that_was_finished_before_the_interruption_stays(holdfast: Holdfast) -> None:
    before = files(holdfast)
    plan = {"point": "os.link", "nth": 6, "when": "before", "signal": signal.SIGTERM}
    ended = holdfast.run_command(holdfast.command_with_plan([plan], BACKUP_ID))
    assert ended.returncode == 143
    added = sorted(set(files(holdfast)) - set(before))
    assert [Path(name).parts[0] for name in added] == ["one"] * 3
    assert holdfast.run("restore.py", "verify", BACKUP_ID).returncode == 0


def test_all_does_not_go_on_after_an_interruption(tmp_path: Path) -> None:
    holdfast = Holdfast(tmp_path / "holdfast")
    tree = make_tree(tmp_path / "tree")
    backups = [
        {"NAME": name, "INTERVALS": "0 2 * * *", "FILE_PATH": str(tree), "UPLOAD_TO": {"STORAGE_NAME": "LOCAL"}}
        for name in ("a", "b")
    ]
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": backups}]}]})
    plan = {"point": "os.fdatasync", "nth": 1, "when": "before", "signal": signal.SIGINT}
    ended = holdfast.run_command(holdfast.command_with_plan([plan], "--all"))
    assert ended.returncode == 130
    assert files(holdfast) == []
    standings = json.loads(holdfast.run("backup.py", "--json").stdout)["backups"]
    assert [standing["last"] and standing["last"]["status"] for standing in standings] == ["interrupted", None]


@pytest.fixture
def run_under_way(holdfast: Holdfast, tmp_path: Path) -> Iterator[Holdfast]:
    """A run that stands still in the middle."""
    plan = {"point": "os.fdatasync", "nth": 1, "when": "before", "signal": signal.SIGSTOP}
    run = holdfast.start_command(holdfast.command_with_plan([plan], BACKUP_ID))
    os.waitid(os.P_PID, run.pid, os.WSTOPPED)
    yield holdfast
    run.send_signal(signal.SIGCONT)
    assert run.wait(timeout=60) == 0


@pytest.mark.parametrize("options", [(), ("--scheduled",)], ids=["by hand", "by cron"])
def test_a_second_start_says_since_when_the_first_runs(run_under_way: Holdfast, options: tuple[str, ...]) -> None:
    started = str(last_run(run_under_way)["started"])
    second = run_under_way.run("backup.py", BACKUP_ID, *options)
    assert (second.returncode, second.stdout) == (11, "")
    assert "is running already" in second.stderr
    assert f"since {started[:16]}" in second.stderr
    assert last_run(run_under_way)["status"] == "running"


def test_under_cron_success_is_silent_and_every_run_has_a_log(holdfast: Holdfast) -> None:
    run = holdfast.run("backup.py", "--scheduled", BACKUP_ID)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    logs = sorted((holdfast.state / "logs" / BACKUP_ID).iterdir())
    assert len(logs) == 2
    for log in logs:
        lines = log.read_text().splitlines()
        assert lines[0].endswith("INFO shop/files begins")
        assert "good: 30 files" in lines[-1]
        assert log.stat().st_mode & 0o777 == 0o600


def add_large_file(tmp_path: Path) -> None:
    with (tmp_path / "tree" / "large").open("wb") as file:
        for _ in range(LARGE_SIZE >> 20):
            file.write(os.urandom(1 << 20))


def wait_for_unfinished(holdfast: Holdfast) -> None:
    """Until both targets have begun to take an archive."""
    deadline = time.monotonic() + 60
    while len(list(holdfast.storage.rglob(".holdfast-unfinished-*"))) < 2:
        assert time.monotonic() < deadline, "the run did not begin to write"
        time.sleep(0.005)
