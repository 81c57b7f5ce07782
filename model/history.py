"""What a run leaves behind: stored objects, archives, copies, runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta


class RunStatus(enum.StrEnum):
    """How a run stands. ``INTERRUPTED`` is a signal, a kill or a power cut: nothing of it counts.

    ``SKIPPED`` is a run whose BEFORE said "not this time", and a copy that its target did not take because of ``ONLY``.
    """

    RUNNING = "running"
    GOOD = "good"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"


INTERRUPTED_BY_SIGNAL = "It was interrupted. "
"""How the message of a run begins that a signal ended, in place of a kill."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it lies on a storage. ``sha256`` (hex) is None where the storage knows none."""

    key: str
    size: int
    modified: datetime
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """The one ZIP that a run makes, and the index beside it."""

    name: str
    started: datetime
    size: int
    sha256: str
    file_count: int
    content_size: int


@dataclass(frozen=True, slots=True)
class Copy:
    """An archive as it lies, or failed to lie, on one target. ``error`` is set where it failed."""

    storage: str
    key: str
    status: RunStatus
    size: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of one backup. ``slot`` is the scheduled time that it fulfils; None where a person started it."""

    id: str
    backup_id: str
    started: datetime
    slot: datetime | None = None
    ended: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    message: str = ""
    archive: Archive | None = None
    copies: tuple[Copy, ...] = ()

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None while it is under way."""
        return self.ended - self.started if self.ended is not None else None


@dataclass(frozen=True, slots=True)
class RunPoint:
    """What a chart or a calendar needs of a run. Sizes are bytes, None where no archive was made."""

    id: str
    started: datetime
    ended: datetime | None
    status: RunStatus
    archive_size: int | None = None
    content_size: int | None = None
    file_count: int | None = None

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None while it is under way."""
        return self.ended - self.started if self.ended is not None else None


@dataclass(frozen=True, slots=True)
class Usage:
    """What lies on one target (``str`` of a Target) of a backup: ``size`` is bytes, of archives and all beside them."""

    backup_id: str
    target: str
    copies: int
    size: int
    measured: datetime


class CheckKind(enum.StrEnum):
    """How a copy was tried: read back (``VERIFY``), or restored for real (``DRILL``)."""

    VERIFY = "verify"
    DRILL = "drill"


class CheckOutcome(enum.StrEnum):
    """``FAILED`` is a fault of the copy. ``NOT_DONE`` is one of the check itself, and says nothing of the copy.

    ``STALE`` is a copy that was restored well, but that is older than the intervals of its backup allow.
    """

    PASSED = "passed"
    FAILED = "failed"
    NOT_DONE = "could not be done"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Check:
    """One copy that was verified or drilled. ``copy`` is when it was made (``20261120T030000Z``) and ``target`` where
    it lies (``str`` of a Target); ``message`` says what was found.
    """

    id: str
    backup_id: str
    kind: CheckKind
    copy: str
    target: str
    started: datetime
    ended: datetime
    outcome: CheckOutcome
    message: str = ""
