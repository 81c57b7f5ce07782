"""How everything stands, in one answer: the first page, and whatever watches the dashboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import Response
from markupsafe import Markup
from pydantic import BaseModel, Field

from operations.status.levels import WORST_FIRST, Level
from utils import format_count
from web.api.backups import BackupSummary, summary
from web.security.access import Viewer
from web.services import ServicesOf
from web.snapshot import BackupState, View

router = APIRouter(prefix="/api/v1", tags=["overview"])

MOST_CONCERNS = 20
NEEDS_ATTENTION = (Level.FAILED, Level.LATE, Level.WARNING)


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
    counts = Counter(state.level for state in view.states.values())
    worst = next((each for each in (*NEEDS_ATTENTION, Level.NEVER_RUN) if counts[each]), Level.GOOD)
    upcoming = [(s.standing.next_run, s.standing.backup_id) for s in view.states.values() if s.standing.next_run]
    next_run, next_backup = min(upcoming, default=(None, None))
    return Overview(
        level=worst if view.is_whole else Level.NEVER_RUN,
        headline=headline(view, counts),
        is_whole=view.is_whole,
        version=view.version,
        counts={each: counts[each] for each in Level},
        concerns=_concerns(view),
        projects=len(view.projects),
        runs_today=sum(_runs_today(state, view) for state in view.states.values()),
        stored=sum(usage.size for state in view.states.values() for usage in state.usage),
        next_run=next_run,
        next_backup=next_backup,
        problem=view.problem,
    )


def headline(view: View, counts: Mapping[Level, int]) -> str:
    """One sentence without its full stop."""
    if not view.is_whole:
        return f"The catalog is being read: {format_count(len(view.states), 'backup')} so far"
    attention = sum(counts[each] for each in NEEDS_ATTENTION)
    good, new = counts[Level.GOOD] + counts[Level.RUNNING], counts[Level.NEVER_RUN]
    total = attention + good + new
    if not view.states:
        return "There is no backup yet"
    if not total:
        return "No backup is scheduled"
    if attention:
        return f"{attention:,} of {format_count(total, 'backup')} {'needs' if attention == 1 else 'need'} attention"
    if not new:
        return "The backup is good" if total == 1 else f"All {total:,} backups are good"
    have = f"{new:,} {'has' if new == 1 else 'have'} not run yet"
    if not good:
        return "The backup has not run yet" if new == 1 else f"The {new:,} backups have not run yet"
    return f"{format_count(good, 'backup')} {'is' if good == 1 else 'are'} good, {have}"


def _concerns(view: View) -> list[BackupSummary]:
    found = [state for state in view.states.values() if state.level in NEEDS_ATTENTION]
    worst_first = sorted(found, key=lambda state: WORST_FIRST.index(state.level))
    return [summary(state) for state in worst_first[:MOST_CONCERNS]]


def _runs_today(state: BackupState, view: View) -> int:
    position = (view.today - state.days.first).days
    return state.days.counts[position] if 0 <= position < len(state.days.counts) else 0


@router.get("/overview", response_model=Overview)
def show_overview(who: Viewer, services: ServicesOf) -> Response:
    """How everything stands."""
    view = services.snapshot.view
    text = services.fragments.get("overview", view.version, lambda: Markup(overview(view).model_dump_json()))  # noqa: S704
    return Response(text, media_type="application/json")
