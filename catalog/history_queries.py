"""The SQL of histories, for whoever draws or pages through them: each function is the work of one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog.queries import load_runs
from catalog.schema import archives, backups, runs
from model import Run, RunPoint, RunStatus

_STATUSES = {status.value: status for status in RunStatus}


def revisions(connection: sa.Connection) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(sa.select(backups.c.id, backups.c.revision))}


def run_by_id(connection: sa.Connection, run_id: str) -> Run | None:
    found = load_runs(connection, runs.c.id == run_id)
    return found[0] if found else None


def runs_of_all(
    connection: sa.Connection,
    since: datetime | None,
    before: datetime | None,
    limit: int,
    backup_ids: Collection[str] | None,
) -> list[Run]:
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
    if backup_ids is not None:
        conditions.append(runs.c.backup_id.in_(backup_ids))
    if since is not None:
        conditions.append(runs.c.started >= since)
    if before is not None:
        conditions.append(runs.c.started < before)
    return load_runs(connection, sa.and_(*conditions), runs.c.started.desc(), runs.c.id.desc(), limit=limit)


POINT_COLUMNS: tuple[sa.ColumnElement[Any], ...] = (
    runs.c.id,
    runs.c.started,
    runs.c.ended,
    runs.c.status,
    archives.c.size,
    archives.c.content_size,
    archives.c.file_count,
)


def run_point(row: Sequence[Any]) -> RunPoint:
    """Of a row that begins with POINT_COLUMNS."""
    return RunPoint(row[0], row[1], row[2], _STATUSES[row[3]], row[4], row[5], row[6])


def history(connection: sa.Connection, backup_id: str, since: datetime) -> list[RunPoint]:
    question = (
        sa.select(*POINT_COLUMNS)
        .select_from(runs.outerjoin(archives, archives.c.run_id == runs.c.id))
        .where(runs.c.backup_id == backup_id, runs.c.started >= since)
        .order_by(runs.c.started, runs.c.id)
    )
    return [run_point(row) for row in connection.execute(question)]


def outcomes(connection: sa.Connection, backup_id: str, since: datetime) -> list[tuple[datetime, RunStatus]]:
    # Naming the statuses makes this a question that the index runs_by_status answers alone: a sixth of the time.
    statuses = [status.value for status in RunStatus]
    chosen = (runs.c.backup_id == backup_id) & runs.c.status.in_(statuses) & (runs.c.started >= since)
    rows = connection.execute(sa.select(runs.c.started, runs.c.status).where(chosen)).all()  # by itself, row by row
    return [(started, _STATUSES[status]) for started, status in rows]
