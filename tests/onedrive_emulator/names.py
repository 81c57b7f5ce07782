"""Which names and paths OneDrive refuses."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from .errors import GraphError

_FORBIDDEN_CHARACTERS = re.compile(r'["*:<>?/\\|\x00-\x1f\x7f]')
_FORBIDDEN_NAMES = {
    ".lock",
    "con",
    "prn",
    "aux",
    "nul",
    "desktop.ini",
    *(f"com{number}" for number in range(10)),
    *(f"lpt{number}" for number in range(10)),
}
_FORBIDDEN_AT_THE_ROOT = "forms"
_LONGEST_NAME = 255
LONGEST_PATH = 400
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decoded_path(encoded: str) -> tuple[str, ...]:
    """The names in a path of a request, percent-decoded once. Raises GraphError for what OneDrive refuses."""
    if _BAD_ESCAPE.search(encoded):
        raise GraphError(400, "invalidRequest", "The path is not percent-encoded.")
    try:
        names = tuple(unquote_to_bytes(name).decode("utf-8") for name in encoded.split("/"))
    except UnicodeDecodeError as error:
        raise GraphError(400, "invalidRequest", "The path is not UTF-8.") from error
    if len("/".join(names)) > LONGEST_PATH:
        raise GraphError(400, "pathIsTooLong", f"The path has more than {LONGEST_PATH} characters.")
    for depth, name in enumerate(names):
        check_name(name, is_at_the_root=depth == 0)
    return names


def check_name(name: str, *, is_at_the_root: bool) -> None:
    """Raise GraphError if no item can have this name."""
    if reason := _why_refused(name, is_at_the_root):
        raise GraphError(400, "invalidRequest", f"The name {name!r} is not allowed: {reason}.")


def _why_refused(name: str, is_at_the_root: bool) -> str | None:
    lower = name.lower()
    if not name:
        return "it is empty"
    if len(name) > _LONGEST_NAME:
        return f"it has more than {_LONGEST_NAME} characters"
    if _FORBIDDEN_CHARACTERS.search(name):
        return "one of its characters"
    if name != name.strip(" ") or name.endswith("."):
        return "a space at its beginning or end, or a dot at its end"
    if lower in _FORBIDDEN_NAMES or "_vti_" in lower or name.startswith("~"):
        return "it is reserved"
    if is_at_the_root and lower == _FORBIDDEN_AT_THE_ROOT:
        return "it is reserved at the root"
    return None


def key_of(name: str) -> str:
    """What two names have in common that differ in case only."""
    return name.casefold()
