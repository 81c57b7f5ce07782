"""Requests as no browser sends them: other names, large and slow bodies, half of a request, proxies, TLS."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from accounts import Role
from model import DashboardSettings
from tests.support.certificates import self_signed
from tests.support.dashboard import (
    OPERATOR,
    PASSWORD,
    Dashboard,
    dashboard,
    installation,
    running_dashboard,
    shared_dashboard,
)
from tests.support.holdfast import Holdfast
from utils import redact, remember_secret
from web.security import request_limits
from web.security.hosts import allowed_hosts, host_name

__all__ = ["dashboard", "installation", "shared_dashboard"]


@contextmanager
def connection(dashboard: Dashboard) -> Iterator[socket.socket]:
    place = urlsplit(dashboard.base)
    assert place.hostname
    assert place.port
    with socket.create_connection((place.hostname, place.port), timeout=20) as made:
        yield made


HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def read_health(made: socket.socket) -> bool:
    """Whether the answer to HEALTH comes, whole."""
    received = b""
    while not received.endswith(b'{"status":"ok"}'):
        more = made.recv(65_536)
        if not more:
            return False
        received += more
    return True


def answer_to(dashboard: Dashboard, request: bytes) -> bytes:
    """All that comes back to these bytes, until the server closes the connection or has nothing more to say."""
    with connection(dashboard) as made:
        made.sendall(request)
        made.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: made.recv(65_536), b""))


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("LOCALHOST:8642", 200),
        ("localhost.", 200),
        ("[::1]", 200),
        ("holdfast.localhost:8642", 200),
        ("evil.localhost", 421),
        ("[::1]:8642", 200),
        ("evil.example.com", 421),
        ("127.0.0.1.evil.example.com", 421),
        ("localhost:evil", 421),
        ("127.0.0.1@evil.example.com", 421),
        ("127.0.0.1:80:80", 421),
        ("[::1", 421),
        ("::1", 421),
        ("2130706433", 421),
        ("", 421),
    ],
)
def test_it_answers_by_its_own_names_only(shared_dashboard: Dashboard, host: str, status: int) -> None:
    answer = answer_to(shared_dashboard, f"GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "request_lines",
    [
        b"GET /api/v1/health HTTP/1.0\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: local host\r\nX\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=range(8),
)
def test_what_is_no_request_is_refused(shared_dashboard: Dashboard, request_lines: bytes) -> None:
    assert answer_to(shared_dashboard, request_lines)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 431")
    assert shared_dashboard.anonymous().get("/api/v1/health").status_code == 200


def test_headers_without_end_are_not_read_to_their_end(shared_dashboard: Dashboard) -> None:
    with connection(shared_dashboard) as made, suppress(ConnectionError):
        made.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 50_000_000)
        raise AssertionError("all of it was read")
    assert shared_dashboard.anonymous().get("/api/v1/health").status_code == 200


def test_the_names_are_those_of_the_loopback_of_the_address_and_of_the_configuration() -> None:
    own = {"localhost", "127.0.0.1", "[::1]", "holdfast.localhost"}
    assert allowed_hosts(DashboardSettings()) == own
    assert allowed_hosts(DashboardSettings(host="0.0.0.0")) == own
    assert allowed_hosts(DashboardSettings(host="::")) == own
    found = allowed_hosts(DashboardSettings(host="2001:db8::1", allowed_hosts=("Backup.Example.com", "2001:db8::2")))
    assert found == {*own, "[2001:db8::1]", "backup.example.com", "[2001:db8::2]"}
    assert host_name("Backup.Example.com:443") in found
    assert host_name("[2001:DB8::2]:443") in found


def test_a_path_is_no_way_out(shared_dashboard: Dashboard) -> None:
    client = shared_dashboard.client(Role.VIEWER)
    for path in (
        "/static/../application.py",
        "/static/%2e%2e/application.py",
        "/static/..%2fapplication.py",
        "/static/....//application.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/style.css%00.js",
        "/static/",
        "/..%2f..%2fetc/passwd",
    ):
        answer = answer_to(shared_dashboard, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 303")), path
    assert client.get("/static/style.css").status_code == 200


# --- bodies -------------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused(shared_dashboard: Dashboard) -> None:
    client = shared_dashboard.client()
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": None}
    too_much = b"csrf_token=" + b"a" * request_limits.LARGEST_BODY
    for path in ("/sign-in", "/sign-out"):
        assert client.post(path, data=too_much, headers=form).status_code == 413
        assert client.post(path, data=iter([too_much]), headers=form).status_code == 413
    assert client.get("/api/v1/me").status_code == 200


def test_a_length_that_is_a_lie_is_refused_before_the_body_comes(shared_dashboard: Dashboard) -> None:
    head = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n"
    with connection(shared_dashboard) as made:
        made.sendall(head)
        assert made.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come_ends_the_request(
    shared_dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "SLOWEST_BODY", 0.2)
    head = (
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 100\r\n\r\nname="
    )
    with connection(shared_dashboard) as made:
        made.sendall(head)
        assert made.recv(65_536).startswith(b"HTTP/1.1 408 ")


def test_headers_that_do_not_come_end_the_connection(
    shared_dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server._SLOWEST_HEADERS", 0.2)
    for before in (b"", HEALTH):
        with connection(shared_dashboard) as made:
            made.sendall(before)
            if before:
                assert read_health(made)
            made.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            assert made.recv(65_536) == b""


def test_a_connection_that_is_used_again_stays_open(
    shared_dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.server._SLOWEST_HEADERS", 0.2)
    with connection(shared_dashboard) as made:
        for _ in range(3):
            made.sendall(HEALTH)
            assert read_health(made)
            time.sleep(0.3)


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(shared_dashboard: Dashboard) -> None:
    head = (
        b"POST /sign-out HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 100\r\n\r\ncsrf"
    )
    for _ in range(3):
        with connection(shared_dashboard) as made:
            made.sendall(head)
    assert shared_dashboard.anonymous().get("/api/v1/health").status_code == 200


@pytest.mark.parametrize("body", [b"\xff=\xff", b"&".join(b"a=%d" % n for n in range(500)), b"csrf_token=%ff"])
def test_a_form_that_cannot_be_read_is_refused(shared_dashboard: Dashboard, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": None}
    assert shared_dashboard.client().post("/sign-out", data=body, headers=headers).status_code == 400


# --- errors -------------------------------------------------------------------------------------------------------


def test_an_error_of_ours_tells_nothing_of_the_inside(
    shared_dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a detail from /srv/somewhere")

    client = shared_dashboard.client()
    monkeypatch.setattr(type(shared_dashboard.services.configured), "current", broken)
    for path, media_type in (("/", "text/html"), ("/api/v1/configuration", "application/problem+json")):
        answer = client.get(path)
        if answer.status_code == 200:
            continue  # it does without
        assert answer.status_code == 500
        assert answer.headers["content-type"].startswith(media_type)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "detail" not in answer.text.replace('"detail":', "")
        assert "Traceback" not in answer.text
        assert "somewhere" in caplog.text
        caplog.clear()


def test_no_error_has_a_secret_in_it(shared_dashboard: Dashboard) -> None:
    remember_secret("swordfish-of-the-storage")
    client = shared_dashboard.client()
    answer = client.get("/api/v1/backups/swordfish-of-the-storage/x")
    assert answer.status_code == 404
    assert "swordfish" not in answer.text
    assert redact("swordfish-of-the-storage") == "****"


def test_accounts_that_cannot_be_read_are_said_and_let_nobody_in(dashboard: Dashboard) -> None:
    client = dashboard.client()
    with closing(sqlite3.connect(dashboard.holdfast.state / "dashboard.db")) as elsewhere:
        elsewhere.execute("DROP TABLE sessions")
    for path, media_type in (("/api/v1/me", "application/problem+json"), ("/", "text/html; charset=utf-8")):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == media_type
        assert "dashboard.db cannot be used" in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


# --- behind a proxy, and with TLS ---------------------------------------------------------------------------------

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


def sign_in_headers(dashboard: Dashboard, headers: dict[str, str]) -> tuple[requests.Response, str]:
    """The answer to a sign-in with these headers, and the last line of the audit log."""
    with dashboard.anonymous() as client:
        client.headers.update(headers)
        page = client.get("/sign-in")
        token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
        cookie = page.headers["set-cookie"].partition(";")[0]
        form = {"name": OPERATOR, "password": PASSWORD, "csrf_token": token}
        answer = client.post("/sign-in", data=form, headers={"Cookie": cookie})
    assert answer.status_code == 303, answer.text
    return answer, dashboard.audit_log.read_text().splitlines()[-1]


def test_a_proxy_is_believed_only_where_the_configuration_says_so(installation: Holdfast) -> None:
    with running_dashboard(installation) as dashboard:
        answer, line = sign_in_headers(dashboard, FORWARDED)
        assert '"address": "127.0.0.1"' in line
        assert "Secure" not in answer.headers["set-cookie"]
    with running_dashboard(installation, DashboardSettings(trusted_proxies=("127.0.0.0/8",))) as dashboard:
        answer, line = sign_in_headers(dashboard, FORWARDED)
        assert '"address": "203.0.113.9"' in line
        assert answer.headers["set-cookie"].startswith("__Host-holdfast=")
        assert "; Secure" in answer.headers["set-cookie"]
        _, line = sign_in_headers(dashboard, {**FORWARDED, "X-Forwarded-For": "198.51.100.1, 203.0.113.9, 127.0.0.2"})
        assert '"address": "203.0.113.9"' in line, "what the client itself put there is not believed"


def test_with_a_certificate_it_answers_by_https_alone(installation: Holdfast, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    settings = DashboardSettings(tls_cert_file=certificate, tls_key_file=key)
    with running_dashboard(installation, settings) as dashboard:
        assert dashboard.base.startswith("https://127.0.0.1:")
        with dashboard.anonymous() as client:
            client.verify = str(certificate)
            answer = client.get("/sign-in")
            assert answer.headers["set-cookie"].startswith("__Host-holdfast-sign-in=")
            assert "; Secure" in answer.headers["set-cookie"]
        with pytest.raises(requests.ConnectionError):
            requests.get(dashboard.base.replace("https", "http"), timeout=10)


# --- files of the page --------------------------------------------------------------------------------------------


def test_styles_are_kept_by_browsers_until_they_change(shared_dashboard: Dashboard) -> None:
    with shared_dashboard.anonymous() as client:
        page = client.get("/sign-in").text
        address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        answer = client.get(address)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        again = client.get("/static/style.css", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "no-cache"
