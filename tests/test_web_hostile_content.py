"""Names, messages and log lines with HTML and scripts in them: on every page, in every answer, in every download."""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import pytest

from accounts import Role
from tests.support.dashboard import Client, Dashboard, running_dashboard
from tests.support.holdfast import Holdfast
from utils import format_timestamp
from web.application import openapi_document

SCRIPT = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
TEMPLATE = "{{ 7 * 191 }}"
FILE_NAMES: tuple[bytes, ...] = (
    b"<img src=x onerror=alert(3)>.txt",
    b"\"'><svg onload=alert(4)>",
    b"page.html",
    b"line\r\nSet-Cookie: a=b",
    b"caf\xe9",
    b"javascript:alert(5)",
    b"{{ 7 * 191 }}",
    b"%3Cscript%3Ealert(6)%3C%2Fscript%3E",
    b"..%2f..%2fetc",
    "\u202egpj.exe".encode(),
    b"-rf",
)
PAGE = b"<script>alert(document.domain)</script>"
MARKS = ("<script>alert", "<img src=x", "<svg onload")


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Two backups: a good run of files with such names, and a run that failed with such words."""
    folder = tmp_path_factory.mktemp("hostile")
    source = folder / "source"
    source.mkdir()
    for name in FILE_NAMES:
        Path(os.fsdecode(os.fsencode(source) + b"/" + name)).write_bytes(PAGE)
    (source / "passwd").symlink_to("/etc/passwd")
    holdfast = Holdfast(folder / "holdfast")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LOCAL_STORAGE_ROOT", str(holdfast.storage))
        monkeypatch.setenv("STATE_DIR", str(holdfast.state))
        holdfast.write(configuration(source))
        codes = [holdfast.run("backup.py", backup.id).returncode for backup in holdfast.configuration().backups]
        assert codes == [0, 1]
        with running_dashboard(holdfast) as dashboard:
            yield dashboard


def configuration(source: Path) -> dict[str, object]:
    common = {
        "INTERVALS": "0 2 * * *",
        "FILE_PATH": [str(source)],
        "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": SCRIPT + TEMPLATE}],
    }
    failing = {"BEFORE": ["sh", "-c", f"echo {shlex.quote(SCRIPT)} >&2; exit 1"], **common}
    backups = [{"NAME": f"files {SCRIPT}", **common}, {"NAME": f"failing {TEMPLATE}", **failing}]
    return {"PROJECTS": [{"NAME": SCRIPT + TEMPLATE, "BACKUPS": [{"FILE_BACKUP": backups}]}]}


@pytest.fixture(scope="module")
def client(dashboard: Dashboard) -> Client:
    return dashboard.client(Role.OPERATOR)


@pytest.fixture(scope="module")
def copy_address(dashboard: Dashboard) -> str:
    """Of the copy of the good run, in the API."""
    backup = dashboard.configuration.backups[0]
    (run,) = dashboard.catalog.runs(backup.id, 1)
    return f"/api/v1/backups/{backup.id}/copies/{format_timestamp(run.started)}"


class Page(HTMLParser):
    """What a browser would find in a page, and everything that it should not."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        found = f"<{tag} {attributes}>"
        if tag == "script" and not attributes.get("src", "").startswith("/static/"):
            self.wrong.append(found)
        if tag in {"iframe", "object", "embed", "base", "style", "frame", "applet"} or "http-equiv" in attributes:
            self.wrong.append(found)
        if any(name.startswith("on") or name in {"style", "srcdoc", "formaction"} for name in attributes):
            self.wrong.append(found)
        for name in ("href", "src", "action", "xlink:href"):
            address = attributes.get(name, "/")
            if not (address.startswith(("/", "#", "?")) and not address.startswith(("//", "/\\"))):
                self.wrong.append(found)
            elif tag == "a" and name in attributes:
                self.links.add(address)


@pytest.fixture(scope="module")
def pages(client: Client) -> dict[str, str]:
    """Every page that is reached by links from the first one, by its address; of some hundred days, five."""
    found: dict[str, str] = {}
    waiting = ["/"]
    while waiting and len(found) < 150:
        address = waiting.pop(0)
        if address.startswith("/days/") and sum(other.startswith("/days/") for other in found) == 5:
            continue
        answer = client.get(address)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        assert answer.status_code == 200, address
        found[address] = answer.text
        links = {urljoin(address, link).partition("#")[0] for link in Page(answer.text).links}
        waiting += sorted(link for link in links if link not in found and link not in waiting)
    return found


def test_no_page_has_anything_in_it_that_a_browser_would_run(pages: dict[str, str]) -> None:
    assert {address: Page(text).wrong for address, text in pages.items() if Page(text).wrong} == {}
    assert {address: mark for address, text in pages.items() for mark in MARKS if mark in text} == {}


def test_the_pages_show_the_names_as_they_are(pages: dict[str, str]) -> None:
    kinds = {urlsplit(address).path.split("/")[1] for address in pages}
    assert {"", "backups", "runs", "storage", "schedule", "config", "days", "projects"} <= kinds
    assert [address for address in pages if "/copies/" in address]
    for address in ("/", "/storage", "/config"):
        assert "<script>alert(1)</script>" in html.unescape(pages[address]), address
    texts = "".join(pages.values())
    assert "7 * 191" in texts
    assert "1337" not in "".join(html.unescape(text) for text in pages.values()), "a template was made of a name"


def test_what_stands_in_the_address_is_text_too(client: Client, pages: dict[str, str]) -> None:
    names = ("q", "project", "status", "level", "before", "page", "page_number", "folder", "path", "target", "next")
    query = "&".join(f"{name}={quote(SCRIPT)}" for name in names)
    # One page of each kind: `/backups/a/b` is of the kind `backups`, with two more parts.
    kinds = {(path.split("/")[1], path.count("/")): path for path in (urlsplit(address).path for address in pages)}
    for path in kinds.values():
        for address in (f"{path}?{query}", *(f"{path}?{name}={quote(SCRIPT)}" for name in names[:5])):
            answer = client.get(address)
            assert answer.status_code < 500, address
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert Page(answer.text).wrong == [], address
                assert [mark for mark in MARKS if mark in answer.text] == [], address


@pytest.mark.parametrize("path", [f"/{quote(SCRIPT, safe='')}", f"/runs/{quote(SCRIPT)}", "/days/<script>alert(1)"])
def test_an_address_that_is_none_is_told_as_text(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert Page(answer.text).wrong == []
    assert [mark for mark in MARKS if mark in answer.text] == []


def test_every_answer_of_the_api_is_called_what_it_is(client: Client, dashboard: Dashboard, copy_address: str) -> None:
    backup = dashboard.configuration.backups[0]
    (run,) = dashboard.catalog.runs(backup.id, 1)
    project, name = backup.id.split("/")
    samples = {"project": project, "name": name, "run_id": run.id, "day": run.started.date().isoformat()}
    seen = 0
    for path, operations in openapi_document()["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" not in content:
            continue
        address = path.format_map({"timestamp": copy_address.rpartition("/")[2], "job_id": "0" * 32, **samples})
        answer = client.get(address)
        assert answer.headers["content-type"] in ("application/json", "application/problem+json"), path
        assert answer.headers["x-content-type-options"] == "nosniff"
        seen += answer.status_code == 200
    assert seen >= 10


def test_a_log_is_text_and_nothing_else(client: Client, dashboard: Dashboard, pages: dict[str, str]) -> None:
    (run,) = dashboard.catalog.runs(dashboard.configuration.backups[1].id, 1)
    assert "<script>alert(1)</script>" in run.message
    assert "<script>alert(1)</script>" in html.unescape(client.get(f"/runs/{run.id}").text)
    answer = client.get(f"/api/v1/runs/{run.id}/log")
    assert answer.headers["content-type"] in ("application/json", "text/plain; charset=utf-8")


# --- downloads ----------------------------------------------------------------------------------------------------


def entries(client: Client, copy_address: str) -> list[dict[str, str]]:
    """The members of the folder, by the API."""
    folder = client.get(f"{copy_address}/files").json()
    return list(folder["entries"] if "entries" in folder else folder["items"])


def test_every_file_is_saved_and_never_shown(client: Client, copy_address: str) -> None:
    found = entries(client, copy_address)
    files = [each for each in found if each["kind"] == "file"]
    assert len(files) == len(FILE_NAMES)
    for each in files:
        answer = client.get(f"{copy_address}/download", params={"path": each["locator"]})
        assert (answer.status_code, answer.content) == (200, PAGE), each
        assert answer.headers["content-type"] == "application/octet-stream"
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment; filename=")
        assert "\r" not in disposition + "\n"[1:]
        assert "set-cookie" not in answer.headers
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


TRAVERSALS = (
    "../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "etc/passwd",
    "....//....//etc/passwd",
    "..%5c..%5cetc%5cpasswd",
    "file:///etc/passwd",
    "%00/etc/passwd",
    "..%c0%afetc/passwd",
)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_a_path_leads_nowhere_but_into_the_copy(client: Client, copy_address: str, path: str) -> None:
    timestamp = copy_address.rpartition("/")[2]
    backup = copy_address.removesuffix(f"/copies/{timestamp}")
    inside = copy_address.partition("/backups/")[2].partition("/copies/")[0]
    for address in (
        f"{copy_address}/download?path={path}",
        f"{copy_address}/download-folder?folder={path}",
        f"{copy_address}/files?folder={path}",
        f"{copy_address}/member?path={path}",
        f"{backup}/copies/{quote(path, safe='%')}/files",
        f"{backup}/copies/{timestamp}/download?path=passwd&target={path}",
        f"/api/v1/backups/{quote(path, safe='%')}/x/copies",
        f"/api/v1/runs/{quote(path, safe='%')}/log",
        f"/backups/{inside}/copies/{timestamp}?folder={path}",
        f"/static/{path}",
    ):
        answer = client.get(address)
        assert answer.status_code in (400, 404, 405, 409, 422), address
        assert "root:" not in answer.text, address


def test_a_link_in_a_copy_is_not_followed(client: Client, copy_address: str) -> None:
    (link,) = [each for each in entries(client, copy_address) if each["kind"] not in ("file", "folder")]
    answer = client.get(f"{copy_address}/download", params={"path": link["locator"]})
    assert "root:" not in answer.text
    whole = client.get(f"{copy_address}/download-folder?folder=")
    assert whole.status_code == 200
    assert b"root:x:0" not in whole.content


def test_a_restore_goes_nowhere_but_below_its_folder(client: Client, dashboard: Dashboard, copy_address: str) -> None:
    timestamp = copy_address.rpartition("/")[2]
    address = copy_address.removesuffix(f"/copies/{timestamp}") + "/restore"
    target = str(dashboard.configuration.backups[0].targets[0])
    for name in ("", ".", "..", "../x", "/tmp/x", "a/b", "-rf", "a\n", "a\0", ".hidden", "a" * 101, "x/../../y", "ä"):
        answer = client.post(address, json={"timestamp": timestamp, "target": target, "folder_name": name})
        assert answer.status_code == 422, name
    assert not (dashboard.holdfast.state / "restored").exists()
    for extra in ({"to": "/tmp"}, {"host": "evil"}, {"overwrite": "always"}):
        document = {"timestamp": timestamp, "target": target, "folder_name": "a", **extra}
        assert client.post(address, json=document).status_code == 422
