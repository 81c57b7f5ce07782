"""A text that is never shown."""

from __future__ import annotations

from utils import remember_secret


class Secret:
    """A text that must never be shown: ``str()``, ``repr()`` and formatting give ``****``.

    Making one also tells :func:`utils.redact` its text, so that it is taken out of log lines and error messages
    that quote what another program said.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        remember_secret(text)

    def reveal(self) -> str:
        """The text itself, for the one place that hands it to a program or a service."""
        return self._text

    def __repr__(self) -> str:
        return "****"

    def __str__(self) -> str:
        return "****"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))
