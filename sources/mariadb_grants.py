"""What a user lacks to see all of a database. mariadb-dump leaves out, without a word, what it is not shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NEEDED = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")

# Any of these shows that there is a routine. Where its text may not be read, mariadb-dump then says so and fails.
_SHOWING_ROUTINES = frozenset({"EXECUTE", "ALTER ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"})

_GRANT = re.compile(r"GRANT (?P<privileges>.+?) ON (?P<schema>\*|`(?:[^`]|``)+`)\.(?P<table>\*|`(?:[^`]|``)+`) TO ")


def missing_privileges(grants: Iterable[str], database: str) -> list[str]:
    """The privileges on a database that are in none of the lines of SHOW GRANTS."""
    held: set[str] = set()
    sees_routines = False
    for line in grants:
        found = _GRANT.match(line)
        if found is None:
            continue
        privileges = {privilege.strip() for privilege in found["privileges"].split(",")}
        on_everything = found["schema"] == "*"
        on_routines = found["schema"] == "`mysql`" and found["table"] in ("*", "`proc`")
        if "SELECT" in privileges and (on_everything or on_routines):
            sees_routines = True
        if found["table"] == "*" and (on_everything or _covers(found["schema"], database)):
            held |= privileges
    if "ALL PRIVILEGES" in held:
        return []
    missing = [privilege for privilege in _NEEDED if privilege not in held]
    if not sees_routines and not held & _SHOWING_ROUTINES:
        missing.append("EXECUTE")
    return missing


def _covers(pattern: str, database: str) -> bool:
    """Names of databases in grants are patterns, as for LIKE: https://mariadb.com/kb/en/grant/#database-privileges"""
    expression = ""
    for escaped, character in re.findall(r"(\\?)(.)", pattern[1:-1].replace("``", "`"), re.DOTALL):
        wildcard = {"%": ".*", "_": "."}.get(character)
        expression += wildcard if wildcard is not None and not escaped else re.escape(character)
    return re.fullmatch(expression, database, re.DOTALL) is not None
