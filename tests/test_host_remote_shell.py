"""The small shell through which programs are started elsewhere, in every shell that may come before or after it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys

import pytest

from errors import HostError
from hosts.command import Command
from hosts.outcome import OutputTail
from hosts.remote_command import RemoteCommand
from hosts.remote_shell import LAUNCHER, LAUNCHER_ARGV, ending_input, launching_input
from model import Secret
from tests.support.host_contract import ARGUMENTS, CANARY
from tests.support.skips import requires_program

PRINT = ("sh", "-c", 'printf "%s\\0" "$CANARY" "$@"; cat', "sh")
SHELLS = ["sh", "bash", "dash", "fish", "csh", "busybox", "zsh", "mksh"]
POSIX_SHELLS = [name for name in SHELLS if name not in ("fish", "csh")]


def launched(shell: list[str], launching: bytes, rest: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*shell], input=launching + rest, capture_output=True, start_new_session=True, timeout=60)


def test_the_launcher_is_plain_text_for_every_shell() -> None:
    assert re.fullmatch(r"exec sh -c '[^'\\!\x00-\x1f]*'", LAUNCHER)


@pytest.mark.parametrize("login_shell", [pytest.param(name, marks=requires_program(name)) for name in SHELLS])
def test_every_login_shell_hands_everything_on(login_shell: str) -> None:
    command = Command((*PRINT, *ARGUMENTS), {"CANARY": Secret(CANARY)})
    launching = launching_input(command, "the-mark", feeds_input=True, host="here")
    shell = [login_shell, "sh"] if login_shell == "busybox" else [login_shell]
    answer = launched([*shell, "-c", LAUNCHER], launching, b"the\0rest\n")
    assert answer.stderr == b"the-mark\n"
    announced, _, printed = answer.stdout.partition(b"\n")
    assert re.fullmatch(rb"the-mark \d+", announced)
    expected = [text.encode("utf-8", "surrogateescape") for text in (CANARY, *ARGUMENTS)]
    assert printed == b"".join(text + b"\0" for text in expected) + b"the\0rest\n"
    assert answer.returncode == 0


@pytest.mark.parametrize("sh", [pytest.param(name, marks=requires_program(name)) for name in POSIX_SHELLS])
def test_every_shell_may_be_the_sh(sh: str) -> None:
    program = shutil.which(sh)
    assert program
    command = Command((*PRINT, *ARGUMENTS), {"CANARY": Secret(CANARY)})
    interpreter = [program, "sh"] if sh == "busybox" else [program]
    launching = launching_input(command, "the-mark", feeds_input=True, host="here")
    answer = launched([*interpreter, *LAUNCHER_ARGV[1:]], launching, b"rest")
    expected = [text.encode("utf-8", "surrogateescape") for text in (CANARY, *ARGUMENTS)]
    assert answer.stdout.partition(b"\n")[2] == b"".join(text + b"\0" for text in expected) + b"rest"


@pytest.mark.parametrize("sh", [pytest.param(name, marks=requires_program(name)) for name in POSIX_SHELLS])
def test_every_shell_hands_on_exit_statuses(sh: str) -> None:
    interpreter = [sh, "sh"] if sh == "busybox" else [sh]
    for script, status in (("exit 7", 7), ("kill -KILL $$", 137)):
        launching = launching_input(Command(("sh", "-c", script)), "the-mark", feeds_input=True, host="here")
        assert launched([*interpreter, *LAUNCHER_ARGV[1:]], launching, b"").returncode == status


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
@pytest.mark.parametrize("sh", [pytest.param(name, marks=requires_program(name)) for name in POSIX_SHELLS])
def test_every_shell_ends_groups(sh: str, trap: str) -> None:
    interpreter = [sh, "sh"] if sh == "busybox" else [sh]
    script = f"{trap}echo begun; sleep 1000; true"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as group:
        assert group.stdout
        assert group.stdout.readline() == b"begun\n"
        ended = launched([*interpreter, *LAUNCHER_ARGV[1:]], ending_input(group.pid), b"")
        assert (ended.stdout, ended.stderr) == (b"", b"")
        assert group.wait(60) == (-signal.SIGKILL if trap else -signal.SIGTERM)
        gone = launched([*interpreter, *LAUNCHER_ARGV[1:]], ending_input(group.pid), b"")
        assert (gone.stdout, gone.stderr) == (b"", b"")


# It reaps what is handed to it. PostgreSQL, where it is the first process of a container, takes one that ended with
# another status than 0 or 1 for one of its own, and restarts with all connections lost (CleanupBackend, postmaster.c).
FIRST_PROCESS = """
import ctypes, json, os, subprocess, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER (prctl(2))
launcher = subprocess.Popen(json.loads(sys.argv[2]), executable=sys.argv[1], start_new_session=True)
os.close(0)
launcher.wait()
try:
    while True:
        print(os.waitstatus_to_exitcode(os.wait()[1]))
except ChildProcessError:
    print("no more")
"""


@pytest.mark.parametrize("ends", ["by itself", "with its input", "from outside"])
@pytest.mark.parametrize("sh", [pytest.param(name, marks=requires_program(name)) for name in POSIX_SHELLS])
def test_nothing_that_was_killed_is_left_to_the_first_process(sh: str, ends: str) -> None:
    command = Command(("sh", "-c", f"echo begun; exec sleep {0.1 if ends == 'by itself' else 1000}"))
    launching = launching_input(command, "the-mark", feeds_input=ends == "from outside", host="here")
    with subprocess.Popen(
        [sys.executable, "-c", FIRST_PROCESS, shutil.which(sh) or sh, json.dumps(LAUNCHER_ARGV)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as first_process:
        assert first_process.stdin
        assert first_process.stdout
        assert first_process.stderr
        first_process.stdin.write(launching)
        first_process.stdin.flush()
        group = int(first_process.stdout.readline().split()[1])
        assert first_process.stdout.readline() == b"begun\n"
        if ends == "with its input":
            first_process.stdin.close()
        elif ends == "from outside":
            launched([*LAUNCHER_ARGV], ending_input(group), b"")
        *reaped, end = first_process.stdout.read().decode().splitlines()
        assert ends != "by itself" or first_process.stderr.read() == b"the-mark\n"
    assert end == "no more"
    assert set(reaped) <= {"0", "1"}


@pytest.mark.parametrize("name", ["", "A-B", "1A", "A=B", "A B", "Ä", "A\n", "$(id)"])
def test_a_name_that_no_environment_has_is_refused(name: str) -> None:
    with pytest.raises(HostError, match="cannot be a name in the environment of the program true on here"):
        launching_input(Command(("true",), {name: "x"}), "mark", feeds_input=False, host="here")


class AllAtOnce:
    """A wire that has everything already when it is first asked."""

    def __init__(self, greeting: bytes, output: bytes) -> None:
        self._greeting = greeting
        self._output = output
        self._answers: list[bytes] = []

    def receive(self) -> bytes:
        return self._answers.pop(0) if self._answers else b""

    def send(self, data: bytes) -> bool:
        mark = re.search(rb"echo (holdfast-\w+) \$\$", data)
        assert mark
        self._answers.append(self._greeting + mark[1] + b" 4711\n" + self._output)
        return True

    def finish_input(self) -> None:
        raise AssertionError("it is not fed")

    def exit_status(self) -> int:
        return 0

    def why_cut(self) -> str:
        raise AssertionError("it was not cut")

    def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize("greeting", [b"", b"Welcome to this server!\n"])
@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_greeting_is_left_out_and_much_output_is_none(greeting: bytes, size: int) -> None:
    def wire(_: OutputTail) -> AllAtOnce:
        return AllAtOnce(greeting, bytes(size))

    with RemoteCommand(Command(("tar",)), "there", wire, lambda _: None, feeds_input=False) as running:
        assert b"".join(running.chunks()) == bytes(size)
