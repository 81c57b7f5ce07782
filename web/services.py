"""What the routes need, made once when the dashboard starts and handed to each by :data:`ServicesOf`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from accounts import Accounts, open_accounts
from catalog import Catalog, open_catalog
from model import Configuration, DashboardSettings
from web.browsing.reader import CopyReader
from web.configured import Configured
from web.current_metrics import CurrentMetrics
from web.fragments import Fragments
from web.jobs import Jobs
from web.live import Broadcaster
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
    fragments: Fragments
    audit: Audit
    password_checks: PasswordChecks
    metrics: CurrentMetrics
    jobs: Jobs
    broadcaster: Broadcaster
    copies: CopyReader


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
        broadcaster = stack.enter_context(closing(Broadcaster(configuration.state_directory)))
        snapshot.listen(lambda changed: broadcaster.backups_changed(_levels(snapshot, changed)))
        snapshot.start()
        broadcaster.start()
        yield Services(
            settings=settings,
            configured=configured,
            catalog=catalog,
            accounts=accounts,
            snapshot=snapshot,
            fragments=Fragments(),
            audit=Audit(configuration.state_directory),
            password_checks=stack.enter_context(closing(PasswordChecks(accounts))),
            metrics=CurrentMetrics(configured, catalog, snapshot),
            jobs=Jobs(configured, env_file),
            broadcaster=broadcaster,
            copies=stack.enter_context(closing(CopyReader(configuration.state_directory))),
        )


def _levels(snapshot: Snapshot, changed: Collection[str]) -> dict[str, str | None]:
    """What pages are told of backups that changed."""
    states = snapshot.view.states
    return {each: states[each].level if each in states else None for each in changed}


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]
"""The parameter of a route that needs them: ``services: ServicesOf``."""
