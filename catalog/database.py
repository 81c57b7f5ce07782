"""Transactions on the database that holds the catalog, whichever it is, and the migrations of its tables.

Errors of the driver and of SQLAlchemy become CatalogError here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from catalog.schema import HEAD_REVISION
from errors import CatalogError

Result = TypeVar("Result")

_MIGRATIONS = Path(__file__).parent / "migrations"


class Database(ABC):
    """A database with the tables of ``catalog.schema``. Safe in many processes at once.

    Each transaction has a connection of its own, because hours pass between the first and the last one of a run.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)

    def read(self, work: Callable[[sa.Connection], Result]) -> Result:
        """What ``work`` returns; all that it reads is of one moment. Raises CatalogError."""
        return self._transaction(self._engine, work)

    def write(self, work: Callable[[sa.Connection], Result]) -> Result:
        """What ``work`` returns; all that it writes is durable, or nothing of it is there. Raises CatalogError."""
        return self._transaction(self._writer, work)

    def migrate(self) -> None:
        """Bring the tables to the newest version, where they are not. Raises CatalogError."""
        if self._transaction(self._engine, _revision) == HEAD_REVISION:
            return
        with self._migration_lock():
            self._transaction(self._writer, _migrate)

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def _transaction(self, engine: sa.Engine, work: Callable[[sa.Connection], Result]) -> Result:
        try:
            with engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise self._translated(error) from error

    @abstractmethod
    def _migration_lock(self) -> AbstractContextManager[None]:
        """Held by one process at a time while it migrates. Raises CatalogError."""

    @abstractmethod
    def _translated(self, error: SQLAlchemyError) -> CatalogError:
        """The sentence for the user."""


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def _migrate(connection: sa.Connection) -> None:
    if _revision(connection) == HEAD_REVISION:  # another process was quicker
        return
    # Alembic takes a quarter of a second to import, and almost no run needs it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise CatalogError(
            f"The catalog was made by a newer version of Holdfast: {error}. Use that version, or a later one."
        ) from error
