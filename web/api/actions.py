"""Acting: run, verify, drill, restore, cancel; and the jobs that come of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from errors import HoldfastError
from model import ActivityKind, Backup, Target
from operations.activities import activities, cancel
from web.jobs import Job, JobOutcome
from web.security.access import Operator, Viewer
from web.security.principal import Principal
from web.security.problems import ConflictProblem, NotFoundProblem, Problem
from web.services import Services, ServicesOf

router = APIRouter(prefix="/api/v1", tags=["actions"])

_SHOWN_JOBS = 100

# Clocks of the job and of its run are the same one; a run is named by whole seconds.
_SECOND = timedelta(seconds=1)

Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Timestamp = Annotated[
    str, Field(pattern="^[0-9]{8}T[0-9]{6}Z$", description="When the copy was made.", examples=["20261120T030000Z"])
]
TargetText = Annotated[
    str, Field(max_length=4096, description="The storage and the path in it.", examples=["S3:backups/shop"])
]
MemberPath = Annotated[str, Field(min_length=1, max_length=4096, pattern="^[^\\x00]+$")]


class VerifyRequest(BaseModel):
    """Which copy is read back. By default the newest good one, on each of its targets."""

    model_config = ConfigDict(extra="forbid")
    timestamp: Timestamp | None = None
    target: TargetText | None = None


class RestoreRequest(BaseModel):
    """What is restored, and the name of the new folder for it, below the one that DASHBOARD says."""

    model_config = ConfigDict(extra="forbid")
    timestamp: Timestamp
    target: TargetText
    paths: list[MemberPath] = Field(
        default_factory=list, max_length=500, description="Files and folders of the copy; all where there are none."
    )
    folder_name: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Letters, digits, `.`, `_` and `-`, 100 at most. There must be no such folder yet.",
        examples=["shop-2026-11-20"],
    )


class JobDocument(BaseModel):
    """Something that was started here, and what became of it."""

    id: str
    kind: ActivityKind
    backup: str
    who: str = Field(description="Who started it.")
    started: datetime
    ended: datetime | None
    outcome: JobOutcome = Field(description="`not started`: the same was running already.")
    exit_code: int | None = Field(description="Null while it runs.")
    copy_time: str = Field(description="The copy that was asked for; nothing where it is the newest.")
    folder: str = Field(description="Where it restores to; nothing for anything else.")


class JobDetails(JobDocument):
    """With what it does now, and what it wrote."""

    activity: str | None = Field(description="The id of the activity, while it is under way.")
    run: str | None = Field(description="The id of the run, once there is one.")
    output: str


class JobList(BaseModel):
    """Newest first."""

    jobs: list[JobDocument]


class Cancelled(BaseModel):
    """It was asked to end, and puts everything right before it does."""

    id: str
    kind: ActivityKind
    backup: str


def job_document(job: Job) -> JobDocument:
    """One job."""
    return JobDocument(
        id=job.id,
        kind=job.kind,
        backup=job.backup_id,
        who=job.who,
        started=job.started,
        ended=job.ended,
        outcome=job.outcome,
        exit_code=job.exit_code,
        copy_time=job.copy,
        folder=job.folder,
    )


def job_details(services: Services, job_id: str) -> JobDetails:
    """Raises NotFoundProblem, CatalogError."""
    job = services.jobs.find(job_id)
    if job is None:
        raise NotFoundProblem("Nothing is known of this job, or no longer: only the newest are kept.")
    activity = services.jobs.activity_of(job)
    is_backup = activity is not None and activity.kind is ActivityKind.BACKUP
    return JobDetails(
        **job_document(job).model_dump(),
        activity=activity.id if activity is not None else None,
        run=activity.id if activity is not None and is_backup else _run_of(services, job),
        output=services.jobs.output(job),
    )


def job_list(services: Services) -> JobList:
    """Those that are known, newest first."""
    return JobList(jobs=[job_document(job) for job in services.jobs.all()[:_SHOWN_JOBS]])


def _run_of(services: Services, job: Job) -> str | None:
    """The run of a backup that began while this job held its lock: there is no other."""
    if job.kind is not ActivityKind.BACKUP or job.exit_code is None or job.outcome is JobOutcome.NOT_STARTED:
        return None
    for run in services.catalog.runs(job.backup_id, 20):
        if job.started - _SECOND <= run.started and (job.ended is None or run.started <= job.ended):
            return run.id
    return None


# --- what is under way ------------------------------------------------------------------------------------------


@router.get("/jobs")
def list_jobs(who: Viewer, services: ServicesOf) -> JobList:
    """What was started from the dashboard, newest first."""
    return job_list(services)


@router.get("/jobs/{job_id}")
def show_job(who: Viewer, services: ServicesOf, job_id: Id) -> JobDetails:
    """One of them, with what it wrote."""
    return job_details(services, job_id)


@router.post("/activities/{activity_id}/cancel", status_code=HTTPStatus.ACCEPTED)
def cancel_activity(who: Operator, services: ServicesOf, activity_id: Id) -> Cancelled:
    """Ask a run, a verification, a drill or a restore to end. It leaves nothing half done."""
    running = activities(services.configured.current().state_directory)
    activity = next((each for each in running if each.id == activity_id), None)
    if activity is None:
        raise NotFoundProblem("This is not under way, or no longer.")
    what = f"{activity.kind.value} {activity.backup_id}"
    try:
        is_asked = cancel(activity)
    except HoldfastError as error:
        services.audit.record(who, "cancel", what, f"refused: {error}")
        raise ConflictProblem(str(error)) from None
    services.audit.record(who, "cancel", what, "asked to end" if is_asked else "it had ended")
    if not is_asked:
        raise NotFoundProblem("It has just ended.")
    return Cancelled(id=activity.id, kind=activity.kind, backup=activity.backup_id)


# --- starting ---------------------------------------------------------------------------------------------------


@router.post("/backups/{project}/{name}/run", status_code=HTTPStatus.ACCEPTED)
def run(who: Operator, services: ServicesOf, response: Response, project: str, name: str) -> JobDocument:
    """Run a backup now."""
    backup = _backup(services, project, name)
    if not backup.enabled:
        raise ConflictProblem(f"{backup.id} is disabled: it, or its project, says ENABLED: false in config.yaml.")
    return _started(services, who, response, "run", backup, lambda: services.jobs.back_up(backup, who.name))


@router.post("/backups/{project}/{name}/verify", status_code=HTTPStatus.ACCEPTED)
def verify(
    who: Operator,
    services: ServicesOf,
    response: Response,
    project: str,
    name: str,
    wanted: VerifyRequest | None = None,
) -> JobDocument:
    """Read a copy back, and check every byte."""
    backup = _backup(services, project, name)
    wanted = wanted or VerifyRequest()
    target = _target(backup, wanted.target) if wanted.target is not None else None
    return _started(
        services,
        who,
        response,
        "verify",
        backup,
        lambda: services.jobs.verify(backup, who.name, wanted.timestamp, target),
    )


@router.post("/backups/{project}/{name}/drill", status_code=HTTPStatus.ACCEPTED)
def drill(who: Operator, services: ServicesOf, response: Response, project: str, name: str) -> JobDocument:
    """Restore the newest good copy for real, compare it, and remove it again."""
    backup = _backup(services, project, name)
    return _started(services, who, response, "drill", backup, lambda: services.jobs.drill(backup, who.name))


@router.post("/backups/{project}/{name}/restore", status_code=HTTPStatus.ACCEPTED)
def restore(
    who: Operator, services: ServicesOf, response: Response, project: str, name: str, wanted: RestoreRequest
) -> JobDocument:
    """Restore files, or the dumps of databases, into a new folder on the machine of the dashboard.

    Nothing is overwritten. A database is put back into a server with `restore.py`.
    """
    backup = _backup(services, project, name)
    target = _target(backup, wanted.target)
    return _started(
        services,
        who,
        response,
        "restore",
        backup,
        lambda: services.jobs.restore(backup, who.name, wanted.timestamp, target, wanted.paths, wanted.folder_name),
    )


def _started(
    services: Services, who: Principal, response: Response, action: str, backup: Backup, start: Callable[[], Job]
) -> JobDocument:
    """Raises Problem, HoldfastError."""
    try:
        job = start()
    except (Problem, HoldfastError) as error:
        services.audit.record(who, action, backup.id, f"refused: {error}")
        raise
    into = f" into {job.folder}" if job.folder else ""
    services.audit.record(who, action, f"{backup.id}@{job.copy}" if job.copy else backup.id, f"started{into}")
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return job_document(job)


def _backup(services: Services, project: str, name: str) -> Backup:
    """Raises NotFoundProblem."""
    wanted = f"{project}/{name}"
    backup = services.configured.current().find(wanted)
    if backup is None:
        raise NotFoundProblem(f"There is no backup {wanted} in the configuration.")
    return backup


def _target(backup: Backup, text: str) -> Target:
    """Raises Problem."""
    target = next((each for each in backup.targets if str(each) == text), None)
    if target is None:
        known = ", ".join(str(each) for each in backup.targets)
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{backup.id} has no target {text!r}. Its targets: {known}.")
    return target
