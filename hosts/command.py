"""The contract of running programs on a host, wherever it is: here, over SSH, in a container, or in one over SSH.

What is run is an argv list, never a shell string that was built from values; what a host itself needs to put in between
(SSH takes one string only) it quotes. A secret reaches a program through its environment or its standard input, and
never through an argv, on any of the machines on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from model import Secret


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run. ``environment`` is added to that of the host; secrets may stand in it.

    ``program`` is the one that a person has to know of, where ``argv`` begins with a shell around it.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str | Secret] = field(default_factory=dict)
    program: str = ""

    def __str__(self) -> str:
        """The program's name, for messages: its arguments may be long, and are not what a person looks for."""
        return (self.program or self.argv[0]).rpartition("/")[2]


class RunningCommand(Protocol):
    """A program that was started. A context manager: leaving it ends the program, with all that it started, where it
    has not ended by itself, and releases everything."""

    def chunks(self) -> Iterator[bytes]:
        """Its standard output. The iteration ends only where the program has ended with exit status 0.

        Raises HostError, with the host's name, the exit status (or the signal) and the tail of its standard error,
        where it ended otherwise or the connection was lost: the end of the stream alone never means success.
        """

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write its standard input and close it. What ``chunks`` raises passes. Raises HostError as ``chunks`` does.

        It does not wait for the program: whether that ended well is known when :meth:`chunks` has ended, so it is
        called after this, or in another thread meanwhile where the program may answer with more than 64 KiB before it
        has had all its input. A program that stops reading and ends with status 0 has had what it needs; the rest of
        ``chunks`` is asked for all the same, as it may end with an error.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class CommandHost(Protocol):
    """A place where programs run."""

    name: str
    """For messages: ``this machine``, ``deploy@192.0.2.7``, ``the container shop-db on deploy@192.0.2.7``."""

    def start(self, command: Command, *, feeds_input: bool = False) -> RunningCommand:
        """Start a program; without ``feeds_input`` its standard input is empty. Raises HostError.

        There is never a terminal: it would change the bytes.
        """

    def close(self) -> None:
        """Release the connection. Commands under way have ended before."""
