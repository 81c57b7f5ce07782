"""How a drill ended, and what was compared: for a person, and for whoever decides by it."""

from __future__ import annotations

from dataclasses import dataclass, field

from model import CheckOutcome
from utils import format_count, format_duration, format_size


@dataclass(slots=True)
class Compared:
    """What was restored and found to be what it was; ``size`` is in bytes of content."""

    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0
    databases: int = 0
    tables: int = 0
    rows: int = 0
    assertions: int = 0

    def __str__(self) -> str:
        counts = [
            format_count(count, what)
            for count, what in (
                (self.files, "file"),
                (self.databases, "database"),
                (self.tables, "table"),
                (self.rows, "row"),
                (self.assertions, "assertion"),
            )
            if count
        ]
        return ", ".join([*counts, format_size(self.size)])


@dataclass(slots=True)
class DrillReport:
    """One drill of the copy named ``copy``.

    ``problems`` say what of it cannot be restored, ``obstacle`` why the drill could not be done, ``stale`` since when
    the copy is too old; ``remarks`` what else is worth knowing. ``tried_with`` is what served the databases.
    """

    copy: str
    compared: Compared = field(default_factory=Compared)
    problems: list[str] = field(default_factory=list)
    obstacle: str | None = None
    stale: str | None = None
    remarks: list[str] = field(default_factory=list)
    tried_with: str = ""
    seconds: float = 0.0

    @property
    def outcome(self) -> CheckOutcome:
        """What cannot be restored counts before what could not be tried, and that before the age of the copy."""
        if self.problems:
            return CheckOutcome.FAILED
        if self.obstacle is not None:
            return CheckOutcome.NOT_DONE
        return CheckOutcome.STALE if self.stale is not None else CheckOutcome.PASSED

    def sentences(self) -> list[str]:
        """The whole of it, for a person."""
        took = format_duration(self.seconds)
        tried = f" with {self.tried_with}" if self.tried_with else ""
        sentences = []
        if self.problems:
            count = format_count(len(self.problems), "problem")
            sentences.append(f"{self.copy} cannot be restored as it was: the drill{tried} found {count} in {took}.")
            sentences += self.problems
        if self.obstacle is not None:
            sentences.append(f"The drill of {self.copy} could not be done, which says nothing of the copy.")
            sentences.append(self.obstacle)
        if not self.problems and self.obstacle is None:
            sentences.append(f"{self.copy} was restored{tried} and compared in {took}: {self.compared}.")
        if self.stale is not None:
            sentences.append(self.stale)
        return [*sentences, *self.remarks]
