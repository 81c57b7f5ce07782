"""A person looks into a copy in a real browser, and without scripts: folders, a search, a download, a restore."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from accounts import Role
from tests.support.browser import browser, requires_chromium, signed_in
from tests.support.dashboard import Client, Dashboard, installation, running_dashboard
from tests.support.holdfast import Holdfast
from tests.support.trees import make_tree
from tests.support.waiting import wait_for
from tests.support.web_copies import make_a_copy
from utils import printable

__all__ = ["browser", "installation"]

PAGE = "/backups/shop/files/copies"
HOSTILE = (
    b"<script>document.title='stolen'",
    b"caf\xe9",
    b'"><img src=x onerror=alert(1)>',
    b"a\nb",
)


@pytest.fixture
def dashboard(installation: Holdfast, tmp_path: Path) -> Iterator[Dashboard]:
    source = tmp_path / "source"
    make_tree(source / "tree", large_size=3_000_000)
    for name in HOSTILE:
        (source / os.fsdecode(name)).mkdir()
        (source / os.fsdecode(name) / "inside").write_bytes(name)
    for number in range(250):
        (source / f"f{number}").touch()
    make_a_copy(installation)
    with running_dashboard(installation) as running:
        yield running


class _Links(HTMLParser):
    """The links of a page by their words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.by_words: dict[str, str] = {}
        self._address: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img") or dict(attributes).get("src", "").startswith("/static/")  # type: ignore[union-attr]
        self._address = dict(attributes).get("href") if tag == "a" else self._address

    def handle_data(self, data: str) -> None:
        if self._address is not None and data.strip():
            self.by_words.setdefault(data, self._address)
            self._address = None


def follow(client: Client, address: str, *words: str) -> str:
    """Go from page to page by the links that are called so; the last page."""
    text = client.get(address).text
    for each in words:
        answer = client.get(_Links(text).by_words[each])
        assert answer.status_code == 200, each
        text = answer.text
    return text


def test_without_scripts_the_pages_are_walked_by_links(dashboard: Dashboard, tmp_path: Path) -> None:
    client = dashboard.client(Role.VIEWER)
    text = follow(client, PAGE, "20 Nov 03:00", "tree", "folder 2")
    assert "file 2.txt" in text
    assert "hello.txt" in follow(client, PAGE, "20 Nov 03:00", "More")
    assert "source" in follow(client, PAGE, "20 Nov 03:00", tmp_path.name)
    assert tmp_path.parts[1] in follow(client, PAGE, "20 Nov 03:00", "All")


def test_hostile_names_are_text_and_can_be_opened(dashboard: Dashboard) -> None:
    client = dashboard.client()
    for name in HOSTILE:
        text = follow(client, PAGE, "20 Nov 03:00", printable(name))
        links = _Links(text).by_words
        assert client.get(links["inside"]).content == name


def test_a_search_is_a_page_too(dashboard: Dashboard) -> None:
    client = dashboard.client()
    copy = _Links(client.get(PAGE).text).by_words["20 Nov 03:00"]
    found = _Links(client.get(copy + "&q=FILE 29").text).by_words
    assert client.get(found["file 29.txt"]).status_code == 200
    (folder,) = [address for words, address in found.items() if words.endswith("folder 9")]
    assert "file 19.txt" in client.get(folder).text
    assert "is called nothing-like-it" in client.get(copy + "&q=nothing-like-it").text
    assert client.get(copy + "&q=" + "x" * 501).status_code == 422


@requires_chromium
def test_a_person_finds_and_downloads_a_file(browser: Browser, dashboard: Dashboard, tmp_path: Path) -> None:
    with signed_in(browser, dashboard) as page:
        page.goto(PAGE)
        page.get_by_role("link", name="20 Nov 03:00").click()
        page.get_by_role("link", name="tree", exact=True).click()
        with page.expect_download() as begun:
            page.get_by_role("link", name="Download large").click()
        assert Path(begun.value.path()).read_bytes() == (tmp_path / "source" / "tree" / "large").read_bytes()
        assert begun.value.suggested_filename == "large"
        page.keyboard.press("/")
        page.keyboard.type("*2.TXT")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Found")).to_be_visible()
        expect(page.get_by_role("row")).to_have_count(4)
        page.get_by_role("link", name=re.compile("in .*folder 2")).first.click()
        expect(page.get_by_role("navigation", name="Folder").locator("[aria-current]")).to_have_text("folder 2")
        with page.expect_download() as begun:
            page.get_by_role("link", name="Download this folder as ZIP").click()
        with zipfile.ZipFile(io.BytesIO(Path(begun.value.path()).read_bytes())) as archive:
            assert archive.testzip() is None
            assert {name.rpartition("/")[2] for name in archive.namelist()} == {
                "",
                "file 2.txt",
                "file 12.txt",
                "file 22.txt",
            }


@requires_chromium
def test_a_person_restores_a_folder(browser: Browser, dashboard: Dashboard, tmp_path: Path) -> None:
    with signed_in(browser, dashboard) as page:
        page.goto(PAGE)
        page.get_by_role("link", name="20 Nov 03:00").click()
        page.get_by_role("button", name="Restore tree", exact=True).click()
        page.get_by_label("Name of the new folder").fill("again")
        page.get_by_role("dialog").get_by_role("button", name="Restore", exact=True).click()
        page.wait_for_url(re.compile("/jobs/"))
        restored = dashboard.holdfast.state / "restored" / "again" / str(tmp_path)[1:] / "source"
        wait_for((restored / "tree" / "large").exists)
        expect(page.get_by_text("good", exact=True).first).to_be_visible()
        assert [path.name for path in restored.iterdir()] == ["tree"]
