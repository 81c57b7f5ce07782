"""What a process of ours is doing at this moment, for whoever watches from another process."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class ActivityKind(enum.StrEnum):
    BACKUP = "backup"
    VERIFY = "verify"
    DRILL = "drill"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """``sent`` of ``size`` bytes of a waiting archive are on their way to a target (``str`` of a Target)."""

    target: str
    sent: int
    size: int


@dataclass(frozen=True, slots=True)
class Activity:
    """A run, a verification, a drill or a restore that is under way.

    ``id`` is that of the run (of a Run, where it is a backup). ``process`` is its number, and ``process_started`` when
    the kernel says that it began (field 22 of proc(5)'s stat): together they name one process for ever, in its
    ``place``, which is this boot of this machine, and the container. ``expected_size`` is about how many bytes are to
    come, None where nobody can tell. ``log`` is the path of its log below ``<state>/logs``, ``""`` where it has none.
    ``waiting_until`` is set while nothing is done before the next try.
    """

    id: str
    kind: ActivityKind
    backup_id: str
    started: datetime
    process: int
    process_started: int
    updated: datetime
    files: int = 0
    size: int = 0
    expected_size: int | None = None
    path: str = ""
    uploads: tuple[UploadProgress, ...] = ()
    log: str = ""
    waiting_until: datetime | None = None
    place: str = ""
