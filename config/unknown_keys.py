"""What to say about a key that the schema does not know."""

from __future__ import annotations

import difflib
import re

from config.schema import sections
from config.shapes import MapOf, MapsOf, Section

_QUOTABLE = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{0,39}")
_COLON_WITHOUT_BLANK = re.compile(r"([A-Z_]+):.")

# A key that many maps have says nothing about where it was meant to stand.
_MOST_HOMES = 2


def about_unknown_key(key: str, section: Section) -> str:
    """A sentence with the nearest known key, or the map that knows it. Odd keys may be secrets and are not quoted."""
    joined = _COLON_WITHOUT_BLANK.match(key)
    if joined and joined[1] in section.by_spelling:
        return f"Write a blank after the colon of {joined[1]}."
    if key.strip() != key:
        return "An invisible character stands at an end of this key. Replace it by an ordinary blank, or remove it."
    if not _QUOTABLE.fullmatch(key):
        return f"This is not a key that {section.title} knows. {_known(section)}"
    plain = re.sub("[ -]+", "_", key.upper())
    near = difflib.get_close_matches(plain, section.by_spelling, 1)
    homes = _homes(key)
    if near and homes:
        return f"{section.title} does not know {key}: did you mean {near[0]}? {key} itself belongs under {homes}."
    if near:
        return f"{section.title} does not know {key}: did you mean {near[0]}?"
    if homes:
        return f"{section.title} does not know {key}: it belongs under {homes}."
    return f"{section.title} does not know {key}. {_known(section)}"


def _known(section: Section) -> str:
    return "It knows " + ", ".join(key.name for key in section.keys) + "."


def _homes(key: str) -> str:
    """The keys below which this key can stand, where there are few."""
    homes = []
    for parent in sections():
        for candidate in parent.keys:
            if not isinstance(candidate.shape, MapOf | MapsOf) or candidate.name in homes:
                continue
            if key in candidate.shape.section.by_spelling:
                homes.append(candidate.name)
    return " or ".join(homes) if 0 < len(homes) <= _MOST_HOMES else ""
