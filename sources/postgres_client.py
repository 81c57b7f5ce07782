"""The client programs of PostgreSQL on a host, and questions to its server.

How to connect is said by environment variables (libpq, section 34.15), so that no name is ever taken for an option or
for something else than a name, and no password stands in an argv.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from errors import HostError, SourceError
from hosts.command import Command, CommandHost
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Secret
from sources.programs import output_of

# Where Debian, Red Hat, Alpine and PostgreSQL's own `make install` put them. What /usr/bin has on Debian is a Perl
# program that chooses by rules of its own, so it comes last; among equals the first is taken.
PLACES = """/usr/lib/postgresql/*/bin/"$1" /usr/pgsql-*/bin/"$1" /usr/libexec/postgresql*/"$1" \
/usr/local/pgsql/bin/"$1" /usr/local/bin/"$1" "$(command -v "$1")\""""

_FIND = """for program in %s; do
    if [ -x "$program" ]; then printf '%%s\\t%%s\\n' "$program" "$("$program" --version 2>/dev/null)"; fi
done"""

# Where a question about the whole server is asked. Both are there after initdb, and some servers have lost the first.
_MAINTENANCE_DATABASES = ("postgres", "template1")

_DATABASES = """SELECT json_agg(json_build_object(
    'name', datname, 'connects', datallowconn, 'is_template', datistemplate) ORDER BY datname) FROM pg_database"""

_CONNECT_SECONDS = "30"

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """An installation of the client programs: its folder with a slash, and its version (``(15, 18)``)."""

    folder: str
    version: Version

    def program(self, name: str) -> str:
        return self.folder + name

    def suits(self, server: Version) -> bool:
        """pg_dump refuses a server of a newer major version, which is one number since 10, and two before."""
        length = 1 if server[0] >= 10 else 2
        return self.version >= server[:length]


def newest_client(host: CommandHost) -> Client:
    """The newest client on the host: the newest suits every server that any of them suits.

    Raises SourceError where there is none.
    """
    clients = installed(host, "pg_dump")
    if not clients:
        raise SourceError(
            f"There is no pg_dump on {host.name}, neither in PATH nor where PostgreSQL is usually installed. Install "
            "PostgreSQL's client programs there (Debian: postgresql-client)."
        )
    return max(clients, key=lambda client: client.version)


def installed(host: CommandHost, program: str) -> list[Client]:
    """Every installation on the host that has this program."""
    found = output_of(host, Command(("sh", "-c", _FIND % PLACES, "sh", program))).decode("utf-8", "surrogateescape")
    clients = []
    for line in found.splitlines():
        path, _, said = line.partition("\t")
        version = re.search(r"\d+(\.\d+)*", said)
        if version:
            clients.append(Client(path.removesuffix(program), parse_version(version[0])))
    return clients


def parse_version(text: str) -> Version:
    """``15.18 (Debian …)`` is ``(15, 18)``, and ``17beta1`` is ``(17,)``."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else (0,)


def environment_of(source: DatabaseSource) -> dict[str, str | Secret]:
    """How to connect, but for the database. What is not configured is left to libpq on the host: ~/.pgpass too."""
    values: Mapping[str, str | Secret | None] = {
        "PGHOST": source.host,
        "PGPORT": str(source.port) if source.port is not None else None,
        "PGUSER": source.username,
        "PGPASSWORD": source.password,
        **{f"PG{name}": value for name, value in source.settings.items()},
        "PGAPPNAME": "holdfast",
        "PGCONNECT_TIMEOUT": _CONNECT_SECONDS,
    }
    return {name: value for name, value in values.items() if value is not None}


def database_option(name: str) -> str:
    """``--dbname=…`` for any name. A name with ``=`` in it would be taken as a connection string, so it is put in one.

    It is no environment variable, because a database named by SERVICE would come before that.
    """
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"--dbname=dbname='{escaped}'"


def literal(text: str) -> str:
    """A string constant of SQL, whatever standard_conforming_strings is."""
    escaped = text.replace("'", "''").replace("\\", "\\\\")
    return f" E'{escaped}'" if "\\" in text else f"'{escaped}'"


def identifier(name: str) -> str:
    """A quoted identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


class Server:
    """A PostgreSQL server, asked through psql on the host, or straight from here where that reaches the same server."""

    def __init__(self, source: DatabaseSource, host: CommandHost, client: Client) -> None:
        self._source = source
        self._host = host
        self._client = client
        # Without a HOST it is the default of the libpq on the host that counts, with a SERVICE its files.
        self._is_reached_from_here = (
            isinstance(host, LocalCommandHost) and source.host is not None and "SERVICE" not in source.settings
        )

    def ask(self, database: str, question: str) -> Any:
        """The answer to a SELECT of one JSON value. Raises SourceError where there is none."""
        try:
            answer = self._ask_from_here(database, question) if self._is_reached_from_here else None
            return json.loads(answer if answer is not None else self._ask_there(database, question))
        except HostError as error:
            raise self._unanswered(database, str(error)) from error

    def maintenance_database(self, other_than: str = "") -> str:
        """One in which the whole server is asked and changed: one that is renamed needs another. Raises SourceError."""
        errors = []
        for database in _MAINTENANCE_DATABASES:
            if database == other_than:
                continue
            try:
                self.ask(database, "SELECT to_json(1)")
            except SourceError as error:
                errors.append(error)
            else:
                return database
        raise errors[0]

    def databases(self) -> list[dict[str, Any]]:
        """``name``, ``connects`` and ``is_template`` of each. Raises SourceError."""
        found: list[dict[str, Any]] = self.ask(self.maintenance_database(), _DATABASES)
        return found

    def run(self, database: str, statements: Iterable[str]) -> None:
        """Run statements, each in a transaction of its own. Raises HostError."""
        for statement in statements:
            self._ask_there(database, statement)

    def _ask_there(self, database: str, question: str) -> str:
        argv = (
            self._client.program("psql"),
            *("--no-psqlrc", "--no-password", "--no-align", "--tuples-only", "--quiet"),
            database_option(database),
            f"--command={question}",
        )
        environment = {**environment_of(self._source), "PGCLIENTENCODING": "UTF8"}
        return output_of(self._host, Command(argv, environment)).decode("utf-8", "backslashreplace")

    def _ask_from_here(self, database: str, question: str) -> str:
        import psycopg2  # type: ignore[import-untyped]

        source = self._source
        try:
            connection = psycopg2.connect(
                dbname=database,
                host=source.host,
                port=source.port,
                user=source.username,
                password=source.password.reveal() if source.password is not None else None,
                application_name="holdfast",
                connect_timeout=_CONNECT_SECONDS,
                client_encoding="UTF8",
                **{name.lower(): value for name, value in source.settings.items()},
            )
            try:
                with connection.cursor() as cursor:
                    cursor.execute(question)
                    (answer,) = cursor.fetchone()
            finally:
                connection.close()
        except psycopg2.Error as error:
            raise self._unanswered(database, str(error).strip()) from error
        return json.dumps(answer)

    def _unanswered(self, database: str, reason: str) -> SourceError:
        where = f" at {self._source.host}" if self._source.host is not None else ""
        return SourceError(
            f"The PostgreSQL database {identifier(database)}{where} cannot be used from {self._host.name}. {reason}"
        )
