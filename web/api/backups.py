"""Backups, for the API and the pages: how each stands, what it is, its history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from model import Check, CheckKind, CheckOutcome, RunStatus, Target
from operations.status.levels import Level
from operations.status.standing import NoticeKind
from schedules.times import next_runs
from utils import utc_now
from web.api.runs import Before, Limit, RunDocument, RunPage, run_document, runs_of_backup
from web.backup_words import keep_words, source_words
from web.charts.calendar import DayCode, Days
from web.security.access import Viewer
from web.security.problems import NotFoundProblem
from web.services import Services, ServicesOf
from web.snapshot import BackupState, View

router = APIRouter(prefix="/api/v1", tags=["backups"])

HISTORY_DAYS = 365
_NEXT_RUNS = 5


class CheckDocument(BaseModel):
    """A copy that was read back (``verify``) or restored for real (``drill``)."""

    kind: CheckKind
    copy_made: str = Field(description="Which copy: when it was made (`20261120T030000Z`).")
    target: str
    started: datetime
    ended: datetime
    outcome: CheckOutcome
    message: str


class NoticeDocument(BaseModel):
    """One thing that somebody should know, and what to do next."""

    kind: NoticeKind
    level: Level
    text: str
    advice: str = Field(description="Commands stand between backticks.")


class BackupSummary(BaseModel):
    """How one backup stands."""

    id: str = Field(description="`project/name`")
    project: str = Field(description="The name of the project, as it is written in the configuration.")
    name: str
    level: Level
    notices: list[NoticeDocument] = Field(description="Why somebody should look at it, the worst first.")
    late_since: datetime | None = Field(description="Since when a good copy is missing; null where none is.")
    last_run: RunDocument | None
    last_good_run: RunDocument | None
    last_proven: CheckDocument | None = Field(description="The newest drill that restored a copy well.")
    last_verified: CheckDocument | None = Field(description="The newest copy that was read back and found well.")
    next_run: datetime | None
    trend: str | None = Field(description="How its content grows.", examples=["+4 %/month"])
    stored: int | None = Field(description="What lies on its targets, in bytes; null where it was never measured.")


class BackupPage(BaseModel):
    """Some of all backups, in the order of the configuration."""

    total: int = Field(description="How many there are, on all pages.")
    backups: list[BackupSummary]


class TargetDocument(BaseModel):
    """One place where the archives go."""

    target: str
    storage_type: str
    keep: str = Field(description="Which copies stay.")
    only: str | None = Field(description="`month` where it takes one good copy a month, and so on.")
    copies: int | None
    size: int | None = Field(description="Bytes, as they were last measured.")
    measured: datetime | None
    last_good: datetime | None = Field(description="When the run of the newest good copy there began.")
    is_late: bool
    is_configured: bool


class BackupDocument(BackupSummary):
    """One backup with all that is known of it."""

    source: str = Field(description="What is read.")
    where: str = Field(description="On which machine.")
    intervals: list[str] = Field(description="Cron expressions.")
    encrypted: bool
    next_runs: list[datetime]
    targets: list[TargetDocument]
    last_checks: list[CheckDocument] = Field(description="The newest of each kind, however it ended.")
    damaged: list[CheckDocument] = Field(description="Copies that were found damaged, and not found well since.")


class HistoryPoint(BaseModel):
    """One run in a chart."""

    id: str
    started: datetime
    duration: float | None = Field(description="Seconds.")
    status: RunStatus
    archive_size: int | None
    content_size: int | None
    files: int | None


class DayDocument(BaseModel):
    """One day in a calendar."""

    day: date
    worst: str = Field(description="The worst outcome of the runs that began on it.")
    runs: int


class History(BaseModel):
    """The last year of a backup."""

    calendar: list[DayDocument] = Field(description="Days with a run, in the time zone of the dashboard's machine.")
    runs: list[HistoryPoint] = Field(description="Oldest first.")


def find_state(view: View, project: str, name: str) -> BackupState:
    """Raises NotFoundProblem."""
    state = view.states.get(f"{project}/{name}")
    if state is None:
        raise NotFoundProblem(f"There is no backup {project}/{name}.")
    return state


def summary(state: BackupState) -> BackupSummary:
    """How it stands."""
    return BackupSummary(**_summary_fields(state))


def document(state: BackupState, now: datetime) -> BackupDocument:
    """All that is known of it, but its history."""
    backup, checks = state.standing.backup, state.standing.checks
    return BackupDocument(
        **_summary_fields(state),
        source=source_words(backup) if backup else "",
        where=backup_place(state),
        intervals=list(backup.intervals) if backup else [],
        encrypted=backup is not None and backup.encryption is not None,
        next_runs=next_runs(backup.intervals, now, _NEXT_RUNS) if backup and backup.enabled else [],
        targets=_targets(state),
        last_checks=[check_document(check) for check in checks.last.values()],
        damaged=[check_document(check) for check in checks.damaged],
    )


def backup_place(state: BackupState) -> str:
    """The machine on which it is read."""
    backup = state.standing.backup
    if backup is None:
        return ""
    server = backup.ssh.address if backup.ssh else "this machine"
    return f"a container on {server}" if backup.docker else server


def check_document(check: Check) -> CheckDocument:
    return CheckDocument(
        kind=check.kind,
        copy_made=check.copy,
        target=check.target,
        started=check.started,
        ended=check.ended,
        outcome=check.outcome,
        message=check.message,
    )


def chosen(view: View, query: str, levels: Iterable[Level] | None) -> Sequence[BackupState]:
    """The backups whose id or project's name holds all words of the query, and whose level is one of these."""
    words = query.casefold().split()
    wanted = None if levels is None else set(levels)
    return [
        state
        for state in view.states.values()
        if all(word in f"{state.standing.backup_id} {state.project}".casefold() for word in words)
        and (wanted is None or state.level in wanted)
    ]


def history_points(services: Services, backup_id: str) -> list[HistoryPoint]:
    """The runs of the last year. Raises CatalogError."""
    since = utc_now() - timedelta(days=HISTORY_DAYS)
    return [
        HistoryPoint(
            id=point.id,
            started=point.started,
            duration=point.duration.total_seconds() if point.duration is not None else None,
            status=point.status,
            archive_size=point.archive_size,
            content_size=point.content_size,
            files=point.file_count,
        )
        for point in services.catalog.history(backup_id, since)
    ]


def _summary_fields(state: BackupState) -> dict[str, Any]:
    standing = state.standing
    proven, verified = standing.checks.proven, standing.checks.verified
    return {
        "id": standing.backup_id,
        "project": state.project,
        "name": standing.backup_id.partition("/")[2],
        "level": standing.level,
        "notices": [
            NoticeDocument(kind=notice.kind, level=notice.level, text=notice.text, advice=notice.advice)
            for notice in standing.notices
        ],
        "late_since": standing.late_since,
        "last_run": run_document(standing.last) if standing.last else None,
        "last_good_run": run_document(standing.last_good) if standing.last_good else None,
        "last_proven": check_document(proven) if proven else None,
        "last_verified": check_document(verified) if verified else None,
        "next_run": standing.next_run,
        "trend": str(standing.sizes.trend) if standing.sizes.trend else None,
        "stored": sum(usage.size for usage in state.usage) if state.usage else None,
    }


def _targets(state: BackupState) -> list[TargetDocument]:
    """Those of the configuration, then others on which copies still lie."""
    backup = state.standing.backup
    measured = {usage.target: usage for usage in state.usage}
    configured: dict[str, Target] = {str(target): target for target in backup.targets} if backup else {}
    stands = {each.name: each for each in state.standing.targets}
    found = []
    for name in [*configured, *(measured.keys() - configured.keys())]:
        target, usage = configured.get(name), measured.get(name)
        newest = stands[name].last_good if name in stands else None
        if target is None and usage is not None and not usage.size:
            continue
        found.append(
            TargetDocument(
                target=name,
                storage_type=target.storage.type.value if target else "",
                keep=keep_words(backup.keep_on(target)) if backup and target else "nothing is removed",
                only=target.only.value if target and target.only else None,
                copies=usage.copies if usage else None,
                size=usage.size if usage else None,
                measured=usage.measured if usage else None,
                last_good=newest.started if newest else None,
                is_late=name in stands and stands[name].is_late,
                is_configured=target is not None,
            )
        )
    return found


def _calendar(days: Days) -> list[DayDocument]:
    return [
        DayDocument(
            day=days.first + timedelta(days=position),
            worst=DayCode(code).name.lower(),
            runs=days.counts[position],
        )
        for position, code in enumerate(days.codes)
        if code
    ]


Words = Annotated[str, Query(max_length=200, description="Words that the id or the project's name must hold.")]


@router.get("/backups")
def list_backups(
    who: Viewer,
    services: ServicesOf,
    q: Words = "",
    level: Annotated[list[Level] | None, Query(description="Only those that stand so.")] = None,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> BackupPage:
    """How the backups stand, in the order of the configuration; those that are no longer in it come last."""
    found = chosen(services.snapshot.view, q, level)
    shown = found[offset : offset + limit]
    return BackupPage(total=len(found), backups=[summary(state) for state in shown])


@router.get("/backups/{project}/{name}")
def show_backup(who: Viewer, services: ServicesOf, project: str, name: str) -> BackupDocument:
    """One backup: how it stands, and what it is."""
    return document(find_state(services.snapshot.view, project, name), utc_now())


@router.get("/backups/{project}/{name}/runs")
def list_runs_of_backup(
    who: Viewer, services: ServicesOf, project: str, name: str, limit: Limit = 50, before: Before = None
) -> RunPage:
    """The newest runs of one backup."""
    state = find_state(services.snapshot.view, project, name)
    return runs_of_backup(services, state.standing.backup_id, limit, before)


@router.get("/backups/{project}/{name}/history")
def show_history(who: Viewer, services: ServicesOf, project: str, name: str) -> History:
    """The last year of one backup, for calendars and charts."""
    state = find_state(services.snapshot.view, project, name)
    return History(calendar=_calendar(state.days), runs=history_points(services, state.standing.backup_id))
