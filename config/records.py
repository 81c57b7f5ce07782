"""What was read of a map: the checked value of each key, and where it stood."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from config.problems import Position
from config.shapes import Section
from model import Secret


class Value(NamedTuple):
    """One checked value and its place. ``content`` is None where it was wrong: that was reported already."""

    position: Position
    content: str | int | bool | Secret | None


@dataclass(slots=True)
class Record:
    """A map as it was read. Absent and wrong values read as None or empty, so that every check can go on.

    ``positions`` has the place of each value, ``empty`` that of each key without one. Whether it
    ``has_unknown_keys`` was reported: then what seems to be missing may be what they were meant to be. ``inherited``
    are the keys that ``DEFAULTS`` gave.
    """

    position: Position
    section: Section
    scalars: dict[str, Value] = field(default_factory=dict)
    lists: dict[str, list[Value]] = field(default_factory=dict)
    text_maps: dict[str, dict[str, Value]] = field(default_factory=dict)
    records: dict[str, list[Record]] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    empty: dict[str, Position] = field(default_factory=dict)
    has_unknown_keys: bool = False
    inherited: set[str] = field(default_factory=set)

    def position_of(self, key: str) -> Position:
        """Where the key's value stands; where it does not, the map itself."""
        return self.positions.get(key, self.position)

    def text(self, key: str) -> str | None:
        value = self.scalars.get(key)
        return value.content if value and isinstance(value.content, str) else None

    def number(self, key: str) -> int | None:
        value = self.scalars.get(key)
        return value.content if value and isinstance(value.content, int) else None

    def flag(self, key: str, default: bool) -> bool:
        value = self.scalars.get(key)
        return value.content if value and isinstance(value.content, bool) else default

    def secret(self, key: str) -> Secret | None:
        value = self.scalars.get(key)
        return value.content if value and isinstance(value.content, Secret) else None

    def texts(self, key: str) -> list[tuple[Position, str]]:
        return [(value.position, value.content) for value in self.lists.get(key, ()) if isinstance(value.content, str)]

    def texts_by_name(self, key: str) -> dict[str, str | Secret]:
        found = self.text_maps.get(key, {})
        return {name: value.content for name, value in found.items() if isinstance(value.content, str | Secret)}

    def record(self, key: str) -> Record | None:
        found = self.records.get(key)
        return found[0] if found else None

    def all_records(self, key: str) -> list[Record]:
        return self.records.get(key, [])

    def inherit(self, defaults: Record) -> None:
        """Take over, whole, each key of ``defaults`` that this map's section knows and that it does not have itself,
        nor another one that replaces it."""
        own = {name for key in self.section.keys if key.name in self.positions for name in (key.name, *key.replaces)}
        for name, position in defaults.positions.items():
            if name in own or name not in self.section.by_spelling:
                continue
            self.positions[name] = position
            self.inherited.add(name)
            if name in defaults.scalars:
                self.scalars[name] = defaults.scalars[name]
            if name in defaults.lists:
                self.lists[name] = defaults.lists[name]
            if name in defaults.records:
                self.records[name] = defaults.records[name]
