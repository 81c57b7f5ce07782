"""Run by Alembic, on the connection that catalog.database hands over: in a transaction, holding the migration lock."""

from __future__ import annotations

from alembic import context

from catalog.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
