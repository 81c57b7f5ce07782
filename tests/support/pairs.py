"""Which combinations of two parameters are tried: each value of both at least once, and all with HOLDFAST_MATRIX=full.

Where what happens depends on the one and on the other, but not on how they meet, all combinations prove no more.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import pytest

IS_FULL = os.environ.get("HOLDFAST_MATRIX") == "full"


def pairs(firsts: Sequence[Any], seconds: Sequence[Any], *shifts: int) -> list[Any]:
    """The first of both together, the second of both, and so on, where the shorter list begins again at its end.

    With ``shifts`` (default: 0) the second list begins so many values later; several make several rounds. Values may be
    ``pytest.param``; their marks and names are kept.
    """
    if IS_FULL:
        chosen = list(itertools.product(firsts, seconds))
    else:
        rounds = range(max(len(firsts), len(seconds)))
        numbers = ((number, shift) for shift in shifts or (0,) for number in rounds)
        chosen = [(firsts[number % len(firsts)], seconds[(number + shift) % len(seconds)]) for number, shift in numbers]
    return [_together(first, second) for first, second in chosen]


def _together(first: Any, second: Any) -> Any:
    values: list[Any] = []
    marks: list[Any] = []
    names: list[str] = []
    for each in (first, second):
        is_set = isinstance(each, type(pytest.param()))
        values.append(each.values[0] if is_set else each)
        marks.extend(each.marks if is_set else ())
        names.append(each.id if is_set and each.id else getattr(each, "__name__", str(each)).lower())
    return pytest.param(*values, marks=marks, id="-".join(names))
