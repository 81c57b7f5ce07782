"""A private PostgreSQL server for one drill: ``initdb`` in a folder, and a socket there."""

from __future__ import annotations

import os
import pwd
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from errors import DrillError, HoldfastError, HostError, SourceError
from hosts.command import Command
from model import DatabaseSource
from sources.database import Database, open_database
from sources.postgres_client import Client, Server, identifier, installed, literal, newest_client, parse_version
from sources.postgres_globals import statements_of
from sources.programs import output_of
from sources.scratch import TableState, in_batches, server_account
from sources.scratch_server import ScratchHost, ServerProcess, as_account, running_server

_PORT = 5432  # a part of the socket's name

# What makes it fast may lose everything in a crash, and then so be it. Its shared memory is files of its folder.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "dynamic_shared_memory_type": "mmap",
    "max_locks_per_transaction": "1024",
    "maintenance_work_mem": "256MB",
    "ssl": "off",
}

# Since then a long statement ends when its client has died. Before, it went on.
_CHECKS_CONNECTIONS = (14,)

_TABLES = """SELECT coalesce(json_agg(json_build_object('schema', nspname, 'name', relname,
    'holds_rows', relkind = 'r' OR relkind = 'm' AND relispopulated,
    'is_of_extension', EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
        AND deptype = 'e'))), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'p')"""

_EXTENSIONS = "SELECT json_object_agg(name, default_version) FROM pg_available_extensions"

_COUNTS = "SELECT json_agg(n ORDER BY i) FROM (%s) AS counted"
_TABLES_AT_ONCE = 200

_TWO_ROWS = """SELECT coalesce(json_agg(row_to_json(asked)), '[]') FROM (SELECT * FROM (
%s
) AS answer LIMIT 2) AS asked"""

# What the server says (in English, as its locale is C) where the machine lacks something. Only what stands right behind
# the kind of the message is looked at: further on there may be data.
_LACKS = re.compile(
    r"""^(?!CONTEXT|DETAIL|HINT|LINE)(?:(?!ERROR:|FATAL:|PANIC:)[^\n])*(?:ERROR|FATAL|PANIC):\ +(?P<reason>(?:
    could\ not\ (?:extend|write|create|open|fsync|allocate|resize)\ [^\n]*(?:No\ space\ left|quota\ exceeded)
    |out\ of\ (?:shared\ )?memory|could\ not\ resize\ shared
    |extension\ "[^"\n]*"\ is\ not\ available|could\ not\ open\ extension\ control\ file
    |could\ not\ (?:access|load)\ (?:file|library)
    |could\ not\ open\ (?:dictionary|affix|stop-word|thesaurus|synonym)
    |[^\n]*(?:must|can\ only)\ be\ loaded\ via\ "?shared_preload_libraries
    |invalid\ (?:LC_\w+\ )?locale\ name|could\ not\ create\ locale|could\ not\ open\ collator|ICU\ is\ not\ supported
    |unrecognized\ configuration\ parameter)[^\n]*)""",
    re.VERBOSE | re.MULTILINE,
)


@contextmanager
def open_scratch(server_version: str, accounts: str, folder: Path) -> Iterator[ScratchPostgres]:
    """See ``sources.scratch.open_scratch``."""
    account = server_account("postgres")
    host = ScratchHost(folder)
    try:
        client = _suitable(host, server_version)
        superuser = _superuser(accounts)
        data = folder / "data"
        options = (f"--pgdata={data}", f"--username={superuser}", "--auth=trust", "--encoding=UTF8", "--locale=C")
        output_of(host, Command((*as_account(account), client.program("initdb"), *options, "--no-sync")))
    except (HostError, SourceError) as error:
        raise DrillError(f"A scratch PostgreSQL server cannot be made. {error}") from error
    settings = {**_SETTINGS, "unix_socket_directories": str(folder), "port": str(_PORT)}
    if client.version >= _CHECKS_CONNECTIONS:
        settings["client_connection_check_interval"] = "1s"
    arguments = tuple(f"--{name}={value}" for name, value in settings.items())
    with running_server(host, account, (client.program("postgres"), f"-D{data}", *arguments)) as process:
        try:
            scratch = ScratchPostgres(
                host,
                process,
                client,
                DatabaseSource("postgres", ("*",), superuser, host=str(folder), port=_PORT),
                account,
            )
            process.wait_until_ready(scratch.is_ready)
            scratch.remarks = _remarks(client, server_version)
            yield scratch
        finally:
            if not process.is_isolated:
                _end_at_once(process, data)


class ScratchPostgres:
    """See ``sources.scratch.Scratch``."""

    def __init__(
        self,
        host: ScratchHost,
        process: ServerProcess,
        client: Client,
        source: DatabaseSource,
        account: pwd.struct_passwd,
    ) -> None:
        self.version = f"PostgreSQL {_shown(client)}"
        self.remarks: Sequence[str] = ()
        self.database: Database = open_database(source, host, lambda _: None, Path(os.devnull))
        self._process = process
        self._account = account
        self._folder = Path(source.host or "")
        self._server = Server(source, host, newest_client(host))

    def is_ready(self) -> bool:
        try:
            self._server.ask("postgres", "SELECT to_json(1)")
        except SourceError:
            return False
        return True

    def name_of(self, name: str) -> str:
        return name

    def prepare(self, accounts: str) -> None:
        """Tablespaces lie in folders, which this machine has not: they are made in the folder of the drill."""
        names = [statement.words[2] for statement in statements_of(accounts) if statement.words[:2] == _TABLESPACE]
        for number, name in enumerate(names):
            place = self._folder / f"tablespace-{number}"
            place.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(place, self._account.pw_uid, self._account.pw_gid)
            self._server.run("postgres", [f"CREATE TABLESPACE {identifier(name)} LOCATION {literal(str(place))}"])

    def require(self, details: Mapping[str, Any]) -> list[str]:
        available = self._server.ask("template1", _EXTENSIONS) or {}
        needed: Mapping[str, str] = details.get("extensions") or {}
        missing = sorted(set(needed) - set(available))
        if missing:
            raise DrillError(
                f'The database "{details["name"]}" has the extension {", ".join(missing)}, which is not installed for '
                f"{self.version} on this machine. Install it here, or drill where it is installed."
            )
        return [
            f'The database "{details["name"]}" had version {version} of the extension {name}, and was restored with '
            f"{available[name]}."
            for name, version in needed.items()
            if available[name] != version
        ]

    def tables(self, name: str, details: Mapping[str, Any]) -> list[TableState]:
        there = {(table["schema"], table["name"]): table for table in self._server.ask(name, _TABLES)}
        recorded = {(str(table["schema"]), str(table["name"])): table for table in details.get("tables") or ()}
        countable = [key for key in recorded if key in there and there[key]["holds_rows"]]
        rows = self._counted(name, countable)
        return [
            TableState(
                f"{key[0]}.{key[1]}",
                key in there,
                # What an extension made of its own is not in the dump, and need not be there again.
                0 if key in there and there[key]["is_of_extension"] else int(table["estimated_rows"]),
                rows.get(key),
            )
            for key, table in recorded.items()
        ]

    def rows_of(self, name: str, question: str) -> list[list[Any]]:
        found = self._server.ask(name, _TWO_ROWS % question.strip().rstrip(";"))
        return [list(row.values()) for row in found]

    def own_trouble(self, error: HoldfastError) -> str | None:
        if self._process.ending is not None:
            return f"The scratch server ended by itself. {self._process.ending}"
        found = _LACKS.search(str(error))
        return f"{self.version} on this machine cannot do what is needed: {found['reason']}." if found else None

    def said_of(self, error: HoldfastError) -> str:
        return str(error)

    def _counted(self, database: str, tables: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        counts: list[int] = []
        for batch in in_batches(tables, _TABLES_AT_ONCE):
            numbered = [
                f"SELECT {number} AS i, count(*) AS n FROM ONLY {identifier(schema)}.{identifier(name)}"  # noqa: S608
                for number, (schema, name) in enumerate(batch)
            ]
            counts += self._server.ask(database, _COUNTS % " UNION ALL ".join(numbered))
        return dict(zip(tables, counts, strict=True))


def installed_servers(folder: Path) -> list[str]:
    """See ``sources.scratch.installed_servers``."""
    servers = sorted(installed(ScratchHost(folder), "postgres"), key=lambda client: client.version)
    return [f"PostgreSQL {_shown(client)}" for client in servers]


_TABLESPACE = ("CREATE", "TABLESPACE")


def _suitable(host: ScratchHost, server_version: str) -> Client:
    """The oldest server that is not older than that of the copy. Raises DrillError."""
    wanted = _major(parse_version(server_version))
    servers = [client for client in installed(host, "postgres") if _major(client.version) >= wanted]
    if not servers:
        major = ".".join(map(str, wanted))
        raise DrillError(
            f"The copy comes from PostgreSQL {server_version}, and no PostgreSQL server of version {major} or later is "
            f"installed on this machine. Install one here (Debian: postgresql-{major}); it need not run."
        )
    return min(servers, key=lambda client: (_major(client.version), [-part for part in client.version]))


def _major(version: tuple[int, ...]) -> tuple[int, ...]:
    """One number since version 10, and two before."""
    return version[:1] if version[0] >= 10 else version[:2]


def _remarks(client: Client, server_version: str) -> list[str]:
    if _major(client.version) == _major(parse_version(server_version)):
        return []
    return [f"The copy comes from PostgreSQL {server_version}, and was restored into version {_shown(client)}."]


def _shown(client: Client) -> str:
    return ".".join(map(str, client.version))


def _superuser(accounts: str) -> str:
    """The name of the first user: one that is a superuser in the copy, as what it granted is granted by it again."""
    names = [
        words[2]
        for words in (statement.words for statement in statements_of(accounts))
        if words[:2] == ("ALTER", "ROLE") and "SUPERUSER" in words
    ]
    return "postgres" if "postgres" in names or not names else names[0]


def _end_at_once(process: ServerProcess, data: Path) -> None:
    """Its processes have groups of their own. At SIGQUIT the server ends them all, and gives back its shared memory."""
    with suppress(OSError, ValueError):
        first_line = (data / "postmaster.pid").read_text().partition("\n")[0]
        os.kill(int(first_line), signal.SIGQUIT)
        process.wait_until_ended()
