"""Waiting for what another process or thread does, for as long as a slow machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")

_LONGEST_SECONDS = 60


def wait_for(condition: Callable[[], _Answer | None]) -> _Answer:
    """What it answers, once that is something."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)
    return answer
