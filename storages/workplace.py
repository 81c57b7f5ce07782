"""What an adapter has of this machine, beside its settings: private folders, patience, and when to stop."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from errors import StorageError, StorageUnavailableError

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a failed request is sent again, and how long is waited before that, in seconds.

    The waits double from ``first_wait`` to ``longest_wait``, each shortened by chance (full jitter), so that clients
    that failed together do not come back together: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    A wait that the service asks for is kept as it is, up to ``longest_asked_wait``; beyond that the request has failed.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_asked_wait: float = 1800.0


@dataclass(frozen=True, slots=True)
class Workplace:
    """``state_directory`` is needed to put large objects where the size must be known first, and to resume uploads.

    ``cancelled`` is set by whoever no longer wants the result, and ends every wait.
    """

    state_directory: Path | None = None
    patience: Patience = Patience()
    cancelled: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> None:
        """Do nothing for so long. Raises StorageError as soon as it is cancelled."""
        if self.cancelled.wait(seconds):
            raise StorageError("It was cancelled.")

    def repeat(self, action: Callable[[], _Result]) -> _Result:
        """What ``action`` returns, tried again while it raises StorageUnavailableError and patience lasts.

        Raises what the last try raised.
        """
        failures = 0
        while True:
            try:
                return action()
            except StorageUnavailableError as error:
                failures += 1
                self.wait_after(failures, error)

    def wait_after(self, failures: int, error: StorageUnavailableError) -> None:
        """Wait as long as befits that many failures in a row. Raises ``error`` once patience is at its end."""
        asked = error.wait or 0.0
        if failures >= self.patience.attempts or asked > self.patience.longest_asked_wait:
            raise error
        longest = min(self.patience.longest_wait, self.patience.first_wait * 2 ** (failures - 1))
        self.wait(max(asked, longest * random.random()))  # noqa: S311 - jitter, no secret
