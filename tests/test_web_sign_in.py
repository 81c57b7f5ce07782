"""Signing in and out at the running dashboard."""

from __future__ import annotations

import re

from tests.support.dashboard import OPERATOR, PASSWORD, Client, Dashboard, dashboard, installation

__all__ = ["dashboard", "installation"]


def form_token(client: Client) -> str:
    """Of the form to sign in, as it stands in the page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    assert found
    return found[1]


def sign_in(client: Client, **fields: str) -> object:
    form = {"name": OPERATOR, "password": PASSWORD, "csrf_token": form_token(client), **fields}
    return client.post("/sign-in", data=form)


def test_a_person_signs_in_and_out(dashboard: Dashboard) -> None:
    client = dashboard.anonymous()
    assert client.get("/").headers["location"] == "/sign-in"
    answer = client.post("/sign-in", data={"name": OPERATOR, "password": PASSWORD, "csrf_token": form_token(client)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    page = client.get("/")
    assert page.status_code == 200
    assert "shop/files" in page.text
    token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert token
    assert client.post("/sign-out", data={"csrf_token": token[1]}).status_code == 303
    assert client.get("/").status_code == 303
