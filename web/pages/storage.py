"""The pages of what is stored, what is next, and the configuration."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby

from fastapi import APIRouter, Request
from fastapi.responses import Response

from schedules.times import local_zone
from utils import utc_now
from web.api.configuration import configuration_document
from web.api.schedule import ScheduleEntry, schedule
from web.api.storage import storage_report
from web.charts.series import bar
from web.pages.addresses import address
from web.pages.kept import kept_page
from web.pages.overview import PageNumber
from web.security.access import Viewer
from web.services import ServicesOf

router = APIRouter(include_in_schema=False)

_BACKUPS = 50
_ENTRIES = 100
_WEEK = timedelta(days=7)
_FAR_ENTRIES = 10


@router.get("/storage")
def storage_page(request: Request, who: Viewer, services: ServicesOf, page_number: PageNumber = 1) -> Response:
    """How much of each storage is used, and by which backup."""
    view = services.snapshot.view

    def context() -> dict[str, object]:
        first = (page_number - 1) * _BACKUPS
        report = storage_report(view, first, _BACKUPS)
        largest = storage_report(view, 0, 1).backups if first else report.backups[:1]
        return {
            "report": report,
            "storage_bars": {each.storage: bar(each.size / (report.size or 1), "storage") for each in report.storages},
            "backup_bars": {each.backup: bar(each.size / (largest[0].size or 1), "backup") for each in report.backups},
            "newer": address("/storage", page_number=page_number - 1) if page_number > 1 else None,
            "older": address("/storage", page_number=page_number + 1) if first + _BACKUPS < report.total else None,
        }

    return kept_page(request, services, who, "storage.html", view.version, context)


@router.get("/schedule")
def schedule_page(request: Request, who: Viewer, services: ServicesOf) -> Response:
    """What is due next."""
    view, now = services.snapshot.view, utc_now()

    def day_of(entry: ScheduleEntry) -> object:
        return entry.at.astimezone(local_zone()).date()

    def context() -> dict[str, object]:
        entries = schedule(view, now, _ENTRIES).entries
        entries = [entry for entry in entries if entry.at <= now + _WEEK] or entries[:_FAR_ENTRIES]
        return {"days": [(day, list(each)) for day, each in groupby(entries, day_of)]}

    this_minute = now.replace(second=0, microsecond=0)
    return kept_page(request, services, who, "schedule.html", (view.version, this_minute), context)


@router.get("/config")
def config_page(request: Request, who: Viewer, services: ServicesOf) -> Response:
    """The configuration, without secrets, and what is wrong with it."""
    document = configuration_document(services)

    def context() -> dict[str, object]:
        marked = {
            problem.line: "bad" if problem.severity == "error" else "warn"
            for problem in sorted(document.problems, key=lambda problem: problem.severity, reverse=True)
            if problem.file == document.path
        }
        return {"configuration": document, "marked": marked}

    version = (tuple(document.lines), tuple(each.model_dump_json() for each in document.problems))
    return kept_page(request, services, who, "config.html", version, context)
