"""The S3 servers as fixtures: once for each test session (and worker). Import them into the module that uses them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from model import Secret
from storages.s3.client import S3Client
from storages.s3.parts import PartPlan
from storages.s3.storage import S3Storage
from storages.workplace import Patience, Workplace
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_servers import S3Server, moto_server, rclone_server

# So small that a few of them come from a few kilobytes.
SMALL_PARTS = PartPlan(first=64 << 10, parallel=2)
WORKPLACE = Workplace(patience=Patience(attempts=4, first_wait=0.01, longest_wait=0.05))
READ_TIMEOUT = 0.4


@pytest.fixture(scope="session")
def rclone() -> Iterator[S3Server]:
    with rclone_server() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@dataclass(frozen=True)
class Rig:
    """A server, a proxy before it, and one bucket, in which each test keeps to a prefix of its own."""

    server: S3Server
    proxy: FaultProxy
    bucket: str
    prefix: str = field(default_factory=lambda: f"{secrets.token_hex(8)}/")

    @property
    def key(self) -> str:
        return f"{self.prefix}key.zip"

    def storage(
        self,
        workplace: Workplace = WORKPLACE,
        plan: PartPlan = SMALL_PARTS,
        read_timeout: float = READ_TIMEOUT,
        **settings: str,
    ) -> S3Storage:
        """The bucket through the proxy. ``read_timeout`` is in seconds."""
        client = _client(self.server, self.proxy.url, self.bucket, read_timeout, *sorted(settings.items()))
        return S3Storage(client, workplace, plan)

    def keys(self) -> list[str]:
        return self.server.keys(self.bucket, self.prefix)

    def content(self) -> bytes:
        return self.server.content(self.bucket, self.key)

    def unfinished_uploads(self) -> list[str]:
        return self.server.unfinished_uploads(self.bucket, self.prefix)


@cache
def _client(
    server: S3Server, url: str, bucket: str, read_timeout: float, *settings: tuple[str, str | Secret]
) -> S3Client:
    definition = server.definition(bucket, **{"ENDPOINT_URL": url, **dict(settings)})
    return S3Client(definition, read_timeout)


@pytest.fixture(scope="session")
def rigs(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Rig]]:
    """The rig of a server by its name; made when it is first asked for."""
    made: dict[str, Rig] = {}

    def rig_of(name: str) -> Rig:
        if name not in made:
            server: S3Server = request.getfixturevalue(name)
            proxy = FaultProxy(server.endpoint_url, stall_seconds=1.0)
            proxy.__enter__()
            made[name] = Rig(server, proxy, server.new_bucket())
        return made[name]

    yield rig_of
    for rig in made.values():
        rig.proxy.__exit__(None)


@pytest.fixture
def rig(rigs: Callable[[str], Rig], request: pytest.FixtureRequest) -> Iterator[Rig]:
    """That of the server which the test's parameter ``rig`` names (moto without one); its faults must be met."""
    rig = rigs(getattr(request, "param", "moto"))
    yield replace(rig, prefix=f"{secrets.token_hex(8)}/")
    rig.proxy.settle()
