"""Addresses of our own pages."""

from __future__ import annotations

from urllib.parse import quote, urlencode


def address(path: str, /, **query: object) -> str:
    """The path with the parameters that are given: neither None nor ``""``."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return quote(path) + (f"?{urlencode(given)}" if given else "")
