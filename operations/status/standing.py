"""How one backup stands, in values."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from catalog import LastChecks
from model import Backup, Check, CheckKind, CheckOutcome, Run, RunPoint, Target, Usage
from operations.status.deadlines import Late
from operations.status.levels import Level
from operations.status.sizes import Sizes


class NoticeKind(enum.StrEnum):
    """What somebody should know of a backup."""

    FAILED = "failed"
    LATE = "late"
    DAMAGED = "damaged"
    DRILL = "drill"
    PARTIAL = "partial"
    INTERRUPTED = "interrupted"
    SIZE = "size"
    SLOW = "slow"
    VERIFICATION = "verification"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that somebody should know, in sentences without the id of the backup, and what to do next.

    ``level`` is FAILED, LATE or WARNING. Messages of runs are in ``text``: it may have several lines.
    """

    kind: NoticeKind
    level: Level
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class TargetStanding:
    """One target. ``last_good`` is the run of the newest good copy there; ``usage`` is None where none was measured."""

    target: Target
    last_good: RunPoint | None
    usage: Usage | None
    is_late: bool

    @property
    def name(self) -> str:
        return str(self.target)


@dataclass(frozen=True, slots=True)
class Standing:
    """One backup. ``backup`` is None where it is no longer in the configuration: its copies stay, nothing runs.

    ``deadline`` is when it is late unless good copies are there by then, None where nothing is due; it lies in the past
    where it is late. ``last_ended`` is the newest run that has ended and was not skipped. ``is_scheduled`` says whether
    ``main.py`` has put it into the schedule. ``usual_duration`` is how long its good runs take, and ``notices`` what
    somebody should know, the worst first.
    """

    backup_id: str
    backup: Backup | None
    last: Run | None
    last_good: Run | None
    next_run: datetime | None
    checks: LastChecks
    last_ended: Run | None = None
    is_scheduled: bool = False
    targets: tuple[TargetStanding, ...] = ()
    late: tuple[Late, ...] = ()
    deadline: datetime | None = None
    sizes: Sizes = field(default_factory=Sizes)
    usual_duration: timedelta | None = None
    notices: tuple[Notice, ...] = ()
    level: Level = Level.GOOD

    @property
    def late_since(self) -> datetime | None:
        """Since when the first of its targets is late; None where none is."""
        return min((late.since for late in self.late), default=None)

    @property
    def concerns(self) -> list[Check]:
        """The checks that somebody should know of: each copy that was found damaged and not found well since, the
        newest drill unless it passed, and the newest verification where it could not be done."""
        concerns = list(self.checks.damaged)
        verified, drilled = self.checks.last.get(CheckKind.VERIFY), self.checks.last.get(CheckKind.DRILL)
        if verified is not None and verified.outcome is CheckOutcome.NOT_DONE:
            concerns.append(verified)
        if drilled is not None and drilled.outcome is not CheckOutcome.PASSED:
            concerns.append(drilled)
        return concerns
