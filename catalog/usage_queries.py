"""The SQL of the space in use: each function is the work of one transaction, and can be done again where it failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from catalog.queries import make_known, shallow, touch
from catalog.schema import usage
from model import Usage


def record_usage(connection: sa.Connection, measured: Sequence[Usage]) -> None:
    backup_ids = {each.backup_id for each in measured}
    make_known(connection, backup_ids)
    for each in sorted(measured, key=lambda each: (each.backup_id, each.target)):
        of_target = (usage.c.backup_id == each.backup_id) & (usage.c.target == each.target)
        connection.execute(usage.delete().where(of_target))
        connection.execute(usage.insert().values(shallow(each)))
    touch(connection, backup_ids)


def last_usage(connection: sa.Connection, backup_ids: Collection[str]) -> dict[str, tuple[Usage, ...]]:
    question = sa.select(usage).where(usage.c.backup_id.in_(backup_ids)).order_by(usage.c.target)
    found: dict[str, list[Usage]] = defaultdict(list)
    for row in connection.execute(question):
        found[row.backup_id].append(Usage(row.backup_id, row.target, row.copies, row.size, row.measured))
    return {backup_id: tuple(found[backup_id]) for backup_id in backup_ids}
