"""How a program ended, as the error that says so: its exit status or signal, and the last that it said."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping

from errors import ProgramError
from hosts.command import Command
from utils import printable, redact

# Much more is kept than is shown: a secret that was cut in two at the beginning would not be found and taken out.
_KEPT_BYTES = 16 << 10
_SHOWN_CHARACTERS = 2000

# What a POSIX shell answers for a program that it could not start: XCU 2.8.2.
_MEANINGS = {126: "a program could not be started", 127: "a program was not found"}

_SENDERS: Mapping[int, str] = {signal.SIGKILL: "somebody, or a lack of memory"}


class OutputTail:
    """The tail of what a program says. One thread may add to it while another asks for the text.

    What comes before ``beginning``, if that comes at all, is not the program's.
    """

    def __init__(self, beginning: bytes = b"") -> None:
        self._tail = b""
        self._beginning = beginning
        self._lock = threading.Lock()

    def add(self, output: bytes) -> None:
        with self._lock:
            self._tail += output
            if self._beginning and self._beginning in self._tail:
                self._tail = self._tail.partition(self._beginning)[2]
                self._beginning = b""
            self._tail = self._tail[-_KEPT_BYTES:]

    def text(self) -> str:
        """The last lines, without secrets; ``""`` where the program said nothing."""
        with self._lock:
            said = redact(self._tail.decode("utf-8", "backslashreplace"))[-_SHOWN_CHARACTERS:]
        return "\n".join(printable(line.expandtabs(4).rstrip().encode()) for line in said.strip().split("\n"))


def failure(
    command: Command, host: str, ending: str, error_output: OutputTail, exit_status: int | None = None
) -> ProgramError:
    """The error of a program on a host. ``ending`` is a predicate: ``ended with exit status 3``."""
    said = error_output.text()
    message = f"The program {command} on {host} {ending}" + (f":\n{said}" if said else ", and said nothing.")
    return ProgramError(message, exit_status)


def ending_of_status(status: int) -> str:
    """The predicate for an exit status that a shell handed on: above 128 it stands for a signal."""
    meaning = _MEANINGS.get(status)
    if status > 128 and (name := _signal_name(status - 128)):
        sender = _SENDERS.get(status - 128)
        meaning = f"as after {name}" + (f": {sender}" if sender else "")
    return f"ended with exit status {status}" + (f" ({meaning})" if meaning else "")


def ending_of_signal(number: int) -> str:
    """The predicate for a signal."""
    sender = _SENDERS.get(number)
    return f"was ended by {_signal_name(number) or f'signal {number}'}" + (f" ({sender})" if sender else "")


def _signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
