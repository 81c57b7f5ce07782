"""All routes of the dashboard. A new router is added here, and nowhere else."""

from __future__ import annotations

from fastapi import APIRouter

from web.api import actions, backups, configuration, copies, description, health, live, metrics, runs, schedule, storage
from web.api import overview as overview_api
from web.pages import backups as backup_pages
from web.pages import copies as copy_pages
from web.pages import jobs, overview, sign_in, static
from web.pages import runs as run_pages
from web.pages import storage as storage_pages

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    description.router,
    metrics.router,
    overview_api.router,
    backups.router,
    runs.router,
    copies.router,
    schedule.router,
    storage.router,
    configuration.router,
    sign_in.router,
    static.router,
    overview.router,
    live.router,
    actions.router,
    backup_pages.router,
    copy_pages.router,
    run_pages.router,
    storage_pages.router,
    jobs.router,
)
