"""What to say about a key that the schema does not know."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from config.scalars import either
from config.schema import KEY_NAMES, sections
from config.shapes import MapOf, MapsOf, Section, Variants

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
    near, homes, types = nearest_key(key, section), _homes(key, section), types_that_know(key, section)
    if near and homes and near != homes:
        return f"{section.title} does not know {key}: did you mean {near}? {key} itself belongs under {homes}."
    if near and not homes:
        return f"{section.title} does not know {key}: did you mean {near}?"
    if types:
        return f"{section.title} does not know {key}: it goes with TYPE {either(types)}. {_known(section)}"
    if homes:
        return f"{section.title} does not know {key}: it belongs under {homes}."
    return f"{section.title} does not know {key}. {_known(section)}"


def nearest_key(key: str, section: Section) -> str:
    """The most similar key that the section knows; empty where none is similar.

    A key of another map was hardly mistyped. So to this the similar one must be a longer form: PATH, FILE_PATH.
    """
    plain = re.sub("[ -]+", "_", key.upper())
    near = next(iter(difflib.get_close_matches(plain, section.by_spelling, 1)), "")
    is_longer_form = key.replace("_", "") in near.replace("_", "")
    return near if key not in KEY_NAMES or is_longer_form else ""


def types_that_know(key: str, section: Section) -> list[str]:
    """The other types of a map with a ``TYPE`` that have this key."""
    for home in _maps_below_keys():
        if isinstance(home, Variants) and section in home.sections.values():
            return [kind for kind, other in home.sections.items() if key in other.by_spelling]
    return []


def _maps_below_keys() -> Iterator[Section | Variants]:
    for parent in sections():
        for key in parent.keys:
            if isinstance(key.shape, MapOf | MapsOf):
                yield key.shape.section


def _known(section: Section) -> str:
    return "It knows " + ", ".join(key.name for key in section.keys) + "."


def _homes(key: str, section: Section) -> str:
    """The keys below which this key can stand, where there are few."""
    homes = []
    for parent in sections():
        for candidate in parent.keys:
            if not isinstance(candidate.shape, MapOf | MapsOf) or candidate.name in homes:
                continue
            home = candidate.shape.section
            is_other_type = isinstance(home, Variants) and section in home.sections.values()
            if key in home.by_spelling and not is_other_type:
                homes.append(candidate.name)
    return " or ".join(homes) if 0 < len(homes) <= _MOST_HOMES else ""
