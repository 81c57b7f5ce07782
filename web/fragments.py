"""Parts of pages that were made once and are used until what they show changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from markupsafe import Markup

_MOST_CHARACTERS = 16 << 20


class Fragments:
    """The parts that were used last, 16 million characters at most. Safe in several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, tuple[Hashable, Markup]] = OrderedDict()
        self._characters = 0

    def get(self, key: Hashable, version: Hashable, make: Callable[[], Markup]) -> Markup:
        """The part of this key; it is made again where it is not of this version."""
        with self._lock:
            found = self._made.get(key)
            if found is not None and found[0] == version:
                self._made.move_to_end(key)
                return found[1]
        made = make()
        with self._lock:
            before = self._made.pop(key, None)
            self._characters += len(made) - (len(before[1]) if before else 0)
            self._made[key] = (version, made)
            while self._characters > _MOST_CHARACTERS and len(self._made) > 1:
                _, (_, dropped) = self._made.popitem(last=False)
                self._characters -= len(dropped)
        return made
