"""What was started from the dashboard, and what became of it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from web.api.actions import Id, JobDocument, job_details, job_list
from web.pages.templating import page
from web.security.access import Viewer
from web.services import ServicesOf

router = APIRouter(include_in_schema=False)

_CLASSES = {
    "running": "live",
    "good": "good",
    "partial": "warn",
    "cancelled": "warn",
    "not started": "warn",
    "failed": "bad",
}


def _job_class(job: JobDocument) -> str:
    """As style.css names it."""
    return _CLASSES[job.outcome]


@router.get("/jobs")
def jobs(request: Request, who: Viewer, services: ServicesOf) -> Response:
    """All that are known."""
    return page(request, "jobs.html", jobs=job_list(services).jobs, job_class=_job_class)


@router.get("/jobs/{job_id}")
def job(request: Request, who: Viewer, services: ServicesOf, job_id: Id) -> Response:
    """One of them, with what it wrote."""
    return page(request, "job.html", job=job_details(services, job_id), job_class=_job_class)
