"""Whole processes, timed in turn: wall clock, processor time, and the peak memory of the process itself."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Measured:
    """The runs of one command. Seconds, and bytes."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peak_memory: list[int] = field(default_factory=list)
    output_size: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to time: ``prepare`` and ``clean_up`` are not timed, ``output_size`` is asked before cleaning up."""

    name: str
    command: Sequence[str]
    prepare: Callable[[], None] = lambda: None
    clean_up: Callable[[], None] = lambda: None
    output_size: Callable[[], int] = lambda: 0
    environment: Mapping[str, str] = field(default_factory=dict)


def take_turns(contenders: Sequence[Contender], rounds: int, before_each: Callable[[], None]) -> dict[str, Measured]:
    """Run each contender once a round, in turn, so that a machine that becomes slower is slower for all."""
    results = {contender.name: Measured(contender.name) for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            contender.prepare()
            os.sync()
            before_each()
            _run(contender, results[contender.name])
            results[contender.name].output_size = contender.output_size()
            contender.clean_up()
    return results


def _run(contender: Contender, measured: Measured) -> None:
    start = time.perf_counter()
    process = subprocess.Popen(
        contender.command,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **contender.environment},
        start_new_session=True,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{contender.name} ended with exit code {process.returncode}")
    measured.seconds.append(seconds)
    measured.processor_seconds.append(usage.ru_utime + usage.ru_stime)
    measured.peak_memory.append(usage.ru_maxrss * 1024)
