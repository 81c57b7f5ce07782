"""How a backup stands, in one word: whoever shows or tells it takes it from here. Pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from model import RunStatus

if TYPE_CHECKING:
    from operations.status.standing import Standing


class Level(enum.StrEnum):
    """From the worst to the best, so that the first one that fits is the one.

    ``FAILED`` is a last run that failed, a damaged copy or a drill that failed. ``LATE`` is as in
    :mod:`operations.status.deadlines`. ``WARNING`` is all else that somebody should look at. ``RUNNING`` is a run under
    way where nothing of this is the case. ``NEVER_RUN`` has no good run yet. Disabled and
    orphaned backups are never late.
    """

    FAILED = "failed"
    LATE = "late"
    WARNING = "warning"
    RUNNING = "running"
    GOOD = "good"
    NEVER_RUN = "never run"
    DISABLED = "disabled"
    ORPHANED = "orphaned"


WORST_FIRST = tuple(Level)


def level_of(standing: Standing) -> Level:
    """The level of a standing, from its notices and its last runs. What it says of its own level is not asked for."""
    if standing.backup is None:
        return Level.ORPHANED
    if not standing.backup.enabled:
        return Level.DISABLED
    if standing.notices:
        return min((notice.level for notice in standing.notices), key=WORST_FIRST.index)
    if standing.last is not None and standing.last.status is RunStatus.RUNNING:
        return Level.RUNNING
    return Level.GOOD if standing.last_good is not None else Level.NEVER_RUN
