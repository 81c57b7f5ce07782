"""Ending on a signal as on an error, so that everything is put right on the way out."""

from __future__ import annotations

import signal
from types import FrameType

from errors import EXIT_INTERRUPTED, EXIT_TERMINATED, InterruptedRun

_INTERRUPTING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_cleanly_on_signals(meaning: str = "") -> None:
    """Let the first signal raise InterruptedRun, whose message ends with ``meaning``; ignore the others."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in _INTERRUPTING_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise InterruptedRun(
            f"Interrupted by {signal.Signals(number).name}. {meaning}".rstrip(),
            EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED,
        )

    for each in _INTERRUPTING_SIGNALS:
        signal.signal(each, interrupt)
