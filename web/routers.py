"""All routes of the dashboard. A new router is added here, and nowhere else."""

from __future__ import annotations

from fastapi import APIRouter

from web.api import actions, backups, configuration, description, health, live, metrics, runs, schedule, storage
from web.api import overview as overview_api
from web.pages import overview, sign_in, static

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    description.router,
    metrics.router,
    overview_api.router,
    backups.router,
    runs.router,
    schedule.router,
    storage.router,
    configuration.router,
    sign_in.router,
    static.router,
    overview.router,
    live.router,
    actions.router,
)
