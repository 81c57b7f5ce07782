"""The databases of one server, or database files, as the source of a backup; the engine is in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from hosts.command import CommandHost
from model import DatabaseSource, Member, MemberKind, Note
from sources.database import open_database, product
from sources.programs import DESCRIPTION_PATH
from sources.source import OutlinedMember
from utils import format_count, format_size


class Databases:
    """See ``sources.source.Source``."""

    def __init__(self, source: DatabaseSource, host: CommandHost, note: Callable[[Note], None], spool: Path) -> None:
        self.host = host
        self._database = open_database(source, host, note, spool)

    def preflight(self) -> int | None:
        return self._database.preflight().size

    def members(self) -> Generator[Member, None, None]:
        yield from self._database.members()

    def outline(self) -> Iterator[OutlinedMember]:
        found = self._database.preflight()
        databases = found.description["databases"]
        yield OutlinedMember(DESCRIPTION_PATH, MemberKind.FILE, 0)
        if "accounts" in found.description:
            yield OutlinedMember(found.description["accounts"].encode(), MemberKind.FILE, 0)
        for database in databases:
            # One size is known, that of all together.
            size = found.size if database is databases[-1] else 0
            yield OutlinedMember(database["member"].encode("utf-8", "surrogateescape"), MemberKind.FILE, size)

    def check(self) -> str:
        found = self._database.preflight()
        engine, version = product(found.description["engine"]), found.description["server_version"]
        server = version if version.startswith(engine) else f"{engine} {version}"
        databases = format_count(len(found.description["databases"]), "database")
        return f"{server} on {self.host.name} answers: {databases}, about {format_size(found.size)}"
