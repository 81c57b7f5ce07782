"""Signing in is slow for whoever guesses: each failure makes the next try wait longer, by address and by name.

And it cannot be used to eat the machine: one password is looked at at a time, and few may wait.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from accounts import Accounts
from web.security.problems import Problem

_FREE_TRIES = 5
_FIRST_WAIT = 2.0  # seconds; doubled with each further failure
_LONGEST_WAIT_OF_ADDRESS = 900.0
_LONGEST_WAIT_OF_NAME = 60.0  # shorter: else anybody could lock out a user whose name is known
_FORGOTTEN_AFTER = 3600.0
_MOST_REMEMBERED = 10_000
_MOST_WAITING = 20


@dataclass
class _Failures:
    count: int
    last: float
    is_told: bool = False


class TooManyTriesProblem(Problem):
    """``is_first`` says that it was not yet told since the last wrong password: only that is worth a line in a log,
    which could be filled otherwise. ``wait`` is in seconds."""

    def __init__(self, wait: float, is_first: bool) -> None:
        seconds = max(1, round(wait))
        super().__init__(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"There were too many wrong passwords. Try again in {seconds} seconds.",
            {"Retry-After": str(seconds)},
        )
        self.is_first = is_first


class FailureMemory:
    """How often something (an address, a name) failed lately. Safe in several threads; its memory is bounded."""

    def __init__(self, longest_wait: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``longest_wait`` is in seconds."""
        self._longest_wait = longest_wait
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, key: str) -> float:
        """How many seconds this one has to wait before its next try; 0 where it may try now."""
        with self._lock:
            found = self._failures.get(key)
            if found is None or found.count < _FREE_TRIES:
                return 0.0
            pause = min(_FIRST_WAIT * 2.0 ** min(found.count - _FREE_TRIES, 20), self._longest_wait)
            return max(0.0, found.last + pause - self._clock())

    def is_first_refusal(self, key: str) -> bool:
        """Whether this one was not yet sent away since its last failure. From now on it was."""
        with self._lock:
            found = self._failures.get(key)
            if found is None or found.is_told:
                return False
            found.is_told = True
            return True

    def note_failure(self, key: str) -> None:
        """It failed once more, now."""
        now = self._clock()
        with self._lock:
            found = self._failures.pop(key, None)
            is_recent = found is not None and now - found.last < _FORGOTTEN_AFTER
            self._failures[key] = _Failures(found.count + 1 if found and is_recent else 1, now)
            while len(self._failures) > _MOST_REMEMBERED:
                self._failures.popitem(last=False)  # whose last failure is longest ago

    def forget(self, key: str) -> None:
        """It did not fail."""
        with self._lock:
            self._failures.pop(key, None)


class PasswordChecks:
    """Checks passwords one after the other in a thread of its own, because each takes 64 MiB of memory for 0.1 s."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._by_address = FailureMemory(_LONGEST_WAIT_OF_ADDRESS)
        self._by_name = FailureMemory(_LONGEST_WAIT_OF_NAME)
        self._thread = ThreadPoolExecutor(1, "password")
        self._waiting = 0

    async def is_right(self, name: str, password: str, address: str) -> bool:
        """Whether it is the password of this user. Raises Problem (429, 503) where it was not looked at."""
        key = name.casefold()[:100]
        source = _source(address)
        waiting = [
            (memory, each, wait)
            for memory, each in ((self._by_address, source), (self._by_name, key))
            if (wait := memory.wait(each)) > 0
        ]
        if waiting:
            is_first = any(memory.is_first_refusal(each) for memory, each, _ in waiting)
            raise TooManyTriesProblem(max(wait for _, _, wait in waiting), is_first)
        if self._waiting >= _MOST_WAITING:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Many people sign in just now. Try again in a moment.",
                {"Retry-After": "5"},
            )
        # Noted before it is known, or a hundred tries at once would all be free.
        self._by_address.note_failure(source)
        self._by_name.note_failure(key)
        self._waiting += 1
        try:
            is_right = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._accounts.check_password, name, password
            )
        finally:
            self._waiting -= 1
        if is_right:
            self._by_address.forget(source)
            self._by_name.forget(key)
        return is_right

    def close(self) -> None:
        """Wait for the one that is being looked at."""
        self._thread.shutdown(cancel_futures=True)


def _source(address: str) -> str:
    """The network of an IPv6 address, as whoever has one has 2**64 of them (RFC 4291, 2.5.4); others as they are."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
