"""Signing in with a real browser, and what a page of somebody else can do from there: nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import browser, requires_chromium, signed_in
from tests.support.dashboard import OPERATOR, PASSWORD, Dashboard, shared_dashboard

__all__ = ["browser", "shared_dashboard"]

pytestmark = requires_chromium


@contextmanager
def foreign_page(text: str) -> Iterator[int]:
    """A server of somebody else that answers with this page; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nothing is of interest."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def actions(dashboard: Dashboard) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in dashboard.audit_log.read_text().splitlines()]
    return [(line["action"], line["outcome"].partition(":")[0]) for line in lines]


def fill(page: Page, password: str) -> None:
    page.get_by_label("Name").fill(OPERATOR)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_signs_in_with_the_keyboard_and_goes_on_to_the_page(
    browser: Browser, shared_dashboard: Dashboard
) -> None:
    context = browser.new_context(base_url=shared_dashboard.base)
    page = context.new_page()
    page.goto("/schedule")
    expect(page).to_have_title("Sign in · Holdfast")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type(OPERATOR)
    page.keyboard.press("Tab")
    page.keyboard.type("a wrong password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Name")).to_have_value(OPERATOR)
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/schedule")
    assert page.evaluate("document.cookie") == "", "scripts do not see the session"
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.go_back()
    expect(page).to_have_title("Sign in · Holdfast")
    assert actions(shared_dashboard)[-3:] == [("sign in", "refused"), ("sign in", "done"), ("sign out", "done")]
    context.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another site", "another port of the same site"])
def test_a_page_of_somebody_else_can_do_nothing(browser: Browser, shared_dashboard: Dashboard, host: str) -> None:
    attack = f"""
        <form id=form method=post action="{shared_dashboard.base}sign-out" target=here><input name=csrf_token></form>
        <iframe name=here></iframe><iframe id=page src="{shared_dashboard.base}"></iframe>
        <script>
          const found = [];
          document.getElementById("form").submit();
          const ask = (path, options) => fetch("{shared_dashboard.base}" + path, options)
            .then(answer => answer.text()).then(text => found.push(text)).catch(() => found.push("refused"));
          Promise.all([
            ask("api/v1/me", {{credentials: "include"}}),
            ask("api/v1/backups/shop/files/run", {{method: "POST", credentials: "include", mode: "cors"}}),
            fetch("{shared_dashboard.base}api/v1/backups/shop/files/run",
              {{method: "POST", credentials: "include", mode: "no-cors"}}).catch(() => 0),
          ]).then(() => setTimeout(() => document.title = JSON.stringify(found), 500));
        </script>"""
    with foreign_page(attack) as port, signed_in(browser, shared_dashboard) as page:
        page.goto("/")
        before = actions(shared_dashboard) if shared_dashboard.audit_log.exists() else []
        other = page.context.new_page()
        other.goto(f"http://{host}:{port}/")
        other.wait_for_function("document.title.startsWith('[')")
        assert json.loads(other.title()) == ["refused", "refused"]
        assert [frame.url for frame in other.frames if frame.url == shared_dashboard.base] == []
        after = actions(shared_dashboard) if shared_dashboard.audit_log.exists() else []
        assert after == before
        page.reload()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_script_that_gets_into_a_page_does_not_run(browser: Browser, shared_dashboard: Dashboard) -> None:
    context = browser.new_context(base_url=shared_dashboard.base)
    page = context.new_page()
    page.goto("/sign-in")
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = 1'>");
            const script = document.createElement("script");
            script.textContent = "window.ran = 2";
            document.body.append(script);
            const foreign = document.createElement("script");
            foreign.src = "http://localhost:1/x.js";
            document.body.append(foreign);
        }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
    context.close()
