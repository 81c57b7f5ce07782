"""What every host must do with programs, whatever and wherever it is. A test class inherits :class:`HostContract`.

The programs are those that busybox has too, because a container may hold nothing else.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from errors import HostError
from hosts.command import Command, CommandHost
from model import Secret

CANARY = "Canary-Env-5309 '\"$HOME`\\\\;\n!é"

# Every byte that text may hold, whole and torn UTF-8, and what shells take for more than plain text.
ARGUMENTS = (
    "",
    " ",
    "-",
    "--",
    "-rf",
    "a b  c",
    "it's",
    '"quoted"',
    "$HOME ${HOME} $(id) `id`",
    "a;b & c | d > e < f",
    "*?[a-z] {a,b} ~ ~root",
    "\\ \\n \\\\ %s %%",
    "! !! #comment",
    "\n",
    "line\nbreak\n\n",
    "\ttab\r",
    "é ü 日本 🎉",
    "".join(chr(code) for code in range(1, 0x300)),
    bytes(range(1, 256)).decode("utf-8", "surrogateescape"),
    "+x",
    ".",
    "'",
    "long " * 5_000,
)


class PlannedError(Exception):
    """What the maker of some input raises."""


class HostContract:
    """The fixture ``open_host`` makes hosts; its value can be pickled."""

    @pytest.fixture
    def host(self, open_host: Callable[[], CommandHost]) -> Iterator[CommandHost]:
        opened = open_host()
        yield opened
        opened.close()

    def test_its_name_stands_in_messages(self, host: CommandHost) -> None:
        assert f"on {host.name} ended with exit status 3" in failure_of(host, "exit 3")

    def test_every_byte_comes_as_it_is(self, host: CommandHost) -> None:
        script = 'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done'
        assert output_of(host, script) == bytes(range(256))

    def test_a_large_output(self, host: CommandHost) -> None:
        line = b"0123456789 abcdefghijklmnopqrstuvwxyz\n"
        expected = hashlib.sha256((line * (100_000_000 // len(line) + 1))[:100_000_000]).hexdigest()
        received = hashlib.sha256()
        with host.start(shell(f"yes '{line.decode().strip()}' | head -c 100000000")) as running:
            for chunk in running.chunks():
                received.update(chunk)
        assert received.hexdigest() == expected

    def test_no_output(self, host: CommandHost) -> None:
        with host.start(Command(("true",))) as running:
            assert list(running.chunks()) == []

    def test_there_is_no_input_unless_it_is_fed(self, host: CommandHost) -> None:
        assert output_of(host, "cat; echo end") == b"end\n"

    def test_there_is_no_terminal(self, host: CommandHost) -> None:
        assert output_of(host, "for fd in 0 1 2; do test -t $fd && echo $fd; done; true") == b""

    def test_a_large_error_output_blocks_nothing_and_its_tail_is_told(self, host: CommandHost) -> None:
        noise = "head -c 20000000 /dev/zero | tr '\\0' x >&2"
        assert output_of(host, f"{noise}; echo out") == b"out\n"
        message = failure_of(host, f"{noise}; echo out; echo >&2; echo the last words >&2; exit 3")
        assert message.endswith("x\nthe last words")
        assert len(message) < 3000

    @pytest.mark.parametrize("status", [1, 3, 75, 255])
    def test_an_exit_status_is_an_error_after_the_output(self, host: CommandHost, status: int) -> None:
        received: list[bytes] = []
        running = host.start(shell(f"echo out; echo err >&2; exit {status}"))
        with running, pytest.raises(HostError) as raised:
            received.extend(running.chunks())
        assert str(raised.value) == f"The program sh on {host.name} ended with exit status {status}:\nerr"
        assert b"".join(received) == b"out\n"

    def test_silence_is_said(self, host: CommandHost) -> None:
        assert failure_of(host, "exit 3").endswith("ended with exit status 3, and said nothing.")

    @pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
    def test_a_signal_is_named(self, host: CommandHost, name: str) -> None:
        assert f"SIG{name}" in failure_of(host, f"echo out; kill -{name} $$")

    @pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", "no such 'program'"])
    def test_a_program_that_is_not_there(self, host: CommandHost, program: str) -> None:
        with pytest.raises(HostError, match="not found") as raised, host.start(Command((program,))) as running:
            list(running.chunks())
        assert program.rpartition("/")[2] in str(raised.value)
        assert host.name in str(raised.value)

    def test_a_folder_is_no_program(self, host: CommandHost) -> None:
        with pytest.raises(HostError, match=r"(?i)permission denied"), host.start(Command(("/etc",))) as running:
            list(running.chunks())

    @pytest.mark.parametrize("name", ["exit", "export", "cd", "eval"])
    def test_a_word_of_a_shell_is_no_program(self, host: CommandHost, name: str) -> None:
        with pytest.raises(HostError, match="not found"), host.start(Command((name,))) as running:
            list(running.chunks())

    def test_arguments_are_plain_data(self, host: CommandHost) -> None:
        program = ("sh", "-c", 'for argument; do printf "%s\\0" "$argument"; done', "sh")
        with host.start(Command((*program, *ARGUMENTS))) as running:
            arguments = b"".join(running.chunks()).split(b"\0")[:-1]
        assert arguments == [argument.encode("utf-8", "surrogateescape") for argument in ARGUMENTS]

    def test_a_nul_is_refused(self, host: CommandHost) -> None:
        with pytest.raises(HostError, match=r"null byte|NUL"):
            host.start(Command(("echo", "a\0b")))

    def test_the_environment_reaches_the_program_and_no_argument_of_anything(self, host: CommandHost) -> None:
        environment: dict[str, str | Secret] = {"HOLDFAST_CANARY": Secret(CANARY), "PLAIN": "a\nb ", "EMPTY": ""}
        script = 'printf "%s|%s|%s|" "$HOLDFAST_CANARY" "$PLAIN" "${EMPTY-unset}"; sleep 0.3'
        with CommandLines("Canary-Env-5309") as command_lines, host.start(shell(script, environment)) as running:
            output = b"".join(running.chunks())
        assert output.decode() == f"{CANARY}|a\nb ||"
        assert command_lines.seen > 0
        assert command_lines.found == []

    def test_a_secret_that_a_program_repeats_is_not_told(self, host: CommandHost) -> None:
        environment = {"HOLDFAST_CANARY": Secret("Canary-Told-5310")}
        message = failure_of(host, 'echo "cannot use $HOLDFAST_CANARY" >&2; exit 1', environment)
        assert message.endswith("cannot use ****")

    def test_feeding(self, host: CommandHost) -> None:
        block = random.Random(3).randbytes(1_000_000)
        expected = hashlib.sha256(block * 50).hexdigest()
        with host.start(Command(("sha256sum",)), feeds_input=True) as running:
            running.feed(repeat(block, 50))
            assert b"".join(running.chunks()).decode().split()[0] == expected

    def test_feeding_nothing(self, host: CommandHost) -> None:
        with host.start(shell("cat; echo end"), feeds_input=True) as running:
            running.feed([])
            assert b"".join(running.chunks()) == b"end\n"

    def test_feeding_while_another_thread_takes_the_output(self, host: CommandHost) -> None:
        block = bytes(range(256)) * 1000
        received: list[bytes] = []
        with host.start(Command(("cat",)), feeds_input=True) as running:
            reader = threading.Thread(target=lambda: received.extend(running.chunks()))
            reader.start()
            running.feed(repeat(block, 200))
            reader.join(60)
        assert b"".join(received) == block * 200

    def test_a_program_that_fails_while_it_is_fed(self, host: CommandHost) -> None:
        running = host.start(shell("head -c 10 >/dev/null; echo no room >&2; exit 4"), feeds_input=True)
        with running, pytest.raises(HostError) as raised:
            running.feed(repeat(bytes(1_000_000), 50))
        assert str(raised.value).endswith("ended with exit status 4:\nno room")

    def test_a_program_that_needs_no_more_input(self, host: CommandHost) -> None:
        """Whoever makes the input is still heard: at its end he may find that it is damaged."""
        fed = []

        def chunks() -> Iterator[bytes]:
            for number in range(30):
                fed.append(number)
                yield bytes(1_000_000)

        with host.start(shell("head -c 10 >/dev/null; echo good"), feeds_input=True) as running:
            running.feed(chunks())
            assert b"".join(running.chunks()) == b"good\n"
        assert len(fed) == 30

    def test_input_that_fails_is_not_taken_for_a_whole_one(self, host: CommandHost) -> None:
        number = unique_number()

        def chunks() -> Iterator[bytes]:
            yield b"first"
            raise PlannedError("planned")

        script = f"cat >/dev/null && sleep {number}"
        with pytest.raises(PlannedError), host.start(shell(script), feeds_input=True) as running:
            running.feed(chunks())
        wait_until_gone(number)

    @pytest.mark.parametrize("feeds_input", [False, True])
    @pytest.mark.parametrize("trap", ["", "trap '' TERM HUP INT PIPE; "])
    def test_leaving_ends_the_program_and_its_children(self, host: CommandHost, feeds_input: bool, trap: str) -> None:
        number = unique_number()
        script = f"{trap}sleep {number} & (sleep {number}; true) & echo begun; sleep {number}; true"
        with host.start(shell(script), feeds_input=feeds_input) as running:
            assert next(running.chunks()) == b"begun\n"
            wait_until_running(number, 3)
        wait_until_gone(number)
        assert output_of(host, "echo next") == b"next\n"

    def test_leaving_before_the_output_was_read(self, host: CommandHost) -> None:
        number = unique_number()
        with host.start(shell(f"yes {number}")) as running:
            assert next(running.chunks())
        wait_until_gone(number)

    def test_killing_us_ends_the_program_and_its_children(
        self, open_host: Callable[[], CommandHost], tmp_path: Path
    ) -> None:
        number = unique_number()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_start_and_wait, args=(open_host, number, theirs))
        process.start()
        assert ours.poll(60)
        assert ours.recv() == b"begun\n"
        wait_until_running(number, 2)
        process.kill()
        process.join()
        wait_until_gone(number)

    def test_several_programs_at_once(self, host: CommandHost) -> None:
        with host.start(shell("echo one; cat"), feeds_input=True) as one, host.start(shell("echo two; exit 2")) as two:
            assert output_of(host, "echo three") == b"three\n"
            with pytest.raises(HostError, match="status 2"):
                list(two.chunks())
            one.feed([b"fed"])
            assert b"".join(one.chunks()) == b"one\nfed"


class CommandLines:
    """Reads the command lines of all processes, again and again, for a text that must not be in one."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seen = 0
        self.found: list[bytes] = []

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.001):
            lines = list(all_command_lines())
            self.seen += len(lines)
            self.found += [line for line in lines if self._text in line]


def all_command_lines() -> Iterator[bytes]:
    """Those of every process of this machine, and so of its containers."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield (folder / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue


def unique_number() -> int:
    """To know one's own processes by: how long they sleep."""
    return random.SystemRandom().randrange(10**8, 10**9)


def wait_until_gone(number: int) -> None:
    """Until no process has the number as an argument."""
    _wait_for(number, lambda count: count == 0)


def wait_until_running(number: int, count: int) -> None:
    _wait_for(number, lambda found: found >= count)


def _wait_for(number: int, enough: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + 30
    argument = b"%d" % number
    while not enough(count := sum(argument in line.split(b"\0") for line in all_command_lines())):
        assert time.monotonic() < deadline, f"{count} processes have the argument {number}"
        time.sleep(0.02)


def shell(script: str, environment: Mapping[str, str | Secret] | None = None) -> Command:
    return Command(("sh", "-c", script), environment or {})


def output_of(host: CommandHost, script: str) -> bytes:
    with host.start(shell(script)) as running:
        return b"".join(running.chunks())


def failure_of(host: CommandHost, script: str, environment: Mapping[str, str | Secret] | None = None) -> str:
    """The message of a script that must fail."""
    with pytest.raises(HostError) as raised, host.start(shell(script, environment)) as running:
        list(running.chunks())
    return str(raised.value)


def _start_and_wait(open_host: Callable[[], CommandHost], number: int, connection: Connection) -> None:
    running = open_host().start(shell(f"sleep {number} & echo begun; sleep {number}; true"))
    connection.send(next(running.chunks()))
    time.sleep(600)
