"""The first page: all backups."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from web.pages.templating import page
from web.security.access import Viewer
from web.services import ServicesOf

router = APIRouter(include_in_schema=False)


@router.get("/")
def overview(request: Request, who: Viewer, services: ServicesOf) -> Response:
    """How everything stands."""
    return page(request, "overview.html", backups=services.configured.current().backups)
