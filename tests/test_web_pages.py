"""The pages over HTTP, without scripts: what they say of a site with all kinds of backups, and of an empty one."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from accounts import Role
from tests.support.dashboard import Client, Dashboard, running_dashboard
from tests.support.demo_site import FAILED, LATE, PARTIAL, RUNNING, demo
from tests.support.holdfast import Holdfast
from tests.support.waiting import wait_for
from utils import utc_now

__all__ = ["demo"]


@pytest.fixture(scope="module")
def client(demo: Dashboard) -> Client:
    return demo.client(Role.VIEWER)


def text(client: Client, path: str) -> str:
    """What a person reads on the page."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text)))


def links(client: Client, path: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'href="(/[^"]*)"', client.get(path).text)]


def test_the_first_page_begins_with_what_needs_attention(client: Client) -> None:
    page = client.get("/").text
    concerns = page[page.index('class="concerns"') : page.index("</ul>", page.index('class="concerns"'))]
    named = re.findall(r'<a href="/backups/([^"]+)">', concerns)
    assert named[0] == FAILED
    assert set(named) >= {FAILED, LATE, PARTIAL}
    assert "cannot be reached: No route to host." in concerns
    assert re.search(r"<h1>\d of 10 backups need attention</h1>", page)
    assert page.index("<h1>") < page.index('class="concerns"') < page.index("Under way") < page.index("Web shop")


def test_the_first_page_and_the_api_agree(client: Client) -> None:
    overview = client.get("/api/v1/overview").json()
    page = text(client, "/")
    assert overview["headline"] in page
    assert all(each["notices"][0]["text"].partition("\n")[0].rstrip(":") in page for each in overview["concerns"])
    backups = client.get("/api/v1/backups").json()
    assert backups["total"] == len(backups["backups"]) == 11
    for backup in backups["backups"]:
        shown = text(client, f"/backups/{backup['id']}")
        assert f"{backup['id']} {backup['level']}" in shown
        assert all(notice["text"].partition("\n")[0] in shown for notice in backup["notices"])


def test_what_is_under_way_is_shown_with_its_progress(client: Client) -> None:
    for path in ("/", "/runs", f"/backups/{RUNNING}"):
        assert "34,817 files · 15.0 GB of about 37.0 GB 40 %" in text(client, path)


def test_a_search_and_a_choice_leave_what_was_asked_for(client: Client) -> None:
    assert "3 backups in 1 project" in text(client, "/?q=WEB+shop")
    assert "4 backups in 3 projects" not in text(client, "/?q=WEB+shop")
    assert "3 backups in 3 projects" in text(client, "/?q=database")
    assert "No backup is named so." in text(client, "/?q=nothing")
    shown = text(client, "/?show=attention")
    assert "Office" in shown
    assert "directory" not in shown


def test_a_project_has_a_year_of_all_its_backups(client: Client) -> None:
    page = client.get("/projects/Web-shop").text
    days = re.findall(r'href="/days/([\d-]+)\?project=Web-shop"', page)
    assert len(days) > 300
    assert len(set(days)) == len(days)
    assert client.get("/projects/Nowhere").status_code == 404


def test_a_day_of_a_calendar_leads_to_its_runs(client: Client, demo: Dashboard) -> None:
    failed = demo.catalog.runs(FAILED, 1)[0]
    day = failed.started.date().isoformat()
    assert f"/days/{day}?backup={FAILED}" in links(client, f"/backups/{FAILED}")
    assert f"/runs/{failed.id}" in links(client, f"/days/{day}?backup={FAILED}")
    others = links(client, f"/days/{day}?project=Blog")
    assert any(each.startswith("/runs/") for each in others)
    assert f"/runs/{failed.id}" not in others
    assert "No run of Blog/media began on this day." in text(client, "/days/2001-01-01?backup=Blog/media")
    assert client.get("/days/2026-13-01").status_code == 422
    assert client.get("/days/0001-01-01").status_code == 200
    assert client.get("/days/9999-12-31").status_code in (200, 404)


def test_a_failed_run_tells_why_and_what_its_log_says(client: Client, demo: Dashboard) -> None:
    run = demo.catalog.runs(FAILED, 1)[0]
    page = text(client, f"/runs/{run.id}")
    assert "The server 203.0.113.26 cannot be reached: No route to host." in page
    assert "No archive was made." in page
    assert "no answer within 10 s; it is tried once more" in page
    assert client.get("/runs/nothing").status_code == 404


def test_a_viewer_has_no_buttons_and_an_operator_has(client: Client, demo: Dashboard) -> None:
    operator = demo.client(Role.OPERATOR)
    for path in ("/", f"/backups/{RUNNING}", f"/runs/{demo.catalog.runs(RUNNING, 1)[0].id}"):
        assert "data-action=" not in client.get(path).text
        assert "data-action=" in operator.get(path).text


def test_all_runs_can_be_paged_through_each_of_them_once(client: Client) -> None:
    path, seen = "/backups/Office/directory", []
    for _ in range(10):
        page = client.get(path).text
        table = page[page.index('id="runs-title"') :]
        seen += re.findall(r'<a href="/runs/([0-9a-f]+)"', table)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        if older is None:
            break
        path = unescape(older[1])
    everything = client.get("/api/v1/backups/Office/directory/runs?limit=200").json()["runs"]
    assert seen == [run["id"] for run in everything]
    assert len(seen) > 25


def test_a_log_in_pieces_is_the_whole_log(client: Client, demo: Dashboard) -> None:
    run = demo.catalog.runs("Blog/database", 1)[0]
    path = demo.holdfast.state / "logs" / "Blog/database" / f"{run.started:%Y%m%dT%H%M%SZ}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [f"2026-11-20T03:00:00Z INFO line {number} {'ü' * (number % 300)}" for number in range(3000)]
    whole = "".join(f"{line}\n" for line in written).encode()
    path.write_bytes(whole + b"2026-11-20T03:00:00Z INFO half a li")
    read, offset = [], 0
    while True:
        piece = client.get(f"/api/v1/runs/{run.id}/log?offset={offset}").json()
        assert piece["next_offset"] - piece["offset"] <= 65_536
        if piece["next_offset"] == offset:
            break
        read += piece["lines"]
        offset = piece["next_offset"]
    assert [f"2026-11-20T03:00:00Z INFO {line['message']}" for line in read] == written
    assert offset == len(whole)
    end = client.get(f"/api/v1/runs/{run.id}/log").json()
    assert [line["message"] for line in end["lines"]] == [line["message"] for line in read[-len(end["lines"]) :]]
    assert end["next_offset"] == len(whole)
    assert client.get(f"/api/v1/runs/{run.id}/log?offset=99999999").json()["lines"] == []


def test_what_is_next_is_in_the_order_of_its_times(client: Client) -> None:
    entries = client.get("/api/v1/schedule?limit=200").json()["entries"]
    times = [entry["at"] for entry in entries]
    assert times == sorted(times)
    assert {entry["kind"] for entry in entries} == {"backup", "verify", "drill"}
    assert "Office/scans" not in {entry["backup"] for entry in entries}, "it is disabled"
    shown = text(client, "/schedule")
    assert "Web-shop/database" in shown


def test_the_space_in_use_adds_up(client: Client) -> None:
    report = client.get("/api/v1/storage").json()
    assert report["size"] == sum(each["size"] for each in report["storages"])
    assert report["size"] == sum(each["size"] for each in report["backups"])
    assert [each["size"] for each in report["backups"]] == sorted(
        (each["size"] for each in report["backups"]), reverse=True
    )
    shown = text(client, "/storage")
    assert "NAS SFTP" in shown


def test_the_configuration_has_no_secret_and_says_what_is_wrong(client: Client, demo: Dashboard) -> None:
    config = demo.holdfast.config
    good = config.read_text()
    assert "The file is valid" in text(client, "/config")
    try:
        broken = good.replace("PASSWORD: ${NAS_PASSWORD}", "PASSWORD: canary-password\n    PASWORD: canary-typo")
        config.write_text(broken)
        wait_for(lambda: "What is wrong" in text(client, "/config"))
        shown = text(client, "/config")
        assert "canary" not in shown
        assert "canary" not in client.get("/api/v1/configuration").text
        line = broken[: broken.index("PASWORD")].count("\n") + 1
        assert f"#line-{line}" in client.get("/config").text
        assert f'<li id="line-{line}" class="bad">' in client.get("/config").text
        assert "The configuration has errors" in text(client, "/")
        assert client.get("/api/v1/backups").json()["total"] == 11, "the last one that was valid holds"
        config.write_text("PROJECTS: [")
        wait_for(lambda: "cannot be read as YAML" in text(client, "/config"))
    finally:
        config.write_text(good)
    wait_for(lambda: "The file is valid" in text(client, "/config"))


def test_everything_that_a_page_links_to_is_there(client: Client) -> None:
    seen: set[str] = set()
    waiting = ["/"]
    while waiting and len(seen) < 150:
        path = waiting.pop(0)
        shape = re.sub(r"[0-9a-f]{32}|\d{4}-\d\d-\d\d|before=[^&]*", "…", path)
        # Copies are listed on their storages, and most of these are nowhere.
        if shape in seen or path.startswith("/static") or "/copies" in path:
            continue
        seen.add(shape)
        answer = client.get(path)
        assert answer.status_code == 200, path
        if "html" in answer.headers["content-type"]:
            waiting += links(client, path)
    assert len(seen) > 40


def test_an_address_that_is_none_has_a_page_that_leads_back(client: Client) -> None:
    answer = client.get("/nothing/here")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.text
    assert 'href="/"' in answer.text


def test_an_empty_site_says_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    holdfast = Holdfast(tmp_path_factory.mktemp("empty") / "holdfast")
    holdfast.write({"PROJECTS": []})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("STATE_DIR", str(holdfast.state))
        with running_dashboard(holdfast) as dashboard:
            client = dashboard.client()
            wait_for(lambda: "There is no backup yet" in text(client, "/"))
            assert f"Write a first backup into {holdfast.config}" in text(client, "/")
            assert "There is no run yet." in text(client, "/runs")
            assert "Nothing is scheduled." in text(client, "/schedule")
            assert "Nothing was measured yet." in text(client, "/storage")


def test_a_backup_that_has_not_run_says_when_it_will(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("new")
    holdfast = Holdfast(folder / "holdfast")
    holdfast.configure(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("STATE_DIR", str(holdfast.state))
        monkeypatch.setenv("LOCAL_STORAGE_ROOT", str(holdfast.storage))
        with running_dashboard(holdfast) as dashboard:
            client = dashboard.client()
            wait_for(lambda: "The backup has not run yet" in text(client, "/"))
            page = text(client, "/backups/shop/files")
            assert "It has not run yet. It will" in page
            assert "backup.py shop/files" in page
            day = (utc_now() + timedelta(days=1)).date()
            assert "No run began on this day." in text(client, f"/days/{day}")
