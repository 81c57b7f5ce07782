"""A function applied to many things on every core, with bounded memory and the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD_PER_WORKER = 4


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """The results in the order of the items; at most a few items per worker are under way. Raises what either raises.

    There is a worker for each core, where nothing else is said. Leaving the iteration early waits for what is under
    way, and starts no more.
    """
    workers = workers or os.cpu_count() or 1
    executor = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(executor.submit(function, item))
            if len(under_way) > _AHEAD_PER_WORKER * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
