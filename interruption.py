"""Ending on a signal, or when a time is over, as on an error, so that everything is put right on the way out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from errors import EXIT_INTERRUPTED, EXIT_TERMINATED, InterruptedRun, TimedOutRun
from utils import format_duration

_INTERRUPTING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_cleanly_on_signals(meaning: str = "") -> None:
    """Let the first signal raise InterruptedRun, whose message ends with ``meaning``; ignore the others."""

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.alarm(0)
        _ignore_signals()
        raise InterruptedRun(
            f"Interrupted by {signal.Signals(number).name}. {meaning}".rstrip(),
            EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED,
        )

    for each in _INTERRUPTING_SIGNALS:
        signal.signal(each, interrupt)


@contextmanager
def time_limit(seconds: int | None) -> Iterator[None]:
    """Raise TimedOutRun in the block once this time is over; None sets no limit. For the main thread, and not nested.

    While it ends, signals are ignored as after a first one.
    """
    if seconds is None:
        yield
        return
    handlers = {each: signal.getsignal(each) for each in (*_INTERRUPTING_SIGNALS, signal.SIGALRM)}
    is_over = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_over
        is_over = True
        _ignore_signals()
        raise TimedOutRun(f"It took longer than {format_duration(seconds)} (TIMEOUT), and was ended.")

    signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        for each, handler in handlers.items():
            if is_over or each is signal.SIGALRM:
                signal.signal(each, handler)


def _ignore_signals() -> None:
    for each in _INTERRUPTING_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
