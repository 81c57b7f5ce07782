"""Debian's Chromium, without a window, on the pages of a dashboard that runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from accounts import Role
from tests.support.dashboard import Dashboard

CHROMIUM = shutil.which("chromium")

requires_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module: it takes a second to start."""
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        # As root, Chromium has no sandbox of its own; it loads nothing but our pages.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def signed_in(browser: Browser, dashboard: Dashboard, role: Role = Role.OPERATOR) -> Iterator[Page]:
    """A page of somebody who is signed in. What its scripts complain of, or its policy forbids, fails the test."""
    cookies = dashboard.client(role).cookies
    context = browser.new_context(base_url=dashboard.base)
    context.add_cookies([{"name": each.name, "value": each.value or "", "url": dashboard.base} for each in cookies])
    page = context.new_page()
    page.set_default_timeout(30_000)
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # What the server refuses is told to people by the page, and by the browser here once more.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        assert complaints == []
    finally:
        context.close()
