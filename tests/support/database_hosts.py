"""Places where the programs of databases run, for tests that need no second machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hosts.command import Command, CommandHost, RunningCommand
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Member, Note, StreamContent
from sources.database import open_database


class Elsewhere:
    """This machine, but nothing in the product knows that: what it asks a remote host for, it asks this one for."""

    name = "elsewhere"

    def __init__(self) -> None:
        self._host = LocalCommandHost()
        self._host.name = self.name

    def start(self, command: Command, *, feeds_input: bool = False) -> RunningCommand:
        return self._host.start(command, feeds_input=feeds_input)

    def close(self) -> None:
        self._host.close()


@dataclass
class Dumped:
    """What a source yielded, read to its end."""

    contents: dict[bytes, bytes] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def dumped(source: DatabaseSource, host: CommandHost | None = None) -> Dumped:
    """Every member of the source, with its content."""
    result = Dumped()
    database = open_database(source, host or LocalCommandHost(), result.notes.append)
    for member in database.members():
        result.contents[member.path] = content_of(member)
    return result


def content_of(member: Member) -> bytes:
    assert isinstance(member.content, StreamContent)
    return b"".join(member.content.chunks())


def in_pieces(data: bytes, size: int = 50_000) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))
