"""A MariaDB server of the test's own: on a socket in a temporary folder, by no user but one without rights.

The superuser ``root`` needs no password; every other user that a test makes may have one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server_places import Here, ServerPlace
from tests.support.users import as_user, user_without_rights

_START_SECONDS = 60


@dataclass
class MariadbServer:
    """A running server."""

    socket: Path
    process: subprocess.Popen[bytes]
    port: int | None = None

    superuser = "root"

    def sql(self, statements: str, database: str = "", *, stops_at_errors: bool = True) -> str:
        """Run statements as the superuser; the answer is what the client prints, without headings."""
        options = ["--batch", "--skip-column-names", f"--database={database}"]
        options += [] if stops_at_errors else ["--force"]
        command = ["mariadb", *self._options, *options]
        answer = subprocess.run(command, input=statements, capture_output=True, text=True)
        assert answer.returncode == 0 or not stops_at_errors, answer.stderr
        return answer.stdout.strip()

    def text_of(self, database: str) -> str:
        """Everything in a database, as the text that mariadb-dump makes of it."""
        options = ["--routines", "--triggers", "--events", "--hex-blob", "--skip-dump-date", "--skip-comments"]
        command = ["mariadb-dump", *self._options, *options, "--databases", "--", database]
        answer = subprocess.run(command, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def end(self) -> None:
        """At once, as after a power cut."""
        self.process.kill()
        self.process.wait(_START_SECONDS)

    @property
    def _options(self) -> list[str]:
        return ["--no-defaults", f"--socket={self.socket}", "--user=root", "--default-character-set=utf8mb4"]


@contextmanager
def mariadb_server(*, port: int | None = None, place: ServerPlace | None = None) -> Iterator[MariadbServer]:
    """Start one, and end it. It listens on loopback only where a port is given.

    Skips where no MariaDB server is installed.
    """
    program = mariadbd_program()
    user = user_without_rights()
    # Not tmp_path: a socket's name is limited to 107 bytes, and that folder is closed to the user without rights.
    folder = Path(tempfile.mkdtemp(prefix="holdfast-mariadb-"))
    if os.geteuid() == 0:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        data, socket = folder / "data", folder / "socket"
        _make_data(data)
        place = place or Here()
        seen = place.path(folder)
        options = [f"--datadir={seen}/data", f"--socket={seen}/socket", f"--pid-file={seen}/pid", "--skip-log-bin"]
        options += [f"--tmpdir={seen}"]  # at its start it removes the temporary tables of all servers with the same one
        options += ["--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=16M"]
        options += ["--skip-networking"] if port is None else ["--bind-address=127.0.0.1", f"--port={port}"]
        with (folder / "log").open("wb") as log:
            server = place.start([program, "--no-defaults", *options], folder, log)
        try:
            _wait_until_ready(socket, folder / "log", server)
            yield MariadbServer(socket, server, port)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(_START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mariadbd_program() -> Path:
    """The server. Skips where none is installed."""
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or shutil.which("mariadb-install-db") is None:
        pytest.skip("needs a MariaDB server (Debian: mariadb-server)")
    return Path(program)


def _make_data(data: Path) -> None:
    options = [f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
    command = ["mariadb-install-db", "--no-defaults", *options, f"--tmpdir={data.parent}", "--innodb-log-file-size=16M"]
    answer = subprocess.run(command, cwd=data.parent, capture_output=True, **as_user(user_without_rights()))
    assert answer.returncode == 0, answer.stderr.decode()


def _wait_until_ready(socket: Path, log: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    command = ["mariadb-admin", "--no-defaults", f"--socket={socket}", "--user=root", "ping"]
    while subprocess.run(command, capture_output=True).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"MariaDB did not start: {log.read_text()}")
        time.sleep(0.05)
