"""How a backup stands, in one word: whoever shows or tells it takes it from here."""

from __future__ import annotations

import enum


class Level(enum.StrEnum):
    """From the worst to the best, so that the first one that fits is the one.

    ``FAILED`` is a last run that failed, a damaged copy or a drill that failed. ``LATE`` is as in
    :mod:`operations.status.deadlines`. ``WARNING`` is all else that somebody should look at. ``RUNNING`` is a run under
    way where nothing of this is the case. Disabled and orphaned backups are never late.
    """

    FAILED = "failed"
    LATE = "late"
    WARNING = "warning"
    RUNNING = "running"
    GOOD = "good"
    NEVER_RUN = "never run"
    DISABLED = "disabled"
    ORPHANED = "orphaned"
