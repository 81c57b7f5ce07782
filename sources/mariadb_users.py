"""Users, roles and grants of a MariaDB or MySQL server as SQL: ``users.sql``.

The servers themselves say each user (SHOW CREATE USER) and what it is granted (SHOW GRANTS), in all versions of both,
where mariadb-dump can write them only since 10.5, and mysqldump cannot. A comment before each statement says whose it
is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from sources.mariadb_client import Server, identifier

USERS_PATH = b"users.sql"

_OWN_USERS = frozenset({"mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "PUBLIC"})

_COLUMNS = """SELECT COUNT(*) FROM information_schema.columns
WHERE table_schema = 'mysql' AND table_name = 'user' AND column_name = 'is_role'"""
_USERS = "SELECT HEX(CONVERT(user USING utf8mb4)), HEX(CONVERT(host USING utf8mb4)), {is_role} FROM mysql.user"

# MySQL's hashes hold any byte; from MySQL 8.0.17 on it can write them as digits. MariaDB takes this for a comment.
_HASHES_AS_DIGITS = "/*!80017 SET SESSION print_identified_with_as_hex = ON */; "

_MARK = "-- account "

# No SHOW answers with the first. An argument may have 128 KiB (MAX_ARG_STRLEN, execve(2)), an account has some 100.
_NEXT = "next"
_ASKED_AT_ONCE = 100

Account = tuple[str, str]
"""User and host; a role of MariaDB has the host ``""``."""


def accounts_of(server: Server) -> dict[Account, bool]:
    """The accounts of the server, but for its own; True for a role of MariaDB. Raises SourceError."""
    has_roles = server.ask(_COLUMNS) != [["0"]]
    rows = server.ask(_USERS.format(is_role="is_role" if has_roles else "'N'"))
    accounts = {
        (bytes.fromhex(user).decode(), bytes.fromhex(host).decode()): is_role == "Y" for user, host, is_role in rows
    }
    return {account: is_role for account, is_role in sorted(accounts.items()) if account[0] not in _OWN_USERS}


def text_of_users(server: Server) -> str:
    """Every account first, then the grants: they name each other. Raises SourceError."""
    lines = ["-- Users, roles and grants, as SHOW CREATE USER and SHOW GRANTS say them."]
    accounts = accounts_of(server)
    names = {account: identifier(account[0]) if is_role else written(account) for account, is_role in accounts.items()}
    users = [account for account, is_role in accounts.items() if not is_role]
    creations = {account: [f"CREATE ROLE {name}"] for account, name in names.items()}
    creations |= zip(users, _shown(server, [f"CREATE USER {names[user]}" for user in users]), strict=True)
    for account, statements in creations.items():
        lines += [_MARK + json.dumps(account), "\n".join(statements) + ";"]
    all_grants = _shown(server, [f"GRANTS FOR {name}" for name in names.values()])
    for account, grants in zip(names, all_grants, strict=True):
        for grant in grants:
            lines += [_MARK + json.dumps(account), grant + ";"]
    return "\n".join(lines) + "\n"


def statements_for(text: str, there: Collection[Account]) -> tuple[list[str], list[Account]]:
    """The statements for the accounts that are not ``there``, and these accounts."""
    statements: list[str] = []
    made: dict[Account, None] = {}
    for account, statement in _statements(text):
        if account not in there:
            statements.append(statement)
            made[account] = None
    return statements, list(made)


def written(account: Account) -> str:
    """An account as SQL has it."""
    return f"{identifier(account[0])}@{identifier(account[1])}"


def _shown(server: Server, questions: Sequence[str]) -> list[list[str]]:
    """The answer to each SHOW. Many are asked at once, as the client is started for each time, perhaps far away."""
    answers: list[list[str]] = []
    for first in range(0, len(questions), _ASKED_AT_ONCE):
        asked = (f"SELECT '{_NEXT}'; SHOW {question}" for question in questions[first : first + _ASKED_AT_ONCE])
        for row in server.ask(f"{_HASHES_AS_DIGITS}{'; '.join(asked)}"):
            if row[0] == _NEXT:
                answers.append([])
            else:
                answers[-1].append(row[0])
    return answers


def _statements(text: str) -> Iterator[tuple[Account, str]]:
    account: Account | None = None
    lines: list[str] = []
    for line in [*text.split("\n"), _MARK + "null"]:
        if not line.startswith(_MARK):
            lines.append(line)
            continue
        if account is not None:
            yield account, "\n".join(lines)
        lines = []
        named = json.loads(line.removeprefix(_MARK))
        account = (named[0], named[1]) if named is not None else None
