"""The copies that were verified or drilled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "checks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("backup_id", sa.Text, sa.ForeignKey("backups.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("copy", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("ended", _TIME, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("checks_by_start", "checks", ["backup_id", "kind", "started", "id"])
    op.create_index("checks_by_outcome", "checks", ["backup_id", "kind", "outcome", "started", "id"])
    op.create_index("checks_by_copy", "checks", ["backup_id", "target", "copy", "started", "id"])
