"""Roles and tablespaces as pg_dumpall writes them: which of its statements are run on a server that has some of them.

psql is what runs them, and psql obeys commands that stand in its input (``\\!`` starts a shell). So what is given to it
holds nothing but statements of the kinds that pg_dumpall writes, in a form that cannot be read in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from errors import HostileArchiveError

# Whatever is none of these does not come from pg_dumpall: dollar quotes, comments with a star, and backslashes but for
# E'…', where each is doubled; so a text ends at the same quote whatever standard_conforming_strings is.
# `\restrict` stands around its output since August 2025, so that psql obeys nothing in between.
_TOKENS = re.compile(
    r"""(?P<nothing>\s+|--[^\n]*|\\(?:un)?restrict\ [A-Za-z0-9]+(?=\n|\Z))
    |(?P<text>'(?:[^'\\]|'')*'|E'(?:[^'\\]|''|\\\\)*')
    |(?P<name>"(?:[^"]|"")+"|[^\W\d]\w*(?!['"\w$]))
    |(?P<sign>;|[(),.=*+-]|\d+(?![\w'"]))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class GlobalStatement:
    """``words`` are its tokens, names without their quotes; ``text`` is what stood there."""

    words: tuple[str, ...]
    text: str


def statements_of(text: str) -> Iterator[GlobalStatement]:
    """The statements of ``globals.sql``. Raises HostileArchiveError for what pg_dumpall never writes."""
    words: list[str] = []
    position = start = 0
    while position < len(text):
        found = _TOKENS.match(text, position)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise HostileArchiveError(
                f"Line {line} of globals.sql has something that pg_dumpall does not write, and that psql might take "
                "for a command to itself. Nothing was restored from it."
            )
        position = found.end()
        if found.lastgroup == "nothing":
            start = start if words else position
        elif found[0] == ";":
            yield GlobalStatement(tuple(words), text[start:position])
            words, start = [], position
        else:
            words.append(_unquoted(found[0]))


def _unquoted(token: str) -> str:
    return token[1:-1].replace('""', '"') if token.startswith('"') else token


def statements_for(
    text: str, roles: Collection[str], tablespaces: Collection[str]
) -> tuple[list[str], list[str], list[str]]:
    """What to run on a server that has these roles and tablespaces: nothing that would change one of them.

    The answer is the statements about roles, those about tablespaces, and the names of the new roles.
    """
    for_roles: list[str] = []
    for_tablespaces: list[str] = []
    new_roles: list[str] = []
    new_tablespaces: list[str] = []
    for statement in statements_of(text):
        match statement.words:
            case ("SET", *_):
                pass
            case ("CREATE", "ROLE", name):
                if name not in roles:
                    new_roles.append(name)
                    for_roles.append(statement.text)
            case ("ALTER", "ROLE", name, *_) | ("COMMENT", "ON", "ROLE", name, *_):
                # Settings of a role in one database: that database may not be there.
                if name in new_roles and statement.words[3:5] != ("IN", "DATABASE"):
                    for_roles.append(statement.text)
            case ("CREATE", "TABLESPACE", name, *_):
                if name not in tablespaces:
                    new_tablespaces.append(name)
                    for_tablespaces.append(statement.text)
            case ("ALTER" | "COMMENT" | "GRANT" | "REVOKE", *words) if "TABLESPACE" in words:
                if words[words.index("TABLESPACE") + 1] in new_tablespaces:
                    for_tablespaces.append(statement.text)
            case ("GRANT" | "REVOKE", *words) if set(words) & set(new_roles):
                for_roles.append(statement.text)
            case ("GRANT" | "REVOKE" | "SECURITY", *_):
                pass
            case words:
                raise HostileArchiveError(
                    f"globals.sql has the statement {' '.join(words[:3])} …, which pg_dumpall does not write. Nothing "
                    "was restored from it."
                )
    return for_roles, for_tablespaces, new_roles
