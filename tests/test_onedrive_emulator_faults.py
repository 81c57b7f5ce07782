"""Every planned fault of the emulator happens where and when it was planned, and a test is told if one did not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.onedrive_emulator import faults
from tests.support.graph_requests import FRAGMENT_UNIT, Graph, error_code, sign_in
from tests.support.onedrive import (
    CLIENT_ID,
    DRIVE_ID,
    MATRIX_FAULTS,
    OneDriveEmulator,
    fresh,
    started_emulator,
)

CONTENT = random.Random(11).randbytes(2 * FRAGMENT_UNIT + 1000)
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


def send_from(graph: Graph, url: str, first: int) -> requests.Response:
    """The rest of the content, one unit at a time: the last answer, or the first one that is no 202."""
    while True:
        answer = graph.send(url, CONTENT[first : first + FRAGMENT_UNIT], first, TOTAL)
        first += FRAGMENT_UNIT
        if answer.status_code != 202:
            return answer


def expected_offset(url: str) -> int:
    (expected,) = requests.get(url).json()["nextExpectedRanges"]
    return int(expected.partition("-")[0])


# ---------------------------------------------------------------------- planning


@pytest.mark.parametrize(
    "plan",
    [
        {"kind": "unknown"},
        {"kind": "slow", "route": "graph.unknown", "seconds": 1},
        {"kind": "lost_response", "seconds": 1},
        {"kind": "lost_response", "nth": 0},
        {},
    ],
)
def test_a_plan_that_could_never_happen_is_refused(emulator: OneDriveEmulator, plan: dict[str, Any]) -> None:
    response = requests.post(f"{emulator.url('admin')}/faults", json=plan)
    assert response.status_code == 400
    assert emulator.unfired_faults() == []


def test_the_nth_request_of_a_route(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file")
    emulator.plan("status", "graph.item", nth=2, times=2, status=500)
    statuses = []
    for _ in range(5):
        graph.call("GET", f"drives/{DRIVE_ID}")
        statuses.append(graph.item("GET", "file").status_code)
    assert statuses == [200, 500, 500, 200, 200]


def test_from_the_nth_request_on(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file")
    emulator.plan("status", "graph.item", nth=3, times=None, status=500)
    assert [graph.item("GET", "file").status_code for _ in range(5)] == [200, 200, 500, 500, 500]


def test_the_nth_request_of_all(emulator: OneDriveEmulator) -> None:
    emulator.plan("status", nth=3, status=403)
    graph = Graph(emulator)
    assert graph.item("PUT", "file", "/content", data=b"x").status_code == 201
    assert graph.item("GET", "file").status_code == 403
    assert graph.item("GET", "file").status_code == 200
    assert [request["status"] for request in emulator.requests()] == [200, 201, 403, 200]


def test_a_fault_that_did_not_happen_is_told(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("lost_response", "upload.commit")
    emulator.plan("wrong_bytes_stored", "graph.item")
    graph.item("GET", "")
    with pytest.raises(AssertionError, match="lost_response"):
        emulator.check()
    assert [fault["kind"] for fault in emulator.unfired_faults()] == ["lost_response", "wrong_bytes_stored"]
    emulator.reset()
    emulator.check()


def test_a_fault_that_happened_too_seldom_is_told(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("status", "graph.item", times=2, status=500)
    graph.item("GET", "")
    assert [(fault["fired"], fault["times"]) for fault in emulator.unfired_faults()] == [(1, 2)]
    graph.item("GET", "")
    assert emulator.unfired_faults() == []


def test_the_kinds_are_all_described() -> None:
    assert {kind for kind in faults.KINDS if f"``{kind}``" not in (faults.__doc__ or "")} == set()


# ---------------------------------------------------------------------- answers in place of what was asked


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "unauthenticated"),
        (403, "accessDenied"),
        (404, "itemNotFound"),
        (409, "nameAlreadyExists"),
        (429, "activityLimitReached"),
        (500, "generalException"),
        (503, "serviceNotAvailable"),
        (507, "quotaLimitReached"),
        (509, "generalException"),
    ],
)
def test_a_status_in_place_of_the_answer(emulator: OneDriveEmulator, graph: Graph, status: int, code: str) -> None:
    emulator.plan("status", "graph.put_content", status=status)
    response = graph.item("PUT", "file", "/content", data=CONTENT)
    assert (response.status_code, error_code(response)) == (status, code)
    assert emulator.files() == {}
    graph.put("file", CONTENT)


def test_another_code(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("status", "graph.item", status=409, code="resourceModified")
    assert error_code(graph.item("GET", "")) == "resourceModified"


def test_html_in_place_of_json(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("status", "graph.item", status=503, body="html", retry_after=1)
    response = graph.item("GET", "")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.headers["Content-Type"] == "text/html"
    assert "<html>" in response.text


def test_a_status_after_everything_was_done(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("status_after", "upload.fragment", status=500)
    emulator.plan("status_after", "upload.commit", status=503, body="html")
    url = graph.upload_url("file")
    assert graph.send(url, CONTENT[:FRAGMENT_UNIT], 0, TOTAL).status_code == 500
    assert expected_offset(url) == FRAGMENT_UNIT
    assert send_from(graph, url, FRAGMENT_UNIT).status_code == 503
    assert emulator.content("file") == CONTENT


@pytest.mark.parametrize("status", [409, 507])
def test_a_refusal_at_the_start_in_the_middle_and_at_the_end(
    emulator: OneDriveEmulator, graph: Graph, status: int
) -> None:
    for route in ("graph.create_session", "upload.fragment", "upload.commit"):
        emulator.plan("status", route, status=status)
    assert graph.open_session("file").status_code == status
    url = graph.upload_url("file")
    assert send_from(graph, url, 0).status_code == status
    assert expected_offset(url) == 0
    assert send_from(graph, url, 0).status_code == status
    assert expected_offset(url) == 2 * FRAGMENT_UNIT
    assert emulator.files() == {}
    assert send_from(graph, url, 2 * FRAGMENT_UNIT).status_code == 201


# ---------------------------------------------------------------------- pauses


def test_a_pause_must_be_kept_by_all_of_the_app(emulator: OneDriveEmulator, graph: Graph) -> None:
    url = graph.upload_url("file")
    emulator.plan("status", "graph.item", status=429, retry_after=30)
    response = graph.item("GET", "")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "30")
    early = [graph.item("GET", ""), requests.get(url)]
    assert [answer.status_code for answer in early] == [429, 429]
    assert all(1 <= int(answer.headers["Retry-After"]) <= 30 for answer in early)
    first, second = emulator.violations()
    assert "GET /v1.0/drives" in first
    assert "uploadSession" in second
    assert "before the time of Retry-After had passed" in second
    emulator.advance_clock(30)
    assert graph.item("GET", "").status_code == 200
    assert len(emulator.violations()) == 2
    emulator.reset()


def test_a_pause_of_an_upload_holds_for_graph_too(emulator: OneDriveEmulator, graph: Graph) -> None:
    url = graph.upload_url("file")
    emulator.plan("status", "upload.fragment", status=503, retry_after=20)
    emulator.plan("status", "graph.item", nth=2, status=503)
    assert graph.send(url, b"x", 0, 1).status_code == 503
    emulator.advance_clock(1)
    assert graph.item("GET", "").status_code == 429
    emulator.advance_clock(19)
    assert graph.item("GET", "").status_code == 200
    assert graph.item("GET", "").status_code == 503  # without Retry-After nobody has to wait
    assert graph.item("GET", "").status_code == 200
    assert len(emulator.violations()) == 1
    emulator.reset()


def test_what_was_on_its_way_is_no_breach(emulator: OneDriveEmulator) -> None:
    emulator.reset(throttle_grace_seconds=60)
    graph = Graph(emulator)
    emulator.plan("status", "graph.item", status=429, retry_after=30)
    graph.item("GET", "")
    assert Graph(emulator, graph.token).item("GET", "").status_code == 200
    assert graph.item("GET", "").status_code == 429  # the connection that was told so
    assert len(emulator.violations()) == 1
    emulator.reset()


def test_another_app_need_not_pause(emulator: OneDriveEmulator) -> None:
    apps = [{}, {"client_id": "another", "secret": "another-secret"}]
    emulator.reset(apps=apps)
    graph = Graph(emulator)
    other = Graph(
        emulator, sign_in(emulator, client_id="another", client_secret="another-secret").json()["access_token"]
    )
    emulator.plan("status", "graph.item", status=429, retry_after=30)
    assert graph.item("GET", "").status_code == 429
    assert other.item("GET", "").status_code == 200
    assert {request["app_id"] for request in emulator.requests()} == {"", CLIENT_ID, "another"}


# ---------------------------------------------------------------------- connections that break


@pytest.mark.parametrize("keep", [0, 100_001])
def test_a_reset_in_the_middle_of_a_fragment(emulator: OneDriveEmulator, graph: Graph, keep: int) -> None:
    emulator.plan("reset_in_body", "upload.fragment", nth=2, keep=keep)
    url = graph.upload_url("file")
    with pytest.raises(requests.ConnectionError):
        send_from(graph, url, 0)
    assert expected_offset(url) == FRAGMENT_UNIT + keep
    assert send_from(graph, url, FRAGMENT_UNIT + keep).status_code == 201
    assert emulator.content("file") == CONTENT
    assert [request["status"] for request in emulator.requests() if request["route"] == "upload.fragment"][1] is None


def test_a_reset_at_a_byte(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("reset_in_body", "graph.put_content", after=10)
    emulator.plan("reset_in_body", "graph.item")
    for method, action, body in (("PUT", "/content", CONTENT), ("GET", "", None)):
        with pytest.raises(requests.ConnectionError):
            graph.item(method, "file", action, data=body)
    assert emulator.files() == {}


def test_a_lost_response(emulator: OneDriveEmulator, graph: Graph) -> None:
    for route in ("upload.commit", "graph.put_content", "graph.delete"):
        emulator.plan("lost_response", route)
    url = graph.upload_url("file")
    with pytest.raises(requests.ConnectionError):
        send_from(graph, url, 0)
    assert emulator.content("file") == CONTENT
    assert requests.get(url).status_code == 404
    with pytest.raises(requests.ConnectionError):
        graph.put("other")
    with pytest.raises(requests.ConnectionError):
        graph.item("DELETE", "file")
    assert list(emulator.files()) == ["other"]


def test_a_truncated_download(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file", CONTENT)
    url = graph.download_url("file")
    for after in (0, 1000, 500_000):
        emulator.plan("truncated_answer", "download.content", after=after)
        response = requests.get(url, stream=True)
        assert int(response.headers["Content-Length"]) == TOTAL
        received = bytearray()
        with pytest.raises(requests.RequestException):
            for chunk in response.iter_content(1000):
                received += chunk
        assert bytes(received) == CONTENT[:after]
    assert requests.get(url).content == CONTENT


def test_a_corrupted_download(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file", CONTENT)
    url = graph.download_url("file")
    emulator.plan("corrupted_answer", "download.content", at=600_000)
    emulator.plan("corrupted_answer", "download.content", nth=2)
    wrong = [
        [index for index, (is_, was) in enumerate(zip(requests.get(url).content, CONTENT, strict=True)) if is_ != was]
        for _ in range(3)
    ]
    assert wrong == [[600_000], [TOTAL // 2], []]


def test_a_slow_answer(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("slow", "graph.item", seconds=1)
    with pytest.raises(requests.Timeout):
        graph.item("GET", "", timeout=0.1)
    assert graph.item("GET", "").status_code == 200


# ---------------------------------------------------------------------- sessions, tokens, time


def test_a_session_that_the_service_forgot(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("session_lost", "upload.fragment", nth=2)
    emulator.plan("status", "upload.status", status=404)
    url = graph.upload_url("file")
    assert send_from(graph, url, 0).status_code == 404
    assert send_from(graph, url, FRAGMENT_UNIT).status_code == 404
    url = graph.upload_url("file")
    assert requests.get(url).status_code == 404
    assert expected_offset(url) == 0  # that one was lost for a moment only


def test_tokens_that_are_revoked(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("revoke_tokens", "graph.item", nth=2)
    assert [graph.item("GET", "").status_code for _ in range(3)] == [200, 401, 401]
    assert Graph(emulator).item("GET", "").status_code == 200


def test_the_clock_jumps_at_a_request(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("advance_clock", "upload.fragment", nth=2, seconds=3600)
    url = graph.upload_url("file")
    assert send_from(graph, url, 0).status_code == 404
    assert graph.item("GET", "").status_code == 401


# ---------------------------------------------------------------------- wrong bytes and untruths


def test_wrong_bytes_in_a_fragment(emulator: OneDriveEmulator, graph: Graph) -> None:
    right = graph.put("right", CONTENT)
    emulator.plan("wrong_bytes_stored", "upload.fragment", nth=2)
    item = send_from(graph, graph.upload_url("file"), 0).json()
    assert item["size"] == TOTAL
    assert item["file"]["hashes"] != right["file"]["hashes"]
    stored = emulator.content("file")
    assert [index for index in range(TOTAL) if stored[index] != CONTENT[index]] == [FRAGMENT_UNIT + FRAGMENT_UNIT // 2]


def test_wrong_bytes_that_the_hash_cannot_see(emulator: OneDriveEmulator, graph: Graph) -> None:
    right = graph.put("right", CONTENT)
    emulator.plan("wrong_bytes_stored", "content", unseen_by_hash=True)
    wrong = graph.put("wrong", CONTENT)
    assert wrong["file"] == right["file"]
    assert emulator.content("wrong") != CONTENT


def test_a_lost_byte(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.plan("last_byte_lost", "upload.commit")
    emulator.plan("last_byte_lost", "graph.put_content")
    assert send_from(graph, graph.upload_url("file"), 0).json()["size"] == TOTAL - 1
    assert graph.put("small", b"12345")["size"] == 4
    assert emulator.content("small") == b"1234"


@pytest.mark.parametrize("kind", ["wrong_size", "wrong_hash", "no_hash"])
@pytest.mark.parametrize("lasting", [False, True])
def test_untruths_about_an_item(emulator: OneDriveEmulator, graph: Graph, kind: str, lasting: bool) -> None:
    emulator.plan(kind, "upload.commit", lasting=lasting)
    told = send_from(graph, graph.upload_url("file"), 0).json()
    stored = emulator.files()["file"]
    truth = {"wrong_size": "size", "wrong_hash": "hash", "no_hash": "hash"}[kind]

    def is_true(item: dict[str, Any]) -> dict[str, bool]:
        hashes = item["file"].get("hashes", {})
        return {
            "size": item["size"] == stored["size"] == TOTAL,
            "hash": hashes.get("quickXorHash") == stored["quick_xor_hash"],
        }

    assert is_true(told) == {"size": True, "hash": True, truth: False}
    assert is_true(graph.item("GET", "file").json())[truth] == (not lasting)
    assert is_true(graph.item("GET", "", "/children").json()["value"][0])[truth] == (not lasting)
    assert emulator.content("file") == CONTENT
    graph.item("DELETE", "file")
    assert is_true(graph.put("file", CONTENT))[truth]


# ---------------------------------------------------------------------- the matrix


def run_everything(emulator: OneDriveEmulator) -> list[int | None]:
    """Requests to all services, one by one; the status of each, None where the connection broke."""
    session = requests.Session()
    token = ""
    statuses: list[int | None] = []

    def ask(method: str, url: str, **options: Any) -> requests.Response | None:
        try:
            response = session.request(method, url, **options)
        except requests.ConnectionError:
            statuses.append(None)
            return None
        statuses.append(response.status_code)
        return response

    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": emulator.secrets()[0],
        "scope": "https://graph.microsoft.com/.default",
    }
    tenant = f"{emulator.url('sign_in')}/contoso.onmicrosoft.com"
    drive = f"{emulator.url('graph')}/v1.0/drives/{DRIVE_ID}"
    ask("GET", f"{tenant}/v2.0/.well-known/openid-configuration")
    signed_in = ask("POST", f"{tenant}/oauth2/v2.0/token", data=form)
    if signed_in is not None and signed_in.ok:
        token = signed_in.json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    ask("PUT", f"{drive}/root:/file:/content", data=CONTENT, headers=bearer)
    found = ask("GET", f"{drive}/root:/file:/content", headers=bearer, allow_redirects=False)
    if found is not None and "Location" in found.headers:
        ask("GET", found.headers["Location"])
    ask("DELETE", f"{drive}/root:/file", headers=bearer)
    return statuses


@pytest.mark.parametrize("fault", MATRIX_FAULTS)
def test_every_fault_at_every_index(emulator: OneDriveEmulator, fault: str) -> None:
    assert run_everything(emulator) == [200, 200, 201, 302, 200, 204]
    with_content = [entry["number"] for entry in emulator.requests() if "content" in entry["labels"]]
    assert with_content == [3]
    for index in with_content if fault == "wrong bytes stored" else range(1, 7):
        emulator.reset()
        emulator.plan(nth=index, **MATRIX_FAULTS[fault])
        statuses = run_everything(emulator)
        assert emulator.unfired_faults() == []
        if fault == "wrong bytes stored":
            assert statuses == [200, 200, 201, 302, 200, 204]
        else:
            assert statuses[index - 1] == MATRIX_FAULTS[fault].get("status")
    emulator.reset()
