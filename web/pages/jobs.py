"""What was started from the dashboard, and what became of it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from operations.activities import activities
from web.api.actions import Id, JobDocument, job_details, job_list
from web.jobs import JobOutcome
from web.pages.templating import page
from web.security.access import Viewer
from web.services import ServicesOf

router = APIRouter(include_in_schema=False)

# In the words that badges know.
_BADGES = {JobOutcome.CANCELLED: "interrupted", JobOutcome.NOT_STARTED: "skipped"}


def _badge_word(job: JobDocument) -> str:
    return _BADGES.get(job.outcome, job.outcome.value)


@router.get("/jobs")
def jobs(request: Request, who: Viewer, services: ServicesOf) -> Response:
    """All that are known."""
    return page(request, "jobs.html", jobs=job_list(services).jobs, badge_word=_badge_word)


@router.get("/jobs/{job_id}")
def job(request: Request, who: Viewer, services: ServicesOf, job_id: Id) -> Response:
    """One of them, with what it wrote."""
    shown = job_details(services, job_id)
    running = activities(services.configured.current().state_directory)
    activity = next((each for each in running if each.id == shown.activity), None)
    return page(request, "job.html", job=shown, activity=activity, badge_word=_badge_word)
