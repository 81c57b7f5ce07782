"""Catalogs on SQLite and on a real PostgreSQL as fixtures. Import them into the module that uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from model import Secret
from tests.support.postgresql import PostgresqlServer, postgresql_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Catalog]:
    """Opens the same, at first empty, catalog."""
    url = None if request.param == "sqlite" else Secret(request.getfixturevalue("server").new_database())
    return lambda: open_catalog(tmp_path / "state", url)


@pytest.fixture
def catalog(open_again: Callable[[], Catalog]) -> Iterator[Catalog]:
    catalog = open_again()
    yield catalog
    catalog.close()
