"""Every route that there is: who may call it, and what it takes. A new route is covered once it stands in ROUTERS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from accounts import Role
from tests.support.dashboard import Client, Dashboard, sample_path, shared_dashboard
from web.routers import ROUTERS
from web.security.access import PUBLIC, operator, viewer
from web.security.headers import CONTENT_SECURITY_POLICY

__all__ = ["shared_dashboard"]

SAFE = {"GET", "HEAD"}
SIGNING = {"/sign-in", "/sign-out"}


@dataclass(frozen=True)
class Route:
    """One method of one path. ``needs`` are the dependencies that say who may call it."""

    method: str
    path: str
    needs: frozenset[object]

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/") or self.path == "/metrics"

    @property
    def sample(self) -> str:
        return sample_path(self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def dependencies(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from dependencies(inner)


def all_routes() -> list[Route]:
    routes = []
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute), f"{route} is none that these tests know"
            needs = frozenset({viewer, operator} & set(dependencies(route.dependant)))
            routes += [Route(method, route.path, needs) for method in sorted(route.methods or ())]
    return routes


ROUTES = all_routes()
PROTECTED = [route for route in ROUTES if route.path not in PUBLIC]
FOR_OPERATORS = [route for route in ROUTES if operator in route.needs]
UNSAFE = [route for route in PROTECTED if route.method not in SAFE]

every = pytest.mark.parametrize("route", ROUTES, ids=str)
protected = pytest.mark.parametrize("route", PROTECTED, ids=str)
for_operators = pytest.mark.parametrize("route", FOR_OPERATORS, ids=str)
unsafe = pytest.mark.parametrize("route", UNSAFE, ids=str)


@pytest.fixture(scope="module")
def operator_client(shared_dashboard: Dashboard) -> Client:
    return shared_dashboard.client(Role.OPERATOR)


@pytest.fixture(scope="module")
def viewer_client(shared_dashboard: Dashboard) -> Client:
    return shared_dashboard.client(Role.VIEWER)


def actions(dashboard: Dashboard) -> list[str]:
    """What the audit log has of what was done, but for signing in and out."""
    if not dashboard.audit_log.exists():
        return []
    lines = [json.loads(line) for line in dashboard.audit_log.read_text().splitlines()]
    return [line["action"] for line in lines if not line["action"].startswith("sign")]


# --- the rules ----------------------------------------------------------------------------------------------------


@protected
def test_every_route_says_who_may_call_it(route: Route) -> None:
    assert route.needs, f"{route} needs a parameter `who: Viewer` or `who: Operator` (web/security/access.py)"


@unsafe
def test_whatever_changes_something_needs_an_operator(route: Route) -> None:
    assert operator in route.needs or route.path in SIGNING


def test_the_content_of_backups_is_for_operators() -> None:
    assert [str(route) for route in ROUTES if "download" in route.path and operator not in route.needs] == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method in SAFE], ids=str)
def test_nothing_that_only_asks_is_called_as_if_it_acted(route: Route) -> None:
    last = route.path.rpartition("/")[2]
    assert last not in {"run", "cancel", "verify", "drill", "restore", "sign-out", "delete", "remove"}


# --- without a session --------------------------------------------------------------------------------------------


def assert_refused_as_nobody(route: Route, status: int, location: str, media_type: str) -> None:
    if route.is_api:
        assert (status, media_type) == (401, "application/problem+json")
    else:
        assert status == 303
        assert location.partition("?")[0] == "/sign-in"


@protected
def test_nobody_gets_in_without_a_session(shared_dashboard: Dashboard, route: Route) -> None:
    with shared_dashboard.anonymous() as client:
        answer = client.request(route.method, route.sample)
        assert_refused_as_nobody(
            route, answer.status_code, answer.headers.get("location", ""), answer.headers.get("content-type", "")
        )
        client.cookies.set("holdfast", "A" * 43)
        answer = client.request(route.method, route.sample, headers={"X-CSRF-Token": "A" * 43})
        assert_refused_as_nobody(
            route, answer.status_code, answer.headers.get("location", ""), answer.headers.get("content-type", "")
        )


@protected
def test_nobody_gets_in_with_a_wrong_token_not_even_with_a_session(operator_client: Client, route: Route) -> None:
    for header in ("Bearer hf_AAAA", "Bearer", "Bearer ", "Basic b2xnYTp4", "hf_AAAA", ""):
        answer = operator_client.request(route.method, route.sample, headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.headers["www-authenticate"] == "Bearer"


# --- as a viewer --------------------------------------------------------------------------------------------------


@for_operators
def test_a_viewer_cannot_act(shared_dashboard: Dashboard, viewer_client: Client, route: Route) -> None:
    before = actions(shared_dashboard)
    answer = viewer_client.request(route.method, route.sample)
    assert answer.status_code == 403
    with shared_dashboard.program(Role.VIEWER) as program:
        assert program.request(route.method, route.sample).status_code == 403
    assert "operator" in answer.text
    assert actions(shared_dashboard) == before


# --- from another site --------------------------------------------------------------------------------------------


@unsafe
def test_nothing_is_done_without_the_csrf_token(
    shared_dashboard: Dashboard, operator_client: Client, route: Route
) -> None:
    before = actions(shared_dashboard)
    for token in (None, "", "wrong", "A" * 43):
        by_header = operator_client.request(route.method, route.sample, headers={"X-CSRF-Token": token})
        by_form = operator_client.request(
            route.method, route.sample, headers={"X-CSRF-Token": None}, data={"csrf_token": token or "", "a": "b"}
        )
        assert (by_header.status_code, by_form.status_code) == (403, 403), token
    assert actions(shared_dashboard) == before
    assert operator_client.get("/api/v1/me").status_code == 200  # nor was it the end of the session


@unsafe
def test_the_csrf_token_of_another_session_will_not_do(
    shared_dashboard: Dashboard, operator_client: Client, route: Route
) -> None:
    with shared_dashboard.client() as other:
        headers = {"X-CSRF-Token": other.headers["X-CSRF-Token"]}
        assert operator_client.request(route.method, route.sample, headers=headers).status_code == 403


@unsafe
def test_what_comes_from_another_site_is_refused_whatever_it_carries(
    shared_dashboard: Dashboard, operator_client: Client, route: Route
) -> None:
    before = actions(shared_dashboard)
    for headers in (
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = operator_client.request(route.method, route.sample, headers=headers)
        assert answer.status_code == 403, headers
        assert "another site" in answer.text
    assert actions(shared_dashboard) == before


# --- by another name ----------------------------------------------------------------------------------------------


@every
def test_nothing_is_answered_by_another_name(
    shared_dashboard: Dashboard, operator_client: Client, route: Route
) -> None:
    answer = operator_client.request(route.method, route.sample, headers={"Host": "evil.example.com"})
    assert answer.status_code == 421
    assert "ALLOWED_HOSTS" in answer.text


# --- every answer -------------------------------------------------------------------------------------------------


def assert_safe_headers(headers: object) -> None:
    assert isinstance(headers, dict)
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "permissions-policy" in headers
    assert "server" not in headers
    assert headers["cache-control"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method in SAFE], ids=str)
def test_every_answer_has_the_headers_that_keep_browsers_safe(
    shared_dashboard: Dashboard, viewer_client: Client, route: Route
) -> None:
    for client in (viewer_client, shared_dashboard.anonymous()):
        with client.request(route.method, route.sample, stream=True) as answer:
            assert answer.status_code < 500, answer.text
            assert_safe_headers({name.lower(): value for name, value in answer.headers.items()})
            is_static = route.path.startswith("/static/")
            assert is_static or answer.headers["cache-control"] == "no-store"


@every
def test_other_methods_are_refused(shared_dashboard: Dashboard, operator_client: Client, route: Route) -> None:
    known = {other.method for other in ROUTES if other.sample == route.sample}
    for method in {"POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "GETT"} - known:
        answer = operator_client.request(method, route.sample, headers={"X-HTTP-Method-Override": "GET"})
        assert answer.status_code in (404, 405), method
        assert_safe_headers({name.lower(): value for name, value in answer.headers.items()})
