"""Maps and lists of single-key maps: both spellings of the user's notes become the same groups of keys.

::

    UPLOAD_TO:                          UPLOAD_TO:
      - STORAGE_NAME: S3                  - STORAGE_NAME: S3
        PATH: shop                        - PATH: shop
      - STORAGE_NAME: LOCAL               - STORAGE_NAME: LOCAL
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from config.problems import Position, Problems
from config.schema import KEY_NAMES
from config.yaml_document import MappingNode, Node, ScalarNode, SequenceNode

Entry = tuple[ScalarNode, Node]

_COLON_WITHOUT_BLANK = re.compile(r"([A-Z_]+):\S")


@dataclass(slots=True)
class MapText:
    """The keys of one map, in one spelling or the other. ``begun_by`` is the repeated key that made it a new one."""

    position: Position
    entries: list[Entry] = field(default_factory=list)
    begun_by: ScalarNode | None = None


def maps_in(node: Node, name: str, canonical: Callable[[str], str], problems: Problems) -> list[MapText] | None:
    """The maps that a value holds: itself, or the entries of a list. None where that was reported as wrong.

    ``canonical`` gives the name of a key that can be spelled in several ways.
    """
    if isinstance(node, MappingNode):
        return [MapText(node.position, node.entries)]
    if isinstance(node, ScalarNode):
        problems.error(node.position, f"{name} must hold maps: `KEY: value` lines.{hint_at_colon(node)}")
        return None
    items: list[MappingNode] = []
    for item in node.items:
        if isinstance(item, MappingNode) and item.entries:
            items.append(item)
        else:
            problems.error(item.position, _about_no_map(item, name))
    if node.items and not items:
        return None
    if len(items) < 2 or not any(len(item.entries) == 1 for item in items):
        return [MapText(item.position, item.entries) for item in items]
    if all(len(item.entries) == 1 for item in items):
        return _merged(items, canonical)
    return _both_readings(items, name, canonical, problems)


def hint_at_colon(node: ScalarNode) -> str:
    """What to write where ``PASSWORD:secret`` was meant as a key and a value. The value is never quoted."""
    match = _COLON_WITHOUT_BLANK.match(node.text)
    return f" Write a blank after the colon of {match[1]}." if match and match[1] in KEY_NAMES else ""


def _about_no_map(item: Node, name: str) -> str:
    if isinstance(item, SequenceNode):
        return f"Each entry of {name} must be a map, not a list. Remove one of the dashes."
    if isinstance(item, MappingNode) or (item.plain and not item.text):
        return f"This entry of {name} is empty. Write its keys, or remove it."
    return f"Each entry of {name} must be a map: `KEY: value` lines.{hint_at_colon(item)}"


def _merged(items: list[MappingNode], canonical: Callable[[str], str]) -> list[MapText]:
    """Single-key maps put together; a key that the map has already begins the next map."""
    maps: list[MapText] = []
    seen: set[str] = set()
    for item in items:
        key, value = item.entries[0]
        name = canonical(key.text)
        if not maps or name in seen:
            maps.append(MapText(item.position, begun_by=key if maps else None))
            seen = set()
        seen.add(name)
        maps[-1].entries.append((key, value))
    return maps


def _both_readings(
    items: list[MappingNode], name: str, canonical: Callable[[str], str], problems: Problems
) -> list[MapText] | None:
    """Whole maps among single keys: good only where each entry repeats a key of the one before, so that both agree."""
    for before, item in itertools.pairwise(items):
        if len(before.entries) > 1 and len(item.entries) > 1:
            continue
        if not {canonical(key.text) for key, _ in before.entries} & {canonical(key.text) for key, _ in item.entries}:
            problems.error(
                item.position,
                f"{name} mixes whole maps and single keys: it is not clear whether this belongs to the entry above. "
                "Give each entry one dash, with all of its keys in the same column.",
            )
            return None
    return [MapText(item.position, item.entries) for item in items]
