"""Every page in Chromium, as people use it who have no mouse, a small screen, or a program that reads to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import browser, requires_chromium, signed_in
from tests.support.dashboard import Dashboard, installation, running_dashboard
from tests.support.demo_site import FAILED, REAL, RUNNING, demo
from tests.support.holdfast import Holdfast
from tests.support.waiting import wait_for

__all__ = ["browser", "demo", "installation"]

pytestmark = requires_chromium

NAMES = (
    *("sign-in", "overview", "search", "project", "backup", "failed run", "live run", "runs", "day", "schedule"),
    *("storage", "config", "jobs", "copies", "not found"),
)

# What Web Content Accessibility Guidelines 2.2 call contrast (minimum): 4.5, and 3 for large text. Colours are painted
# to a canvas, so that whatever the browser writes them as becomes red, green, blue and opacity.
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => top.slice(0, 3).map((each, i) => (each * top[3] + below[i] * (255 - top[3])) / 255);
  const background = (element) => {
    if (!element) return [255, 255, 255];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 255 ? own.slice(0, 3) : over(own, background(element.parentElement));
  };
  const luminance = (colour) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((each) => linear(each / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const bad = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("title, desc")) continue;
    const style = getComputedStyle(element);
    const behind = background(element);
    const text = rgba(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [luminance(over(text, behind)), luminance(behind)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (isLarge ? 3 : 4.5)) bad.add(`${walker.currentNode.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...bad];
}"""

STRUCTURE = """() => {
  const problems = [];
  const say = (text, element) => problems.push(`${text}: ${element.outerHTML.slice(0, 120)}`);
  const named = (each) => document.getElementById(each.getAttribute("aria-labelledby"))?.textContent;
  const name = (each) => each.getAttribute("aria-label") || each.textContent.trim() || each.title || named(each);
  if (!document.documentElement.lang) problems.push("no language");
  if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) problems.push("not one main");
  let level = 0;
  for (const each of document.querySelectorAll("h1, h2, h3, h4")) {
    const own = Number(each.tagName[1]);
    if (own > level + 1) say(`a heading of level ${own} after one of ${level}`, each);
    level = own;
  }
  const ids = new Set();
  for (const each of document.querySelectorAll("[id]")) {
    if (ids.has(each.id)) say("its id is there twice", each);
    ids.add(each.id);
  }
  for (const each of document.querySelectorAll("a[href], button")) if (!name(each)) say("no name", each);
  for (const each of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!each.labels?.length && !each.getAttribute("aria-label")) say("no label", each);
  for (const each of document.querySelectorAll("svg:not([aria-hidden])"))
    if (!each.getAttribute("aria-label")) say("a drawing without a name", each);
  for (const each of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
    for (const attribute of ["aria-labelledby", "aria-describedby"])
      for (const id of (each.getAttribute(attribute) ?? "").split(" ").filter(Boolean))
        if (!document.getElementById(id)) say(`nothing has the id ${id}`, each);
  for (const each of document.querySelectorAll("table")) {
    if (!each.caption && !each.closest("figure")) say("a table without a caption", each);
    for (const cell of each.querySelectorAll("th")) if (!cell.scope) say("a header without a scope", cell);
  }
  for (const each of document.querySelectorAll("progress")) if (!name(each)) say("progress of nothing", each);
  for (const each of document.querySelectorAll("[style]")) say("a style of its own", each);
  for (const each of document.querySelectorAll("[onclick], script:not([src])")) say("a script in the page", each);
  return problems;
}"""

# What leaves its own box lies over its neighbour, or beyond the edge of the window.
OVERFLOW = """() => {
  const isCut = (each) => each && (getComputedStyle(each).overflowX !== "visible" || isCut(each.parentElement));
  const isHidden = (each) => each.closest("svg") || isCut(each);
  const found = [...document.querySelectorAll("body, main, main *, .top, .top *, .footer")]
    .filter((each) => each.clientWidth && each.scrollWidth > each.clientWidth + 1 && !isHidden(each))
    .map((each) => `${each.scrollWidth} in ${each.clientWidth}: ${each.outerHTML.slice(0, 100)}`);
  const window_ = document.documentElement;
  return window_.scrollWidth > window_.clientWidth ? ["the window", ...found] : found;
}"""


@pytest.fixture(scope="module")
def addresses(demo: Dashboard) -> dict[str, str]:
    demo.holdfast.run("backup.py", REAL).check_returncode()
    failed = demo.catalog.runs(FAILED, 1)[0]
    running = demo.catalog.runs(RUNNING, 1)[0]
    wait_for(lambda: demo.services.snapshot.view.states[REAL].standing.last_good)
    return {
        "sign-in": "/sign-in",
        "overview": "/",
        "search": "/?q=data&show=attention",
        "project": "/projects/Web-shop",
        "backup": "/backups/Web-shop/database",
        "failed run": f"/runs/{failed.id}",
        "live run": f"/runs/{running.id}",
        "runs": "/runs",
        "day": f"/days/{failed.started.date()}",
        "schedule": "/schedule",
        "storage": "/storage",
        "config": "/config",
        "jobs": "/jobs",
        "copies": f"/backups/{REAL}/copies",
        "not found": "/nothing",
    }


@pytest.fixture(scope="module")
def page(browser: Browser, demo: Dashboard) -> Iterator[Page]:
    with signed_in(browser, demo) as page:
        yield page


@pytest.fixture
def shown(request: pytest.FixtureRequest, browser: Browser, demo: Dashboard, addresses: dict[str, str]) -> Any:
    name = request.param
    if name != "sign-in":
        page = request.getfixturevalue("page")
        page.goto(addresses[name])
        yield page
        return
    context = browser.new_context(base_url=demo.base)
    page = context.new_page()
    page.goto("/sign-in")
    yield page
    context.close()


@pytest.mark.parametrize("shown", NAMES, indirect=True)
def test_every_page_can_be_read_by_everybody(shown: Page) -> None:
    assert shown.evaluate(STRUCTURE) == []
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme=scheme)
        assert shown.evaluate(CONTRAST) == [], scheme
    for width in (360, 390, 768, 900, 1000, 1100, 1200, 1280):
        shown.set_viewport_size({"width": width, "height": 800})
        assert shown.evaluate(OVERFLOW) == [], width


def test_text_that_is_hard_to_read_would_be_found(page: Page) -> None:
    page.goto("/schedule")
    page.evaluate("document.querySelector('h1').style.color = getComputedStyle(document.body).backgroundColor")
    assert page.evaluate(CONTRAST) == ["What is next: 1.00"]


def test_names_of_any_length_fit_a_telephone(browser: Browser, installation: Holdfast) -> None:
    name = "Accounting-and-payroll-" + "x" * 77
    backup = {
        "NAME": name,
        "INTERVALS": "0 2 * * *",
        "FILE_PATH": f"/srv/{'y' * 150}",
        "UPLOAD_TO": {"STORAGE_NAME": "LOCAL", "PATH": "z" * 150},
    }
    installation.write({"PROJECTS": [{"NAME": name, "BACKUPS": [{"FILE_BACKUP": [backup]}]}]})
    assert installation.run("backup.py", "--all").returncode == 1
    with running_dashboard(installation) as dashboard, signed_in(browser, dashboard) as page:
        wait_for(lambda: dashboard.services.snapshot.view.is_whole)
        run = dashboard.catalog.runs_of_all(1)[0]
        for address in ("/", f"/projects/{name}", f"/backups/{name}/{name}", f"/runs/{run.id}", "/runs", "/schedule"):
            page.goto(address)
            for width in (360, 700, 1000, 1190, 1280):
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate(OVERFLOW) == [], (address, width)


def test_no_page_asks_another_host(browser: Browser, demo: Dashboard, addresses: dict[str, str]) -> None:
    asked: set[str] = set()
    with signed_in(browser, demo) as page:
        page.on("request", lambda request: asked.add(request.url))
        for address in addresses.values():
            page.goto(address)
            page.wait_for_load_state("load")
    assert len(asked) > len(addresses)
    assert {url for url in asked if not url.startswith(demo.base)} == set()


def test_the_keyboard_alone_is_enough(browser: Browser, demo: Dashboard) -> None:
    with signed_in(browser, demo) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Tab")
        first = page.get_by_role("list", name="What needs attention").get_by_role("link").first
        expect(first).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(FAILED)


def test_days_are_walked_through_with_the_arrow_keys(browser: Browser, demo: Dashboard) -> None:
    with signed_in(browser, demo) as page:
        page.goto("/backups/Web-shop/database")
        calendars = page.locator(".calendar")
        newest = calendars.last.locator('a[tabindex="0"]')
        newest.focus()
        href = newest.get_attribute("href")
        page.keyboard.press("ArrowLeft")
        week_ago = page.evaluate("document.activeElement.getAttribute('href')")
        assert week_ago != href
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.getAttribute('href')") == href
        for _ in range(40):
            page.keyboard.press("ArrowLeft")
        assert page.evaluate("!!document.activeElement.closest('.calendar-year > :first-child')"), "into the older half"
        day = page.evaluate("document.activeElement.getAttribute('href').match(/[\\d-]{10}/)[0]")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{demo.base.rstrip('/')}/days/{day}?backup=Web-shop/database")
        assert page.get_by_role("row").count() > 1
