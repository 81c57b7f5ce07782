"""Programs on this machine: the contract of hosts, and what only a local host can get wrong."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import HostError
from hosts.command import Command, CommandHost
from hosts.local_command import LocalCommandHost
from tests.support.host_contract import HostContract, output_of, shell, unique_number, wait_until_gone


class TestContract(HostContract):
    @pytest.fixture
    def open_host(self) -> Callable[[], CommandHost]:
        return LocalCommandHost


def test_children_that_outlive_the_program_end_with_it() -> None:
    number = unique_number()
    with LocalCommandHost().start(shell(f"sleep {number} >/dev/null 2>&1 & echo begun")) as running:
        assert b"".join(running.chunks()) == b"begun\n"
    wait_until_gone(number)


def test_a_child_that_holds_the_error_output_open_holds_nobody_up() -> None:
    number = unique_number()
    running = LocalCommandHost().start(shell(f"sleep {number} >/dev/null & echo err >&2; exit 3"))
    with running, pytest.raises(HostError, match=r"status 3:\nerr$"):
        list(running.chunks())
    wait_until_gone(number)


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\0nonsense")
    program.chmod(0o755)
    with pytest.raises(HostError, match="program on this machine cannot be started: Exec format error"):
        LocalCommandHost().start(Command((str(program),)))


def test_nothing_stays_open_or_unreaped() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for _ in range(3):
        assert output_of(LocalCommandHost(), "echo x") == b"x\n"
        with pytest.raises(HostError):
            LocalCommandHost().start(Command(("no-such-program",)))
    assert open_files() == before
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "stat="], capture_output=True, text=True).stdout
    assert "Z" not in children


def test_signals_are_as_they_were_for_the_program() -> None:
    """Python ignores SIGPIPE; a program that inherits that would write for ever into a pipe that nobody reads."""
    status = output_of(LocalCommandHost(), "grep SigIgn /proc/self/status").split()[1]
    assert not int(status, 16) & (1 << (signal.SIGPIPE - 1))
