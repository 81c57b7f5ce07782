"""The tables of the catalog as they are now. ``catalog/migrations`` leads there from every earlier version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

# The newest of the migrations. A database that says the same is used as it is, without importing Alembic.
HEAD_REVISION = "0003"


class UtcDateTime(TypeDecorator[datetime]):
    """A time with its zone. SQLite has no zones: there it is UTC, written so that people can read it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        # What SQLAlchemy would do with the text of SQLite takes six times as long, and there are many times.
        return _from_sqlite if dialect.name == "sqlite" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value is not None else None


def _from_sqlite(value: str | None) -> datetime | None:
    return datetime.fromisoformat(f"{value}+00:00") if value is not None else None


metadata = MetaData()

# Every backup that ever ran or was checked, so that asking for them does not read a million runs.
# ``revision`` grows by one with each transaction that records something of the backup.
backups = Table(
    "backups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False, server_default="0"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("backup_id", Text, ForeignKey("backups.id"), nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("slot", UtcDateTime),
    Column("ended", UtcDateTime),
    Column("status", Text, nullable=False),
    Column("message", Text, nullable=False),
    # One index for each question: the last run, the last good or running one, those of a slot.
    # They end in the id because that decides between two runs that started in the same microsecond.
    Index("runs_by_start", "backup_id", "started", "id"),
    Index("runs_by_status", "backup_id", "status", "started", "id"),
    Index("runs_by_slot", "backup_id", "slot"),
    # Those of all backups: of one day, or the newest.
    Index("runs_by_time", "started", "id"),
)

archives = Table(
    "archives",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("file_count", BigInteger, nullable=False),
    Column("content_size", BigInteger, nullable=False),
)

copies = Table(
    "copies",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("storage", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("error", Text),
)

checks = Table(
    "checks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("backup_id", Text, ForeignKey("backups.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("copy", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("message", Text, nullable=False),
    # The newest of a kind, the newest that passed, and what is known of one copy.
    Index("checks_by_start", "backup_id", "kind", "started", "id"),
    Index("checks_by_outcome", "backup_id", "kind", "outcome", "started", "id"),
    Index("checks_by_copy", "backup_id", "target", "copy", "started", "id"),
)

# What lies on a target of a backup, as it was last measured there.
usage = Table(
    "usage",
    metadata,
    Column("backup_id", Text, ForeignKey("backups.id"), primary_key=True),
    Column("target", Text, primary_key=True),
    Column("copies", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("measured", UtcDateTime, nullable=False),
)

# ``since`` is when these intervals were first seen: a slot before it was never missed.
schedules = Table(
    "schedules",
    metadata,
    Column("backup_id", Text, primary_key=True),
    Column("intervals", JSON, nullable=False),
    Column("since", UtcDateTime, nullable=False),
)
