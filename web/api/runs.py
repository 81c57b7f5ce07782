"""Runs, for the API and the pages: of all backups, of one, of a day, and the log of each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from pydantic import AfterValidator, BaseModel, Field

from model import Run, RunStatus
from operations.running.log_lines import LogLine, read_lines
from schedules.times import local_zone
from utils import format_timestamp
from web.security.access import Viewer
from web.security.problems import NotFoundProblem
from web.services import Services, ServicesOf

router = APIRouter(prefix="/api/v1", tags=["runs"])

MOST_RUNS = 200
_LOG_PIECE = 65_536


class RunCopy(BaseModel):
    """The archive on one target."""

    storage: str
    key: str = Field(description="Where it lies in the storage.")
    status: RunStatus
    size: int = Field(description="Bytes.")
    error: str | None = Field(description="What went wrong; null where nothing did.")


class RunDocument(BaseModel):
    """One execution of one backup."""

    id: str
    backup: str
    status: RunStatus
    started: datetime
    ended: datetime | None
    duration: float | None = Field(description="Seconds; null while it runs.")
    slot: datetime | None = Field(description="The scheduled time that it fulfils; null where a person started it.")
    message: str = Field(description="What is to be said of it; nothing of one that is simply good.")
    archive: str | None = Field(description="The name of the archive, where one was made.")
    archive_size: int | None = Field(description="Bytes.")
    content_size: int | None = Field(description="Bytes, before they were packed.")
    files: int | None
    sha256: str | None
    copies: list[RunCopy]


class RunPage(BaseModel):
    """Some runs, newest first."""

    runs: list[RunDocument]
    next_before: datetime | None = Field(description="``before`` of the next, older page; null where there is none.")


class LogLineDocument(BaseModel):
    """One event."""

    time: datetime | None
    level: str = Field(description="``INFO``, ``WARNING``, ``ERROR`` …; nothing where the line is torn.")
    message: str


class LogPiece(BaseModel):
    """A part of a log. To follow it, ask again with ``offset=next_offset``."""

    offset: int = Field(description="Where this part begins, in bytes.")
    next_offset: int = Field(description="Where the next one begins.")
    size: int = Field(description="Of the whole log at this moment, in bytes.")
    lines: list[LogLineDocument]


def run_document(run: Run) -> RunDocument:
    """A run as the API says it."""
    archive = run.archive
    return RunDocument(
        id=run.id,
        backup=run.backup_id,
        status=run.status,
        started=run.started,
        ended=run.ended,
        duration=run.duration.total_seconds() if run.duration is not None else None,
        slot=run.slot,
        message=run.message,
        archive=archive.name if archive else None,
        archive_size=archive.size if archive else None,
        content_size=archive.content_size if archive else None,
        files=archive.file_count if archive else None,
        sha256=archive.sha256 if archive else None,
        copies=[
            RunCopy(storage=copy.storage, key=copy.key, status=copy.status, size=copy.size, error=copy.error)
            for copy in run.copies
        ],
    )


def find_run(services: Services, run_id: str) -> Run:
    """Raises NotFoundProblem, CatalogError."""
    run = services.catalog.run(run_id)
    if run is None:
        raise NotFoundProblem
    return run


def run_page(runs: Sequence[Run], limit: int) -> RunPage:
    """Of one more run than fit on a page, where there are more."""
    shown = runs[:limit]
    next_before = shown[-1].started if len(runs) > limit else None
    return RunPage(runs=[run_document(run) for run in shown], next_before=next_before)


def recent_runs(services: Services, limit: int, before: datetime | None) -> RunPage:
    """Of all backups. Raises CatalogError."""
    return run_page(services.catalog.runs_of_all(limit + 1, before=before), limit)


def runs_of_backup(services: Services, backup_id: str, limit: int, before: datetime | None) -> RunPage:
    """Raises CatalogError."""
    return run_page(services.catalog.runs(backup_id, limit + 1, before=before), limit)


def runs_of_day(
    services: Services, day: date, backup: str | None, project: str | None, limit: int, before: datetime | None
) -> RunPage:
    """Those that began on a day in this machine's zone: all, or of a backup or a project. Raises CatalogError."""
    zone = local_zone()
    try:
        begin = datetime.combine(day, time(), zone)
        end = datetime.combine(day + timedelta(days=1), time(), zone)
    except OverflowError:
        raise NotFoundProblem from None
    view = services.snapshot.view
    ids: list[str] | None = None
    if backup is not None:
        ids = [backup] if backup in view.states else []
    elif project is not None:
        ids = [state.standing.backup_id for state in view.projects.get(project, ())]
    latest = min(end, before) if before is not None else end
    found = services.catalog.runs_of_all(limit + 1, since=begin, before=latest, backup_ids=ids)
    return run_page(found, limit)


def log_piece(services: Services, run: Run, offset: int | None) -> LogPiece:
    """Whole lines of the log from ``offset`` on, some 64 KiB at most; where it is None, the end of the log.

    A log that is not there any more, or not yet, is empty. Where a line is longer than that, it is cut.
    """
    try:
        descriptor = os.open(_log_path(services, run), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return LogPiece(offset=0, next_offset=0, size=0, lines=[])
    try:
        size = os.fstat(descriptor).st_size
        start = max(size - _LOG_PIECE, 0) if offset is None else min(offset, size)
        data = os.pread(descriptor, _LOG_PIECE, start)
    finally:
        os.close(descriptor)
    if offset is None and start:
        skipped = data.find(b"\n") + 1
        start, data = start + skipped, data[skipped:]
    whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == _LOG_PIECE else 0)
    text = data[:whole].decode("utf-8", "replace")
    lines = [log_line(line) for line in read_lines(text.splitlines())]
    return LogPiece(offset=start, next_offset=start + whole, size=size, lines=lines)


def _log_path(services: Services, run: Run) -> Path:
    """Raises FileNotFoundError where the id, which may come from a manifest, would lead elsewhere."""
    parts = run.backup_id.split("/")
    if len(parts) != 2 or {"", ".", ".."} & set(parts):
        raise FileNotFoundError
    logs = services.configured.current().state_directory / "logs"
    return logs.joinpath(*parts, f"{format_timestamp(run.started)}.log")


def log_line(line: LogLine) -> LogLineDocument:
    return LogLineDocument(time=line.time, level=line.level, message=line.message)


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("No calendar has this time.") from error


Limit = Annotated[int, Query(ge=1, le=MOST_RUNS, description="How many at most.")]
Before = Annotated[
    Annotated[datetime, AfterValidator(_utc)] | None, Query(description="Only what began earlier than this.")
]
RunId = Annotated[str, PathParameter(pattern="^[!-~]{1,64}$")]


@router.get("/runs")
def list_runs(who: Viewer, services: ServicesOf, limit: Limit = 50, before: Before = None) -> RunPage:
    """The newest runs of all backups."""
    return recent_runs(services, limit, before)


@router.get("/runs/{run_id}")
def show_run(who: Viewer, services: ServicesOf, run_id: RunId) -> RunDocument:
    """One run."""
    return run_document(find_run(services, run_id))


@router.get("/runs/{run_id}/log")
def show_log(
    who: Viewer,
    services: ServicesOf,
    run_id: RunId,
    offset: Annotated[
        int | None, Query(ge=0, le=1 << 40, description="From where; the end where it is left out.")
    ] = None,
) -> LogPiece:
    """A part of the log of a run, in whole lines."""
    return log_piece(services, find_run(services, run_id), offset)


@router.get("/days/{day}")
def show_day(
    who: Viewer,
    services: ServicesOf,
    day: date,
    backup: str | None = None,
    project: str | None = None,
    limit: Limit = 100,
    before: Before = None,
) -> RunPage:
    """The runs that began on a day in the time zone of the dashboard's machine."""
    return runs_of_day(services, day, backup, project, limit, before)
