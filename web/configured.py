"""The configuration as it is now: read again when its file, or the environment file, was changed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from config import load_configuration
from errors import ConfigurationError
from model import Configuration, Problem, Severity

# How often the files are looked at, at most; in seconds.
_LOOKS_EVERY = 0.5

_Signature = tuple[tuple[int, int, int] | None, ...]


class Configured:
    """Safe in several threads. A file that is wrong changes nothing but the problems."""

    def __init__(self, configuration: Configuration, env_file: Path | None = None) -> None:
        self._path = configuration.path
        self._env_file = env_file
        self._lock = threading.Lock()
        self._current = configuration
        self._problems: tuple[Problem, ...] = configuration.warnings
        self._signature = self._look()
        self._looked = time.monotonic()

    def current(self) -> Configuration:
        """The newest one that was valid."""
        self._refresh()
        return self._current

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the file as it is now, or worth saying about it: errors and warnings."""
        self._refresh()
        return self._problems

    def is_valid(self) -> bool:
        """Whether the file as it is now has no error."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems())

    def _refresh(self) -> None:
        if time.monotonic() - self._looked < _LOOKS_EVERY:
            return
        with self._lock:
            if time.monotonic() - self._looked < _LOOKS_EVERY:  # another thread did it meanwhile
                return
            signature = self._look()
            if signature != self._signature:
                self._load()
                self._signature = signature
            self._looked = time.monotonic()

    def _load(self) -> None:
        try:
            configuration = load_configuration(self._path, os.environ, self._env_file)
        except ConfigurationError as error:
            self._problems = error.problems
            return
        self._current, self._problems = configuration, configuration.warnings

    def _look(self) -> _Signature:
        return tuple(_identity(path) for path in (self._path, self._env_file or self._path.parent / ".env"))


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
