"""Targets that take only one copy for each hour, day, week, month or year: ``ONLY``."""

from __future__ import annotations

from datetime import datetime

from model import RunStatus, Target
from operations.copies.stored_copies import copies_on
from operations.retention.periods import is_wanted
from schedules.times import machine_zone
from storages.storage import Storage


def takes(target: Target, backup_id: str, storage: Storage, started: datetime) -> bool:
    """Whether the copy of a run that began then goes to a target: not where that has a good one of the same period.

    Periods begin when they do on this machine, whoever asks. Raises StorageError where the copies there cannot be
    listed.
    """
    only = target.only
    if only is None:
        return True
    zone = machine_zone()
    copies = copies_on(target, backup_id, storage, made_at=lambda moment: not is_wanted(only, started, [moment], zone))
    return not any(
        copy.manifest is not None and copy.manifest.status is RunStatus.GOOD and copy.damage is None for copy in copies
    )


def why_left_out(target: Target) -> str:
    """What is said of a target that does not take the copy of a run."""
    return f"{target}: left out, as it has its copy of this {target.only} already"
