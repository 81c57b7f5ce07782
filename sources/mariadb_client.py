"""The client programs of MariaDB or MySQL on a host, and questions to its server.

Who connects, and where to, stands in the arguments. A password stands in an option file that exists nowhere but in a
pipe: a here-document of the shell that becomes the program. What was configured is then all that holds; without a
PASSWORD the option files of the host are read (~/.my.cnf), and signing in through the socket works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from errors import HostError, SourceError
from hosts.command import Command, CommandHost
from model import DatabaseSource, Secret
from sources.programs import output_of, output_of_fed

# The names since MariaDB 10.5 come first; since 11 it may have no others, and MySQL never has them.
_FIND = """for program in mariadb-dump mysqldump mariadb mysql; do
    path=$(command -v "$program") && printf '%s\\t%s\\n' "$path" "$("$path" --version 2>/dev/null)"
done
true"""

_WITH_OPTIONS = """exec 3<<OPTIONS
$HOLDFAST_OPTIONS
OPTIONS
unset HOLDFAST_OPTIONS
program=$1
shift
exec "$program" --defaults-file=/dev/fd/3 "$@\""""

_CONNECT_SECONDS = 30

# The largest row that both ends can take; the usual 16 MiB is too small for a large BLOB in hexadecimal digits.
_LARGEST_PACKET = "--max-allowed-packet=1G"


@dataclass(frozen=True, slots=True)
class Client:
    """The two programs that are needed. ``version`` is what the first says of itself."""

    dump: str
    shell: str
    version: str

    @property
    def is_of_mariadb(self) -> bool:
        return "mariadb" in self.version.lower()


def find_client(host: CommandHost) -> Client:
    """Raises SourceError where a program is missing on the host."""
    found = output_of(host, Command(("sh", "-c", _FIND))).decode("utf-8", "surrogateescape")
    programs = [line.partition("\t") for line in found.splitlines()]
    dumps = [(path, said) for path, _, said in programs if path.endswith("dump")]
    shells = [path for path, _, _ in programs if not path.endswith("dump")]
    if not dumps or not shells:
        raise SourceError(
            f"There is no mariadb-dump (or mysqldump) with a mariadb (or mysql) beside it on {host.name}. Install the "
            "client programs there (Debian: mariadb-client)."
        )
    path, said = dumps[0]
    return Client(path, shells[0], said.strip())


def connection_arguments(source: DatabaseSource) -> tuple[str, ...]:
    """How to connect, but for the password. A HOST that begins with ``/`` is a socket."""
    arguments = []
    if source.username is not None:
        arguments.append(f"--user={source.username}")
    if source.host is not None and source.host.startswith("/"):
        arguments.append(f"--socket={source.host}")
    elif source.host is not None:
        arguments.append(f"--host={source.host}")
    if source.port is not None:
        # Without the protocol, `localhost` with a port would mean the socket, and perhaps another server.
        arguments += [f"--port={source.port}", "--protocol=tcp"]
    arguments += [f"--{name.lower().replace('_', '-')}={value}" for name, value in source.settings.items()]
    if "SSL_CA" in source.settings:
        # MariaDB knows the first, MySQL the second.
        arguments += ["--loose-ssl-verify-server-cert", "--loose-ssl-mode=VERIFY_IDENTITY"]
    return tuple(arguments)


def command_with_password(source: DatabaseSource, program: str, *arguments: str) -> Command:
    """The program, connecting as ``source`` says."""
    argv = (program, *connection_arguments(source), *arguments)
    if source.password is None:
        return Command(argv)
    options = f"[client]\npassword={_option_value(source.password.reveal())}"
    return Command(("sh", "-c", _WITH_OPTIONS, "sh", *argv), {"HOLDFAST_OPTIONS": Secret(options)}, program)


def _option_value(text: str) -> str:
    """Quoted for an option file: https://mariadb.com/kb/en/configuring-mariadb-with-option-files/#option-file-syntax"""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def literal(text: str) -> str:
    """A string constant of SQL that is the same in every SQL mode and character set."""
    return f"CONVERT(0x{text.encode().hex()} USING utf8mb4)" if text else "''"


def identifier(name: str) -> str:
    """A quoted identifier of SQL."""
    return "`" + name.replace("`", "``") + "`"


class Server:
    """A MariaDB or MySQL server, asked through the client program on the host."""

    def __init__(self, source: DatabaseSource, host: CommandHost, client: Client) -> None:
        self._source = source
        self._host = host
        self._client = client

    def ask(self, question: str) -> list[list[str]]:
        """The rows of the answer, as text; NULL is ``"NULL"``. Raises SourceError where there is none."""
        try:
            return [
                [_unescaped(value) for value in line.split("\t")] for line in self.run(question).split("\n") if line
            ]
        except HostError as error:
            where = f" at {self._source.host}" if self._source.host is not None else ""
            raise SourceError(
                f"The MariaDB or MySQL server{where} cannot be used from {self._host.name}. {error}"
            ) from error

    def run(self, statements: str) -> str:
        """Run statements that hold no secret. Raises HostError."""
        return output_of(self._host, self._command(f"--execute={statements}")).decode("utf-8", "surrogateescape")

    def load(self, chunks: Iterable[bytes], database: str = "") -> None:
        """Run statements from ``chunks``; the first that fails ends it. Raises HostError, and what ``chunks`` raises.

        ``--binary-mode`` has the program take nothing in them for a command to itself, such as ``\\!``.
        """
        output_of_fed(self._host, self._command("--binary-mode", f"--database={database}"), chunks)

    def _command(self, *arguments: str) -> Command:
        return command_with_password(
            self._source,
            self._client.shell,
            *("--batch", "--skip-column-names", "--default-character-set=utf8mb4", _LARGEST_PACKET),
            f"--connect-timeout={_CONNECT_SECONDS}",
            *arguments,
        )


def dump_command(source: DatabaseSource, client: Client, database: str, *, with_history: bool) -> Command:
    """The dump of one database, in one transaction, with all that belongs to it.

    Every option on which the result depends is named, because the option files of a host may say otherwise.
    """
    options = ["--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--comments"]
    options += ["--default-character-set=utf8mb4", _LARGEST_PACKET]
    if with_history:
        options.append("--dump-history")
    if not client.is_of_mariadb:
        # MySQL's own: the first would have the restore set the identity of a whole server, the second is a question
        # that only its own server answers, and the third needs a privilege over all databases.
        options += ["--loose-set-gtid-purged=OFF", "--loose-column-statistics=0", "--no-tablespaces"]
    return command_with_password(source, client.dump, *options, "--", database)


def _unescaped(value: str) -> str:
    """What ``--batch`` writes for a value: https://mariadb.com/kb/en/mariadb-command-line-client/ (``--raw``)."""
    escapes = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[0]), value)
