"""The page of one backup: how it stands, a year of it, its targets, its runs and its checks."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from model import RunStatus
from operations.activities import activities
from schedules.times import local_zone
from utils import format_duration, format_size, utc_now
from web.api.backups import HistoryPoint, document, find_state, history_points
from web.api.runs import Before, runs_of_backup
from web.charts.calendar import year
from web.charts.series import Point, Unit, chart
from web.charts.svg import joined
from web.pages.addresses import address
from web.pages.kept import kept_page
from web.security.access import Viewer
from web.services import Services, ServicesOf
from web.snapshot import BackupState, View

router = APIRouter(include_in_schema=False)

_RUNS = 25
_DURATION = Unit(format_duration, (1.0, 60.0, 3600.0))
_SIZE = Unit(format_size)
_QUIET = (RunStatus.RUNNING, RunStatus.SKIPPED)


@router.get("/backups/{project}/{name}")
def backup_page(
    request: Request, who: Viewer, services: ServicesOf, project: str, name: str, before: Before = None
) -> Response:
    """One backup."""
    view = services.snapshot.view
    state = find_state(view, project, name)
    backup_id = state.standing.backup_id
    now = utc_now()
    running = [each for each in activities(view.configuration.state_directory) if each.backup_id == backup_id]

    def context() -> dict[str, object]:
        runs = runs_of_backup(services, backup_id, _RUNS, before)
        here = f"/backups/{backup_id}"
        return {
            "backup": document(state, now),
            "activities": running,
            "calendar": year(state.days, view.today, f"the runs of {backup_id}", f"backup={backup_id}"),
            "charts": _charts(services, view, state, now),
            "runs": runs.runs,
            "here": here,
            "newest": here if before is not None else None,
            "older": address(here, before=runs.next_before.isoformat()) if runs.next_before else None,
        }

    this_minute = now.replace(second=0, microsecond=0)
    version = (view.today, view.version, this_minute, tuple(running))
    return kept_page(request, services, who, "backup.html", version, context)


def _charts(services: Services, view: View, state: BackupState, now: datetime) -> Markup:
    """They are drawn again where a run was recorded, and each day."""
    backup_id = state.standing.backup_id

    def make() -> Markup:
        points = history_points(services, backup_id)
        sizes = [_point(each, each.archive_size) for each in points if each.status not in _QUIET]
        durations = [_point(each, each.duration) for each in points if each.status not in _QUIET]
        return joined(
            (
                chart(sizes, "Size of the archives", _SIZE, local_zone(), now),
                chart(durations, "Duration of the runs", _DURATION, local_zone(), now),
            )
        )

    return services.fragments.get(("charts", backup_id), (view.today, state.version), make)


def _point(each: HistoryPoint, value: float | None) -> Point:
    """Without a value where the run made nothing that counts: how long a failure took says nothing."""
    has_failed = each.status in (RunStatus.FAILED, RunStatus.INTERRUPTED)
    began = each.started.astimezone(local_zone())
    return Point(each.started, None if has_failed else value, f"{began:%Y-%m-%d %H:%M}: {each.status.value}")
