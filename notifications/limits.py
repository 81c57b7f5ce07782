"""How long telling may take: whoever waits for it is a run that has ended, and the next one of its process."""

from __future__ import annotations

import threading
from collections.abc import Callable

from errors import NotificationError
from utils import format_duration


def within(seconds: float, ask: Callable[[], None]) -> None:
    """Do it, and wait no longer than so many seconds. Raises NotificationError where it takes longer, and what it
    raises.

    What takes longer goes on beside the program, and ends with it at the latest: no library's time-out holds for a
    server that sends a byte now and then, nor for the names of hosts that nobody answers for.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            ask()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="telling", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise NotificationError(f"There was no answer within {format_duration(seconds)}.")
    if errors:
        raise errors[0]
