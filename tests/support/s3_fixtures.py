"""The S3 servers as fixtures: once for each test session (and worker). Import them into the module that uses them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.s3_servers import S3Server, moto_server, rclone_server


@pytest.fixture(scope="session")
def rclone() -> Iterator[S3Server]:
    with rclone_server() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server
