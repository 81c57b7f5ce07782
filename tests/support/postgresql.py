"""A PostgreSQL server of the test's own: on a socket in a temporary folder, by no user but one without rights.

The superuser ``holdfast`` needs no password; every other role does, on the socket as well as on loopback.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.server_places import Here, ServerPlace
from tests.support.users import as_user, user_without_rights

_USER = "holdfast"
_START_SECONDS = 60

_ACCESS = f"""
local all {_USER} trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass
class PostgresqlServer:
    """A running server. ``socket_folder`` is its host for libpq."""

    binaries: Path
    socket_folder: Path
    process: subprocess.Popen[bytes]
    port: int = 5432
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    superuser = _USER

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"database_{next(self._numbers)}"
        command = [str(self.binaries / "createdb"), "-h", str(self.socket_folder), "-U", _USER, name]
        subprocess.run(command, check=True, capture_output=True)
        return self.url(name)

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser; the answer is what psql prints, without headings."""
        command = [str(self.binaries / "psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        environment = {**os.environ, "PGDATABASE": database, **self.environment}
        answer = subprocess.run(command, input=statements, capture_output=True, text=True, env=environment)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def text_of(self, database: str) -> str:
        """Everything in a database, as the text that pg_dump makes of it."""
        return self._dumped("pg_dump", "--create", PGDATABASE=database)

    def text_of_globals(self) -> str:
        return self._dumped("pg_dumpall", "--globals-only")

    def end(self) -> None:
        """At once, as after a power cut."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(_START_SECONDS)

    @property
    def environment(self) -> dict[str, str]:
        return {"PGHOST": str(self.socket_folder), "PGPORT": str(self.port), "PGUSER": _USER}

    def _dumped(self, program: str, option: str, **environment: str) -> str:
        answer = subprocess.run(
            [self.binaries / program, option],
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment, **environment},
        )
        assert answer.returncode == 0, answer.stderr
        lines = answer.stdout.splitlines()
        # Those of the versions since August 2025 have a key that differs each time.
        return "\n".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))

    def url(self, database: str, password: str = "") -> str:
        user = f"{_USER}:{quote(password, safe='')}" if password else _USER
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_folder))}"


@contextmanager
def postgresql_server(*, port: int | None = None, place: ServerPlace | None = None) -> Iterator[PostgresqlServer]:
    """Start one, and end it. It listens on loopback only where a port is given.

    Skips where no PostgreSQL server is installed.
    """
    binaries = postgresql_binaries()
    # Not tmp_path: a socket's name is limited to 107 bytes, and that folder is closed to the user without rights.
    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
    user = user_without_rights()
    if os.geteuid() == 0:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        data = folder / "data"
        _run(
            [binaries / "initdb", "-D", data, "-U", _USER, "-E", "UTF8", "--locale=C", "-A", "trust", "-N"],
            user,
            folder,
        )
        addresses = (
            ["-c", "listen_addresses="] if port is None else ["-c", "listen_addresses=127.0.0.1", "-p", str(port)]
        )
        place = place or Here()
        seen = place.path(folder)
        options = [*addresses, "-c", f"unix_socket_directories={seen}", "-c", "fsync=off"]
        (data / "pg_hba.conf").write_text(_ACCESS)
        with (folder / "log").open("wb") as log:
            server = place.start([binaries / "postgres", "-D", f"{seen}/data", *options], folder, log)
        try:
            _wait_until_ready(binaries, folder, port or 5432, server)
            yield PostgresqlServer(binaries, folder, server, port or 5432)
        finally:
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            server.wait(_START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgresql_binaries() -> Path:
    """The folder of the programs of the newest server that is installed. Skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    if program is None:
        pytest.skip("needs a PostgreSQL server (Debian: postgresql)")
    return Path(program).resolve().parent


def _run(command: list[object], user: pwd.struct_passwd, folder: Path) -> None:
    arguments = [str(argument) for argument in command]
    subprocess.run(arguments, check=True, capture_output=True, cwd=folder, **as_user(user))


def _wait_until_ready(binaries: Path, folder: Path, port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while subprocess.run([binaries / "pg_isready", "-q", "-h", folder, "-p", str(port)]).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
        time.sleep(0.05)
