"""``dashboard.py``: when it starts, when it does not, where it answers, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from accounts import Role, open_accounts
from model import Secret
from tests.support.holdfast import Holdfast
from utils import utc_now


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    installation = Holdfast(tmp_path / "holdfast")
    installation.configure(tmp_path)
    return installation


@pytest.fixture
def with_user(holdfast: Holdfast) -> Holdfast:
    with closing(open_accounts(holdfast.state)) as accounts:
        accounts.add_user("anna", Role.VIEWER, Secret("correct horse battery"), utc_now())
    return holdfast


@contextmanager
def started(holdfast: Holdfast, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running process, and its URL. It ends with the block in any case."""
    process = holdfast.start("dashboard.py", "--json", "--listen", "127.0.0.1:0", *options)
    try:
        assert process.stdout
        document = "".join(iter(process.stdout.readline, "}\n")) + "}"
        yield process, json.loads(document)["url"]
    finally:
        process.kill()
        process.communicate()


def test_it_does_not_start_where_nobody_may_sign_in(holdfast: Holdfast) -> None:
    said = holdfast.run("dashboard.py")
    assert said.returncode == 2
    assert "Add somebody first: main.py user add NAME --role operator" in said.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_it_is_stopped(with_user: Holdfast, number: signal.Signals) -> None:
    with started(with_user) as (process, url):
        assert requests.get(f"{url}api/v1/health", timeout=10).json() == {"status": "ok"}
        process.send_signal(number)
        assert process.wait(20) == 0
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=10)
        assert process.stderr
        assert process.stderr.read() == ""


def test_it_says_where_it_answers(with_user: Holdfast) -> None:
    process = with_user.start("dashboard.py", "--listen", "[::1]:0")
    try:
        assert process.stdout
        assert process.stdout.readline().startswith("The dashboard answers on http://[::1]:")
    finally:
        process.terminate()
        process.communicate()


def test_a_port_that_is_taken_is_told(with_user: Holdfast) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        said = with_user.run("dashboard.py", "--listen", place)
    assert said.returncode == 1
    assert f"The dashboard cannot listen on {place}: Address already in use." in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("place", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_on_other_addresses_it_does_not_start_without_tls(with_user: Holdfast, place: str) -> None:
    said = with_user.run("dashboard.py", "--listen", place)
    assert said.returncode == 2
    assert "TLS_CERT_FILE and TLS_KEY_FILE" in said.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--listen", "8642"], "--listen must be an address and a port"),
        (["--listen", "example.com:80"], "--listen must begin with an IP address"),
    ],
)
def test_a_place_that_is_none_is_told(with_user: Holdfast, options: Sequence[str], message: str) -> None:
    said = with_user.run("dashboard.py", *options)
    assert said.returncode == 2
    assert message in said.stderr


def test_an_allowed_host_can_be_given_on_the_command_line(with_user: Holdfast) -> None:
    with started(with_user, "--allowed-host", "Backup.Example.com") as (_, url):
        for host, status in (("backup.example.com", 200), ("backup.example.com:443", 200), ("other.example.com", 421)):
            answer = requests.get(f"{url}api/v1/health", headers={"Host": host}, timeout=10)
            assert answer.status_code == status


def test_a_certificate_that_is_none_is_told(with_user: Holdfast) -> None:
    no_certificate = with_user.folder / "a.pem"
    configuration = json.loads(with_user.config.read_text())
    for content in (None, "This is no certificate."):
        if content:
            no_certificate.write_text(content)
        with_user.write({**configuration, "DASHBOARD": {"TLS_CERT_FILE": str(no_certificate)}})
        said = with_user.run("dashboard.py", "--listen", "127.0.0.1:0")
        assert said.returncode == 1
        assert f"The certificate in {no_certificate} cannot be used" in said.stderr
        assert "Traceback" not in said.stderr
