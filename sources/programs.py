"""Running a client program of a database where the database lives, and what a dump of it becomes in an archive."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hosts.command import Command, CommandHost
from model import Member, MemberKind, StreamContent

DESCRIPTION_PATH = b"databases.json"
"""The first member of an archive of databases: what is in it (docs/formats.md)."""

DESCRIPTION_FORMAT = "holdfast-databases"
DESCRIPTION_VERSION = 1


def output_of(host: CommandHost, command: Command) -> bytes:
    """All that a program writes, for what is known to be short. Raises HostError where it ends otherwise than well."""
    with host.start(command) as running:
        return b"".join(running.chunks())


def output_of_fed(host: CommandHost, command: Command, chunks: Iterable[bytes]) -> bytes:
    """As :func:`output_of`, with standard input. For programs that write little before they have read everything.

    What ``chunks`` raises passes, and the program is ended.
    """
    with host.start(command, feeds_input=True) as running:
        running.feed(chunks)
        return b"".join(running.chunks())


class ProgramOutput(StreamContent):
    """What a program writes to its standard output. Its exit status decides: see ``RunningCommand.chunks``."""

    __slots__ = ("_command", "_host")

    def __init__(self, host: CommandHost, command: Command) -> None:
        self._host = host
        self._command = command

    def chunks(self) -> Iterator[bytes]:
        with self._host.start(self._command) as running:
            yield from running.chunks()


class Text(StreamContent):
    """A short text that is there already."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def chunks(self) -> Iterator[bytes]:
        yield self._text.encode()


def member_of(path: bytes, content: StreamContent) -> Member:
    """A member that is readable by its owner only: a dump is as secret as its database."""
    return Member(
        path=path,
        kind=MemberKind.FILE,
        mode=0o600,
        uid=os.geteuid(),
        gid=os.getegid(),
        modified_ns=time.time_ns(),
        content=content,
    )


def description_member(description: Mapping[str, Any]) -> Member:
    """The member that says what an archive of databases holds."""
    versioned = {"format": DESCRIPTION_FORMAT, "version": DESCRIPTION_VERSION, **description}
    text = json.dumps(versioned, indent=1, ensure_ascii=False)
    return member_of(DESCRIPTION_PATH, Text(text + "\n"))


def dump_path(name: str, ending: str) -> bytes:
    """``databases/shop.dump`` for any name of a database.

    Letters and digits of every script, ``-``, ``_`` and a dot that is not the first character stay; all else becomes
    ``%XX`` as in a URL, so that no name leads out of the folder and none needs quoting on any system.
    """
    kept = "".join(
        character
        if character.isalnum() or character in "-_" or (character == "." and position)
        else _escaped(character)
        for position, character in enumerate(name)
    )
    return f"databases/{kept}.{ending}".encode()


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
