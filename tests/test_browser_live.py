"""Pages in Chromium while something happens: they follow it by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.support.browser import browser, requires_chromium, signed_in
from tests.support.dashboard import Dashboard, installation, running_dashboard
from tests.support.holdfast import Holdfast

__all__ = ["browser", "installation"]

pytestmark = requires_chromium

SLOW = "shop/slow"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """While this file is not there, shop/slow goes on."""
    return tmp_path / "gate"


@pytest.fixture
def site(installation: Holdfast, tmp_path: Path, gate: Path) -> Iterator[Dashboard]:
    """shop/files of a small folder, and shop/slow, which ends once there is the gate, with the status that it says."""
    script = f'until [ -e "{gate}" ]; do sleep 0.1; done; echo x; exit "$(cat "{gate}")"'
    common = {"INTERVALS": "0 2 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    slow = {"NAME": "slow", "COMMAND": ["sh", "-c", script], "FILENAME": "out", **common}
    files = {"NAME": "files", "FILE_PATH": [str(tmp_path / "source")], **common}
    backups = [{"FILE_BACKUP": [files]}, {"COMMAND_BACKUP": [slow]}]
    installation.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": backups}]})
    with running_dashboard(installation) as dashboard:
        yield dashboard


def abort(route: Route) -> None:
    route.abort()


def open_gate(gate: Path, status: int) -> None:
    unfinished = gate.with_suffix(".unfinished")
    unfinished.write_text(str(status))
    unfinished.rename(gate)


def test_a_run_appears_and_ends_without_anybody_loading_the_page(browser: Browser, site: Dashboard, gate: Path) -> None:
    with signed_in(browser, site) as page:
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("The 2 backups have not run yet")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        page.evaluate("window.isStillThisPage = true")
        run = site.holdfast.start("backup.py", SLOW)
        under_way = page.get_by_role("list", name="Under way")
        expect(under_way).to_contain_text(f"{SLOW} backing up")
        expect(page.get_by_role("progressbar", name=f"Progress of {SLOW}")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="slow")).to_contain_text("running")
        open_gate(gate, 0)
        expect(under_way).to_have_count(0)
        expect(page.get_by_role("heading", level=1)).to_have_text("1 backup is good, 1 has not run yet")
        expect(page.get_by_role("row").filter(has_text="slow")).to_contain_text("good")
        assert page.evaluate("window.isStillThisPage")
        assert run.wait(60) == 0


def test_the_page_of_a_run_follows_its_log_and_tells_its_failure(browser: Browser, site: Dashboard, gate: Path) -> None:
    with signed_in(browser, site) as page:
        run = site.holdfast.start("backup.py", SLOW)
        page.goto(f"/backups/{SLOW}")
        page.get_by_role("list", name="Under way").get_by_role("link", name=SLOW).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Run of {SLOW}")
        log = page.get_by_role("log", name="Log")
        expect(log).to_contain_text(f"{SLOW} begins")
        expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        open_gate(gate, 7)
        expect(page.locator(".head")).to_contain_text("failed")
        expect(page.get_by_role("region", name="What is to be said of it")).to_contain_text("7")
        expect(log.locator(".error").first).to_be_visible()
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        page.goto("/")
        concerns = page.get_by_role("list", name="What needs attention")
        expect(concerns).to_contain_text(SLOW)
        concerns.get_by_role("link", name=SLOW).click()
        expect(page.locator(".notice.bad")).to_contain_text("failed")
        assert run.wait(60) == 1


def test_without_live_events_the_page_asks(browser: Browser, site: Dashboard, gate: Path) -> None:
    with signed_in(browser, site) as page:
        page.route("**/api/v1/events", abort)
        page.goto("/")
        expect(page.get_by_text("Asks every few seconds")).to_be_visible()
        open_gate(gate, 0)
        assert site.holdfast.run("backup.py", SLOW).returncode == 0
        expect(page.get_by_role("row").filter(has_text="slow")).to_contain_text("good")


def test_what_one_does_in_the_page_outlives_its_update(browser: Browser, site: Dashboard, gate: Path) -> None:
    open_gate(gate, 0)
    for _ in range(2):
        assert site.holdfast.run("backup.py", SLOW).returncode == 0
    with signed_in(browser, site) as page:
        page.goto(f"/backups/{SLOW}")
        values = page.locator("details").first
        values.locator("summary").click()
        link = page.get_by_role("link", name="Browse and restore")
        link.focus()
        runs = page.get_by_role("table", name=f"Runs of {SLOW}").get_by_role("row")
        expect(runs).to_have_count(3)
        assert site.holdfast.run("backup.py", SLOW).returncode == 0
        expect(runs).to_have_count(4)
        expect(link).to_be_focused()
        expect(values).to_have_attribute("open", "")


def test_the_search_finds_while_one_types(browser: Browser, site: Dashboard) -> None:
    with signed_in(browser, site) as page:
        page.goto("/")
        expect(page.get_by_role("row")).to_have_count(3)
        page.get_by_role("searchbox").press_sequentially("slo")
        expect(page.get_by_role("row")).to_have_count(2)
        expect(page.get_by_role("searchbox")).to_be_focused()
        expect(page).to_have_url(re.compile(r"\?q=slo$"))
        page.get_by_role("searchbox").fill("nothing")
        expect(page.get_by_text("No backup is named so.")).to_be_visible()
        page.get_by_role("searchbox").fill("")
        expect(page.get_by_role("row")).to_have_count(3)


def test_light_and_dark_are_remembered(browser: Browser, site: Dashboard) -> None:
    with signed_in(browser, site) as page:
        page.emulate_media(color_scheme="dark")
        page.goto("/")
        colour = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(colour)
        page.get_by_role("button", name="Switch between light and dark").click()
        light = page.evaluate(colour)
        assert dark != light
        page.goto("/runs")
        assert page.evaluate(colour) == light
        page.emulate_media(color_scheme="light")
        page.get_by_role("button", name="Switch between light and dark").click()
        assert page.evaluate(colour) == dark
