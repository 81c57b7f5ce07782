"""The SQL of the catalog: each function is the work of one transaction, and can be done again where it failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog.schema import archives, backups, copies, runs, schedules
from model import Archive, Copy, Run, RunStatus
from utils import redact

_DEAD = "The run ended without a word: its process was killed, or the machine stopped."


@dataclass(frozen=True, slots=True)
class LastRuns:
    """The newest run of a backup, and the newest that was good."""

    last: Run | None
    last_good: Run | None


def begin_run(connection: sa.Connection, run: Run) -> None:
    # A statement that SQLite and PostgreSQL both know, while SQLAlchemy has one construct for each.
    connection.execute(sa.text("INSERT INTO backups (id) VALUES (:id) ON CONFLICT DO NOTHING"), {"id": run.backup_id})
    connection.execute(runs.insert().values(id=run.id, backup_id=run.backup_id, **_columns(run)))
    _insert_outcome(connection, run)


def finish_run(connection: sa.Connection, run: Run) -> None:
    if connection.execute(runs.update().where(runs.c.id == run.id).values(**_columns(run))).rowcount == 0:
        begin_run(connection, run)
        return
    for table in (archives, copies):
        connection.execute(table.delete().where(table.c.run_id == run.id))
    _insert_outcome(connection, run)


def mark_dead_runs(connection: sa.Connection, backup_id: str, now: datetime) -> list[Run]:
    running = (runs.c.backup_id == backup_id) & (runs.c.status == RunStatus.RUNNING.value)
    dead = [
        replace(run, status=RunStatus.INTERRUPTED, ended=now, message=_DEAD)
        for run in _load(connection, running, runs.c.started, runs.c.id)
    ]
    connection.execute(
        runs.update().where(running).values(status=RunStatus.INTERRUPTED.value, ended=now, message=_DEAD)
    )
    return dead


def last_runs(connection: sa.Connection, backup_ids: Sequence[str]) -> dict[str, LastRuns]:
    newest = sa.select(runs.c.id).where(runs.c.backup_id == backups.c.id).limit(1)
    newest = newest.order_by(runs.c.started.desc(), runs.c.id.desc())
    newest_good = newest.where(runs.c.status == RunStatus.GOOD.value)
    question = sa.select(backups.c.id, newest.scalar_subquery(), newest_good.scalar_subquery())
    ids = {row[0]: (row[1], row[2]) for row in connection.execute(question.where(backups.c.id.in_(backup_ids)))}
    wanted = {run_id for pair in ids.values() for run_id in pair if run_id is not None}
    found = {run.id: run for run in _load(connection, runs.c.id.in_(wanted))}
    return {
        backup_id: LastRuns(*(found.get(run_id) for run_id in ids.get(backup_id, (None, None))))
        for backup_id in backup_ids
    }


def newest_runs(connection: sa.Connection, backup_id: str, limit: int) -> list[Run]:
    return _load(connection, runs.c.backup_id == backup_id, runs.c.started.desc(), runs.c.id.desc(), limit=limit)


def slot_runs(connection: sa.Connection, backup_id: str, slot: datetime) -> list[Run]:
    of_slot = (runs.c.backup_id == backup_id) & (runs.c.slot == slot)
    return _load(connection, of_slot, runs.c.started, runs.c.id)


def known_backup_ids(connection: sa.Connection) -> list[str]:
    return sorted(connection.scalars(sa.select(backups.c.id)))  # PostgreSQL would sort by its own locale


def record_schedule(
    connection: sa.Connection, intervals_by_backup: Mapping[str, tuple[str, ...]], now: datetime
) -> None:
    recorded = recorded_intervals(connection)
    outdated = [backup_id for backup_id in recorded if recorded[backup_id] != intervals_by_backup.get(backup_id)]
    fresh = [
        {"backup_id": backup_id, "intervals": list(intervals), "since": now}
        for backup_id, intervals in intervals_by_backup.items()
        if recorded.get(backup_id) != intervals
    ]
    if outdated:
        connection.execute(schedules.delete().where(schedules.c.backup_id.in_(outdated)))
    if fresh:
        connection.execute(schedules.insert(), fresh)


def recorded_intervals(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    rows = connection.execute(sa.select(schedules.c.backup_id, schedules.c.intervals))
    return {backup_id: tuple(intervals) for backup_id, intervals in rows}


def schedule_since(connection: sa.Connection) -> dict[str, datetime]:
    return {row[0]: row[1] for row in connection.execute(sa.select(schedules.c.backup_id, schedules.c.since))}


def _columns(run: Run) -> dict[str, Any]:
    return {
        "started": run.started,
        "slot": run.slot,
        "ended": run.ended,
        "status": run.status.value,
        "message": _storable(run.message),
    }


def _insert_outcome(connection: sa.Connection, run: Run) -> None:
    if run.archive is not None:
        connection.execute(archives.insert().values(run_id=run.id, **asdict(run.archive)))
    if run.copies:
        connection.execute(copies.insert(), [_copy_row(run.id, *item) for item in enumerate(run.copies)])


def _copy_row(run_id: str, position: int, copy: Copy) -> dict[str, Any]:
    error = None if copy.error is None else _storable(copy.error)
    return {**asdict(copy), "run_id": run_id, "position": position, "status": copy.status.value, "error": error}


def _storable(text: str) -> str:
    """Without secrets, and without what PostgreSQL (NUL) or UTF-8 (lone surrogates of file names) cannot hold."""
    return redact(text).replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _load(
    connection: sa.Connection,
    condition: sa.ColumnElement[bool],
    *order: sa.ColumnElement[Any],
    limit: int | None = None,
) -> list[Run]:
    question = sa.select(runs).where(condition).order_by(*order).limit(limit)
    rows = connection.execute(question).all()
    run_ids = [row.id for row in rows]
    archive_of = _archives(connection, run_ids)
    copies_of = _copies(connection, run_ids)
    return [
        Run(
            id=row.id,
            backup_id=row.backup_id,
            started=row.started,
            slot=row.slot,
            ended=row.ended,
            status=RunStatus(row.status),
            message=row.message,
            archive=archive_of.get(row.id),
            copies=tuple(copies_of[row.id]),
        )
        for row in rows
    ]


def _archives(connection: sa.Connection, run_ids: Iterable[str]) -> dict[str, Archive]:
    rows = connection.execute(sa.select(archives).where(archives.c.run_id.in_(run_ids)))
    return {
        row.run_id: Archive(row.name, row.started, row.size, row.sha256, row.file_count, row.content_size)
        for row in rows
    }


def _copies(connection: sa.Connection, run_ids: Iterable[str]) -> dict[str, list[Copy]]:
    rows = connection.execute(sa.select(copies).where(copies.c.run_id.in_(run_ids)).order_by(copies.c.position))
    copies_of: dict[str, list[Copy]] = defaultdict(list)
    for row in rows:
        copies_of[row.run_id].append(Copy(row.storage, row.key, RunStatus(row.status), row.size, row.error))
    return copies_of
