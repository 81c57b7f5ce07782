"""The SQL of the catalog: each function is the work of one transaction, and can be done again where it failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog.schema import archives, backups, copies, runs, schedules
from model import Archive, Check, Copy, Run, RunStatus, Usage
from utils import redact

_DEAD = "The run ended without a word: its process was killed, or the machine stopped."


@dataclass(frozen=True, slots=True)
class LastRuns:
    """The newest run of a backup, and the newest that was good."""

    last: Run | None
    last_good: Run | None


def make_known(connection: sa.Connection, backup_ids: Iterable[str]) -> None:
    """Have these backups among those that ever ran or were checked."""
    insert_missing(connection, backups, [{"id": backup_id} for backup_id in sorted(backup_ids)])


def touch(connection: sa.Connection, backup_ids: Iterable[str]) -> None:
    """Say that something of these backups changed: see ``Catalog.revisions``."""
    for backup_id in sorted(backup_ids):  # in one order, so that no two transactions wait for each other in a circle
        connection.execute(backups.update().where(backups.c.id == backup_id).values(revision=backups.c.revision + 1))


def begin_run(connection: sa.Connection, run: Run) -> None:
    make_known(connection, [run.backup_id])
    touch(connection, [run.backup_id])
    connection.execute(runs.insert().values(id=run.id, backup_id=run.backup_id, **_columns(run)))
    _insert_outcome(connection, run)


def finish_run(connection: sa.Connection, run: Run) -> None:
    if connection.execute(runs.update().where(runs.c.id == run.id).values(**_columns(run))).rowcount == 0:
        begin_run(connection, run)
        return
    touch(connection, [run.backup_id])
    for table in (archives, copies):
        connection.execute(table.delete().where(table.c.run_id == run.id))
    _insert_outcome(connection, run)


def record_found(connection: sa.Connection, found: Sequence[Run]) -> int:
    merged: dict[str, Run] = {}
    for run in sorted(found, key=lambda run: run.id):  # two that do this at once wait for each other in one order
        earlier = merged.get(run.id, run)
        merged[run.id] = replace(earlier, archive=earlier.archive or run.archive, copies=earlier.copies or run.copies)
    known, with_archive, with_copies = (
        set(connection.scalars(sa.select(column).where(column.in_(merged)).distinct()))
        for column in (runs.c.id, archives.c.run_id, copies.c.run_id)
    )
    new = [run for run in merged.values() if run.id not in known]
    make_known(connection, {run.backup_id for run in new})
    insert_missing(connection, runs, [{"id": run.id, "backup_id": run.backup_id, **_columns(run)} for run in new])
    without_archive = [run for run in merged.values() if run.id not in with_archive]
    insert_missing(connection, archives, [row for run in without_archive for row in _archive_rows(run)])
    without_copies = [run for run in merged.values() if run.id not in with_copies]
    insert_missing(connection, copies, [row for run in without_copies for row in _copy_rows(run)])
    completed = [run for run in without_archive if run.archive] + [run for run in without_copies if run.copies]
    touch(connection, {run.backup_id for run in [*new, *completed]})
    return len(new)


def mark_dead_runs(connection: sa.Connection, backup_id: str, now: datetime) -> list[Run]:
    running = (runs.c.backup_id == backup_id) & (runs.c.status == RunStatus.RUNNING.value)
    dead = [
        replace(run, status=RunStatus.INTERRUPTED, ended=now, message=_DEAD)
        for run in load_runs(connection, running, runs.c.started, runs.c.id)
    ]
    connection.execute(
        runs.update().where(running).values(status=RunStatus.INTERRUPTED.value, ended=now, message=_DEAD)
    )
    if dead:
        touch(connection, [backup_id])
    return dead


def last_runs(connection: sa.Connection, backup_ids: Sequence[str]) -> dict[str, LastRuns]:
    newest = sa.select(runs.c.id).where(runs.c.backup_id == backups.c.id).limit(1)
    newest = newest.order_by(runs.c.started.desc(), runs.c.id.desc())
    newest_good = newest.where(runs.c.status == RunStatus.GOOD.value)
    question = sa.select(backups.c.id, newest.scalar_subquery(), newest_good.scalar_subquery())
    ids = {row[0]: (row[1], row[2]) for row in connection.execute(question.where(backups.c.id.in_(backup_ids)))}
    wanted = {run_id for pair in ids.values() for run_id in pair if run_id is not None}
    found = {run.id: run for run in load_runs(connection, runs.c.id.in_(wanted))}
    return {
        backup_id: LastRuns(*(found.get(run_id) for run_id in ids.get(backup_id, (None, None))))
        for backup_id in backup_ids
    }


def newest_runs(connection: sa.Connection, backup_id: str, limit: int, before: datetime | None) -> list[Run]:
    of_backup = runs.c.backup_id == backup_id
    if before is not None:
        of_backup &= runs.c.started < before
    return load_runs(connection, of_backup, runs.c.started.desc(), runs.c.id.desc(), limit=limit)


def slot_runs(connection: sa.Connection, backup_id: str, slot: datetime) -> list[Run]:
    of_slot = (runs.c.backup_id == backup_id) & (runs.c.slot == slot)
    return load_runs(connection, of_slot, runs.c.started, runs.c.id)


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
        "message": storable(run.message),
    }


def _insert_outcome(connection: sa.Connection, run: Run) -> None:
    for table, rows in ((archives, _archive_rows(run)), (copies, _copy_rows(run))):
        if rows:
            connection.execute(table.insert(), rows)


def _archive_rows(run: Run) -> list[dict[str, Any]]:
    return [] if run.archive is None else [{"run_id": run.id, **shallow(run.archive)}]


def _copy_rows(run: Run) -> list[dict[str, Any]]:
    return [
        {
            **shallow(copy),
            "run_id": run.id,
            "position": position,
            "status": copy.status.value,
            "error": None if copy.error is None else storable(copy.error),
        }
        for position, copy in enumerate(run.copies)
    ]


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert these rows, but for those whose key is there already, be it that another process was quicker."""
    if not rows:
        return
    # Both databases know ON CONFLICT DO NOTHING, but SQLAlchemy has a construct for each. Its dialect has loaded it.
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        connection.execute(sqlite_insert(table).on_conflict_do_nothing(), rows)
    else:
        from sqlalchemy.dialects.postgresql import insert

        connection.execute(insert(table).on_conflict_do_nothing(), rows)


def shallow(value: Archive | Check | Copy | Usage) -> dict[str, Any]:
    """Its fields by their names. ``asdict`` copies each of them, and of ten thousand runs that takes a second."""
    return {each.name: getattr(value, each.name) for each in fields(value)}


def storable(text: str) -> str:
    """Without secrets, and without what PostgreSQL (NUL) or UTF-8 (lone surrogates of file names) cannot hold."""
    return redact(text).replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def load_runs(
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
