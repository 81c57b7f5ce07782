"""PostgreSQL databases as a source: pg_dump in its custom format, one member for each database.

Without pg_dump's own compression: ISA-L, which packs the archive, is several times faster than its zlib, and the dump
is still a file that any pg_restore reads. Roles and tablespaces belong to the server and go into ``globals.sql``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from errors import HostError, SourceError
from hosts.command import Command, CommandHost
from model import DatabaseSource, Member, Note, NoteKind, StreamContent
from sources.database import Preflight
from sources.postgres_client import (
    Client,
    Server,
    database_option,
    environment_of,
    identifier,
    newest_client,
    parse_version,
)
from sources.postgres_dump_check import DumpCheck
from sources.programs import description_member, dump_path, member_of

GLOBALS_PATH = b"globals.sql"

# Whole rows of pg_database: the columns of the locale differ from version to version. What belongs to an extension is
# not dumped, so it need not be readable; to lock a table, pg_dump needs the schema too.
_DESCRIBE = """SELECT json_build_object(
    'server_version', current_setting('server_version'),
    'user', current_user,
    'reads_roles_passwords', has_table_privilege('pg_catalog.pg_authid', 'SELECT'),
    'catalog', row_to_json(d),
    'owner', pg_get_userbyid(d.datdba),
    'encoding', pg_encoding_to_char(d.encoding),
    'comment', shobj_description(d.oid, 'pg_database'),
    'settings', (SELECT json_agg(setting) FROM pg_db_role_setting, unnest(setconfig) setting
        WHERE setrole = 0 AND setdatabase = d.oid),
    'settings_of_roles', (SELECT json_agg(json_build_object('role', pg_get_userbyid(setrole), 'setting', setting))
        FROM pg_db_role_setting, unnest(setconfig) setting WHERE setrole <> 0 AND setdatabase = d.oid),
    'privileges', CASE WHEN d.datacl IS NOT NULL THEN (
        SELECT coalesce(json_agg(json_build_object('privilege', privilege_type, 'grantable', is_grantable,
            'role', CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END)), '[]')
        FROM aclexplode(d.datacl)) END,
    'extensions', (SELECT json_object_agg(extname, extversion) FROM pg_extension),
    'tables', (SELECT json_agg(json_build_object('schema', nspname, 'name', relname, 'rows', reltuples::bigint,
            'size', pg_table_size(c.oid)) ORDER BY nspname, relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'm', 'p') AND relpersistence <> 't'
        AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')),
    'unreadable', (SELECT json_agg(quote_ident(nspname) || '.' || quote_ident(relname) ORDER BY nspname, relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'S') AND relpersistence <> 't'
        AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
        AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))))
FROM pg_database d WHERE d.datname = current_database()"""

_UNREADABLE_SHOWN = 5

PRODUCT = "PostgreSQL"

RESTORE_STEPS = """\
Put the database back, as a superuser of the server (where it runs: "sudo -u postgres -i"). A new server gets the
   roles first (those that are there already give an error each, which does no harm):

       psql --dbname=postgres --file=restored/globals.sql

   Under the name that it had, with its owner and settings, where there is no other of that name:

       pg_restore --create --exit-on-error --dbname=postgres restored/databases/FILE

   Or under another name. ENCODING, COLLATE and CTYPE are those that databases.json says:

       createdb --template=template0 --encoding=ENCODING --lc-collate=COLLATE --lc-ctype=CTYPE NEW_DATABASE
       pg_restore --exit-on-error --dbname=NEW_DATABASE restored/databases/FILE

   "pg_restore --list" shows what is in a dump, and "--no-owner" leaves the owners out.
"""


def open_database(
    source: DatabaseSource, host: CommandHost, note: Callable[[Note], None], _spool: Path
) -> PostgresDatabase:
    """See ``sources.database``."""
    return PostgresDatabase(source, host, note)


def member_path(name: str) -> bytes:
    """See ``sources.database``."""
    return dump_path(name, "dump")


class PostgresDatabase:
    """See ``sources.database.Database``."""

    accounts_come_first = True

    def __init__(self, source: DatabaseSource, host: CommandHost, note: Callable[[Note], None]) -> None:
        self._source = source
        self._host = host
        self._note = note

    def preflight(self) -> Preflight:
        return self._found.preflight()

    def members(self) -> Iterator[Member]:
        found = self._found
        for note in found.notes:
            self._note(note)
        yield description_member(found.preflight().description)
        yield member_of(GLOBALS_PATH, self._globals(found))
        for name in found.descriptions:
            yield member_of(member_path(name), self._dump(found.client, name))

    def restore(
        self, chunks: Iterable[bytes], name: str, original: Mapping[str, Any] | None = None, *, replace: bool = False
    ) -> None:
        from sources.postgres_restore import PostgresRestore

        PostgresRestore(self._source, self._host).restore(chunks, name, original, replace=replace)

    def exists(self, name: str) -> bool:
        from sources.postgres_restore import PostgresRestore

        return PostgresRestore(self._source, self._host).exists(name)

    def leftovers(self, _name: str) -> list[str]:
        from sources.postgres_restore import PostgresRestore

        return PostgresRestore(self._source, self._host).leftovers()

    def restore_accounts(self, chunks: Iterable[bytes]) -> list[str]:
        from sources.postgres_restore import PostgresRestore

        return PostgresRestore(self._source, self._host).restore_accounts(chunks)

    @cached_property
    def _found(self) -> _Found:
        client = newest_client(self._host)
        server = Server(self._source, self._host, client)
        names, notes = self._names(server)
        descriptions = {name: server.ask(name, _DESCRIBE) for name in names}
        found = _Found(client, descriptions, notes)
        self._require_suitable_client(found)
        for name, description in descriptions.items():
            self._require_readable(name, description)
        if not found.reads_passwords:
            reason = f"the passwords of roles, which {found.user} may not read: only a superuser may"
            found.notes.append(Note(NoteKind.LEFT_OUT, GLOBALS_PATH, reason))
        return found

    def _names(self, server: Server) -> tuple[list[str], list[Note]]:
        if self._source.names != ("*",):
            return list(self._source.names), []
        names, notes = [], []
        for database in server.databases():
            if database["connects"] and not database["is_template"]:
                names.append(database["name"])
            elif not database["is_template"]:
                path = member_path(database["name"])
                notes.append(Note(NoteKind.LEFT_OUT, path, "it is a database that allows no connections"))
        if not names:
            raise SourceError(f"The PostgreSQL server on {self._host.name} has no database to back up.")
        return names, notes

    def _require_suitable_client(self, found: _Found) -> None:
        if found.client.suits(parse_version(found.server_version)):
            return
        have = ".".join(map(str, found.client.version))
        major = parse_version(found.server_version)[0]
        raise SourceError(
            f"The newest pg_dump on {self._host.name} is {found.client.program('pg_dump')} of version {have}, and the "
            f"server is PostgreSQL {found.server_version}: pg_dump refuses a server that is newer than itself. Install "
            f"PostgreSQL's client programs of version {major} or later there (Debian: postgresql-client-{major})."
        )

    def _require_readable(self, name: str, description: Mapping[str, Any]) -> None:
        unreadable = description["unreadable"] or []
        if not unreadable:
            return
        shown = ", ".join(unreadable[:_UNREADABLE_SHOWN])
        more = f" and {len(unreadable) - _UNREADABLE_SHOWN} more" if len(unreadable) > _UNREADABLE_SHOWN else ""
        user = description["user"]
        raise SourceError(
            f"The user {user} may not read all of the database {identifier(name)} on {self._host.name}: {shown}{more}. "
            f"Since PostgreSQL 14 a superuser allows it with: GRANT pg_read_all_data TO {identifier(user)};"
        )

    def _globals(self, found: _Found) -> StreamContent:
        first = next(iter(found.descriptions))
        argv = [found.client.program("pg_dumpall"), "--globals-only", "--no-password"]
        argv.append(database_option(first).replace("--dbname=", "--database=", 1))
        if not found.reads_passwords:
            argv.append("--no-role-passwords")
        return _Globals(self._host, Command(tuple(argv), environment_of(self._source)))

    def _dump(self, client: Client, name: str) -> StreamContent:
        argv = (
            client.program("pg_dump"),
            *("--format=custom", "--compress=0", "--no-password"),
            database_option(name),
        )
        check = Command((client.program("pg_restore"), "--list"))
        return _Dump(self._host, name, Command(argv, environment_of(self._source)), check)


@dataclass(slots=True)
class _Found:
    """What the pre-flight found. ``descriptions`` is by the name of the database, and never empty."""

    client: Client
    descriptions: dict[str, dict[str, Any]]
    notes: list[Note]

    @property
    def server_version(self) -> str:
        return str(self._any["server_version"])

    @property
    def reads_passwords(self) -> bool:
        return bool(self._any["reads_roles_passwords"])

    @property
    def user(self) -> str:
        return str(self._any["user"])

    @property
    def _any(self) -> dict[str, Any]:
        return next(iter(self.descriptions.values()))

    def preflight(self) -> Preflight:
        tables = (table for found in self.descriptions.values() for table in found["tables"] or ())
        return Preflight(
            size=sum(table["size"] for table in tables),
            description={
                "engine": "postgres",
                "accounts": GLOBALS_PATH.decode(),
                "server_version": self.server_version,
                "client_version": ".".join(map(str, self.client.version)),
                "databases": [_described(name, found) for name, found in self.descriptions.items()],
            },
        )


def _described(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    catalog = found["catalog"]
    return {
        "name": name,
        "member": member_path(name).decode(),
        "owner": found["owner"],
        "encoding": found["encoding"],
        "collate": catalog["datcollate"],
        "ctype": catalog["datctype"],
        "locale_provider": catalog.get("datlocprovider"),
        "locale": catalog.get("datlocale", catalog.get("daticulocale")),
        "comment": found["comment"],
        "settings": found["settings"] or [],
        "settings_of_roles": found["settings_of_roles"] or [],
        "connection_limit": catalog["datconnlimit"],
        "privileges": found["privileges"],
        "extensions": found["extensions"] or {},
        "tables": [
            {"schema": table["schema"], "name": table["name"], "estimated_rows": max(table["rows"], 0)}
            for table in found["tables"] or ()
        ],
    }


class _Dump(StreamContent):
    """The dump of one database."""

    __slots__ = ("_check", "_command", "_host", "_name")

    def __init__(self, host: CommandHost, name: str, command: Command, check: Command) -> None:
        self._host = host
        self._name = name
        self._command = command
        self._check = check

    def chunks(self) -> Iterator[bytes]:
        try:
            with DumpCheck(self._host, self._check) as check, self._host.start(self._command) as running:
                for chunk in running.chunks():
                    check.passes(chunk)
                    yield chunk
                check.finish()
        except HostError as error:
            raise SourceError(f"The database {identifier(self._name)} was not dumped. {error}") from error


class _Globals(StreamContent):
    """Roles, their memberships, and tablespaces."""

    __slots__ = ("_command", "_host")

    # The last line that pg_dumpall writes, before `\\unrestrict` of the versions since August 2025.
    _END = b"-- PostgreSQL database cluster dump complete"

    def __init__(self, host: CommandHost, command: Command) -> None:
        self._host = host
        self._command = command

    def chunks(self) -> Iterator[bytes]:
        tail = b""
        try:
            with self._host.start(self._command) as running:
                for chunk in running.chunks():
                    tail = (tail + chunk)[-1000:]
                    yield chunk
        except HostError as error:
            raise SourceError(f"The roles and tablespaces were not dumped. {error}") from error
        if self._END not in tail:
            raise SourceError(
                f"The dump of roles and tablespaces by pg_dumpall on {self._host.name} does not have its last line, "
                "so it is not whole."
            )
