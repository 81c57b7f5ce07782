"""What of a notification URL is secret: in each service another part of it, and libraries quote parts alone."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from model import Secret

_SHORTEST_TOKEN = 8
_HOST_NAME = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_SEPARATORS = re.compile(r"[/:@?&=#,;]+")


def remember_parts(url: Secret) -> None:
    """Have :func:`utils.redact` take out the password in it, and each part that looks like a token: eight characters
    or more, with a digit or letters of both cases, and no name of a host."""
    text = url.reveal()
    rest = text.partition("://")[2]
    parts = {part for part in _SEPARATORS.split(rest) if _is_token(part)}
    user_and_password = rest.partition("/")[0].rpartition("@")[0]
    if ":" in user_and_password:
        parts.add(user_and_password.partition(":")[2])
    try:
        parts |= {urlsplit(text).password or ""}
    except ValueError:  # of a URL that is none, the parts above are what there is
        pass
    for part in parts:
        for spelling in {part, unquote(part)} - {""}:
            Secret(spelling)


def _is_token(part: str) -> bool:
    if len(part) < _SHORTEST_TOKEN or _HOST_NAME.fullmatch(part):
        return False
    has_both_cases = part != part.lower() and part != part.upper()
    return has_both_cases or any(character.isdigit() for character in part)
