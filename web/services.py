"""What the routes need, made once when the dashboard starts and handed to each by :data:`ServicesOf`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from accounts import Accounts, open_accounts
from catalog import Catalog, open_catalog
from model import Configuration, DashboardSettings
from web.configured import Configured
from web.current_metrics import CurrentMetrics
from web.security.audit import Audit
from web.security.sign_in_limits import PasswordChecks
from web.snapshot import Snapshot


@dataclass(frozen=True)
class Services:
    """``settings`` hold from start to end; ``configured.current()`` follows config.yaml."""

    settings: DashboardSettings
    configured: Configured
    catalog: Catalog
    accounts: Accounts
    snapshot: Snapshot
    audit: Audit
    password_checks: PasswordChecks
    metrics: CurrentMetrics


@contextmanager
def open_services(
    configuration: Configuration, settings: DashboardSettings, env_file: Path | None = None
) -> Iterator[Services]:
    """Everything opened and started; at the end of the block it is stopped and closed, in reverse order.

    Raises AccountsError, CatalogError.
    """
    with ExitStack() as stack:
        accounts = stack.enter_context(closing(open_accounts(configuration.state_directory)))
        catalog = stack.enter_context(closing(open_catalog(configuration.state_directory, configuration.catalog_url)))
        configured = Configured(configuration, env_file)
        snapshot = stack.enter_context(closing(Snapshot(catalog, configured)))
        snapshot.start()
        yield Services(
            settings=settings,
            configured=configured,
            catalog=catalog,
            accounts=accounts,
            snapshot=snapshot,
            audit=Audit(configuration.state_directory),
            password_checks=stack.enter_context(closing(PasswordChecks(accounts))),
            metrics=CurrentMetrics(configured, catalog),
        )


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]
"""The parameter of a route that needs them: ``services: ServicesOf``."""
