"""All routes of the dashboard. A new router is added here, and nowhere else."""

from __future__ import annotations

from fastapi import APIRouter

from web.api import description, health, metrics
from web.pages import overview, sign_in, static

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    description.router,
    metrics.router,
    sign_in.router,
    static.router,
    overview.router,
)
