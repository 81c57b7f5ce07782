"""A dump of mariadb-dump or mysqldump back into a server, into a database that is made for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from errors import HostError, InterruptedRun, RestoreError
from hosts.command import CommandHost
from model import DatabaseSource
from sources.mariadb_client import Server, dump_command, find_client, identifier, literal
from sources.mariadb_users import accounts_of, statements_for, written
from sources.programs import ProgramOutput

_STAGING = "holdfast-restore-"

_MARK = "holdfast-restore-is-not-finished"
"""A table in a database that is being filled."""

# In hexadecimal digits no name can be taken for the end of a column.
_LEFTOVERS = """SELECT HEX(CONVERT(schema_name USING utf8mb4)) FROM information_schema.schemata
WHERE (schema_name LIKE 'holdfast-restore-%' OR schema_name IN (
    SELECT table_schema FROM information_schema.tables WHERE table_name = 'holdfast-restore-is-not-finished'))
AND schema_name NOT IN (SELECT db FROM information_schema.processlist WHERE db IS NOT NULL)
ORDER BY schema_name"""


class MariadbRestore:
    """Puts databases into the server of a source."""

    def __init__(self, source: DatabaseSource, host: CommandHost) -> None:
        self._source = source
        self._host = host
        self._client = find_client(host)
        self._server = Server(source, host, self._client)

    def restore(self, chunks: Iterable[bytes], name: str, original: Mapping[str, Any] | None, *, replace: bool) -> None:
        """See ``sources.database.Database.restore``.

        A database cannot be renamed here. One that is replaced is kept until the dump has been loaded beside it, whole;
        then that is copied to its place.
        """
        exists = self.exists(name)
        if exists and not replace:
            raise RestoreError(
                f"There is a database {identifier(name)} on {self._host.name} already, so nothing was restored. Give "
                "another name, or let it be replaced with --replace."
            )
        loaded = _STAGING + secrets.token_hex(6) if exists else name
        try:
            self._make(loaded, original or {})
            try:
                self._load(chunks, loaded)
            except BaseException:
                self._discard(loaded)
                raise
        except HostError as error:
            raise RestoreError(f"The database {identifier(name)} was not restored. {error}") from error
        if loaded != name:
            self._move(loaded, name, original or {})

    def exists(self, name: str) -> bool:
        """See ``sources.database.Database.exists``."""
        question = "SELECT COUNT(*) FROM information_schema.schemata WHERE BINARY schema_name = BINARY "
        return self._server.ask(question + literal(name)) != [["0"]]

    def leftovers(self) -> list[str]:
        """See ``sources.database.Database.leftovers``."""
        names = [bytes.fromhex(row[0]).decode() for row in self._server.ask(_LEFTOVERS)]
        return [
            f"A restore that was killed has left the database {identifier(name)} on {self._host.name}, which is not "
            f"whole. This removes it: DROP DATABASE {identifier(name)};"
            for name in names
        ]

    def restore_accounts(self, chunks: Iterable[bytes]) -> list[str]:
        """See ``sources.database.Database.restore_accounts``.

        Grants on single tables need the tables, so the databases are restored before.
        """
        text = b"".join(chunks).decode("utf-8", "surrogateescape")
        statements, made = statements_for(text, accounts_of(self._server))
        try:
            self._server.load([("\n".join(statements) + "\n").encode("utf-8", "surrogateescape")])
        except HostError as error:
            for account in made:
                with suppress(HostError):
                    what = f"USER {written(account)}" if account[1] else f"ROLE {identifier(account[0])}"
                    self._server.run(f"DROP {what}")
            raise RestoreError(f"The users and their grants were not restored. {error}") from error
        return [f"{user}@{host}" if host else user for user, host in made]

    def _make(self, name: str, original: Mapping[str, Any]) -> None:
        options = ""
        if original.get("charset"):
            options = f" CHARACTER SET {identifier(original['charset'])} COLLATE {identifier(original['collation'])}"
        self._server.run(f"CREATE DATABASE {identifier(name)}{options}")

    def _load(self, chunks: Iterable[bytes], name: str) -> None:
        """No database can be renamed, so what is loaded has its name from the beginning, and a mark until it is whole:
        that stays where all this is killed."""
        mark = f"{identifier(name)}.{identifier(_MARK)}"
        self._server.run(f"CREATE TABLE {mark} (restore_is_not_finished INT)")
        self._server.load(chunks, name)
        self._server.run(f"DROP TABLE {mark}")

    def _discard(self, name: str) -> None:
        """An error is not raised: the one that led here says more."""
        with suppress(HostError):
            self._server.run(f"DROP DATABASE {identifier(name)}")

    def _move(self, loaded: str, name: str, original: Mapping[str, Any]) -> None:
        command = dump_command(self._source, self._client, loaded, with_history=bool(original.get("keeps_history")))
        try:
            self._server.run(f"DROP DATABASE {identifier(name)}")
            self._make(name, original)
            self._load(ProgramOutput(self._host, command).chunks(), name)
            self._server.run(f"DROP DATABASE {identifier(loaded)}")
        except HostError as error:
            raise RestoreError(
                f"The dump was loaded into the database {identifier(loaded)} on {self._host.name}, whole, but could "
                f"not be copied from there to {identifier(name)}, which may be incomplete now. {error}"
            ) from error
        except InterruptedRun as interruption:
            interruption.add_note(
                f"The dump was loaded into the database {identifier(loaded)} on {self._host.name}, whole, and was "
                f"being copied from there to {identifier(name)}, which may be incomplete now."
            )
            raise
