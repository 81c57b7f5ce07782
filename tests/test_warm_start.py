"""Programs that begin with everything imported are those that begin with nothing: see ``tests.support.warm_start``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm_start
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree

pytestmark = pytest.mark.skipif(warm_start.IS_COLD, reason="HOLDFAST_COLD is set")


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    holdfast = Holdfast(tmp_path / "holdfast")
    holdfast.configure(make_tree(tmp_path / "tree", files=2))
    return holdfast


def both(monkeypatch: pytest.MonkeyPatch, holdfast: Holdfast, *command: str, **options: Any) -> list[tuple[Any, ...]]:
    """What a warm and a cold process say, and how they end."""
    answers = []
    for is_cold in (False, True):
        monkeypatch.setattr(warm_start, "IS_COLD", is_cold)
        ended = holdfast.run(*command, **options)
        answers.append((ended.returncode, ended.stdout, ended.stderr))
    return answers


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (["backup.py"], {}),
        (["backup.py", "--help"], {}),
        (["backup.py", "--no-such-option"], {}),
        (["backup.py", "nobody/nothing"], {}),
        (["restore.py", "list", "--json"], {}),
        (["main.py", "validate"], {"cwd": "/"}),
        (["main.py", "validate", "--config", "config.yaml"], {"cwd": "here"}),
        (["main.py", "plan"], {"env": {"PATH": "/nowhere"}}),
        (["backup.py"], {"env": {"TZ": "Asia/Kolkata"}}),
        (["backup.py"], {"env": {"STATE_DIR": "/proc/nowhere"}}),
    ],
    ids=str,
)
def test_both_say_the_same(
    command: list[str], options: dict[str, Any], holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    holdfast.back_up()
    if options.get("cwd") == "here":
        options = {**options, "cwd": holdfast.folder}
    warm, cold = both(monkeypatch, holdfast, *command, **options)
    assert warm == cold


def test_it_is_a_process_of_its_own(holdfast: Holdfast) -> None:
    """With its own id and umask, and without a descriptor of the parent's."""
    told = holdfast.folder / "told"
    script = f"{{ umask; ls -l /proc/$PPID/fd; }} > {told}"
    holdfast.configure(holdfast.folder / "config.yaml", BEFORE=["/bin/sh", "-c", script])
    process = holdfast.start("backup.py", BACKUP_ID, umask=0o027)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert process.pid != os.getpid()
    assert told.read_text().startswith("0027\n")
    assert "socket:" not in told.read_text()
    assert "pidfd" not in told.read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_its_end_is_known(number: signal.Signals, holdfast: Holdfast) -> None:
    event = {"point": "os.fdatasync", "nth": 1, "when": "before", "signal": number}
    ended = holdfast.run_command(holdfast.command_with_plan([event], BACKUP_ID))
    assert ended.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "os.fdatasync" in holdfast.trace.read_text()


def test_an_error_that_nobody_foresaw_is_a_traceback_and_an_exit_code(holdfast: Holdfast) -> None:
    event = {"point": "backup._manifest", "nth": 1, "when": "before", "raise": "planned"}
    ended = holdfast.run_command(holdfast.command_with_plan([event], BACKUP_ID))
    assert ended.returncode == 1
    assert "AssertionError: planned" in ended.stderr


def test_one_that_is_killed_and_one_that_is_waited_for_in_vain(holdfast: Holdfast) -> None:
    holdfast.configure(holdfast.folder, BEFORE=["/bin/sleep", "3"])
    process = holdfast.start("backup.py", BACKUP_ID)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.1)
    process.kill()
    process.communicate()
    assert process.poll() == process.wait() == -signal.SIGKILL


def test_several_at_once(holdfast: Holdfast) -> None:
    found: list[dict[str, Any]] = []

    def ask() -> None:
        found.append(json.loads(holdfast.run("backup.py", "--json").stdout))

    holdfast.back_up()
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(answer == found[0] for answer in found)


@pytest.mark.parametrize("options", [{"env": {"TZ": "UTC"}}, {"start_new_session": True}, {"preexec_fn": os.getpid}])
def test_what_a_fork_cannot_give_starts_from_nothing(
    options: dict[str, Any], holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        pytest.fail("this was to start from nothing")

    monkeypatch.setattr(warm_start, "_parent", refuse)
    assert holdfast.run("backup.py", "--help", **options).returncode == 0
