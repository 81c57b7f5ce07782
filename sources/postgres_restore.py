"""A dump of pg_dump's custom format back into a PostgreSQL server, always into a database that is made for it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from errors import HostError, RestoreError, SourceError
from hosts.command import Command, CommandHost
from model import DatabaseSource
from sources.postgres_client import Server, database_option, environment_of, identifier, literal, newest_client
from sources.postgres_globals import statements_for
from sources.programs import output_of_fed

_STAGING = "holdfast-restore-"

_ROLES_AND_TABLESPACES = """SELECT json_build_object(
    'roles', (SELECT json_agg(rolname) FROM pg_roles),
    'tablespaces', (SELECT json_agg(spcname) FROM pg_tablespace))"""

# Databases that only a restore makes, and to which nobody is connected.
_LEFTOVERS = """SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database d
WHERE datname ~ '^holdfast-(restore|replaced)-[0-9a-f]{12}$'
AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)"""

# NAMEDATALEN - 1: a longer name would be cut, and so become another one.
_LONGEST_NAME = 63

_MISSING_ROLE = re.compile(r'role "[^"\n]+" does not exist')


class PostgresRestore:
    """Puts databases into the server of a source."""

    def __init__(self, source: DatabaseSource, host: CommandHost) -> None:
        self._source = source
        self._host = host
        self._client = newest_client(host)
        self._server = Server(source, host, self._client)

    def restore(self, chunks: Iterable[bytes], name: str, original: Mapping[str, Any] | None, *, replace: bool) -> None:
        """See ``sources.database.Database.restore``.

        The database has a name of its own until it is whole, so that no half of one is ever found under ``name``.
        """
        if len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
            raise RestoreError(
                f"The name {identifier(name)} is longer than the {_LONGEST_NAME} bytes that PostgreSQL allows, so "
                "nothing was restored. Give a shorter one."
            )
        if self.exists(name) and not replace:
            raise RestoreError(
                f"There is a database {identifier(name)} on {self._host.name} already, so nothing was restored. Give "
                "another name, or let it be replaced with --replace."
            )
        staging = _STAGING + secrets.token_hex(6)
        try:
            maintenance = self._server.maintenance_database(other_than=name)
            self._server.run(maintenance, _creation(staging, original or {}))
            try:
                self._load(chunks, staging)
                self._server.run(maintenance, _properties(staging, original or {}))
                self._publish(staging, name, maintenance)
            except BaseException:
                self._discard(staging, maintenance)
                raise
        except HostError as error:
            hint = ""
            if _MISSING_ROLE.search(str(error)):
                hint = "\nRestore the roles first: they are in globals.sql."
            raise RestoreError(f"The database {identifier(name)} was not restored. {error}{hint}") from error

    def exists(self, name: str) -> bool:
        """See ``sources.database.Database.exists``."""
        return any(database["name"] == name for database in self._server.databases())

    def leftovers(self) -> list[str]:
        """See ``sources.database.Database.leftovers``."""
        names = self._server.ask(self._server.maintenance_database(), _LEFTOVERS)
        return [self._leftover(name) for name in names]

    def _leftover(self, name: str) -> str:
        what = "It is not whole" if name.startswith(_STAGING) else "It is the one that was to be replaced"
        return (
            f"A restore that was killed has left the database {identifier(name)} on {self._host.name}. {what}. This "
            f"removes it: DROP DATABASE {identifier(name)};"
        )

    def restore_accounts(self, chunks: Iterable[bytes]) -> list[str]:
        """See ``sources.database.Database.restore_accounts``. Roles are made all or none, then the tablespaces."""
        text = b"".join(chunks).decode("utf-8", "surrogateescape")
        maintenance = self._server.maintenance_database()
        names = self._server.ask(maintenance, _ROLES_AND_TABLESPACES)
        for_roles, for_tablespaces, new_roles = statements_for(text, names["roles"], names["tablespaces"])
        try:
            self._run_text(maintenance, for_roles, "--single-transaction")
            self._run_text(maintenance, for_tablespaces)
        except HostError as error:
            raise RestoreError(f"The roles and tablespaces were not all restored. {error}") from error
        return new_roles

    def _run_text(self, database: str, statements: Iterable[str], *options: str) -> None:
        """Through standard input, because there are passwords among them."""
        argv = (
            self._client.program("psql"),
            *("--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-", *options),
            database_option(database),
        )
        environment = {**environment_of(self._source), "PGCLIENTENCODING": "UTF8"}
        text = "\n".join(["SET standard_conforming_strings = on;", *statements, ""])
        chunk = text.encode("utf-8", "surrogateescape")
        output_of_fed(self._host, Command(argv, environment), [chunk])

    def _discard(self, staging: str, maintenance: str) -> None:
        """Whatever was going on in it. An error is not raised: the one that led here says more."""
        with suppress(HostError, SourceError):
            ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            self._server.run(maintenance, [ending + literal(staging), f"DROP DATABASE {identifier(staging)}"])

    def _load(self, chunks: Iterable[bytes], database: str) -> None:
        argv = (
            self._client.program("pg_restore"),
            *("--exit-on-error", "--no-password"),
            database_option(database),
        )
        output_of_fed(self._host, Command(argv, environment_of(self._source)), chunks)

    def _publish(self, staging: str, name: str, maintenance: str) -> None:
        """Give the whole database its name. The old one is renamed first, so that there is always one of them."""

        def run(statement: str) -> None:
            self._server.run(maintenance, [statement])

        if not self.exists(name):
            run(f"ALTER DATABASE {identifier(staging)} RENAME TO {identifier(name)}")
            return
        replaced = f"holdfast-replaced-{secrets.token_hex(6)}"
        run(f"ALTER DATABASE {identifier(name)} RENAME TO {identifier(replaced)}")
        try:
            run(f"ALTER DATABASE {identifier(staging)} RENAME TO {identifier(name)}")
        except BaseException:
            run(f"ALTER DATABASE {identifier(replaced)} RENAME TO {identifier(name)}")
            raise
        run(f"DROP DATABASE {identifier(replaced)}")


def _creation(name: str, original: Mapping[str, Any]) -> Iterator[str]:
    """From template0, which has nothing that a dump could meet, and in the locale that the indexes were sorted by."""
    options = ["TEMPLATE template0"]
    if original.get("owner"):
        options.append(f"OWNER {identifier(original['owner'])}")
    if original.get("encoding"):
        options.append(f"ENCODING {literal(original['encoding'])}")
        options.append(f"LC_COLLATE {literal(original['collate'])} LC_CTYPE {literal(original['ctype'])}")
    if original.get("locale_provider") == "i":
        options.append(f"LOCALE_PROVIDER icu ICU_LOCALE {literal(original['locale'])}")
    elif original.get("locale_provider") == "b":
        options.append(f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {literal(original['locale'])}")
    yield f"CREATE DATABASE {identifier(name)} {' '.join(options)}"


def _properties(name: str, original: Mapping[str, Any]) -> Iterator[str]:
    """What belongs to the database itself, and pg_restore leaves out where the database has another name."""
    database = f"DATABASE {identifier(name)}"
    if original.get("comment"):
        yield f"COMMENT ON {database} IS {literal(original['comment'])}"
    if original.get("connection_limit", -1) != -1:
        yield f"ALTER {database} CONNECTION LIMIT {int(original['connection_limit'])}"
    for setting in original.get("settings", ()):
        yield _setting(database, setting)
    for of_role in original.get("settings_of_roles", ()):
        yield _setting(f"ROLE {identifier(of_role['role'])} IN {database}", of_role["setting"])
    if original.get("privileges") is not None:
        yield f"REVOKE ALL ON {database} FROM PUBLIC"
        for privilege in original["privileges"]:
            role = identifier(privilege["role"]) if privilege["role"] is not None else "PUBLIC"
            option = " WITH GRANT OPTION" if privilege["grantable"] else ""
            yield f"GRANT {privilege['privilege']} ON {database} TO {role}{option}"


def _setting(of: str, setting: str) -> str:
    """Lists such as search_path are kept as they were quoted; set_config() takes them so, and SET TO would not."""
    parameter, _, value = setting.partition("=")
    alteration = literal(f"ALTER {of} SET {identifier(parameter)} FROM CURRENT")
    block = f"BEGIN PERFORM set_config({literal(parameter)}, {literal(value)}, false); EXECUTE {alteration}; END"
    return f"DO {literal(block)}"
