"""The SQL of how backups stand, for a thousand of them at once: the work of one transaction, and can be repeated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog.check_queries import LastChecks, last_checks
from catalog.history_queries import POINT_COLUMNS, run_point
from catalog.queries import LastRuns, last_runs, load_runs, schedule_since
from catalog.schema import archives, backups, copies, runs
from catalog.usage_queries import last_usage
from model import Run, RunPoint, RunStatus, Usage

# Good runs of each backup: the newest, and some of the time before ``earlier``.
NEWEST_GOOD = 36
EARLIER_GOOD = 5


@dataclass(frozen=True, slots=True)
class StandingFacts:
    """What the catalog knows of how one backup stands.

    ``last_ended`` is the newest run that has ended and was not skipped. ``newest`` has the newest run of each status.
    ``good`` has the newest good runs, and some of a month earlier, oldest
    first. ``copies`` has for each storage and folder on it the run of the newest good copy there.
    """

    last: Run | None = None
    last_good: Run | None = None
    last_ended: Run | None = None
    newest: Mapping[RunStatus, RunPoint] = field(default_factory=dict)
    good: tuple[RunPoint, ...] = ()
    copies: Mapping[tuple[str, str], RunPoint] = field(default_factory=dict)
    checks: LastChecks = field(default_factory=LastChecks)
    usage: tuple[Usage, ...] = ()
    scheduled_since: datetime | None = None


def standing_facts(
    connection: sa.Connection,
    folders: Mapping[str, Sequence[tuple[str, str]]],
    until: datetime,
    earlier: datetime,
) -> dict[str, StandingFacts]:
    ids = list(folders)
    last = last_runs(connection, ids)
    newest = _newest_of_each_status(connection, ids, until)
    good = _good_runs(connection, ids, until, NEWEST_GOOD)
    good_earlier = _good_runs(connection, ids, earlier, EARLIER_GOOD)
    ended = _last_ended(connection, newest, last)
    checks, usage, since = last_checks(connection, ids), last_usage(connection, ids), schedule_since(connection)
    return {
        backup_id: StandingFacts(
            last=last[backup_id].last,
            last_good=last[backup_id].last_good,
            last_ended=ended.get(backup_id),
            newest=newest[backup_id],
            good=_merged(good_earlier[backup_id], good[backup_id]),
            copies=_last_copies(
                connection, backup_id, folders[backup_id], newest[backup_id], last[backup_id].last_good, until
            ),
            checks=checks[backup_id],
            usage=usage[backup_id],
            scheduled_since=since.get(backup_id),
        )
        for backup_id in ids
    }


def _newest_of_each_status(
    connection: sa.Connection, ids: Sequence[str], until: datetime
) -> dict[str, dict[RunStatus, RunPoint]]:
    """One look into an index for each."""
    newest = [
        sa.select(runs.c.id)
        .where(runs.c.backup_id == backups.c.id, runs.c.status == status.value, runs.c.started <= until)
        .order_by(runs.c.started.desc(), runs.c.id.desc())
        .limit(1)
        .scalar_subquery()
        for status in RunStatus
    ]
    rows = connection.execute(sa.select(*newest).where(backups.c.id.in_(ids)))
    run_ids = [run_id for row in rows for run_id in row if run_id is not None]
    found: dict[str, dict[RunStatus, RunPoint]] = defaultdict(dict)
    for backup_id, point in _points(connection, runs.c.id.in_(run_ids)):
        found[backup_id][point.status] = point
    return found


def _last_ended(
    connection: sa.Connection, newest: Mapping[str, Mapping[RunStatus, RunPoint]], last: Mapping[str, LastRuns]
) -> dict[str, Run]:
    """For each backup; mostly it is the last run, which is here already."""
    wanted = {}
    for backup_id, of_status in newest.items():
        ended = [run for run in of_status.values() if run.status not in (RunStatus.RUNNING, RunStatus.SKIPPED)]
        if ended:
            wanted[backup_id] = max(ended, key=lambda run: (run.started, run.id)).id
    known = {run.id: run for each in last.values() for run in (each.last, each.last_good) if run is not None}
    missing = [run_id for run_id in wanted.values() if run_id not in known]
    if missing:
        known |= {run.id: run for run in load_runs(connection, runs.c.id.in_(missing))}
    return {backup_id: known[run_id] for backup_id, run_id in wanted.items()}


def _good_runs(connection: sa.Connection, ids: Sequence[str], until: datetime, count: int) -> dict[str, list[RunPoint]]:
    """The newest ``count`` of each backup that began by then, oldest first: one stretch of an index for each."""
    theirs = runs.alias()
    stretch = (
        sa.select(theirs.c.started)
        .where(theirs.c.backup_id == backups.c.id, theirs.c.status == RunStatus.GOOD.value, theirs.c.started <= until)
        .order_by(theirs.c.started.desc(), theirs.c.id.desc())
        .limit(count)
        .correlate(backups)
        .subquery()
    )
    found: dict[str, list[RunPoint]] = defaultdict(list)
    condition = (
        backups.c.id.in_(ids)
        & (runs.c.status == RunStatus.GOOD.value)
        & (runs.c.started <= until)
        & (runs.c.started >= sa.select(sa.func.min(stretch.c.started)).scalar_subquery())
    )
    for backup_id, point in _points(connection, condition, of_backups=True):
        found[backup_id].append(point)
    for points in found.values():  # sorted by the database it would be one pile of all backups
        points.sort(key=lambda run: (run.started, run.id))
    return found


def _points(
    connection: sa.Connection, condition: sa.ColumnElement[bool], *, of_backups: bool = False
) -> Iterator[tuple[str, RunPoint]]:
    """The id of the backup, and the run, in no order. With ``of_backups`` the condition may speak of those, too."""
    source: sa.FromClause = runs.outerjoin(archives, archives.c.run_id == runs.c.id)
    if of_backups:
        source = source.join(backups, backups.c.id == runs.c.backup_id)
    question = sa.select(*POINT_COLUMNS, runs.c.backup_id).select_from(source).where(condition)
    for row in connection.execute(question).all():
        yield row[-1], run_point(row)


def _merged(earlier: Iterable[RunPoint], newest: Sequence[RunPoint]) -> tuple[RunPoint, ...]:
    known = {run.id for run in newest}
    return (*(run for run in earlier if run.id not in known), *newest)


def _last_copies(
    connection: sa.Connection,
    backup_id: str,
    folders: Sequence[tuple[str, str]],
    newest: Mapping[RunStatus, RunPoint],
    last_good: Run | None,
    until: datetime,
) -> dict[tuple[str, str], RunPoint]:
    """The newest good copies. Mostly all of them are of the last good run, which is here already; one that failed since
    then may have left a newer one on some target."""
    good = newest.get(RunStatus.GOOD)
    is_newest = good is not None and all(
        run.started < good.started for run in newest.values() if run.status not in (RunStatus.GOOD, RunStatus.RUNNING)
    )
    found: dict[tuple[str, str], RunPoint] = {}
    for storage, folder in folders:
        point: RunPoint | None
        if (
            is_newest
            and good is not None
            and last_good is not None
            and good.id == last_good.id
            and any(
                copy.storage == storage and copy.key.startswith(folder) and copy.status is RunStatus.GOOD
                for copy in last_good.copies
            )
        ):
            point = good
        else:
            point = _last_copy(connection, backup_id, storage, folder, until)
        if point is not None:
            found[storage, folder] = point
    return found


_LAST_COPY: sa.Select[Any] = (
    sa.select(*POINT_COLUMNS)
    .select_from(runs.join(copies, copies.c.run_id == runs.c.id).outerjoin(archives, archives.c.run_id == runs.c.id))
    .where(
        runs.c.backup_id == sa.bindparam("backup_id"),
        runs.c.started <= sa.bindparam("until"),
        copies.c.storage == sa.bindparam("storage"),
        copies.c.status == RunStatus.GOOD.value,
        sa.func.substr(copies.c.key, 1, sa.bindparam("length", type_=sa.Integer)) == sa.bindparam("folder"),
    )
    .order_by(runs.c.started.desc(), runs.c.id.desc())
    .limit(1)
)


def _last_copy(
    connection: sa.Connection, backup_id: str, storage: str, folder: str, until: datetime
) -> RunPoint | None:
    """Runs are looked at from the newest on, until one has left a good copy there."""
    values = {"backup_id": backup_id, "until": until, "storage": storage, "folder": folder, "length": len(folder)}
    row = connection.execute(_LAST_COPY, values).first()
    return run_point(row) if row is not None else None
