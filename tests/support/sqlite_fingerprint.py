"""All that distinguishes two SQLite databases: every row with the types of its values, the schema, and the settings."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.database_samples import quoted

_SETTINGS = ("user_version", "application_id", "page_size", "encoding", "auto_vacuum", "foreign_key_check")


def database_fingerprint(path: Path) -> dict[str, Any]:
    """Everything in a database file, which must be sound."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        tables = [name for kind, name, _, sql in schema if kind == "table" and sql]
        return {
            "settings": {name: database.execute(f"PRAGMA {name}").fetchall() for name in _SETTINGS},
            "schema": schema,
            "rows": {name: _rows(database, name) for name in tables},
        }


def _rows(database: sqlite3.Connection, table: str) -> list[str]:
    return sorted(map(repr, database.execute(f"SELECT * FROM {quoted(table)}")))
