"""What whoever shows the catalog asks: which backups changed, the runs of all backups by time, the space in use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("backups", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("runs_by_time", "runs", ["started", "id"])
    op.create_table(
        "usage",
        sa.Column("backup_id", sa.Text, sa.ForeignKey("backups.id"), primary_key=True),
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("copies", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("measured", _TIME, nullable=False),
    )
