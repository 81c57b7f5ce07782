"""A person acts in a real browser: runs, watches, cancels, drills, restores, and is told what cannot be."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts import Role
from model import RunStatus
from operations.activities import activities
from tests.support.browser import browser, requires_chromium, signed_in
from tests.support.dashboard import Dashboard, installation, running_dashboard
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.waiting import wait_for

__all__ = ["browser", "installation"]

pytestmark = requires_chromium

SLOW_ID = "shop/slow"


@pytest.fixture
def dashboard(installation: Holdfast, tmp_path: Path) -> Iterator[Dashboard]:
    """With shop/files, which has a copy, and shop/slow, which never ends."""
    common = {"INTERVALS": "0 2 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    files = {"NAME": "files", "FILE_PATH": [str(tmp_path / "source")], **common}
    slow = {"NAME": "slow", "COMMAND": ["sleep", "31536041"], "FILENAME": "out", **common}
    backups = [{"FILE_BACKUP": [files]}, {"COMMAND_BACKUP": [slow]}]
    installation.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": backups}]})
    installation.back_up()
    with running_dashboard(installation) as dashboard:
        yield dashboard
        for activity in activities(installation.state):
            os.kill(activity.process, signal.SIGKILL)


def confirm(page: Page, word: str) -> None:
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name=word, exact=True).click()


def test_run_watch_and_cancel(browser: Browser, dashboard: Dashboard) -> None:
    with signed_in(browser, dashboard) as page:
        page.goto(f"/backups/{SLOW_ID}")
        page.get_by_role("button", name="Run now").click()
        confirm(page, "Run now")
        page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}$"))
        run_id = page.url.rpartition("/")[2]
        expect(page.locator("#head .badge")).to_have_text("running")
        page.get_by_role("button", name="Cancel").click()
        confirm(page, "Cancel it")
        expect(page.locator("[data-toasts]")).to_contain_text("it was asked to end")
        expect(page.locator("#head .badge")).to_have_text("interrupted")
        run = dashboard.catalog.run(run_id)
        assert run is not None
        assert run.status is RunStatus.INTERRUPTED


def test_what_is_running_already_is_said_in_the_dialog(browser: Browser, dashboard: Dashboard) -> None:
    assert dashboard.client().post(f"/api/v1/backups/{SLOW_ID}/run").status_code == 202
    wait_for(lambda: activities(dashboard.holdfast.state))
    with signed_in(browser, dashboard) as page:
        page.goto(f"/backups/{SLOW_ID}")
        expect(page.locator("#backup .running-list")).to_contain_text(SLOW_ID)
        page.get_by_role("button", name="Run now").click()
        confirm(page, "Run now")
        expect(page.get_by_role("alert")).to_contain_text(f"{SLOW_ID} is being backed up since")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.locator("#backup .running-list").get_by_role("button", name="Cancel").click()
        confirm(page, "Cancel it")
        expect(page.locator("#backup .running-list")).to_have_count(0)


def test_a_drill_is_followed_to_its_end(browser: Browser, dashboard: Dashboard) -> None:
    with signed_in(browser, dashboard) as page:
        page.goto(f"/backups/{BACKUP_ID}")
        page.get_by_role("button", name="Drill").click()
        confirm(page, "Drill")
        page.wait_for_url(re.compile(r"/jobs/[0-9a-f]{32}$"))
        expect(page.locator(".head .badge")).to_have_text("good")
        expect(page.locator("[data-output]")).to_contain_text("drill passed")
        page.goto("/jobs")
        page.get_by_role("link", name=f"Drill of {BACKUP_ID}").click()
        expect(page.locator("[data-output]")).to_contain_text("drill passed")


def test_a_restore_button_restores_into_the_folder_that_is_named(
    browser: Browser, dashboard: Dashboard, tmp_path: Path
) -> None:
    (run,) = dashboard.catalog.runs(BACKUP_ID, 1)
    member = str((tmp_path / "source" / "hello.txt").relative_to("/"))
    data = {
        "action": "restore",
        "backup": BACKUP_ID,
        "timestamp": run.started.strftime("%Y%m%dT%H%M%SZ"),
        "target": "LOCAL",
        "paths": f'["{member}"]',
    }
    with signed_in(browser, dashboard) as page:
        page.goto(f"/backups/{BACKUP_ID}")
        page.evaluate(
            """(data) => {
                const button = document.createElement("button");
                Object.assign(button.dataset, data);
                button.textContent = "Restore…";
                document.querySelector("main").append(button);
            }""",
            data,
        )
        page.get_by_role("button", name="Restore…").click()
        name = page.get_by_label("Name of the new folder")
        expect(name).to_have_value(re.compile(r"^shop-files-\d{8}T\d{6}Z$"))
        name.fill("../elsewhere")
        page.get_by_role("dialog").get_by_role("button", name="Restore", exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()  # the browser itself refuses such a name
        name.fill("back")
        page.get_by_role("dialog").get_by_role("button", name="Restore", exact=True).click()
        page.wait_for_url(re.compile(r"/jobs/"))
        expect(page.locator(".head .badge")).to_have_text("good")
    restored = dashboard.holdfast.state / "restored" / "back" / member
    assert restored.read_bytes() == (tmp_path / "source" / "hello.txt").read_bytes()


def test_a_viewer_has_no_buttons(browser: Browser, dashboard: Dashboard) -> None:
    assert dashboard.client().post(f"/api/v1/backups/{SLOW_ID}/run").status_code == 202
    wait_for(lambda: activities(dashboard.holdfast.state))
    with signed_in(browser, dashboard, Role.VIEWER) as page:
        for path in ("/", f"/backups/{SLOW_ID}", "/runs", "/jobs"):
            page.goto(path)
            expect(page.locator("h1")).to_have_count(1)
            expect(page.locator("[data-action]")).to_have_count(0)
