"""What distinguishes two fingerprints, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def assert_same(found: Any, expected: Any) -> None:
    """Fail with each difference on a line of its own, and where it is."""
    lines = list(_differences(found, expected, ()))
    assert not lines, "\n".join(lines)


def _differences(found: Any, expected: Any, where: tuple[str, ...]) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys(), key=str):
            if key not in found:
                yield f"{' / '.join((*where, str(key)))} is missing; it was {expected[key]!r}"
            elif key not in expected:
                yield f"{' / '.join((*where, str(key)))} is too many: {found[key]!r}"
            else:
                yield from _differences(found[key], expected[key], (*where, str(key)))
    elif isinstance(found, list) and isinstance(expected, list):
        yield from _differences(dict(enumerate(found)), dict(enumerate(expected)), where)
    elif found != expected:
        yield f"{' / '.join(where)} was {expected!r} and is {found!r}"
