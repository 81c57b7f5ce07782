"""Signing in and out at the running dashboard, with the names and passwords of people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import Role, open_accounts
from accounts.accounts import SESSION_IDLE, SESSION_LIFE
from model import Secret
from tests.support.dashboard import (
    OPERATOR,
    PASSWORD,
    VIEWER,
    Client,
    Dashboard,
    dashboard,
    installation,
    shared_dashboard,
)
from utils import utc_now
from web.pages.sign_in import local_path
from web.security.sign_in_limits import FailureMemory, PasswordChecks, _source

__all__ = ["dashboard", "installation", "shared_dashboard"]


@pytest.fixture
def client(shared_dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Not signed in; nobody has failed yet."""
    checks = shared_dashboard.services.password_checks
    monkeypatch.setattr(checks, "_by_address", FailureMemory(900))
    monkeypatch.setattr(checks, "_by_name", FailureMemory(60))
    with shared_dashboard.anonymous() as client:
        yield client


def form_token(client: Client) -> str:
    """Of the form to sign in, as it stands in the page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    assert found
    return found[1]


def sign_in(client: Client, name: str = OPERATOR, password: str = PASSWORD, **fields: str) -> requests.Response:
    form = {"name": name, "password": password, "csrf_token": form_token(client), **fields}
    return client.post("/sign-in", data=form)


def is_signed_in(client: Client) -> bool:
    return client.get("/api/v1/me").status_code == 200


def audit(dashboard: Dashboard) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dashboard.audit_log.read_text().splitlines()]


# --- in and out ---------------------------------------------------------------------------------------------------


def test_a_person_signs_in_and_out(shared_dashboard: Dashboard, client: Client) -> None:
    assert client.get("/").headers["location"] == "/sign-in"
    answer = sign_in(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/api/v1/me").json()["name"] == OPERATOR
    assert client.get("/sign-in").headers["location"] == "/"
    page = client.get("/")
    assert page.status_code == 200
    token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert token
    secret = client.cookies["holdfast"]
    assert client.post("/sign-out", data={"csrf_token": token[1]}).headers["location"] == "/sign-in"
    assert "holdfast" not in client.cookies
    client.cookies.set("holdfast", secret)
    assert not is_signed_in(client)
    assert [(line["action"], line["who"], line["outcome"]) for line in audit(shared_dashboard)[-2:]] == [
        ("sign in", OPERATOR, "done"),
        ("sign out", OPERATOR, "done"),
    ]


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (OPERATOR, "wrong"),
        (OPERATOR, ""),
        (OPERATOR.upper(), PASSWORD),
        ("nobody", PASSWORD),
        ("", ""),
        (f"{OPERATOR}'--", PASSWORD),
        (f"{OPERATOR}\0", PASSWORD),
        (OPERATOR, PASSWORD + "\0"),
        ("é" * 500, "é" * 5000),
    ],
)
def test_who_is_wrong_stays_out_and_does_not_learn_what_was_wrong(
    shared_dashboard: Dashboard, client: Client, name: str, password: str
) -> None:
    answer = sign_in(client, name, password)
    assert answer.status_code == 401
    assert "The name or the password is wrong." in answer.text
    assert "holdfast" not in client.cookies
    assert not is_signed_in(client)
    line = audit(shared_dashboard)[-1]
    assert (line["who"], line["role"], line["via"], line["action"]) == (name[:64], None, "none", "sign in")
    assert line["outcome"].startswith("refused")
    assert password not in json.dumps(line) or len(password) < 6


def test_the_password_of_a_user_who_is_not_there_is_hashed_all_the_same(
    shared_dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    from argon2 import PasswordHasher

    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, hash: str, password: str) -> bool:  # noqa: A002
        verified.append(hash.rpartition("$")[0].rpartition("$")[0])
        return verify(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    for name in (OPERATOR, "nobody"):
        assert not shared_dashboard.accounts.check_password(name, "wrong")
    assert len(verified) == 2
    assert len(set(verified)) == 1, "both with the same parameters"


def test_a_password_that_is_wrong_never_comes_back(client: Client) -> None:
    answer = sign_in(client, "<script>alert(1)</script>", 'secret"><script>alert(2)</script>')
    assert "secret" not in answer.text
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


# --- cookies ------------------------------------------------------------------------------------------------------


def test_the_cookies_are_out_of_reach_of_scripts_and_of_other_sites(client: Client) -> None:
    form = client.get("/sign-in").headers["set-cookie"]
    session = sign_in(client).headers["set-cookie"]
    for cookie in (form, session):
        assert "; HttpOnly" in cookie
        assert "; SameSite=strict" in cookie
        assert "; Path=/" in cookie
        assert "Domain" not in cookie
    assert "Expires" not in form
    assert re.search("holdfast=[A-Za-z0-9_-]{43};", session)


def test_a_session_that_somebody_else_chose_is_not_used(shared_dashboard: Dashboard, client: Client) -> None:
    begun = shared_dashboard.accounts.begin_session(VIEWER, utc_now())
    assert begun
    for chosen in ("chosen-by-somebody", begun[0]):
        client.cookies.clear()
        client.cookies.set("holdfast", chosen)
        with shared_dashboard.anonymous() as other:
            fields = {"csrf_token": form_token(other)}
            client.cookies.set("holdfast-sign-in", other.cookies["holdfast-sign-in"])
        headers = {"X-CSRF-Token": begun[1].csrf_token}
        form = {"name": OPERATOR, "password": PASSWORD, **fields}
        assert client.post("/sign-in", data=form, headers=headers).status_code == 303
        secrets = {cookie.value for cookie in client.cookies if cookie.name == "holdfast"}
        assert secrets - {chosen}
    client.cookies.clear()
    client.cookies.set("holdfast", begun[0])
    assert not is_signed_in(client), "the session that was there before has ended"


def test_the_form_has_to_be_one_that_this_browser_was_given(shared_dashboard: Dashboard, client: Client) -> None:
    with shared_dashboard.anonymous() as attacker:
        token = form_token(attacker)
    form = {"name": OPERATOR, "password": PASSWORD}
    for sent in ({}, {"csrf_token": ""}, {"csrf_token": token}):
        answer = client.post("/sign-in", data={**form, **sent})
        assert answer.status_code == 403
        assert "holdfast" not in client.cookies
    client.get("/sign-in")
    assert client.post("/sign-in", data={**form, "csrf_token": token}).status_code == 403
    token = form_token(client)
    answer = client.post("/sign-in", data={**form, "csrf_token": token}, headers={"Origin": "https://evil.example.com"})
    assert answer.status_code == 403
    assert client.post("/sign-in", json={**form, "csrf_token": token}).status_code == 415
    assert client.post("/sign-in", data={**form, "csrf_token": token}, headers={"Origin": client.base}).ok


# --- sessions end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [SESSION_IDLE, SESSION_LIFE])
def test_an_old_session_has_ended(dashboard: Dashboard, age: timedelta) -> None:
    for began, is_alive in ((utc_now() - age + timedelta(minutes=5), True), (utc_now() - age, False)):
        begun = dashboard.accounts.begin_session(OPERATOR, began)
        assert begun
        if age > SESSION_IDLE:
            dashboard.accounts.session_was_used(begun[1], utc_now() - timedelta(minutes=10))
        with dashboard.anonymous() as client:
            client.cookies.set("holdfast", begun[0])
            assert is_signed_in(client) is is_alive


def test_a_session_ends_when_another_process_changes_its_user(dashboard: Dashboard) -> None:
    operator, viewer = dashboard.client(Role.OPERATOR), dashboard.client(Role.VIEWER)
    assert is_signed_in(operator)
    assert is_signed_in(viewer)
    with closing(open_accounts(dashboard.holdfast.state)) as elsewhere:
        elsewhere.set_password(OPERATOR, Secret("another long password"))
        elsewhere.remove_user(VIEWER)
    assert not is_signed_in(operator)
    assert not is_signed_in(viewer)


def test_a_token_ends_when_it_expires_or_is_removed(dashboard: Dashboard) -> None:
    def status(text: str) -> int:
        with dashboard.anonymous() as client:
            return client.get("/api/v1/me", headers={"Authorization": f"Bearer {text}"}).status_code

    accounts, now = dashboard.accounts, utc_now()
    old = accounts.add_token("old", Role.VIEWER, now - timedelta(seconds=1), now - timedelta(days=1))[0].reveal()
    new = accounts.add_token("new", Role.VIEWER, now + timedelta(days=1), now)[0].reveal()
    assert (status(old), status(new)) == (401, 200)
    assert {token.name: token.last_used is not None for token in accounts.tokens()} == {"old": False, "new": True}
    with closing(open_accounts(dashboard.holdfast.state)) as elsewhere:
        elsewhere.remove_token("new")
    assert status(new) == 401


# --- guessing -----------------------------------------------------------------------------------------------------


def test_who_guesses_has_to_wait_and_is_written_down(shared_dashboard: Dashboard, client: Client) -> None:
    before = len(audit(shared_dashboard)) if shared_dashboard.audit_log.exists() else 0
    for _ in range(5):
        assert sign_in(client, password="a guess").status_code == 401
    answer = sign_in(client)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 2
    assert "too many wrong passwords" in answer.text
    assert not is_signed_in(client)
    assert sign_in(client, VIEWER).status_code == 429, "nor with another name from the same address"
    outcomes = [line["outcome"] for line in audit(shared_dashboard)[before:]]
    assert [outcome.partition(":")[0] for outcome in outcomes] == ["refused"] * 6, "or the log could be filled"
    assert "too many" in outcomes[-1]


def test_a_name_is_protected_from_many_addresses(shared_dashboard: Dashboard, client: Client) -> None:
    checks = shared_dashboard.services.password_checks
    for _ in range(5):
        checks._by_name.note_failure(OPERATOR)
    assert sign_in(client).status_code == 429
    assert sign_in(client, VIEWER).status_code == 303


def test_a_hundred_at_once_do_not_wait_all_together(shared_dashboard: Dashboard, client: Client) -> None:
    shared_dashboard.services.password_checks._waiting += 100
    try:
        answer = sign_in(client)
    finally:
        shared_dashboard.services.password_checks._waiting -= 100
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert sign_in(client).status_code == 303


def test_all_addresses_of_a_network_of_ipv6_count_as_one() -> None:
    assert _source("2001:db8::1") == _source("2001:db8::ffff:1") != _source("2001:db8:0:1::1")
    assert _source("fe80::1%eth0") == _source("fe80::2")
    assert _source("192.0.2.1") != _source("192.0.2.2")
    assert _source("") == ""


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_failure_makes_the_next_try_wait_longer_up_to_a_limit() -> None:
    clock = Clock()
    memory = FailureMemory(60, clock)
    waits = []
    for _ in range(12):
        memory.note_failure("a")
        waits.append(memory.wait("a"))
        clock.now += waits[-1]
        assert memory.wait("a") == 0
    assert waits == [0, 0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60]
    assert memory.wait("b") == 0
    clock.now += 3600
    memory.note_failure("a")
    assert memory.wait("a") == 0, "what is an hour ago is forgotten"
    for _ in range(9):
        memory.note_failure("a")
    memory.forget("a")
    memory.note_failure("a")
    assert memory.wait("a") == 0


def test_the_memory_of_failures_does_not_grow_without_end() -> None:
    memory = FailureMemory(60)
    for number in range(10_050):
        memory.note_failure(f"address {number}")
    assert len(memory._failures) == 10_000
    assert "address 49" not in memory._failures
    assert "address 50" in memory._failures


def test_passwords_are_looked_at_one_after_the_other(dashboard: Dashboard) -> None:
    checks = PasswordChecks(dashboard.accounts)
    assert checks._thread._max_workers == 1
    checks.close()


# --- where one goes afterwards ------------------------------------------------------------------------------------


def test_one_comes_back_to_where_one_wanted_to_go(client: Client) -> None:
    answer = client.get("/?a=b&c=d")
    assert answer.headers["location"] == "/sign-in?next=%2F%3Fa%3Db%26c%3Dd"
    page = client.get(answer.headers["location"]).text
    assert 'name="next" value="/?a=b&amp;c=d"' in page
    assert sign_in(client, next="/?a=b&c=d").headers["location"] == "/?a=b&c=d"


FOREIGN = [
    "https://evil.example.com/",
    "//evil.example.com/",
    "///evil.example.com/",
    "/\\evil.example.com/",
    "\\\\evil.example.com/",
    "/\t/evil.example.com/",
    "/\n/evil.example.com",
    "/x\r\nSet-Cookie: a=b",
    " //evil.example.com",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example.com",
    "",
    "/" + "a" * 5000,
    "/ä",
]


@pytest.mark.parametrize("target", FOREIGN)
def test_nobody_is_sent_elsewhere(client: Client, target: str) -> None:
    assert 'name="next" value="/"' in client.get("/sign-in", params={"next": target}).text
    answer = sign_in(client, next=target)
    assert answer.headers["location"] == "/"
    assert client.get("/sign-in", params={"next": target}).headers["location"] == "/"


@given(st.text("/\\.:@?#%&ab\t\n\r \0é", max_size=12))
@settings(max_examples=300)
def test_a_path_that_is_followed_leads_to_this_host(text: str) -> None:
    from urllib.parse import urlsplit

    path = local_path(text)
    # As browsers read it (https://url.spec.whatwg.org/#concept-basic-url-parser): `\` is `/`, tabs and newlines go.
    read = re.sub(r"[\t\n\r]", "", path).strip().replace("\\", "/")
    assert read.startswith("/")
    assert not read.startswith("//")
    assert urlsplit(f"http://here{path}").hostname == "here"
