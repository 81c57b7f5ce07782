"""Places where the programs of databases run, for tests that need no second machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from hosts.command import Command, CommandHost, RunningCommand
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Member, Note, StreamContent
from sources.database import Database, open_database


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


def database_of(source: DatabaseSource, host: CommandHost | None = None) -> Database:
    """The database of a source that says nothing and needs no spool."""
    return open_database(source, host or LocalCommandHost(), lambda note: None, Path(os.devnull))


def dumped(source: DatabaseSource, host: CommandHost | None = None) -> Dumped:
    """Every member of the source, with its content."""
    result = Dumped()
    database = open_database(source, host or LocalCommandHost(), result.notes.append, Path(os.devnull))
    for member in database.members():
        result.contents[member.path] = content_of(member)
    return result


def content_of(member: Member) -> bytes:
    return b"".join(stream_of(member))


def stream_of(member: Member) -> Generator[bytes]:
    """The content of a member, to be closed by who does not read all of it."""
    assert isinstance(member.content, StreamContent)
    return cast("Generator[bytes]", member.content.chunks())


def content_with(member: Member, in_the_middle: Callable[[], None]) -> bytes:
    """The content of a member, with something happening after its first chunk."""
    with closing(stream_of(member)) as chunks:
        data = [next(chunks)]
        in_the_middle()
        return b"".join([*data, *chunks])


def in_pieces(data: bytes, size: int = 50_000) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))
