"""The pages of runs: the newest of all backups, those of a day, and one with its progress, its copies and its log."""

from __future__ import annotations

from datetime import date, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from model import RunStatus
from operations.activities import activities
from web.api.runs import Before, RunId, find_run, log_piece, recent_runs, run_document, runs_of_day
from web.pages.addresses import address
from web.pages.kept import kept_page
from web.pages.templating import page
from web.security.access import Viewer
from web.services import ServicesOf

router = APIRouter(include_in_schema=False)

_RUNS = 50
_RUNS_OF_A_DAY = 100
_WARNINGS = 50
_WARNING_LEVELS = ("WARNING", "ERROR", "CRITICAL")


@router.get("/runs")
def runs_page(request: Request, who: Viewer, services: ServicesOf, before: Before = None) -> Response:
    """The newest runs of all backups."""
    view = services.snapshot.view
    running = activities(view.configuration.state_directory) if before is None else []

    def context() -> dict[str, object]:
        found = recent_runs(services, _RUNS, before)
        return {
            "activities": running,
            "runs": found.runs,
            "newest": "/runs" if before is not None else None,
            "older": address("/runs", before=found.next_before.isoformat()) if found.next_before else None,
        }

    return kept_page(request, services, who, "runs.html", (view.version, tuple(running)), context)


@router.get("/runs/{run_id}")
def run_page(request: Request, who: Viewer, services: ServicesOf, run_id: RunId) -> Response:
    """One run; while it is under way the page follows it."""
    run = find_run(services, run_id)
    log = log_piece(services, run, None)
    activity = None
    if run.status is RunStatus.RUNNING:
        state = services.configured.current().state_directory
        activity = next((each for each in activities(state) if each.id == run.id), None)
    warnings = [line for line in log.lines if line.level in _WARNING_LEVELS]
    return page(
        request,
        "run.html",
        run=run_document(run),
        project=run.backup_id.partition("/")[0],
        activity=activity,
        log=log,
        warnings=warnings[:_WARNINGS],
        more_warnings=max(len(warnings) - _WARNINGS, 0),
    )


@router.get("/days/{day}")
def day_page(
    request: Request,
    who: Viewer,
    services: ServicesOf,
    day: date,
    backup: str | None = None,
    project: str | None = None,
    before: Before = None,
) -> Response:
    """The runs that began on one day."""
    view = services.snapshot.view

    def context() -> dict[str, object]:
        found = runs_of_day(services, day, backup, project, _RUNS_OF_A_DAY, before)
        chosen = {"backup": backup, "project": None if backup else project}
        here = f"/days/{day}"
        return {
            "day": day,
            "backup": backup,
            "project": project,
            "runs": found.runs,
            "previous": address(f"/days/{day - timedelta(days=1)}", **chosen) if day > date.min else None,
            "following": address(f"/days/{day + timedelta(days=1)}", **chosen) if day < view.today else None,
            "newest": address(here, **chosen) if before is not None else None,
            "older": address(here, **chosen, before=found.next_before.isoformat()) if found.next_before else None,
        }

    return kept_page(request, services, who, "day.html", view.version, context)
