"""A private MariaDB server for one drill: ``mariadb-install-db`` in a folder, and a socket there."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import DrillError, HoldfastError, HostError, SourceError
from hosts.command import Command
from model import DatabaseSource, Secret
from sources.database import Database, open_database
from sources.mariadb_client import Server, find_client, identifier, literal
from sources.programs import output_of
from sources.scratch import TableState, in_batches, server_account
from sources.scratch_server import ScratchHost, ServerProcess, as_account, running_server

_SUPERUSER = "root"

# What makes it fast may lose everything in a crash, and then so be it. Events are not to happen here.
_SETTINGS = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-slave-start",
    "--event-scheduler=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-fast-shutdown=2",
    "--innodb-strict-mode=OFF",
    "--max-allowed-packet=1G",
)

_FIND = """for program in mariadbd mysqld /usr/libexec/mariadbd /usr/local/mysql/bin/mariadbd; do
    path=$(command -v "$program") && printf '%s\\t%s\\n' "$path" "$("$path" --no-defaults --version 2>/dev/null)"
done
for program in mariadb-install-db mysql_install_db /usr/local/mysql/scripts/mariadb-install-db; do
    path=$(command -v "$program") && printf '%s\\tinstalls\\n' "$path"
done
true"""

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)-MariaDB", re.IGNORECASE)

_TABLES = """SELECT HEX(CONVERT(table_name USING utf8mb4)), table_type FROM information_schema.tables
WHERE BINARY table_schema = BINARY {} AND engine IS NOT NULL"""

_ENGINES = "SELECT engine FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT')"

_TABLES_AT_ONCE = 200

_SAYS = ":\n"  # between how a program ended and what it said (hosts.outcome)
_ERROR = re.compile(r"^ERROR (\d+) [^\n]*", re.MULTILINE)

# Numbers of errors (https://mariadb.com/kb/en/mariadb-error-code-reference/) that say what the machine lacks: space or
# memory, a connection, a storage engine, collation, character set, time zone, plugin or library.
_LACKS = {3, 5, 28, 1021, 1026, 1037, 1041, 1114, 1115, 1127, 1273, 1286, 1298, 1524, 2002, 2006, 2013}


@contextmanager
def open_scratch(server_version: str, _accounts: str, folder: Path) -> Iterator[ScratchMariadb]:
    """See ``sources.scratch.open_scratch``."""
    account = server_account("mariadb")
    host = ScratchHost(folder)
    password = Secret(secrets.token_hex(16))
    try:
        programs = _suitable(host, server_version)
        data, socket, first_statements = folder / "data", folder / "socket", folder / "first-statements.sql"
        options = ("--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db")
        output_of(host, Command((*as_account(account), programs.installs, *options, "--skip-name-resolve")))
        first_statements.touch(mode=0o600)
        first_statements.write_text(f"ALTER USER root@localhost IDENTIFIED BY '{password.reveal()}';\n")
        if os.geteuid() == 0:
            os.chown(first_statements, account.pw_uid, account.pw_gid)
    except (HostError, SourceError) as error:
        raise DrillError(f"A scratch MariaDB server cannot be made. {error}") from error
    places = (f"--datadir={data}", f"--socket={socket}", f"--pid-file={folder}/pid", f"--tmpdir={folder}")
    argv = (programs.server, "--no-defaults", *places, f"--init-file={first_statements}", *_SETTINGS)
    with running_server(host, account, argv) as process:
        source = DatabaseSource("mariadb", ("*",), _SUPERUSER, password, str(socket))
        scratch = ScratchMariadb(host, process, programs, source)
        process.wait_until_ready(scratch.is_ready)
        scratch.remarks = _remarks(programs, server_version)
        yield scratch


@dataclass(frozen=True, slots=True)
class _Programs:
    server: str
    installs: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return "MariaDB " + ".".join(map(str, self.version))


class ScratchMariadb:
    """See ``sources.scratch.Scratch``."""

    def __init__(self, host: ScratchHost, process: ServerProcess, programs: _Programs, source: DatabaseSource) -> None:
        self.version = str(programs)
        self.remarks: Sequence[str] = ()
        self.database: Database = open_database(source, host, lambda _: None, Path(os.devnull))
        self._process = process
        self._server = Server(source, host, find_client(host))

    def is_ready(self) -> bool:
        try:
            self._server.ask("SELECT 1")
        except SourceError:
            return False
        return True

    def name_of(self, name: str) -> str:
        return name

    def prepare(self, accounts: str) -> None:
        """Users expect nothing of the machine."""

    def require(self, details: Mapping[str, Any]) -> list[str]:
        available = {row[0].lower() for row in self._server.ask(_ENGINES)}
        needed = {str(table.get("engine", "")) for table in details.get("tables") or ()}
        missing = sorted(engine for engine in needed if engine and engine.lower() not in available)
        if missing:
            raise DrillError(
                f'The database "{details["name"]}" has tables of the storage engine {", ".join(missing)}, which '
                f"{self.version} on this machine has not. Install it here, or drill where it is installed."
            )
        return []

    def tables(self, name: str, details: Mapping[str, Any]) -> list[TableState]:
        found = self._server.ask(_TABLES.format(literal(name)))
        there = {bytes.fromhex(digits).decode(): kind for digits, kind in found}
        recorded = {str(table["name"]): int(table["estimated_rows"]) for table in details.get("tables") or ()}
        countable = [table for table in recorded if table in there and there[table] != "SEQUENCE"]
        rows = self._counted(name, countable)
        return [TableState(table, table in there, estimate, rows.get(table)) for table, estimate in recorded.items()]

    def rows_of(self, name: str, question: str) -> list[list[Any]]:
        return [list(row) for row in self._server.ask(f"USE {identifier(name)}; {question}")[:2]]

    def own_trouble(self, error: HoldfastError) -> str | None:
        if self._process.ending is not None:
            return f"The scratch server ended by itself. {self._process.ending}"
        last = _last_error(error)
        if last is None or int(last[1]) not in _LACKS:
            return None
        return f"{self.version} on this machine cannot do what is needed: {last[0]}."

    def said_of(self, error: HoldfastError) -> str:
        last = _last_error(error)
        return str(error) if last is None else f"{str(error).partition(_SAYS)[0]}{_SAYS}{last[0]}"

    def _counted(self, database: str, tables: Sequence[str]) -> dict[str, int]:
        counts: list[int] = []
        for batch in in_batches(tables, _TABLES_AT_ONCE):
            numbered = [
                f"SELECT {number}, COUNT(*) FROM {identifier(database)}.{identifier(table)}"  # noqa: S608 - quoted
                for number, table in enumerate(batch)
            ]
            rows = self._server.ask(" UNION ALL ".join(numbered))
            counts += [int(row[1]) for row in sorted(rows, key=lambda row: int(row[0]))]
        return dict(zip(tables, counts, strict=True))


def _last_error(error: HoldfastError) -> re.Match[str] | None:
    """Before it the client shows the statement, and whatever stands in that."""
    return max(_ERROR.finditer(str(error)), key=lambda found: found.start(), default=None)


def _suitable(host: ScratchHost, server_version: str) -> _Programs:
    """Raises DrillError where no server is installed that is not older than that of the copy."""
    wanted = _VERSION.search(server_version)
    if wanted is None:
        raise DrillError(
            f"The copy comes from a server of version {server_version}, which is not MariaDB. A drill starts only "
            "MariaDB's own server, and that cannot read everything that MySQL writes."
        )
    for programs in _installed(host):
        if programs.version[:2] >= _numbers(wanted)[:2]:
            return programs
    raise DrillError(
        f"The copy comes from MariaDB {wanted[1]}.{wanted[2]}, and no MariaDB server of this version or a later one is "
        "installed on this machine. Install one here (Debian: mariadb-server); it need not run."
    )


def installed_servers(folder: Path) -> list[str]:
    """See ``sources.scratch.installed_servers``."""
    return [str(programs) for programs in _installed(ScratchHost(folder))]


def _installed(host: ScratchHost) -> list[_Programs]:
    """The servers that can be made and started here."""
    found = output_of(host, Command(("sh", "-c", _FIND))).decode("utf-8", "surrogateescape")
    lines = [line.split("\t") for line in found.splitlines()]
    installs = next((path for path, said in lines if said == "installs"), None)
    versions = [(path, _VERSION.search(said)) for path, said in lines]
    return [_Programs(path, installs, _numbers(version)) for path, version in versions if version and installs]


def _numbers(version: re.Match[str]) -> tuple[int, ...]:
    return tuple(map(int, version.groups()))


def _remarks(programs: _Programs, server_version: str) -> list[str]:
    wanted = _VERSION.search(server_version)
    if wanted is None or _numbers(wanted)[:2] == programs.version[:2]:
        return []
    return [f"The copy comes from MariaDB {server_version}, and was restored into {programs}."]
