"""The contract of a source: what a run asks of whatever is backed up, be it files, databases or a program's output."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from hosts.command import CommandHost
from model import Member, MemberKind


@dataclass(frozen=True, slots=True)
class OutlinedMember:
    """What a dry run tells of a member. ``kind`` and ``size`` (bytes) are None where only reading it would tell."""

    path: bytes
    kind: MemberKind | None
    size: int | None


class Source(Protocol):
    """What one backup reads. What it leaves out is told to the ``note`` that it was opened with."""

    host: CommandHost
    """Where it is read. Nothing is connected before it is used."""

    def preflight(self) -> int | None:
        """Find what can be known to fail before anything is written anywhere.

        The answer is how many bytes are expected, for the progress; None where that cannot be known. Raises
        SourceError and HostError.
        """

    def members(self) -> Generator[Member, None, None]:
        """All that is to be packed. A ``StreamContent`` is read before the next member is asked for.

        It is closed where it is left early. It, and the content of its members, raise SourceError and HostError.
        """

    def outline(self) -> Iterator[OutlinedMember]:
        """What would be packed now, without reading any content. Raises as :meth:`members` does."""

    def check(self) -> str:
        """Whether it can be reached, in a sentence without its full stop. Raises SourceError and HostError."""
