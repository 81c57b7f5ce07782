"""The SQL of the checks: each function is the work of one transaction, and can be done again where it failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from catalog.queries import make_known, shallow, storable, touch
from catalog.schema import backups, checks
from model import Check, CheckKind, CheckOutcome

# What stays of each backup and kind: see Catalog.record_check. Hourly checks are 200 in eight days, and hourly copies
# are 5,000 in seven months.
NEWEST_KEPT = 200
COPIES_KEPT = 5_000

# The copy was restored well: being old is no fault of it.
_GOOD = (CheckOutcome.PASSED, CheckOutcome.STALE)


@dataclass(frozen=True, slots=True)
class LastChecks:
    """How far a backup is proven. The newest is the one that began last."""

    verified: Check | None = None
    """The newest verification that passed."""
    proven: Check | None = None
    """The newest drill that restored a copy well; its outcome may be STALE."""
    last: dict[CheckKind, Check] = field(default_factory=dict)
    """The newest check of each kind, however it ended."""
    damaged: tuple[Check, ...] = ()
    """For each copy that the newest verification of it found damaged, and none found well since, that verification.
    Oldest first."""


def record_check(connection: sa.Connection, check: Check) -> None:
    make_known(connection, [check.backup_id])
    texts = {"kind": check.kind.value, "outcome": check.outcome.value, "message": storable(check.message)}
    connection.execute(checks.insert().values({**shallow(check), **texts}))
    connection.execute(checks.delete().where(checks.c.id.in_(_superfluous(check.backup_id, check.kind))))
    touch(connection, [check.backup_id])


def forget_checks(connection: sa.Connection, backup_id: str, target: str, present: Collection[str]) -> None:
    of_target = (checks.c.backup_id == backup_id) & (checks.c.target == target)
    known = set(connection.scalars(sa.select(checks.c.copy).where(of_target).distinct()))
    gone = known - set(present)
    if not gone:
        return
    last = last_checks(connection, [backup_id])[backup_id]
    proofs = [check.id for check in (last.verified, last.proven) if check is not None]
    connection.execute(checks.delete().where(of_target, checks.c.copy.in_(gone), checks.c.id.not_in(proofs)))
    touch(connection, [backup_id])


def last_checks(connection: sa.Connection, backup_ids: Sequence[str]) -> dict[str, LastChecks]:
    ids = sa.select(backups.c.id).where(backups.c.id.in_(backup_ids)).cte()
    newest = [
        _newest(ids, kind, outcome)
        for kind, outcome in (
            (CheckKind.VERIFY, None),
            (CheckKind.DRILL, None),
            (CheckKind.VERIFY, CheckOutcome.PASSED),
            (CheckKind.DRILL, CheckOutcome.PASSED),
            (CheckKind.DRILL, CheckOutcome.STALE),
        )
    ]
    found: dict[str, list[Check]] = {backup_id: [] for backup_id in backup_ids}
    for check in _load(connection, checks.c.id.in_(sa.union_all(*newest))):
        found[check.backup_id].append(check)
    damaged: dict[str, list[Check]] = {}
    for check in _load(connection, checks.c.backup_id.in_(sa.select(ids.c.id)), _shows_damage()):
        damaged.setdefault(check.backup_id, []).append(check)
    return {
        backup_id: LastChecks(
            verified=_newest_of(of_backup, CheckKind.VERIFY, (CheckOutcome.PASSED,)),
            proven=_newest_of(of_backup, CheckKind.DRILL, _GOOD),
            last={check.kind: check for check in of_backup},
            damaged=tuple(damaged.get(backup_id, ())),
        )
        for backup_id, of_backup in found.items()
    }


def last_verified(connection: sa.Connection, backup_id: str) -> dict[tuple[str, str], datetime]:
    question = sa.select(checks.c.target, checks.c.copy, sa.func.max(checks.c.started))
    found_well = (checks.c.backup_id == backup_id) & checks.c.outcome.in_(_GOOD)
    rows = connection.execute(question.where(found_well).group_by(checks.c.target, checks.c.copy))
    return {(target, copy): started for target, copy, started in rows}


def _newest_of(oldest_first: Iterable[Check], kind: CheckKind, outcomes: Collection[CheckOutcome]) -> Check | None:
    found = [check for check in oldest_first if check.kind is kind and check.outcome in outcomes]
    return found[-1] if found else None


def _newest(ids: sa.CTE, kind: CheckKind, outcome: CheckOutcome | None) -> sa.Select[str]:
    """For each of these backups, the id of the newest such check: one look into an index each."""
    newest = sa.select(checks.c.id).where(checks.c.backup_id == ids.c.id, checks.c.kind == kind)
    if outcome is not None:
        newest = newest.where(checks.c.outcome == outcome)
    newest = newest.order_by(checks.c.started.desc(), checks.c.id.desc()).limit(1)
    return sa.select(newest.correlate(ids).scalar_subquery()).select_from(ids)


def _shows_damage() -> sa.ColumnElement[bool]:
    """A verification that failed, where nothing newer is known of the copy.

    That a drill failed says more of the backup than of this copy, and the next drill takes another one: it is told by
    ``LastChecks.last``.
    """
    newer = checks.alias()
    refuted = sa.exists().where(
        newer.c.backup_id == checks.c.backup_id,
        newer.c.target == checks.c.target,
        newer.c.copy == checks.c.copy,
        sa.tuple_(newer.c.started, newer.c.id) > sa.tuple_(checks.c.started, checks.c.id),
        newer.c.outcome.in_(_GOOD) | ((newer.c.kind == CheckKind.VERIFY) & (newer.c.outcome == CheckOutcome.FAILED)),
    )
    return (checks.c.kind == CheckKind.VERIFY) & (checks.c.outcome == CheckOutcome.FAILED) & ~refuted


def _superfluous(backup_id: str, kind: CheckKind) -> sa.Select[str]:
    newest_first = (checks.c.started.desc(), checks.c.id.desc())
    rank = sa.func.row_number()
    of_copy = [checks.c.outcome, checks.c.target, checks.c.copy]
    ranked = (
        sa.select(
            checks.c.id,
            checks.c.outcome,
            rank.over(order_by=newest_first).label("rank"),
            rank.over(order_by=newest_first, partition_by=checks.c.outcome).label("rank_of_outcome"),
            rank.over(order_by=newest_first, partition_by=of_copy).label("rank_of_copy"),
        )
        .where(checks.c.backup_id == backup_id, checks.c.kind == kind)
        .subquery()
    )
    says_what_is_known_of_a_copy = (
        (ranked.c.rank <= COPIES_KEPT) & (ranked.c.rank_of_copy == 1) & (ranked.c.outcome != CheckOutcome.NOT_DONE)
    )
    return sa.select(ranked.c.id).where(
        ranked.c.rank > NEWEST_KEPT, ranked.c.rank_of_outcome > 1, ~says_what_is_known_of_a_copy
    )


def _load(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Check]:
    """Oldest first."""
    question = sa.select(checks).where(*conditions).order_by(checks.c.started, checks.c.id)
    return [
        Check(
            id=row.id,
            backup_id=row.backup_id,
            kind=CheckKind(row.kind),
            copy=row.copy,
            target=row.target,
            started=row.started,
            ended=row.ended,
            outcome=CheckOutcome(row.outcome),
            message=row.message,
        )
        for row in connection.execute(question)
    ]
