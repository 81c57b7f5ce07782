"""MariaDB and MySQL databases as a source: what mariadb-dump (or mysqldump) writes, one member for each database.

Each is dumped in one transaction, so it is consistent in itself. Users, roles and their grants belong to the whole
server and go into ``users.sql``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from errors import HostError, SourceError
from hosts.command import Command, CommandHost
from model import DatabaseSource, Member, Note, NoteKind, StreamContent
from sources.database import Preflight
from sources.mariadb_client import Client, Server, dump_command, find_client, identifier
from sources.mariadb_grants import missing_privileges
from sources.mariadb_users import USERS_PATH, text_of_users
from sources.programs import Text, description_member, dump_path, member_of

# In hexadecimal digits no name can be taken for the end of a column.
_DATABASES = """SELECT HEX(CONVERT(schema_name USING utf8mb4)), default_character_set_name, default_collation_name
FROM information_schema.schemata WHERE schema_name NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
ORDER BY schema_name"""

_TABLES = """SELECT HEX(CONVERT(table_schema USING utf8mb4)), HEX(CONVERT(table_name USING utf8mb4)), table_type,
    COALESCE(engine, ''), COALESCE(table_rows, 0), COALESCE(data_length, 0)
FROM information_schema.tables WHERE table_schema NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
ORDER BY table_schema, table_name"""

_KEEP_HISTORY = "SYSTEM VERSIONED"

# The last line, with the date after it.
_END = b"\n-- Dump completed"
_TAIL = 200

PRODUCT = "MariaDB"

RESTORE_STEPS = """\
Put the database back, as a user with all rights (with "--user=NAME --password" where the server wants them). CHARSET
   and COLLATION are those that databases.json says:

       mariadb --execute='CREATE DATABASE `NEW_DATABASE` CHARACTER SET CHARSET COLLATE COLLATION'
       mariadb --binary-mode --max-allowed-packet=1G NEW_DATABASE < restored/databases/FILE

   A new server gets the users and their rights after the databases (those that are there already, as root is, give an
   error each, which does no harm). There is no users.sql where the user of the backup was not allowed to read them:

       mariadb --force < restored/users.sql
"""


def open_database(
    source: DatabaseSource, host: CommandHost, note: Callable[[Note], None], _spool: Path
) -> MariadbDatabase:
    """See ``sources.database``."""
    return MariadbDatabase(source, host, note)


def member_path(name: str) -> bytes:
    """See ``sources.database``."""
    return dump_path(name, "sql")


class MariadbDatabase:
    """See ``sources.database.Database``."""

    accounts_come_first = False

    def __init__(self, source: DatabaseSource, host: CommandHost, note: Callable[[Note], None]) -> None:
        self._source = source
        self._host = host
        self._note = note

    def preflight(self) -> Preflight:
        return self._found.preflight()

    def members(self) -> Iterator[Member]:
        found = self._found
        if found.users is None:
            reason = f"users and their grants, which {found.user} may not read: that needs SELECT on mysql.*"
            self._note(Note(NoteKind.LEFT_OUT, USERS_PATH, reason))
        yield description_member(found.preflight().description)
        if found.users is not None:
            yield member_of(USERS_PATH, Text(found.users))
        for name, database in found.databases.items():
            command = dump_command(self._source, found.client, name, with_history=database.keeps_history)
            yield member_of(member_path(name), _Dump(self._host, name, command))

    def restore(
        self, chunks: Iterable[bytes], name: str, original: Mapping[str, Any] | None = None, *, replace: bool = False
    ) -> None:
        from sources.mariadb_restore import MariadbRestore

        MariadbRestore(self._source, self._host).restore(chunks, name, original, replace=replace)

    def exists(self, name: str) -> bool:
        from sources.mariadb_restore import MariadbRestore

        return MariadbRestore(self._source, self._host).exists(name)

    def leftovers(self, _name: str) -> list[str]:
        from sources.mariadb_restore import MariadbRestore

        return MariadbRestore(self._source, self._host).leftovers()

    def restore_accounts(self, chunks: Iterable[bytes]) -> list[str]:
        from sources.mariadb_restore import MariadbRestore

        return MariadbRestore(self._source, self._host).restore_accounts(chunks)

    @cached_property
    def _found(self) -> _Found:
        client = find_client(self._host)
        server = Server(self._source, self._host, client)
        ((version, user),) = server.ask("SELECT VERSION(), CURRENT_USER()")
        databases = self._databases(server)
        grants = [row[0] for row in server.ask("SHOW GRANTS")]
        for name in databases:
            self._require_privileges(name, user, missing_privileges(grants, name))
        try:
            users = text_of_users(server)
        except SourceError:  # it answered a moment ago, so it is the right that is missing
            users = None
        return _Found(client, version, user, databases, users)

    def _databases(self, server: Server) -> dict[str, _Database]:
        there = {_text(name): _Database(charset, collation) for name, charset, collation in server.ask(_DATABASES)}
        names = list(there) if self._source.names == ("*",) else list(self._source.names)
        missing = [name for name in names if name not in there]
        if missing:
            raise SourceError(
                f"There is no database {identifier(missing[0])} on {self._host.name} that the user may see."
            )
        if not names:
            raise SourceError(f"The server on {self._host.name} has no database to back up that the user may see.")
        for schema, name, kind, engine, rows, size in server.ask(_TABLES):
            if _text(schema) in there:
                there[_text(schema)].add_table(_text(name), kind, engine, int(rows), int(size))
        return {name: there[name] for name in names}

    def _require_privileges(self, name: str, user: str, missing: list[str]) -> None:
        if missing:
            lacking = ", ".join(missing)
            raise SourceError(
                f"The user {user} on {self._host.name} lacks {lacking} on the database {identifier(name)}: what needs "
                "them would be missing in the dump without a word. Allow it with: "
                f"GRANT {lacking} ON {identifier(name)}.* TO …; (for the routines of others SELECT ON *.* is needed)."
            )


@dataclass(slots=True)
class _Database:
    """What the pre-flight found of one database."""

    charset: str
    collation: str
    size: int = 0
    keeps_history: bool = False
    tables: list[dict[str, Any]] = field(default_factory=list)

    def add_table(self, name: str, kind: str, engine: str, rows: int, size: int) -> None:
        self.size += size
        self.keeps_history |= kind == _KEEP_HISTORY
        if engine:  # a view has none
            self.tables.append({"name": name, "engine": engine, "estimated_rows": rows})


@dataclass(frozen=True, slots=True)
class _Found:
    """What the pre-flight found. ``users`` is the text of ``users.sql``, or None where they may not be read."""

    client: Client
    server_version: str
    user: str
    databases: dict[str, _Database]
    users: str | None

    def preflight(self) -> Preflight:
        return Preflight(
            size=sum(database.size for database in self.databases.values()),
            description={
                "engine": "mariadb",
                "accounts": USERS_PATH.decode() if self.users is not None else None,
                "server_version": self.server_version,
                "client_version": self.client.version,
                "databases": [
                    {
                        "name": name,
                        "member": member_path(name).decode(),
                        "charset": database.charset,
                        "collation": database.collation,
                        "keeps_history": database.keeps_history,
                        "tables": database.tables,
                    }
                    for name, database in self.databases.items()
                ],
            },
        )


class _Dump(StreamContent):
    """The dump of one database."""

    __slots__ = ("_command", "_host", "_name")

    def __init__(self, host: CommandHost, name: str, command: Command) -> None:
        self._host = host
        self._name = name
        self._command = command

    def chunks(self) -> Iterator[bytes]:
        tail = b""
        try:
            with self._host.start(self._command) as running:
                for chunk in running.chunks():
                    tail = (tail + chunk)[-_TAIL:] if len(chunk) < _TAIL else chunk[-_TAIL:]
                    yield chunk
        except HostError as error:
            raise SourceError(f"The database {identifier(self._name)} was not dumped. {error}") from error
        if _END not in tail:
            raise SourceError(
                f"The dump of the database {identifier(self._name)} on {self._host.name} does not have its last line, "
                "so it is not whole."
            )


def _text(digits: str) -> str:
    return bytes.fromhex(digits).decode()
