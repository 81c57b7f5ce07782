"""PATHs with ``*``, ``?`` and ``[`` in them, as shells take them, for the paths of members. Pure.

``*`` stands for any characters within one level, ``?`` for one character, ``[ab]``, ``[a-z]`` and ``[!ab]`` for one of
those or none of them; ``**`` as a level of its own for any number of levels, none too. A ``[`` that no ``]`` follows is
one. Names are bytes: what is UTF-8 in them counts as characters, any other byte as one.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

_SPECIAL = re.compile(rb"[*?\[]")
_ANY_LEVELS = None

_Level = re.Pattern[str] | None


def is_pattern(path: bytes) -> bool:
    """Whether a PATH can stand for several. One that lies there just so is meant first: that is for others to see."""
    return _SPECIAL.search(path) is not None


class PathPattern:
    """One such PATH, compiled. The time for a path grows with its levels times those of the pattern, and no faster."""

    def __init__(self, pattern: bytes, *, ignore_case: bool = False) -> None:
        """Slashes at its beginning and its end do not count."""
        flags = re.IGNORECASE if ignore_case else 0
        parts = pattern.strip(b"/").split(b"/")
        fixed = 0
        while fixed < len(parts) - 1 and not is_pattern(parts[fixed]) and not ignore_case:
            fixed += 1
        self._start = b"".join(part + b"/" for part in parts[:fixed])
        self._levels: list[_Level] = [_compiled(part, flags) for part in parts[fixed:]]
        if self._levels[-1] is _ANY_LEVELS:  # a folder is not below itself
            self._levels.append(_compiled(b"*", flags))

    def matches(self, path: bytes) -> bool:
        """Whether it stands for this very path."""
        found = False
        for found in self._found_at_each_level(path):  # noqa: B007 - the last one counts
            pass
        return found

    def covers(self, path: bytes) -> bool:
        """Whether it stands for this path or for a folder above it."""
        return any(self._found_at_each_level(path))

    def _found_at_each_level(self, path: bytes) -> Iterator[bool]:
        """For each level of the path whether all of the pattern matches what ends there, as long as that can change."""
        if not path.startswith(self._start):
            return
        places = self._with_skipped({0})
        for part in path[len(self._start) :].decode("utf-8", "surrogateescape").split("/"):
            places = self._with_skipped(set(self._after(part, places)))
            yield len(self._levels) in places
            if not places:
                return

    def _after(self, part: str, places: set[int]) -> Iterator[int]:
        for place in places:
            if place < len(self._levels):
                level = self._levels[place]
                if level is _ANY_LEVELS:
                    yield place
                elif level.match(part):
                    yield place + 1

    def _with_skipped(self, places: set[int]) -> set[int]:
        """Also those behind each ``**``, which may stand for nothing."""
        for place in sorted(places):
            end = place
            while end < len(self._levels) and self._levels[end] is _ANY_LEVELS:
                end += 1
                places.add(end)
        return places


def _compiled(part: bytes, flags: int) -> _Level:
    if part == b"**":
        return _ANY_LEVELS
    return re.compile(fnmatch.translate(part.decode("utf-8", "surrogateescape")), flags)
