"""The real dashboard on a port that the kernel chose, with a configuration, a catalog, two users and their clients.

Import the fixture ``dashboard`` into the module that uses it, or :func:`running_dashboard` for one of your own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from accounts import Accounts, Role
from catalog import Catalog
from model import Configuration, DashboardSettings, Secret
from tests.support.holdfast import Holdfast
from utils import utc_now
from web.application import create_application
from web.server import bind, new_server, serve, url
from web.services import Services, open_services

OPERATOR, VIEWER = "olga", "victor"
PASSWORD = "correct horse battery staple"
"""Of both users."""


class Client(requests.Session):
    """A signed-in browser without scripts, or a program with a token: paths are those of the dashboard.

    Redirects are followed with ``follow=True`` only. With a session, its CSRF token is sent with every request.
    """

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base.rstrip("/")
        self.trust_env = False

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        options["allow_redirects"] = options.pop("follow", False)  # ``get`` of requests says True of itself
        address = str(url) if str(url).startswith(self.base) else f"{self.base}{url!s}"
        return super().request(method, address, *args, **{"timeout": 30, **options})


@dataclass
class Dashboard:
    """One that runs. ``holdfast`` is its installation; ``services`` are those of the running process, which is ours."""

    holdfast: Holdfast
    services: Services
    base: str
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def accounts(self) -> Accounts:
        return self.services.accounts

    @property
    def catalog(self) -> Catalog:
        return self.services.catalog

    @property
    def configuration(self) -> Configuration:
        return self.services.configured.current()

    @property
    def audit_log(self) -> Path:
        return self.holdfast.state / "logs" / "audit.log"

    def anonymous(self) -> Client:
        """One who is not signed in."""
        return self._stack.enter_context(Client(self.base))

    def client(self, role: Role = Role.OPERATOR) -> Client:
        """One who is signed in as olga the operator or victor the viewer; without the time that a password takes."""
        begun = self.accounts.begin_session(OPERATOR if role is Role.OPERATOR else VIEWER, utc_now())
        assert begun is not None
        secret, session = begun
        client = self.anonymous()
        client.cookies.set("holdfast", secret)
        client.headers["X-CSRF-Token"] = session.csrf_token
        return client

    def token(self, role: Role = Role.OPERATOR) -> str:
        """The text of a token, which is made with the first call."""
        name = f"token-{len(self.accounts.tokens())}"
        return self.accounts.add_token(name, role, None, utc_now())[0].reveal()

    def program(self, role: Role = Role.OPERATOR) -> Client:
        """A program with a token."""
        client = self.anonymous()
        client.headers["Authorization"] = f"Bearer {self.token(role)}"
        return client


@contextmanager
def running_dashboard(holdfast: Holdfast, settings: DashboardSettings | None = None) -> Iterator[Dashboard]:
    """The dashboard of this installation, in a thread; its configuration must be there. ``port`` 0 is always used."""
    configuration = holdfast.configuration()
    settings = replace(settings or configuration.dashboard, port=0)
    with ExitStack() as stack:
        services = stack.enter_context(open_services(configuration, settings))
        for name, role in ((OPERATOR, Role.OPERATOR), (VIEWER, Role.VIEWER)):
            if name not in {user.name for user in services.accounts.users()}:
                services.accounts.add_user(name, role, Secret(PASSWORD), utc_now())
        listening = bind(settings)
        base = url(settings, listening)
        server = new_server(create_application(services), settings)
        thread = threading.Thread(target=serve, args=(server, listening), name="dashboard")
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join()

        stack.callback(stop)
        yield Dashboard(holdfast, services, base, stack.enter_context(ExitStack()))


def new_installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Holdfast:
    """An installation in ``folder`` with one backup, shop/files, of a small folder."""
    holdfast = Holdfast(folder / "holdfast")
    # What the dashboard loads again when config.yaml changes, it loads with the environment of this process.
    monkeypatch.setenv("LOCAL_STORAGE_ROOT", str(holdfast.storage))
    monkeypatch.setenv("STATE_DIR", str(holdfast.state))
    source = folder / "source"
    source.mkdir()
    (source / "hello.txt").write_text("Hello.\n")
    holdfast.configure(source)
    return holdfast


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Holdfast:
    """One of its own for each test. Change its configuration as the test needs it."""
    return new_installation(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def shared_dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One for all tests of a module that only ask."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        running_dashboard(new_installation(tmp_path_factory.mktemp("dashboard"), monkeypatch)) as dashboard,
    ):
        yield dashboard


@pytest.fixture
def dashboard(installation: Holdfast) -> Iterator[Dashboard]:
    """The dashboard of ``installation``, which runs."""
    with running_dashboard(installation) as dashboard:
        yield dashboard


def sample_path(path: str) -> str:
    """A route's path with something in place of each parameter: of the backup shop/files, where it names one."""
    samples = {"project": "shop", "name": "files", "timestamp": "20261120T030000Z", "day": "2026-11-20"}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: samples.get(found[1], "x"), path)
