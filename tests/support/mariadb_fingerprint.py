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
FROM mysql.global_priv WHERE user NOT IN ('mariadb.sys', 'PUBLIC') ORDER BY user, host"""
_ROLES = "SELECT JSON_ARRAY(user, host, role, admin_option) FROM mysql.roles_mapping ORDER BY 1"


def database_fingerprint(server: MariadbServer, database: str) -> Fingerprint:
    """Everything in a database: schema, every row, sequences, routines, triggers, events, views."""
    found = _described(server, database)
    columns: dict[str, list[str]] = {}
    for column in sorted(found["columns"], key=lambda column: int(column["ORDINAL_POSITION"])):
        columns.setdefault(column["TABLE_NAME"], []).append(f"HEX({backquoted(column['COLUMN_NAME'])})")
    kinds = {row["TABLE_NAME"]: row["TABLE_TYPE"] for row in found["tables"]}
    questions = {}
    for name, kind in kinds.items():
        history = " FOR SYSTEM_TIME ALL" if kind == "SYSTEM VERSIONED" else ""
        questions[name] = f"SELECT {', '.join(columns[name])} FROM {backquoted(name)}{history}"
        if kind == "VIEW":
            questions[name] = f"SHOW CREATE VIEW {backquoted(name)}"
    for name, lines in _answers(server, database, questions).items():
        if kinds[name] == "VIEW":
            found.setdefault("view texts", {})[name] = [line.replace(f"{backquoted(database)}.", "") for line in lines]
        else:
            checksum = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
            found.setdefault("rows", {})[name] = [len(lines), checksum]
    return found


def server_fingerprint(server: MariadbServer, *without: str) -> Fingerprint:
    """What belongs to the whole server: users with their passwords, roles, and what is granted to each.

    ``without`` are users who made roles: each server makes them administrators of these.
    """
    users = [json.loads(_unescaped(line)) for line in server.sql(_USERS).splitlines()]
    users = [user for user in users if user["user"] not in without]
    roles = [json.loads(_unescaped(line)) for line in server.sql(_ROLES).splitlines()]
    grants = {}
    for user in users:
        name = f"{_literal(user['user'])}@{_literal(user['host'])}" if user["host"] else _literal(user["user"])
        grants[name] = sorted(server.sql(f"SHOW GRANTS FOR {name}").splitlines())
    return {"users": users, "grants": grants, "roles": [role for role in roles if role[0] not in without]}


def _described(server: MariadbServer, database: str) -> Fingerprint:
    """What the information schema says of the database: the rows of each of its tables."""
    asked = """SELECT JSON_ARRAY(TABLE_NAME, COLUMN_NAME) FROM information_schema.COLUMNS
        WHERE TABLE_SCHEMA = 'information_schema' ORDER BY TABLE_NAME, ORDINAL_POSITION"""
    columns: dict[str, list[str]] = {}
    for line in server.sql(asked).splitlines():
        table, name = json.loads(line)
        if name not in _LEFT_OUT:
            columns.setdefault(table, []).append(f"'{name}', {backquoted(name)}")
    questions = {
        what: f"SELECT JSON_OBJECT({', '.join(columns[table])}) FROM information_schema.{table} "
        f"WHERE {column} = {_literal(database)}"
        for what, (table, column) in _OF_DATABASE.items()
    }
    answers = _answers(server, database, questions)
    return {
        what: sorted((json.loads(_unescaped(line)) for line in lines), key=json.dumps)
        for what, lines in answers.items()
    }


def _answers(server: MariadbServer, database: str, questions: dict[str, str]) -> dict[str, list[str]]:
    """The lines of each answer, asked in one go."""
    mark = "the next answer"
    text = "".join(f"SELECT '{mark}'; {question};\n" for question in questions.values())
    answers: list[list[str]] = []
    for line in server.sql(text, database).splitlines():
        if line == mark:
            answers.append([])
        else:
            answers[-1].append(line)
    return dict(zip(questions, answers, strict=True))


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unescaped(text: str) -> str:
    """What ``--batch`` writes for a backslash."""
    return text.replace("\\\\", "\\")
