"""The lock of a backup, between real processes."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from errors import EXIT_ALREADY_RUNNING, AlreadyRunningError, HoldfastError
from model import CheckKind
from operations.locks import lock_backup, lock_check
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk

REPOSITORY = Path(__file__).parent.parent

_HOLD = """
import subprocess, sys, time
from pathlib import Path
from model import CheckKind
from operations.locks import lock_backup, lock_check

with lock_backup(Path(sys.argv[1]), sys.argv[2]):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, close_fds=False)
    print(child.pid, flush=True)
    sys.stdin.readline()
child.kill()
"""


@contextmanager
def holder(state: Path, backup_id: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock until it reads a line, and the number of its child, which outlives a kill."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(state), backup_id],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    with process:
        try:
            yield process, child
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)


def test_a_second_run_is_refused_and_told_who_and_since_when(tmp_path: Path) -> None:
    with holder(tmp_path, "shop/uploads") as (process, _child):
        with pytest.raises(AlreadyRunningError) as caught, lock_backup(tmp_path, "shop/uploads"):
            pytest.fail("the lock was given twice")
        pattern = rf"shop/uploads is running already \(process {process.pid}, since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)"
        assert re.search(pattern, str(caught.value))
        assert caught.value.exit_code == EXIT_ALREADY_RUNNING
        with lock_backup(tmp_path, "shop/other"), lock_backup(tmp_path, "other/uploads"):
            assert (tmp_path / "locks/other/uploads.lock").exists()


def test_a_killed_holder_leaves_no_lock_though_its_child_lives(tmp_path: Path) -> None:
    with holder(tmp_path, "shop/uploads") as (process, child):
        process.kill()
        assert process.wait() == -signal.SIGKILL
        os.kill(child, 0)
        with lock_backup(tmp_path, "shop/uploads"):
            said = (tmp_path / "locks/shop/uploads.lock").read_text()
    assert said.startswith(f"process {os.getpid()}, since ")


def test_the_lock_is_given_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lock_backup(tmp_path, "shop/uploads"):
        raise KeyboardInterrupt
    with lock_backup(tmp_path, "shop/uploads"), pytest.raises(AlreadyRunningError):  # noqa: SIM117
        with lock_backup(tmp_path, "shop/uploads"):
            pytest.fail("the lock was given twice in one process")


def test_of_many_processes_one_at_a_time_holds_it(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from errors import AlreadyRunningError
from model import CheckKind
from operations.locks import lock_backup, lock_check
counter = Path(sys.argv[1]) / "counter"
done = 0
while done < 50:
    try:
        with lock_backup(Path(sys.argv[1]), "a/b"):
            counter.write_text(str(int(counter.read_text()) + 1))
            done += 1
    except AlreadyRunningError:
        pass
"""
    (tmp_path / "counter").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert (tmp_path / "counter").read_text() == "200"


def test_the_files_are_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with lock_backup(state, "shop/uploads"):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [state, *state.rglob("*")]}
    assert modes == {"state": 0o700, "locks": 0o700, "shop": 0o700, "uploads.lock": 0o600}


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("in the way")
    with (
        pytest.raises(HoldfastError, match=r"locks/a/b\.lock cannot be made: .*STATE_DIR"),
        lock_backup(tmp_path, "a/b"),
    ):
        pytest.fail("there is no lock")


@requires_root
def test_a_full_disk_does_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 65536) as state:
        with lock_backup(state, "a/b"):
            pass
        (state / "locks/a/b.lock").write_text("")
        with (state / "ballast").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        with lock_backup(state, "a/b"), pytest.raises(AlreadyRunningError, match="not said its number"):  # noqa: SIM117
            with lock_backup(state, "a/b"):
                pytest.fail("the lock was given twice")


def test_copies_may_be_read_while_a_backup_runs_but_not_twice_at_once(tmp_path: Path) -> None:
    with lock_backup(tmp_path, "shop/files"), lock_check(tmp_path, CheckKind.VERIFY, "shop/files"):
        with lock_check(tmp_path, CheckKind.DRILL, "shop/files"), lock_check(tmp_path, CheckKind.VERIFY, "shop/db"):
            pass
        expected = "The verification of shop/files is running already"
        with pytest.raises(AlreadyRunningError, match=expected), lock_check(tmp_path, CheckKind.VERIFY, "shop/files"):
            pytest.fail("the lock was given twice")
