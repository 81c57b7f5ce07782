"""How everything stands, in one answer: the first page, and whatever watches the dashboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from utils import format_count
from web.api.backups import BackupSummary, summary
from web.levels import NEEDS_ATTENTION, Level, level
from web.security.access import Viewer
from web.services import ServicesOf
from web.snapshot import BackupState, View

router = APIRouter(prefix="/api/v1", tags=["overview"])

MOST_CONCERNS = 20


class Overview(BaseModel):
    """The state of all backups together."""

    level: Level = Field(description="The worst of all.")
    headline: str = Field(examples=["All 12 backups are good"])
    is_whole: bool = Field(description="False for some seconds after the start, while the catalog is read.")
    version: int = Field(description="Another one after each change.")
    counts: dict[Level, int]
    concerns: list[BackupSummary] = Field(description=f"Those to look at, the worst first; {MOST_CONCERNS} at most.")
    projects: int
    runs_today: int = Field(description="Runs that began today, in the time zone of the dashboard's machine.")
    stored: int = Field(description="What lies on all targets, as it was last measured, in bytes.")
    next_run: datetime | None
    next_backup: str | None
    problem: str | None = Field(description="Why the catalog cannot be read, where it cannot.")


def overview(view: View) -> Overview:
    """Of the backups in this view."""
    levels = {backup_id: level(state.standing) for backup_id, state in view.states.items()}
    counts = Counter(levels.values())
    worst = next((each for each in (Level.BAD, Level.WARNING, Level.NEW) if counts[each]), Level.GOOD)
    upcoming = [(s.standing.next_run, s.standing.backup_id) for s in view.states.values() if s.standing.next_run]
    next_run, next_backup = min(upcoming, default=(None, None))
    return Overview(
        level=worst,
        headline=headline(view, counts),
        is_whole=view.is_whole,
        version=view.version,
        counts={each: counts[each] for each in Level},
        concerns=_concerns(view.states, levels),
        projects=len(view.projects),
        runs_today=sum(_runs_today(state, view) for state in view.states.values()),
        stored=sum(usage.size for state in view.states.values() for usage in state.usage),
        next_run=next_run,
        next_backup=next_backup,
        problem=view.problem,
    )


def headline(view: View, counts: Mapping[Level, int]) -> str:
    """One sentence without its full stop."""
    waited_for = sum(counts[each] for each in (*NEEDS_ATTENTION, Level.NEW, Level.GOOD))
    attention = sum(counts[each] for each in NEEDS_ATTENTION)
    if not view.states:
        return "There is no backup yet" if view.is_whole else "The catalog is being read"
    if attention:
        of = format_count(waited_for, "backup")
        return f"{attention:,} of {of} {'needs' if attention == 1 else 'need'} attention"
    if counts[Level.NEW]:
        if not counts[Level.GOOD]:
            return f"No backup has run yet: {format_count(counts[Level.NEW], 'backup')} will"
        are = "is" if counts[Level.GOOD] == 1 else "are"
        have = "has" if counts[Level.NEW] == 1 else "have"
        return f"{format_count(counts[Level.GOOD], 'backup')} {are} good, {counts[Level.NEW]:,} {have} not run yet"
    if not waited_for:
        return "No backup is scheduled"
    return "The backup is good" if waited_for == 1 else f"All {waited_for:,} backups are good"


def _concerns(states: Mapping[str, BackupState], levels: Mapping[str, Level]) -> list[BackupSummary]:
    worst_first = [backup_id for each in NEEDS_ATTENTION for backup_id, found in levels.items() if found is each]
    return [summary(states[backup_id]) for backup_id in worst_first[:MOST_CONCERNS]]


def _runs_today(state: BackupState, view: View) -> int:
    position = (view.today - state.days.first).days
    return state.days.counts[position] if 0 <= position < len(state.days.counts) else 0


@router.get("/overview")
def show_overview(who: Viewer, services: ServicesOf) -> Overview:
    """How everything stands."""
    return overview(services.snapshot.view)
