"""The catalog in a PostgreSQL database, where several machines share one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from catalog.database import Database
from errors import CatalogError
from model import Secret
from utils import redact, remember_secret

_CONNECT_TIMEOUT_SECONDS = 30

# Any number that no other program in the same database uses for pg_advisory_lock: "holdfast" in ASCII.
MIGRATION_LOCK = 0x686F6C6466617374


class PostgresqlDatabase(Database):
    """The database that ``postgresql://user:password@host:port/name`` names. It must exist; its tables need not."""

    def __init__(self, address: Secret) -> None:
        url = _parsed(address)
        # Without the password, and without the parameters: they can hold one too.
        self._place = sa.URL.create("postgresql", host=url.host, port=url.port, database=url.database)
        super().__init__(self._engine_for(url))

    def _engine_for(self, url: sa.URL) -> sa.Engine:
        try:
            return sa.create_engine(
                url.set(drivername="postgresql+psycopg2"),
                poolclass=sa.NullPool,
                executemany_mode="values_plus_batch",  # else ten thousand rows are ten thousand questions and answers
                connect_args={"connect_timeout": _CONNECT_TIMEOUT_SECONDS, "application_name": "holdfast"},
                hide_parameters=True,
            )
        except ModuleNotFoundError as error:
            raise CatalogError(
                f"The catalog {self._place} needs the Python package psycopg2-binary. Run "
                f"`pip install -r requirements.txt` in the virtual environment."
            ) from error

    @contextmanager
    def _migration_lock(self) -> Iterator[None]:
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise self._translated(error) from error
        with connection:  # the lock goes with its connection, however the process ends
            connection.execute(sa.select(sa.func.pg_advisory_lock(MIGRATION_LOCK)))
            yield

    def _translated(self, error: SQLAlchemyError) -> CatalogError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = " ".join(redact(str(cause)).split()).rstrip(".?")  # libpq writes several lines
        return CatalogError(
            f"The catalog {self._place} cannot be used: {reason}. Check CATALOG_URL, and that the server runs and lets "
            f"this user make tables."
        )


def _parsed(address: Secret) -> sa.URL:
    try:
        url = sa.make_url(address.reveal())
    except (ArgumentError, ValueError):  # not chained: its text can hold the password
        url = None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres"):
        raise CatalogError(
            "CATALOG_URL must look like postgresql://user:password@host:5432/database, with special characters of the "
            "password percent-encoded. Leave it out to keep the catalog in the state folder."
        )
    if url.password is not None:
        remember_secret(str(url.password))
    return url
