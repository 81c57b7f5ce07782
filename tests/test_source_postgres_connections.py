"""PostgreSQL: the ways to reach a server, TLS and service files among them, and which client is taken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from errors import SourceError
from hosts.command import CommandHost
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Secret
from sources import postgres_client
from tests.support.database_hosts import Elsewhere, dumped
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.skips import requires_program
from tests.support.sshd import free_port
from tests.support.users import user_without_rights

HOSTS: list[CommandHost] = [LocalCommandHost(), Elsewhere()]
EVERYWHERE = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
PASSWORD = "Canary-4711-canary"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For 127.0.0.1, signed by itself. The key lies beside it."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    name = ["-subj", "/CN=the test's own server", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name]
    subprocess.run([*command, "-keyout", path.with_suffix(".key"), "-out", path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[PostgresqlServer]:
    with postgresql_server(port=free_port()) as server:
        server.sql(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE shop")
        for name, file in (("ssl_cert_file", certificate), ("ssl_key_file", certificate.with_suffix(".key"))):
            copy = server.socket_folder / file.name
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(copy, user_without_rights().pw_uid, -1)
            server.sql(f"ALTER SYSTEM SET {name} = '{copy}'")
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")
        yield server


def source_of(server: PostgresqlServer, **options: Any) -> DatabaseSource:
    options = {"host": "127.0.0.1", "port": server.port, "username": "reader", "password": Secret(PASSWORD), **options}
    return DatabaseSource("postgres", ("shop",), **options)


@requires_program("openssl")
@EVERYWHERE
def test_tls_with_the_certificate_checked(server: PostgresqlServer, certificate: Path, host: CommandHost) -> None:
    source = source_of(server, settings={"SSLMODE": "verify-full", "SSLROOTCERT": str(certificate)})
    assert b"databases/shop.dump" in dumped(source, host).contents


@requires_program("openssl")
@EVERYWHERE
def test_tls_with_another_certificate_is_refused(server: PostgresqlServer, tmp_path: Path, host: CommandHost) -> None:
    other = tmp_path / "other.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other"]
    subprocess.run([*command, "-keyout", tmp_path / "key", "-out", other], check=True, capture_output=True)
    with pytest.raises(SourceError, match="certificate verify failed"):
        dumped(source_of(server, settings={"SSLMODE": "verify-full", "SSLROOTCERT": str(other)}), host)


@requires_program("openssl")
@EVERYWHERE
def test_a_service_file_of_the_host(
    server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: CommandHost
) -> None:
    file = tmp_path / "services"
    file.write_text(f"[the shop]\nhost=127.0.0.1\nport={server.port}\nuser=reader\npassword={PASSWORD}\ndbname=other\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    source = DatabaseSource("postgres", ("shop",), settings={"SERVICE": "the shop"})
    assert b"databases/shop.dump" in dumped(source, host).contents


@requires_program("openssl")
@EVERYWHERE
def test_a_password_file_of_the_host(
    server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: CommandHost
) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"127.0.0.1:{server.port}:*:reader:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert b"databases/shop.dump" in dumped(source_of(server, password=None), host).contents


def test_the_newest_client_is_taken_and_among_equals_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"a": "9.6.24", "b": "16.2 (Debian 16.2-1.pgdg120+2)", "c": "16.2", "d": "no version", "e": "10.1"}
    for name, version in versions.items():
        program = tmp_path / name / "pg_dump"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    monkeypatch.setattr(postgres_client, "PLACES", f"{tmp_path}/*/pg_dump {tmp_path}/missing")
    client = postgres_client.newest_client(HOSTS[0])
    assert (client.program("psql"), client.version) == (f"{tmp_path}/b/psql", (16, 2))
