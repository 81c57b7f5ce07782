"""Which copies on a target are read back this time, so that in the end each of them is. Pure.

A copy counts as checked when it was made: what was stored is compared with what was sent then. So neither the new
copies of each night nor a small sample keep an old one from its turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Readable:
    """A copy on one target. ``name`` is when it was made (``20261120T030000Z``), as the catalog has it."""

    name: str
    made: datetime
    is_good: bool


def sample_size(count: int, percent: int) -> int:
    """How many of so many copies are read: ``percent`` of them, rounded up, and no fewer than two.

    With one, the newest good copy would be all, each time.
    """
    return min(count, max(_FEWEST, -(-count * percent // 100)))


def in_turn(copies: Sequence[Readable], last_checked: Mapping[str, datetime]) -> list[Readable]:
    """The newest good copy, and then the others, those first whose last check is longest ago."""
    newest_first = sorted(copies, key=lambda copy: (copy.made, copy.name), reverse=True)
    first = [copy for copy in newest_first if copy.is_good][:1]
    others = [copy for copy in reversed(newest_first) if copy not in first]
    others.sort(key=lambda copy: max(copy.made, last_checked.get(copy.name, copy.made)))
    return [*first, *others]
