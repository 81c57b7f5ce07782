"""A program of Holdfast that meets something at a planned point: ``python tests/support/planned.py PLAN SCRIPT …``.

The plan is JSON: ``{"trace": FILE, "events": [{"point": NAME, "nth": N, "when": "before" or "after", "signal": NUMBER,
"error": ERRNO, "raise": TEXT}]}``. The name of every point that is passed is appended to the file. At the n-th call
(from 1) of a point with an event, before it or after it, the process sends itself the signal, or the call fails with
the error, or with one that nobody foresees. A point is a system call that makes something durable or visible, or a
method that a run is made of. With ``"clock": TIME`` the process takes it to be that time when it first asks.
"""

from __future__ import annotations

import functools
import json
import os
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import utils
from errors import StorageError

SYSTEM_CALLS = ("link", "unlink", "mkdir", "rename", "replace", "fsync", "fdatasync")
HOST_METHODS = ("list_directory",)
STORAGE_METHODS = ("put", "delete", "clean_up", "list")
CATALOG_METHODS = ("mark_dead_runs", "begin_run", "finish_run")
OUTBOX_METHODS = ("put", "all")
RUN_STEPS = ("_packed", "_manifest", "_outcome")
BLOCKED_SECONDS = 0.3


class Plan:
    """What happens where, in this process."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._events = document["events"]
        self._trace = os.open(document["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Make ``owner.attribute`` a point of this name."""
        original: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(original)
        def planned(*arguments: Any, **options: Any) -> Any:
            if _is_of_activity(arguments):
                return original(*arguments, **options)
            with self._lock:
                self._calls[name] += 1
                count = self._calls[name]
            os.write(self._trace, f"{name}\n".encode())
            events = [event for event in self._events if (event["point"], event["nth"]) == (name, count)]
            _meet(events, "before")
            try:
                return original(*arguments, **options)
            finally:
                _meet(events, "after")

        setattr(owner, attribute, planned)


def _is_of_activity(arguments: Iterable[Any]) -> bool:
    """What a process tells of itself is written by the clock, so that it can be no planned point."""
    return any("running" in Path(each).parts[-2:] for each in arguments if isinstance(each, str | Path))


def _meet(events: Iterable[dict[str, Any]], when: str) -> None:
    for event in events:
        if event["when"] != when:
            continue
        if "error" in event:
            reason = os.strerror(event["error"])
            raise StorageError(reason) if event["point"].startswith("storage.") else OSError(event["error"], reason)
        if "raise" in event:
            raise AssertionError(event["raise"])
        os.kill(os.getpid(), event["signal"])
        # A signal that is handled is handled by the main thread; it meets it while this thread is where it is.
        time.sleep(BLOCKED_SECONDS)


def _clock_from(start: datetime) -> Callable[[], datetime]:
    """A clock that shows ``start`` at first, and goes on from there."""
    began: list[float] = []

    def utc_now() -> datetime:
        began.append(time.monotonic())
        return start + timedelta(seconds=began[-1] - began[0])

    return utc_now


def main() -> None:
    """Set the points, and become the program."""
    document = json.loads(sys.argv[1])
    if "clock" in document:
        utils.utc_now = _clock_from(datetime.fromisoformat(document["clock"]))
    import operations.backup
    from catalog import Catalog
    from hosts.local import LocalHost
    from notifications.outbox import Outbox
    from storages.local import LocalStorage

    plan = Plan(document)
    del sys.argv[:2]
    for owner, prefix, names in (
        (os, "os.", SYSTEM_CALLS),
        (LocalHost, "host.", HOST_METHODS),
        (LocalStorage, "storage.", STORAGE_METHODS),
        (Catalog, "catalog.", CATALOG_METHODS),
        (operations.backup, "backup.", RUN_STEPS),
        (Outbox, "outbox.", OUTBOX_METHODS),
    ):
        for name in names:
            plan.wrap(owner, name, prefix + name)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us in the background ignores it
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
