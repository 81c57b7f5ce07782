"""``${NAME}``, ``${NAME:-default}`` and ``$${`` in a text."""

from __future__ import annotations

import re
from collections.abc import Callable

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\})?", re.DOTALL)
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def expand(text: str, look_up: Callable[[str], str | None]) -> str:
    """``text`` with its variables replaced. What comes from a variable is not expanded again.

    ``$${`` stands for the characters ``${``; any other ``$`` is itself. As in a shell, ``:-`` gives the default where
    the variable is missing or empty. Raises ValueError with a sentence.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        inside = _INSIDE.fullmatch(match[1])
        if match[2] is None or inside is None or "${" in match[1]:
            raise ValueError(
                "After `${` must stand NAME} or NAME:-default}, without another variable inside. "
                "Write `$${` where the characters `${` themselves are meant."
            )
        name, default = inside[1], inside[2]
        value = look_up(name)
        if default is not None:
            return value or default
        if value is None:
            raise ValueError(
                f"The variable {name} is not set. Set it in the environment or in .env, or write a default: "
                f"${{{name}:-default}}."
            )
        return value

    return _REFERENCE.sub(replacement, text)
