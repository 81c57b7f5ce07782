"""All that distinguishes two MariaDB databases, or the users of two servers, read from the information schema.

mariadb-dump is not asked, so what it, or Holdfast, leaves out is seen. Names of databases are left out, and the order
of rows too.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.support.database_samples import backquoted
from tests.support.mariadb import MariadbServer

Fingerprint = dict[str, Any]

# What belongs to one server or one moment: names of the database, times of creation, estimates.
_LEFT_OUT = (
    *("TABLE_CATALOG", "TABLE_SCHEMA", "CREATE_TIME", "UPDATE_TIME", "CHECK_TIME", "TABLE_ROWS", "AVG_ROW_LENGTH"),
    *("DATA_LENGTH", "MAX_DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE", "CHECKSUM", "CARDINALITY", "CREATED", "TEMPORARY"),
    *("LAST_ALTERED", "LAST_EXECUTED", "ROUTINE_SCHEMA", "ROUTINE_CATALOG", "SPECIFIC_CATALOG", "SPECIFIC_SCHEMA"),
    *(
        "TRIGGER_CATALOG",
        "TRIGGER_SCHEMA",
        "EVENT_OBJECT_CATALOG",
        "EVENT_OBJECT_SCHEMA",
        "EVENT_CATALOG",
        "CATALOG_NAME",
    ),
    *(
        "EVENT_SCHEMA",
        "CONSTRAINT_CATALOG",
        "CONSTRAINT_SCHEMA",
        "UNIQUE_CONSTRAINT_SCHEMA",
        "UNIQUE_CONSTRAINT_CATALOG",
    ),
    *("INDEX_SCHEMA", "SCHEMA_NAME", "REFERENCED_TABLE_SCHEMA", "MAX_INDEX_LENGTH", "ORIGINATOR", "VIEW_DEFINITION"),
)

_OF_DATABASE = {
    "database": ("SCHEMATA", "SCHEMA_NAME"),
    "tables": ("TABLES", "TABLE_SCHEMA"),
    "columns": ("COLUMNS", "TABLE_SCHEMA"),
    "indexes": ("STATISTICS", "TABLE_SCHEMA"),
    "keys": ("KEY_COLUMN_USAGE", "TABLE_SCHEMA"),
    "references": ("REFERENTIAL_CONSTRAINTS", "CONSTRAINT_SCHEMA"),
    "checks": ("CHECK_CONSTRAINTS", "CONSTRAINT_SCHEMA"),
    "partitions": ("PARTITIONS", "TABLE_SCHEMA"),
    "views": ("VIEWS", "TABLE_SCHEMA"),
    "routines": ("ROUTINES", "ROUTINE_SCHEMA"),
    "parameters": ("PARAMETERS", "SPECIFIC_SCHEMA"),
    "triggers": ("TRIGGERS", "TRIGGER_SCHEMA"),
    "events": ("EVENTS", "EVENT_SCHEMA"),
}

_USERS = """SELECT JSON_OBJECT('user', user, 'host', host, 'rights', JSON_REMOVE(priv, '$.password_last_changed'))
FROM mysql.global_priv WHERE user NOT IN ('root', 'mariadb.sys', 'PUBLIC') ORDER BY user, host"""
_ROLES = """SELECT JSON_ARRAY(user, host, role, admin_option) FROM mysql.roles_mapping
WHERE user <> 'root' OR role <> '' ORDER BY 1"""


def database_fingerprint(server: MariadbServer, database: str) -> Fingerprint:
    """Everything in a database: schema, every row, sequences, routines, triggers, events, views."""
    found: Fingerprint = {what: _described(server, database, *where) for what, where in _OF_DATABASE.items()}
    kinds = {row["TABLE_NAME"]: row["TABLE_TYPE"] for row in found["tables"]}
    found["view texts"] = {
        name: server.sql(f"SHOW CREATE VIEW {backquoted(name)}", database).replace(backquoted(database), "")
        for name, kind in kinds.items()
        if kind == "VIEW"
    }
    found["rows"] = {name: _rows(server, database, name, kind) for name, kind in kinds.items() if kind != "VIEW"}
    return found


def server_fingerprint(server: MariadbServer) -> Fingerprint:
    """What belongs to the whole server: users with their passwords, roles, and what is granted to each."""
    users = [json.loads(_unescaped(line)) for line in server.sql(_USERS).splitlines()]
    grants = {}
    for user in users:
        name = f"{_literal(user['user'])}@{_literal(user['host'])}" if user["host"] else _literal(user["user"])
        grants[name] = sorted(server.sql(f"SHOW GRANTS FOR {name}").splitlines())
    return {"users": users, "grants": grants, "roles": server.sql(_ROLES).splitlines()}


def _described(server: MariadbServer, database: str, table: str, column: str) -> list[dict[str, Any]]:
    """The rows of a table of the information schema that belong to the database."""
    question = f"SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME = '{table}'"
    names = server.sql(f"{question} AND TABLE_SCHEMA = 'information_schema'").split()
    pairs = ", ".join(f"'{name}', {backquoted(name)}" for name in names if name not in _LEFT_OUT)
    asked = f"SELECT JSON_OBJECT({pairs}) FROM information_schema.{table} WHERE {column} = {_literal(database)}"
    rows = [json.loads(_unescaped(line)) for line in server.sql(asked).splitlines()]
    return sorted(rows, key=json.dumps)


def _rows(server: MariadbServer, database: str, table: str, kind: str) -> tuple[int, str]:
    """The number of rows, and a checksum of them in an order of its own."""
    history = " FOR SYSTEM_TIME ALL" if kind == "SYSTEM VERSIONED" else ""
    columns = server.sql(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = "
        f"{_literal(database)} AND TABLE_NAME = {_literal(table)} ORDER BY ORDINAL_POSITION"
    ).splitlines()
    values = ", ".join(f"HEX({backquoted(_unescaped(column))})" for column in columns)
    lines = server.sql(f"SELECT {values} FROM {backquoted(table)}{history}", database).splitlines()
    return len(lines), hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unescaped(text: str) -> str:
    """What ``--batch`` writes for a backslash."""
    return text.replace("\\\\", "\\")
