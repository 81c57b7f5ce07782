"""The emulator's upload sessions: every rule that the service holds a client to."""

from __future__ import annotations

import concurrent.futures
import http.client
import random
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.graph_requests import BEHAVIOUR, FRAGMENT_UNIT, Graph, error_code, inner_codes
from tests.support.onedrive import DRIVE_ID, OneDriveEmulator, fresh, started_emulator

CONTENT = random.Random(7).randbytes(2 * FRAGMENT_UNIT + 1000)
FIRST, SECOND, LAST = CONTENT[:FRAGMENT_UNIT], CONTENT[FRAGMENT_UNIT : 2 * FRAGMENT_UNIT], CONTENT[2 * FRAGMENT_UNIT :]
TOTAL = len(CONTENT)


@pytest.fixture(scope="module")
def running() -> Iterator[OneDriveEmulator]:
    with started_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: OneDriveEmulator) -> Iterator[OneDriveEmulator]:
    with fresh(running) as emulator:
        yield emulator


@pytest.fixture
def graph(emulator: OneDriveEmulator) -> Graph:
    return Graph(emulator)


def expected_ranges(response: requests.Response) -> list[str]:
    return list(response.json()["nextExpectedRanges"])


# ---------------------------------------------------------------------- a good upload


def test_fragments_in_order(emulator: OneDriveEmulator, graph: Graph) -> None:
    response = graph.open_session("file.zip", name="file.zip")
    assert expected_ranges(response) == ["0-"]
    url = response.json()["uploadUrl"]
    assert url.startswith(emulator.url("upload"))
    assert "expirationDateTime" in response.json()
    answers = [graph.send(url, FIRST, 0, TOTAL), graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert expected_ranges(answers[1]) == [f"{2 * FRAGMENT_UNIT}-"]
    assert expected_ranges(requests.get(url)) == [f"{2 * FRAGMENT_UNIT}-{TOTAL - 1}"]
    assert emulator.files() == {}
    assert graph.item("GET", "file.zip").status_code == 404
    assert graph.item("GET", "", "/children").json()["value"] == []
    done = graph.send(url, LAST, 2 * FRAGMENT_UNIT, TOTAL)
    assert (done.status_code, done.json()["size"]) == (201, TOTAL)
    assert emulator.content("file.zip") == CONTENT
    assert emulator.open_sessions() == []
    assert requests.get(url).status_code == 404


def test_the_times_of_a_file_can_be_given(graph: Graph) -> None:
    times = {"lastModifiedDateTime": "2001-02-03T04:05:06Z"}
    url = graph.open_session("file", fileSystemInfo=times).json()["uploadUrl"]
    item = graph.send(url, b"x", 0, 1).json()
    assert item["fileSystemInfo"]["lastModifiedDateTime"] == "2001-02-03T04:05:06Z"
    assert item["lastModifiedDateTime"] != "2001-02-03T04:05:06Z"
    assert graph.open_session("other", fileSystemInfo={"lastModifiedDateTime": "yesterday"}).status_code == 400


def test_existing_names(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file.zip", b"old")
    refused = graph.open_session("FILE.zip", "fail")
    assert (refused.status_code, error_code(refused)) == (409, "nameAlreadyExists")
    assert graph.send(graph.upload_url("file.zip", "replace"), b"new", 0, 3).status_code == 200
    renamed = graph.send(graph.upload_url("file.zip", "rename"), b"other", 0, 5)
    assert (renamed.status_code, renamed.json()["name"]) == (201, "file 1.zip")
    assert (emulator.content("file.zip"), emulator.content("file 1.zip")) == (b"new", b"other")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"item": {}},
        {"item": {"name": "file", BEHAVIOUR: "fail"}},
        {"item": {BEHAVIOUR: "overwrite"}},
        {"item": {BEHAVIOUR: "fail", "name": "other"}},
        {"item": {BEHAVIOUR: "fail", "unknown": 1}},
        [],
    ],
)
def test_what_a_session_must_be_asked_with(graph: Graph, document: object) -> None:
    assert graph.item("POST", "file", "/createUploadSession", json=document).status_code == 400


def test_a_session_must_be_asked_in_json(graph: Graph) -> None:
    text = '{"item": {"' + BEHAVIOUR + '": "fail"}}'
    assert graph.item("POST", "file", "/createUploadSession", data=text).status_code == 400
    assert graph.item("POST", "file", "/createUploadSession").status_code == 400


def test_a_missing_parent(graph: Graph) -> None:
    response = graph.open_session("absent/file")
    assert (response.status_code, error_code(response)) == (404, "itemNotFound")


# ---------------------------------------------------------------------- what is refused


def test_no_authorization(emulator: OneDriveEmulator, graph: Graph) -> None:
    url = graph.upload_url("file")
    bearer = {"Authorization": f"Bearer {graph.token}"}
    responses = [
        graph.send(url, FIRST, 0, TOTAL, **bearer),
        requests.get(url, headers=bearer),
        requests.delete(url, headers=bearer),
    ]
    assert [response.status_code for response in responses] == [401, 401, 401]
    assert len(emulator.violations()) == 3
    assert [session["received"] for session in emulator.open_sessions()] == [0]
    emulator.reset()


def test_no_chunked_encoding(graph: Graph) -> None:
    url = graph.upload_url("file")
    range_ = {"Content-Range": f"bytes 0-{len(FIRST) - 1}/{TOTAL}"}
    assert requests.put(url, data=iter([FIRST[:1000], FIRST[1000:]]), headers=range_).status_code == 400
    assert graph.send(url, FIRST, 0, TOTAL).status_code == 202


def test_a_length_is_needed(graph: Graph) -> None:
    url = urlsplit(graph.upload_url("file"))
    connection = http.client.HTTPConnection(str(url.hostname), url.port or 0)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Range", f"bytes 0-9/{TOTAL}")
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize(
    "content_range",
    [
        "",
        f"bytes 0-{FRAGMENT_UNIT - 1}/*",
        "bytes */10",
        "0-9/10",
        f"bytes 9-0/{TOTAL}",
        "bytes 0-0/0",
        "bytes 5-14/10",
    ],
)
def test_ranges_that_are_none(graph: Graph, content_range: str) -> None:
    response = graph.send(graph.upload_url("file"), FIRST, 0, TOTAL, Content_Range=content_range)
    assert response.status_code == 400


def test_sessions_take_no_empty_files(graph: Graph) -> None:
    url = graph.upload_url("file")
    assert graph.send(url, b"", 0, 0).status_code == 400
    assert requests.put(url, data=b"").status_code == 400


@pytest.mark.parametrize("length", [FRAGMENT_UNIT - 1, FRAGMENT_UNIT + 1])
def test_length_and_range_must_agree(graph: Graph, length: int) -> None:
    response = graph.send(
        graph.upload_url("file"), bytes(length), 0, TOTAL, Content_Range=f"bytes 0-{FRAGMENT_UNIT - 1}/{TOTAL}"
    )
    assert (response.status_code, inner_codes(response)) == (400, ["fragmentLengthMismatch"])


def test_fragments_are_multiples_of_320_kib(graph: Graph) -> None:
    url = graph.upload_url("file")
    assert graph.send(url, FIRST[:-1], 0, TOTAL).status_code == 400
    assert graph.send(url, FIRST[:1000], 0, TOTAL).status_code == 400
    assert graph.send(url, FIRST, 0, TOTAL).status_code == 202


def test_fragments_are_below_60_mib(graph: Graph) -> None:
    url = graph.upload_url("file")
    limit = 60 << 20
    assert graph.send(url, bytes(limit), 0, limit * 2).status_code == 413
    assert graph.send(url, bytes(limit - FRAGMENT_UNIT), 0, limit * 2).status_code == 202


def test_the_total_stays(graph: Graph) -> None:
    url = graph.upload_url("file")
    graph.send(url, FIRST, 0, TOTAL)
    response = graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL + 1)
    assert (response.status_code, error_code(response)) == (416, "invalidRange")
    assert graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL).status_code == 202


def test_a_file_that_is_too_large(graph: Graph) -> None:
    assert graph.send(graph.upload_url("file"), FIRST, 0, 250 * 1000**3 + 1).status_code == 413


def test_overlap_and_gap(graph: Graph) -> None:
    url = graph.upload_url("file")
    graph.send(url, FIRST, 0, TOTAL)
    again = graph.send(url, FIRST, 0, TOTAL)
    assert (again.status_code, inner_codes(again)) == (416, ["fragmentOverlap"])
    gap = graph.send(url, LAST, 2 * FRAGMENT_UNIT, TOTAL)
    assert (gap.status_code, inner_codes(gap)) == (416, ["fragmentOutOfOrder"])
    assert "innererror" in gap.json()["error"]
    assert expected_ranges(requests.get(url)) == [f"{FRAGMENT_UNIT}-{TOTAL - 1}"]


def test_one_session_for_a_name(emulator: OneDriveEmulator, graph: Graph) -> None:
    url = graph.upload_url("file", "replace")
    for response in (
        graph.open_session("FILE", "replace"),
        graph.item("PUT", "file", "/content", data=b"x"),
        graph.item("POST", "", "/children", json={"name": "file", "folder": {}}),
    ):
        assert (response.status_code, error_code(response)) == (409, "nameAlreadyExists")
    assert graph.open_session("file", "rename").status_code == 200
    assert requests.delete(url).status_code == 204
    assert graph.open_session("file").status_code == 200
    assert sorted(session["path"] for session in emulator.open_sessions()) == ["file", "file 1"]


def test_a_session_that_was_cancelled(graph: Graph) -> None:
    url = graph.upload_url("file")
    requests.delete(url)
    for response in (graph.send(url, FIRST, 0, TOTAL), requests.get(url), requests.delete(url)):
        assert response.status_code == 404
        assert "uploadSessionNotFound" in inner_codes(response)


def test_addresses_cannot_be_guessed_or_changed(graph: Graph) -> None:
    url = graph.upload_url("file")
    assert requests.get(url + "x").status_code == 404
    assert requests.get(url.partition("?")[0]).status_code == 404


def test_a_folder_that_goes_takes_its_sessions_along(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("folder/other")
    url = graph.upload_url("folder/file")
    graph.item("DELETE", "folder")
    assert graph.send(url, b"x", 0, 1).status_code == 404
    assert emulator.open_sessions() == []


def test_the_name_was_taken_meanwhile(emulator: OneDriveEmulator, graph: Graph) -> None:
    url = graph.upload_url("file", "fail")
    emulator.place("file", b"theirs")
    late = graph.send(url, b"ours", 0, 4)
    assert (late.status_code, error_code(late)) == (409, "nameAlreadyExists")
    assert emulator.content("file") == b"theirs"
    assert len(emulator.open_sessions()) == 1


def test_two_fragments_at_once_come_one_after_the_other(emulator: OneDriveEmulator, graph: Graph) -> None:
    url = graph.upload_url("file")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: Graph(emulator, graph.token).send(url, FIRST, 0, TOTAL), range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 416, 416, 416]


# ---------------------------------------------------------------------- time


def test_a_session_lives_on_with_every_fragment(emulator: OneDriveEmulator, graph: Graph) -> None:
    url = graph.upload_url("file")
    emulator.advance_clock(14 * 60)
    assert graph.send(url, FIRST, 0, TOTAL).status_code == 202
    emulator.advance_clock(14 * 60)
    assert requests.get(url).status_code == 200  # which does not make it live longer
    emulator.advance_clock(2 * 60)
    assert "uploadSessionNotFound" in inner_codes(graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL))
    assert emulator.open_sessions() == []
    assert graph.open_session("file").status_code == 200


def test_an_expired_session_holds_no_name(graph: Graph, emulator: OneDriveEmulator) -> None:
    graph.upload_url("file")
    emulator.advance_clock(16 * 60)
    graph.put("file", b"x")
    assert emulator.content("file") == b"x"


@pytest.mark.parametrize("status", [401, 403])
def test_no_session_lives_for_ever(emulator: OneDriveEmulator, graph: Graph, status: int) -> None:
    emulator.change(session_cap_seconds=1000, session_status_after_cap=status)
    url = graph.upload_url("file")
    emulator.advance_clock(600)
    assert graph.send(url, FIRST, 0, TOTAL).status_code == 202
    emulator.advance_clock(401)
    assert graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL).status_code == status
    assert graph.open_session("file").status_code == 200


# ---------------------------------------------------------------------- quota


def test_quota_is_checked_when_the_session_is_made(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(drives=[{"quota_total": 1000}], quota_checked_at="create")
    refused = graph.open_session("file", fileSize=1001)
    assert (refused.status_code, error_code(refused)) == (507, "quotaLimitReached")
    assert graph.open_session("file", fileSize=1000).status_code == 200
    emulator.change(drives=[{"quota_total": 1000, "used_elsewhere": 1000}])
    assert graph.open_session("other").status_code == 507


def test_quota_is_checked_at_a_fragment(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(drives=[{"quota_total": FRAGMENT_UNIT + 10}])
    url = graph.upload_url("file")
    assert graph.send(url, FIRST, 0, TOTAL).status_code == 202
    assert graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL).status_code == 507
    assert [session["received"] for session in emulator.open_sessions()] == [FRAGMENT_UNIT]


def test_quota_is_checked_at_the_end(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(drives=[{"quota_total": FRAGMENT_UNIT + 10}], quota_checked_at="commit")
    url = graph.upload_url("file")
    answers = [
        graph.send(url, FIRST, 0, TOTAL),
        graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL),
        graph.send(url, LAST, 2 * FRAGMENT_UNIT, TOTAL),
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 507]
    assert emulator.files() == {}


# ---------------------------------------------------------------------- clients that go away


@pytest.mark.parametrize("keep", ["memory", "disk"])
def test_nothing_stays_of_a_fragment_that_was_cut_off(emulator: OneDriveEmulator, keep: str) -> None:
    emulator.reset(keep=keep)
    graph = Graph(emulator)
    url = graph.upload_url("file")
    graph.send(url, FIRST, 0, TOTAL)
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port or 0)
    connection.putrequest("PUT", f"{address.path}?{address.query}")
    connection.putheader("Content-Range", f"bytes {FRAGMENT_UNIT}-{2 * FRAGMENT_UNIT - 1}/{TOTAL}")
    connection.putheader("Content-Length", str(FRAGMENT_UNIT))
    connection.endheaders(b"wrong" * 10_000)
    connection.close()
    assert graph.send(url, SECOND, FRAGMENT_UNIT, TOTAL).status_code == 202
    assert graph.send(url, LAST, 2 * FRAGMENT_UNIT, TOTAL).status_code == 201
    assert emulator.content("file") == CONTENT


def test_content_can_be_forgotten_but_for_size_and_hash(emulator: OneDriveEmulator) -> None:
    emulator.reset(keep="memory")
    kept = Graph(emulator).put("file", CONTENT)
    emulator.reset(keep="nothing")
    forgotten = Graph(emulator).put("file", CONTENT)
    assert (kept["size"], kept["file"]) == (forgotten["size"], forgotten["file"])
    assert emulator.files()["file"]["sha256"] is None


def test_addresses_belong_to_the_host_that_was_asked(emulator: OneDriveEmulator, graph: Graph) -> None:
    session = emulator.session()
    bearer = {"Authorization": f"Bearer {graph.token}"}
    place = f"https://graph.microsoft.com/v1.0/drives/{DRIVE_ID}/root:/file"
    document = {"item": {BEHAVIOUR: "fail"}}
    url = session.post(f"{place}:/createUploadSession", json=document, headers=bearer).json()["uploadUrl"]
    assert url.startswith("https://emulated-uploads.sharepoint.com/")
    assert session.put(url, data=b"x", headers={"Content-Range": "bytes 0-0/1"}).status_code == 201
    answer = session.get(f"{place}:/content", headers=bearer)
    assert answer.content == b"x"
    assert answer.url.startswith("https://emulated-downloads.sharepoint.com/")
    assert "Authorization" not in answer.request.headers
