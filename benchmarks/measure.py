"""Whole processes, timed in turn: wall clock, processor time, and peak memory, their children's included."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


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


_SAMPLING_SECONDS = 0.1


def _run(contender: Contender, measured: Measured) -> None:
    usage_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(
        contender.command, stdout=subprocess.DEVNULL, env={**os.environ, **contender.environment}
    )
    with MemorySampler(process.pid) as sampler:
        exit_code = process.wait()
        seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if exit_code != 0:
        raise RuntimeError(f"{contender.name} ended with exit code {exit_code}")
    measured.seconds.append(seconds)
    measured.processor_seconds.append(usage.ru_utime + usage.ru_stime - usage_before.ru_utime - usage_before.ru_stime)
    measured.peak_memory.append(sampler.peak)


class MemorySampler:
    """Looks at the memory of a process and its children ten times a second, in a thread."""

    def __init__(self, process_id: int) -> None:
        self.peak = 0
        self._process_id = process_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLING_SECONDS):
            self.peak = max(self.peak, _memory_of_tree(self._process_id))


def _memory_of_tree(process_id: int) -> int:
    """Bytes of memory of a process and those that it started; what they share counts once (proc(5), Pss)."""
    try:
        rollup = Path(f"/proc/{process_id}/smaps_rollup").read_text()
        children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    except OSError:
        return 0
    kilobytes = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return kilobytes * 1024 + sum(_memory_of_tree(int(child)) for child in children)
