"""A program that runs elsewhere, whatever carries its bytes: the part that SSH and Docker have in common."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, Self

from errors import HostError
from hosts.command import Command
from hosts.outcome import OutputTail, ending_of_status, failure
from hosts.remote_shell import launching_input

# What a shell prints before it runs the launcher is a greeting, not a backup.
_LONGEST_GREETING = 1 << 20


class Wire(Protocol):
    """The bytes of one program. It adds what comes on the standard error to the OutputTail that it was made with.

    Raises HostError where the connection was lost or the other side does not answer; silence alone is no error.
    """

    def receive(self) -> bytes:
        """Standard output, at least one byte; none where it has ended."""

    def send(self, data: bytes) -> bool:
        """Send all of it; False where the program has closed its input or ended."""

    def finish_input(self) -> None:
        """Tell the program that nothing more comes."""

    def exit_status(self) -> int | None:
        """How the program ended, after its output has; None where nobody knows."""

    def why_cut(self) -> str:
        """The predicate of a sentence about a program whose exit status nobody knows."""

    def close(self) -> None:
        """Its input ends, if it has not ended before, and nothing more is received."""


class RemoteCommand:
    """A program that runs. See ``hosts.command.RunningCommand`` for the contract."""

    def __init__(
        self,
        command: Command,
        host_name: str,
        connect: Callable[[OutputTail], Wire],
        end_group: Callable[[int], None],
        *,
        feeds_input: bool,
    ) -> None:
        """``connect`` starts the launcher; ``end_group`` ends a group of processes beside it."""
        self._command = command
        self._host_name = host_name
        self._end_group = end_group
        self._feeds_input = feeds_input
        self._has_ended = False
        mark = f"holdfast-{secrets.token_hex(16)}"
        launching = launching_input(command, mark, feeds_input=feeds_input, host=host_name)
        self._error_output = OutputTail(mark.encode() + b"\n")
        self._wire = connect(self._error_output)
        try:
            self._wire.send(launching)
            self._group, self._first = self._begun(re.compile(rb"%b (\d+)\n" % mark.encode()))
        except BaseException:
            self._wire.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._feeds_input and not self._has_ended:
                self._end_group(self._group)
        finally:
            self._wire.close()

    def chunks(self) -> Iterator[bytes]:
        chunk, self._first = self._first, b""
        while chunk or (chunk := self._wire.receive()):
            yield chunk
            chunk = b""
        self._raise_unless_good()

    def feed(self, chunks: Iterable[bytes]) -> None:
        is_wanted = True
        for chunk in chunks:
            if is_wanted and not self._wire.send(chunk):
                # Its status says whether it has had what it needed. The remaining chunks are still asked for, because
                # whoever makes them may find at their end that they are wrong.
                is_wanted = False
                self._raise_unless_good()
        if is_wanted:
            self._wire.finish_input()

    def _begun(self, mark: re.Pattern[bytes]) -> tuple[int, bytes]:
        """The process group of the program, and what came of its output already."""
        greeting = b""
        while not (found := mark.search(greeting)):
            received = self._wire.receive()
            if not received or len(greeting) > _LONGEST_GREETING:
                raise self._not_begun(greeting, has_ended=not received)
            greeting += received
        return int(found[1]), greeting[found.end() :]

    def _not_begun(self, greeting: bytes, *, has_ended: bool) -> HostError:
        self._error_output.add(greeting)  # nologin and the like say there why
        status = self._wire.exit_status() if has_ended else None
        if status is not None:
            ending = f"was not started: the shell {ending_of_status(status)}"
        elif has_ended:
            ending = self._wire.why_cut()
        else:
            ending = "was not started: something else than a POSIX shell answers"
        return failure(self._command, self._host_name, ending, self._error_output)

    def _raise_unless_good(self) -> None:
        status = self._wire.exit_status()
        self._has_ended = True
        if status != 0:
            ending = self._wire.why_cut() if status is None else ending_of_status(status)
            raise failure(self._command, self._host_name, ending, self._error_output, status)
