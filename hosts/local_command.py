"""Programs on the machine that Holdfast runs on.

Each has a process group of its own, so that it can be ended together with what it started. A second small process, the
guard, holds the end of a pipe whose other end only we have: where we are killed, even by SIGKILL, the guard sees the
pipe end and kills the group. (prctl(2) PR_SET_PDEATHSIG would not do: it fires when the *thread* that started the
program ends, and it reaches none of the program's children.) What makes itself a session of its own, as daemons do,
escapes both.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Self

from errors import HostError
from hosts.command import Command
from hosts.outcome import OutputTail, ending_of_signal, ending_of_status, failure
from model import Secret

# The largest pipe that an ordinary user gets without asking: pipe(7). Fewer, larger reads than with the usual 64 KiB.
_PIPE_BYTES = 1 << 20

# For cleaning up after SIGTERM: pg_dump tells its server to stop.
_SECONDS_TO_END = 3.0

# A child that outlives the program may hold its standard error open.
_SECONDS_FOR_LAST_WORDS = 1.0

_GUARD = 'trap "" HUP INT TERM; read -r group && { read -r ended || kill -s KILL -- "-$group"; }'


class LocalCommandHost:
    """This machine. See ``hosts.command.CommandHost`` for the contract."""

    name = "this machine"

    def start(self, command: Command, *, feeds_input: bool = False) -> LocalCommand:
        return LocalCommand(command, feeds_input=feeds_input, host_name=self.name)

    def close(self) -> None:
        """There is no connection."""


class LocalCommand:
    """A program that runs. See ``hosts.command.RunningCommand`` for the contract."""

    def __init__(self, command: Command, *, feeds_input: bool, host_name: str) -> None:
        self._command = command
        self._host_name = host_name
        self._error_output = OutputTail()
        self._guard = _Guard()
        try:
            self._process = _started(command, feeds_input=feeds_input, host_name=host_name)
        except BaseException:
            self._guard.dismiss()
            raise
        self._guard.watch(self._process.pid)
        self._listener = threading.Thread(target=self._listen, name=f"what {command} says", daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            _end_group(self._process)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process.wait()
        finally:
            self._guard.dismiss()
            self._listener.join(_SECONDS_FOR_LAST_WORDS)

    def chunks(self) -> Iterator[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        descriptor = self._process.stdout.fileno()
        while chunk := os.read(descriptor, _PIPE_BYTES):
            yield chunk
        self._raise_unless_good()

    def feed(self, chunks: Iterable[bytes]) -> None:
        pipe = self._process.stdin
        assert pipe is not None, "only a program that was started with feeds_input is fed"  # noqa: S101
        unwanted = False
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest and not unwanted:
                try:
                    rest = rest[os.write(pipe.fileno(), rest) :]
                except BrokenPipeError:
                    # It has ended or closed its input: its status says whether it has had what it needed. The remaining
                    # chunks are still asked for, because whoever makes them may find at their end that they are wrong.
                    unwanted = True
                    self._raise_unless_good()
        pipe.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        with self._process.stderr as pipe:
            while said := os.read(pipe.fileno(), 1 << 16):
                self._error_output.add(said)

    def _raise_unless_good(self) -> None:
        # It is not reaped before `__exit__`: as long as it is there nobody else gets the number of its group.
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # noqa: S101 - None is for WNOHANG
        status = ended.si_status
        if ended.si_code == os.CLD_EXITED and status == 0:
            return
        self._listener.join(_SECONDS_FOR_LAST_WORDS)
        if ended.si_code == os.CLD_EXITED:
            raise failure(self._command, self._host_name, ending_of_status(status), self._error_output, status)
        raise failure(self._command, self._host_name, ending_of_signal(status), self._error_output)


class _Guard:
    """Kills a process group when this process is no more."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        self._write(b"%d\n" % group)

    def dismiss(self) -> None:
        """The group has ended."""
        self._write(b"ended\n")
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.close()
        self._process.wait()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(BrokenPipeError):  # somebody has killed the guard
            self._process.stdin.write(line)


def _started(command: Command, *, feeds_input: bool, host_name: str) -> subprocess.Popen[bytes]:
    environment = dict(os.environb)
    for name, value in command.environment.items():
        environment[_bytes(name)] = _bytes(value.reveal() if isinstance(value, Secret) else value)
    try:
        process = subprocess.Popen(
            [_bytes(argument) for argument in command.argv],
            env=environment,
            stdin=subprocess.PIPE if feeds_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostError(
            f"The program {command} was not found on {host_name}. Install it, or put its folder into PATH (cron's PATH "
            "is shorter than yours)."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL among the arguments
        reason = error.strerror if isinstance(error, OSError) else error
        raise HostError(f"The program {command} on {host_name} cannot be started: {reason}.") from error
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # the user has too many pipes already: pipe(7), /proc/sys/fs/pipe-user-pages-soft
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _bytes(text: str) -> bytes:
    """Whatever the locale says: names of files come as UTF-8 with surrogates for other bytes."""
    return text.encode("utf-8", "surrogateescape")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the program and its children. It has not been reaped, so the group is still its own."""
    with suppress(PermissionError):  # it became another user's, as under sudo: the end of its pipes has to do
        if not _has_ended(process):
            os.killpg(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + _SECONDS_TO_END
            while not _has_ended(process) and time.monotonic() < deadline:
                time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
