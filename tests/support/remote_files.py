"""The tars that a host may have, hosts on which something happens at a planned moment, and members to compare."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hosts.command import Command, CommandHost, RunningCommand
from hosts.local_command import LocalCommandHost
from model import FileSource, Member, MemberKind, Note, SeekableContent, StreamContent
from sources.remote_files import members

BUSYBOX_PROGRAMS = ("sh", "tar", "find", "xargs", "readlink", "cat")


def make_programs(folder: Path, tar: str) -> str:
    """A folder of programs for PATH in which ``tar`` is ``gnu``, ``gnu without mark``, ``busybox`` or ``bsdtar``."""
    folder.mkdir()
    if tar == "busybox":
        for name in BUSYBOX_PROGRAMS:
            (folder / name).symlink_to(shutil.which("busybox") or "")
        return str(folder)
    if tar == "bsdtar":
        (folder / "tar").symlink_to(shutil.which("bsdtar") or "")
    elif tar == "gnu without mark":
        make_script(folder / "tar", f'exec {shutil.which("tar")} "$@"')
    return f"{folder}:{os.environ['PATH']}"


def make_script(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class PreparedHost:
    """This machine with another PATH, or as another user. ``before`` is called before each program is started."""

    name = "the prepared host"

    def __init__(
        self,
        path: str | None = None,
        prefix: tuple[str, ...] = (),
        before: Callable[[Command], None] = lambda _: None,
        host: CommandHost | None = None,
    ) -> None:
        self._host = host or LocalCommandHost()
        self._path = path or os.environ["PATH"]
        self._prefix = prefix
        self._before = before
        self.received = 0

    def start(self, command: Command, *, feeds_input: bool = False) -> RunningCommand:
        self._before(command)
        environment = {**command.environment, "PATH": self._path}
        prepared = replace(command, argv=(*self._prefix, *command.argv), environment=environment)
        return CountingCommand(self._host.start(prepared, feeds_input=feeds_input), self)

    def close(self) -> None:
        self._host.close()


class CountingCommand:
    """A program whose output is counted."""

    def __init__(self, running: RunningCommand, host: PreparedHost) -> None:
        self._running = running
        self._host = host
        self.feed = running.feed

    def __enter__(self) -> CountingCommand:
        self._running.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._running.__exit__(*details)

    def chunks(self) -> Iterator[bytes]:
        for chunk in self._running.chunks():
            self._host.received += len(chunk)
            yield chunk


@dataclass(frozen=True)
class Known:
    """All that is known of a member, with its content."""

    kind: MemberKind
    mode: int
    owner: tuple[int, int, str, str]
    modified_ns: int
    size: int
    content: bytes | None
    link_target: bytes | None
    links: frozenset[bytes]
    extended_attributes: dict[str, bytes] | None
    data_extents: tuple[tuple[int, int], ...] | None


def known(found: Iterable[Member]) -> dict[bytes, Known]:
    """The members by path. Which of several hard links came first does not matter, so all are named."""
    listed = [(member, content_of(member)) for member in found]
    groups: dict[bytes, set[bytes]] = {}
    for member, _ in listed:
        groups.setdefault(member.hard_link_to or member.path, set()).add(member.path)
    described = {}
    for member, content in listed:
        described[member.path] = Known(
            member.kind,
            member.mode,
            (member.uid, member.gid, member.user, member.group),
            member.modified_ns,
            member.size,
            content,
            member.link_target,
            frozenset(groups[member.hard_link_to or member.path]),
            dict(member.extended_attributes) if member.extended_attributes is not None else None,
            member.data_extents,
        )
    assert len(described) == len(listed)
    return described


def content_of(member: Member) -> bytes | None:
    if isinstance(member.content, StreamContent):
        return b"".join(member.content.chunks())
    if isinstance(member.content, SeekableContent):
        return member.content.read(member.size)[0]
    return None


def read_remotely(host: CommandHost, *paths: Path | str, **source: object) -> tuple[dict[bytes, Known], list[Note]]:
    """What comes from a host; ``source`` are the other fields of ``FileSource``."""
    notes: list[Note] = []
    file_source = FileSource(tuple(map(str, paths)), **source)  # type: ignore[arg-type]
    return known(members(file_source, host, notes.append)), notes
