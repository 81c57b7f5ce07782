"""Whole processes, timed in turn: wall clock, processor time, and the peak memory of the process itself."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
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


# A process counts the memory of the one that started it until its exec(2), so a small one must start it.
_STARTER = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""


def _run(contender: Contender, measured: Measured) -> None:
    answer = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _STARTER, *contender.command],
        stdout=subprocess.PIPE,
        env={**os.environ, **contender.environment},
        check=True,
    ).stdout
    exit_code, seconds, processor_seconds, peak_kilobytes = json.loads(answer.splitlines()[-1])
    if exit_code != 0:
        raise RuntimeError(f"{contender.name} ended with exit code {exit_code}")
    measured.seconds.append(seconds)
    measured.processor_seconds.append(processor_seconds)
    measured.peak_memory.append(peak_kilobytes * 1024)
