"""What runs next: backups, verifications and drills, in the order of their times."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from model import ActivityKind, Backup
from schedules.times import next_runs
from utils import utc_now
from web.security.access import Viewer
from web.services import ServicesOf
from web.snapshot import View

router = APIRouter(prefix="/api/v1", tags=["schedule"])

MOST_ENTRIES = 200


class ScheduleEntry(BaseModel):
    """One time at which something is due."""

    at: datetime
    kind: ActivityKind
    backup: str


class Schedule(BaseModel):
    """What is due next, the nearest first."""

    entries: list[ScheduleEntry]


def schedule(view: View, now: datetime, limit: int) -> Schedule:
    """The next times of all enabled backups."""
    waiting: list[tuple[datetime, str, ActivityKind, tuple[str, ...]]] = []
    for state in view.states.values():
        backup, upcoming = state.standing.backup, state.standing.next_run
        if backup is None or not backup.enabled:
            continue
        if upcoming is not None and upcoming > now:  # known already: with many backups the rest costs a second
            waiting.append((upcoming, backup.id, ActivityKind.BACKUP, backup.intervals))
        else:
            _push(waiting, now, backup.id, ActivityKind.BACKUP, backup.intervals)
        for kind, intervals in _checks(backup):
            _push(waiting, now, backup.id, kind, intervals)
    heapq.heapify(waiting)
    entries: list[ScheduleEntry] = []
    while waiting and len(entries) < limit:
        at, backup_id, kind, intervals = heapq.heappop(waiting)
        entries.append(ScheduleEntry(at=at, kind=kind, backup=backup_id))
        _push(waiting, at, backup_id, kind, intervals)
    return Schedule(entries=entries)


def _push(
    waiting: list[tuple[datetime, str, ActivityKind, tuple[str, ...]]],
    after: datetime,
    backup_id: str,
    kind: ActivityKind,
    intervals: tuple[str, ...],
) -> None:
    for at in next_runs(intervals, after, 1):
        heapq.heappush(waiting, (at, backup_id, kind, intervals))


def _checks(backup: Backup) -> Sequence[tuple[ActivityKind, tuple[str, ...]]]:
    plan = backup.verify
    if plan is None:
        return ()
    drill = plan.drill.intervals if plan.drill is not None else ()
    found = ((ActivityKind.VERIFY, plan.intervals), (ActivityKind.DRILL, drill))
    return [(kind, intervals) for kind, intervals in found if intervals]


@router.get("/schedule")
def show_schedule(
    who: Viewer, services: ServicesOf, limit: Annotated[int, Query(ge=1, le=MOST_ENTRIES)] = 50
) -> Schedule:
    """What is due next, over all backups."""
    return schedule(services.snapshot.view, utc_now(), limit)
