"""How long a failed run waits before it is tried again. Pure."""

from __future__ import annotations

# Before the second try, the third, and so on: what a reboot or a short outage needs, doubled each time.
FIRST_WAIT_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 900.0


def wait_before(retry: int) -> float:
    """In seconds, before the retry of this number, which counts from 0."""
    return min(FIRST_WAIT_SECONDS * 2.0 ** min(retry, 10), _LONGEST_WAIT_SECONDS)
