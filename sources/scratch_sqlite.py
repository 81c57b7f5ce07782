"""SQLite databases for one drill: files in its folder."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from errors import HoldfastError, SourceError
from hosts.local_command import LocalCommandHost
from model import DatabaseSource
from sources.database import Database, open_database
from sources.scratch import TableState

_VERSION = re.compile(r"\d+(?:\.\d+)+")

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"

# What SQLite says where it lacks something, or where the machine does.
_LACKS = re.compile(
    r"no such (?:module|function|tokenizer|collation sequence|vfs)\b[^\n]*|database or disk is full|No space left[^\n]*"
)


@contextmanager
def open_scratch(server_version: str, _accounts: str, folder: Path) -> Iterator[ScratchSqlite]:
    """See ``sources.scratch.open_scratch``."""
    yield ScratchSqlite(server_version, folder)


def installed_servers(_folder: Path) -> list[str]:
    """See ``sources.scratch.installed_servers``."""
    return [f"SQLite {sqlite3.sqlite_version}"]


class ScratchSqlite:
    """See ``sources.scratch.Scratch``."""

    def __init__(self, server_version: str, folder: Path) -> None:
        self.version = f"SQLite {sqlite3.sqlite_version}"
        self.remarks: Sequence[str] = ()
        self.database: Database = open_database(
            DatabaseSource("sqlite", ()), LocalCommandHost(), lambda _: None, folder / "spool"
        )
        self._folder = folder
        self._original_version = server_version
        self._names: dict[str, str] = {}

    def name_of(self, name: str) -> str:
        return self._names.setdefault(name, str(self._folder / f"{len(self._names)}.db"))

    def prepare(self, accounts: str) -> None:
        """There are no accounts."""

    def require(self, _details: Mapping[str, Any]) -> list[str]:
        """What a file needs of SQLite is seen when it is read."""
        return []

    def tables(self, name: str, _details: Mapping[str, Any]) -> list[TableState]:
        """Those that are there: none are recorded."""
        names = [row[0] for row in self._asked(name, _TABLES)]
        return [TableState(table, is_there=True, rows=self._count(name, table)) for table in names]

    def rows_of(self, name: str, question: str) -> list[list[Any]]:
        return self._asked(name, question, 2)

    def own_trouble(self, error: HoldfastError) -> str | None:
        lacking = _LACKS.search(str(error))
        if lacking is not None:
            return f"{self.version} on this machine cannot do what is needed: {lacking[0]}"
        found = _VERSION.search(self._original_version)
        if found is None or tuple(map(int, found[0].split("."))) <= sqlite3.sqlite_version_info:
            return None
        return f"The copy comes from {self._original_version}, and {self.version} on this machine is older. {error}"

    def said_of(self, error: HoldfastError) -> str:
        return str(error)

    def _count(self, name: str, table: str) -> int:
        quoted = table.replace('"', '""')
        return int(self._asked(name, f'SELECT count(*) FROM "{quoted}"')[0][0])  # noqa: S608 - it is quoted

    def _asked(self, name: str, question: str, most: int = -1) -> list[list[Any]]:
        path = self.name_of(name)
        try:
            with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as database:
                cursor = database.execute(question)
                rows = cursor.fetchmany(most) if most >= 0 else cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise SourceError(f"SQLite says: {error}.") from error
        return [list(row) for row in rows]
