"""The first tables: backups, runs, archives, copies, schedules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table("backups", sa.Column("id", sa.Text, primary_key=True))
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("backup_id", sa.Text, sa.ForeignKey("backups.id"), nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("slot", _TIME),
        sa.Column("ended", _TIME),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("runs_by_start", "runs", ["backup_id", "started", "id"])
    op.create_index("runs_by_status", "runs", ["backup_id", "status", "started", "id"])
    op.create_index("runs_by_slot", "runs", ["backup_id", "slot"])
    op.create_table(
        "archives",
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("file_count", sa.BigInteger, nullable=False),
        sa.Column("content_size", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "copies",
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("storage", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "schedules",
        sa.Column("backup_id", sa.Text, primary_key=True),
        sa.Column("intervals", sa.JSON, nullable=False),
        sa.Column("since", _TIME, nullable=False),
    )
