"""Everything that is wrong with a configuration, collected so that it can be reported together."""

from __future__ import annotations

from typing import NamedTuple

from errors import ConfigurationError
from model import Problem, Severity

# A damaged file of some megabytes could give a hundred thousand problems, each with a search for similar keys.
MOST_PROBLEMS = 100


class Position(NamedTuple):
    """A place in a file. ``line`` and ``column`` count from 1; ``file`` is empty for the configuration itself."""

    line: int
    column: int
    file: str = ""


START = Position(1, 1)


class Problems:
    """Collects errors and warnings about one configuration file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._errors: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = {}

    def error(self, position: Position, message: str) -> None:
        """Note an error, once. Raises ConfigurationError at the 100th: the rest would repeat a common cause."""
        self._errors[self._problem(position, message, Severity.ERROR)] = None
        if len(self._errors) == MOST_PROBLEMS:
            more = f"There may be more problems than these {MOST_PROBLEMS}."
            self._errors[self._problem(position, more, Severity.ERROR)] = None
            self.raise_errors()

    def warn(self, position: Position, message: str) -> None:
        """Note a warning, once."""
        self._warnings[self._problem(position, message, Severity.WARNING)] = None

    def raise_errors(self) -> None:
        """Raise ConfigurationError with every error so far, in the order of their lines, if there is one."""
        if self._errors:
            raise ConfigurationError(self._in_order(self._errors))

    @property
    def has_errors(self) -> bool:
        return bool(self._errors)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(self._in_order(self._warnings))

    def _problem(self, position: Position, message: str, severity: Severity) -> Problem:
        return Problem(position.file or self._file, position.line, position.column, message, severity)

    def _in_order(self, problems: dict[Problem, None]) -> list[Problem]:
        return sorted(problems, key=lambda problem: (problem.file != self._file, problem.line, problem.column))
