"""The emulator's drives: addresses, names, folders, listing, small uploads, downloads, deletion, quota, permissions."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.onedrive_emulator.quick_xor_hash import QuickXorHash
from tests.support.graph_requests import BEHAVIOUR, Graph, error_code, inner_codes
from tests.support.onedrive import DRIVE_ID, SITE_ID, USER, OneDriveEmulator, fresh, started_emulator


@pytest.fixture(scope="module")
def running() -> Iterator[OneDriveEmulator]:
    with started_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: OneDriveEmulator) -> Iterator[OneDriveEmulator]:
    with fresh(running, page_size=3) as emulator:
        yield emulator


@pytest.fixture
def graph(emulator: OneDriveEmulator) -> Graph:
    return Graph(emulator)


def make_folder(graph: Graph, parent: str, name: str, **more: Any) -> requests.Response:
    return graph.item("POST", parent, "/children", json={"name": name, "folder": {}, **more})


# ---------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "drive", [f"drives/{DRIVE_ID}", f"users/{USER}/drive", f"users/{USER.upper()}/drive", f"sites/{SITE_ID}/drive"]
)
def test_three_ways_to_one_drive(graph: Graph, drive: str) -> None:
    graph.put("folder/file", b"12345")
    document = graph.call("GET", drive).json()
    assert (document["id"], document["quota"]["used"]) == (DRIVE_ID, 5)
    assert graph.call("GET", f"{drive}/root:/folder/file").json()["size"] == 5


@pytest.mark.parametrize("drive", ["drives/other", "users/nobody@contoso.example/drive", "sites/other/drive"])
def test_unknown_drives(graph: Graph, drive: str) -> None:
    response = graph.call("GET", drive)
    assert (response.status_code, error_code(response)) == (404, "itemNotFound")


@pytest.mark.parametrize("address", ["me", "me/drive", "me/drive/root"])
def test_there_is_no_me(graph: Graph, address: str) -> None:
    response = graph.call("GET", address)
    assert (response.status_code, error_code(response)) == (400, "BadRequest")


def test_an_item_by_its_id(graph: Graph) -> None:
    identity = graph.put("folder/file")["id"]
    drive = f"drives/{DRIVE_ID}"
    assert graph.call("GET", f"{drive}/items/{identity}").json()["name"] == "file"
    folder = graph.item("GET", "folder").json()["id"]
    assert graph.call("GET", f"{drive}/items/{folder}:/file").json()["id"] == identity
    assert graph.call("DELETE", f"{drive}/items/{identity}").status_code == 204
    assert graph.call("GET", f"{drive}/items/{identity}").status_code == 404


def test_an_item_as_graph_describes_it(graph: Graph) -> None:
    content = b"hello world"
    graph.put("folder/file.zip", content)
    item = graph.item("GET", "folder/file.zip").json()
    assert item["size"] == len(content)
    assert item["file"]["hashes"] == {"quickXorHash": "aCgDG9jwBhDc4Q1yawMZAAAAAAA="}
    assert item["fileSystemInfo"]["lastModifiedDateTime"] == item["lastModifiedDateTime"]
    assert item["parentReference"]["path"] == f"/drives/{DRIVE_ID}/root:/folder"
    assert "file" not in graph.item("GET", "folder").json()
    selected = graph.item("GET", "folder/file.zip", params={"$select": "name,size"})
    assert selected.json() == {"name": "file.zip", "size": 11}


def test_errors_have_the_shape_of_graph(graph: Graph) -> None:
    response = graph.item("GET", "absent")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "itemNotFound")
    assert error["message"]
    assert error["innerError"]["request-id"] == response.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "drives/x/special/approot"),
        ("PATCH", f"drives/{DRIVE_ID}/root:/a"),
        ("HEAD", f"drives/{DRIVE_ID}/root:/a"),
        ("PUT", f"drives/{DRIVE_ID}/root:/a"),
        ("GET", f"drives/{DRIVE_ID}/root:/a:b:/content"),
        ("GET", "sites"),
    ],
)
def test_unknown_routes_are_remembered(emulator: OneDriveEmulator, graph: Graph, method: str, address: str) -> None:
    assert graph.call(method, address).status_code == 404
    assert emulator.violations() == [f"unknown route: graph: {method} /v1.0/{address}"]
    emulator.reset()


def test_an_unknown_query_parameter(emulator: OneDriveEmulator, graph: Graph) -> None:
    assert graph.item("GET", "", params={"$expand": "children"}).status_code == 400
    (violation,) = emulator.violations()
    assert "$expand" in violation
    emulator.reset()


# ---------------------------------------------------------------------- names


FORBIDDEN = [
    *(f"a{character}b" for character in '"*:<>?/\\|\n\t'),
    " leading",
    "trailing ",
    "dot.",
    "..",
    ".lock",
    "con",
    "PRN",
    "Aux",
    "NUL",
    "COM0",
    "lpt9",
    "Desktop.ini",
    "a_vti_b",
    "~$temporary",
    "~other",
    "n" * 256,
]


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_names(emulator: OneDriveEmulator, graph: Graph, name: str) -> None:
    encoded = quote(name, safe="")
    place = f"drives/{DRIVE_ID}/root:/folder/{encoded}"
    responses = [
        graph.call("GET", place),
        graph.call("PUT", f"{place}:/content", data=b"x"),
        graph.call("POST", f"{place}:/createUploadSession", json={"item": {BEHAVIOUR: "fail"}}),
        make_folder(graph, "", name),
    ]
    assert [response.status_code for response in responses] == [400, 400, 400, 400]
    assert emulator.folders() == []


@pytest.mark.parametrize("name", ["forms", "Forms"])
def test_a_folder_called_forms_at_the_root(graph: Graph, name: str) -> None:
    assert make_folder(graph, "", name).status_code == 400
    make_folder(graph, "", "folder")
    assert make_folder(graph, "folder", name).status_code == 201


@pytest.mark.parametrize(
    "name", ["#1 100% a+b&c=d;e", "%20", ".hidden", "Übung 日本語 😀", "$HOME", "icon", "a~", "'[x]'"]
)
def test_strange_names_that_are_allowed(emulator: OneDriveEmulator, graph: Graph, name: str) -> None:
    graph.put(f"folder/{name}", b"x")
    assert list(emulator.files()) == [f"folder/{name}"]
    assert graph.item("GET", f"folder/{name}").json()["name"] == name


@pytest.mark.parametrize("path", ["a//b", "a/", "/a"])
def test_empty_names(graph: Graph, path: str) -> None:
    assert graph.item("PUT", path, "/content", data=b"x").status_code == 400


@pytest.mark.parametrize("escape", ["%", "%zz", "%ff"])
def test_a_path_that_is_not_percent_encoded(emulator: OneDriveEmulator, graph: Graph, escape: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", emulator.ports["graph"])  # requests would encode the path
    target = f"/v1.0/drives/{DRIVE_ID}/root:/a{escape}"
    connection.request("GET", target, headers={"Authorization": f"Bearer {graph.token}"})
    assert connection.getresponse().status == 400
    connection.close()


def test_long_paths(graph: Graph) -> None:
    longest = "/".join(["é" * 199, "b" * 200])
    graph.put(longest)
    response = graph.item("PUT", longest + "c", "/content", data=b"x")
    assert (response.status_code, error_code(response)) == (400, "pathIsTooLong")


def test_names_are_case_insensitive(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("Folder/File", b"first")
    graph.put("FOLDER/fiLE", b"second")
    assert list(emulator.files()) == ["Folder/File"]
    assert emulator.content("folder/file") == b"second"
    assert make_folder(graph, "", "folder").status_code == 409


# ---------------------------------------------------------------------- folders and lists


def test_folders(graph: Graph) -> None:
    assert make_folder(graph, "", "a", **{BEHAVIOUR: "fail"}).status_code == 201
    again = make_folder(graph, "", "A", **{BEHAVIOUR: "fail"})
    assert (again.status_code, error_code(again)) == (409, "nameAlreadyExists")
    assert make_folder(graph, "", "a", **{BEHAVIOUR: "rename"}).json()["name"] == "a 1"
    assert make_folder(graph, "", "a", **{BEHAVIOUR: "replace"}).status_code == 200
    assert make_folder(graph, "absent", "b").status_code == 404
    assert graph.item("POST", "", "/children", json={"name": "file", "file": {}}).status_code == 400
    graph.put("file")
    assert make_folder(graph, "", "file").status_code == 409
    assert make_folder(graph, "file", "below").status_code == 400
    assert graph.item("PUT", "file/below", "/content", data=b"x").status_code == 409


def test_children_come_in_pages_with_opaque_addresses(emulator: OneDriveEmulator, graph: Graph) -> None:
    for number in range(8):
        graph.put(f"folder/{number}", b"x" * number)
    pages = []
    address: str | None = f"{emulator.url('graph')}/v1.0/drives/{DRIVE_ID}/root:/folder:/children?$top=200"
    while address is not None:
        document = requests.get(address, headers={"Authorization": f"Bearer {graph.token}"}, timeout=60).json()
        pages.append([(item["name"], item["size"]) for item in document["value"]])
        address = document.get("@odata.nextLink")
        assert address is None or ("root:" not in address and "$skiptoken=" in address)
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [item for page in pages for item in page] == [(str(number), number) for number in range(8)]


def test_top_makes_pages_smaller_but_not_larger(graph: Graph) -> None:
    for number in range(4):
        graph.put(f"folder/{number}")
    lengths = {
        top: len(graph.item("GET", "folder", "/children", params={"$top": top}).json()["value"])
        for top in ("1", "2", "99")
    }
    assert lengths == {"1": 1, "2": 2, "99": 3}
    assert graph.item("GET", "folder", "/children", params={"$top": "0"}).status_code == 400


def test_an_address_of_a_page_must_be_used_as_it_is(graph: Graph) -> None:
    for number in range(4):
        graph.put(f"folder/{number}")
    link = graph.item("GET", "folder", "/children").json()["@odata.nextLink"]
    bearer = {"Authorization": f"Bearer {graph.token}"}
    assert graph.session.get(link + "&$top=3", headers=bearer).status_code == 400
    assert graph.session.get(link + "x", headers=bearer).status_code == 400
    assert graph.session.get(link).status_code == 401
    assert graph.session.get(link, headers=bearer).json()["value"][0]["name"] == "3"


def test_a_list_misses_items_when_others_go_meanwhile(graph: Graph) -> None:
    for number in range(5):
        graph.put(f"folder/{number}")
    link = graph.item("GET", "folder", "/children").json()["@odata.nextLink"]
    graph.item("DELETE", "folder/0")
    rest = graph.session.get(link, headers={"Authorization": f"Bearer {graph.token}"}).json()["value"]
    assert [item["name"] for item in rest] == ["4"]


# ---------------------------------------------------------------------- small uploads


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 5000])
def test_a_small_upload(emulator: OneDriveEmulator, graph: Graph, content: bytes) -> None:
    response = graph.item("PUT", "made/on/the way/file", "/content", data=content)
    assert response.status_code == 201
    expected = QuickXorHash()
    expected.update(content)
    assert response.json()["file"]["hashes"]["quickXorHash"] == expected.base64()
    (stored,) = emulator.files().values()
    assert (stored["size"], stored["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert emulator.folders() == ["made", "made/on", "made/on/the way"]


def test_conflicts_of_small_uploads(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file.zip", b"1")
    assert graph.item("PUT", "file.zip", "/content", data=b"2").status_code == 200
    refused = graph.item("PUT", "file.zip", "/content", data=b"3", params={BEHAVIOUR: "fail"})
    assert (refused.status_code, error_code(refused)) == (409, "nameAlreadyExists")
    assert (
        graph.item("PUT", "file.zip", "/content", data=b"4", params={BEHAVIOUR: "rename"}).json()["name"]
        == "file 1.zip"
    )
    assert (emulator.content("file.zip"), emulator.content("file 1.zip")) == (b"2", b"4")


def test_the_limit_of_small_uploads(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(simple_upload_limit=10)
    graph.put("small", bytes(10))
    assert graph.item("PUT", "large", "/content", data=bytes(11)).status_code == 413
    assert list(emulator.files()) == ["small"]


def test_chunked_bodies_are_refused(emulator: OneDriveEmulator, graph: Graph) -> None:
    assert graph.item("PUT", "file", "/content", data=iter([b"a" * 100_000, b"b"])).status_code == 400
    graph.put("after")
    assert list(emulator.files()) == ["after"]


# ---------------------------------------------------------------------- downloads


def test_a_download_goes_through_another_address(emulator: OneDriveEmulator, graph: Graph) -> None:
    content = bytes(range(256)) * 9000
    graph.put("file", content)
    url = graph.download_url("file")
    assert url.startswith(emulator.url("download"))
    assert requests.get(url).content == content
    assert graph.item("GET", "file", "/content").content == content  # followed, as requests does it


@pytest.mark.parametrize(
    ("header", "status", "expected", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=3-5", 206, b"345", "bytes 3-5/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-4", 206, b"6789", "bytes 6-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=5-3", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
    ],
)
def test_ranges(graph: Graph, header: str, status: int, expected: bytes | None, content_range: str | None) -> None:
    graph.put("file", b"0123456789")
    response = requests.get(graph.download_url("file"), headers={"Range": header})
    assert (response.status_code, response.headers.get("Content-Range")) == (status, content_range)
    assert expected is None or response.content == expected


def test_a_range_of_an_empty_file(graph: Graph) -> None:
    graph.put("file", b"")
    url = graph.download_url("file")
    assert requests.get(url).content == b""
    assert requests.get(url, headers={"Range": "bytes=0-"}).status_code == 416


def test_a_download_address_takes_no_authorization(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file")
    url = graph.download_url("file")
    assert requests.get(url, headers={"Authorization": f"Bearer {graph.token}"}).status_code == 401
    (violation,) = emulator.violations()
    assert "sends Authorization to a download address" in violation
    assert requests.get(url + "x").status_code == 401
    emulator.reset()


def test_download_addresses_expire_and_follow_the_item(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("file")
    graph.put("gone")
    url, gone = graph.download_url("file"), graph.download_url("gone")
    graph.item("DELETE", "gone")
    assert requests.get(gone).status_code == 404
    emulator.advance_clock(3601)
    assert requests.get(url).status_code == 401


# ---------------------------------------------------------------------- deletion and quota


def test_the_recycle_bin_counts(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(drives=[{"quota_total": 1000, "used_elsewhere": 100}])
    graph.put("folder/a", bytes(300))
    assert graph.item("DELETE", "folder").status_code == 204
    assert graph.item("GET", "folder/a").status_code == 404
    assert graph.item("DELETE", "folder").status_code == 404
    quota = graph.call("GET", f"drives/{DRIVE_ID}").json()["quota"]
    assert quota == {"total": 1000, "used": 400, "remaining": 600, "deleted": 300}
    assert [item["name"] for item in emulator.drive()["recycle_bin"]] == ["folder"]


def test_permanent_deletion_frees(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("a", bytes(300))
    assert graph.item("POST", "a", "/permanentDelete").status_code == 204
    assert (emulator.drive()["used"], emulator.drive()["recycle_bin"]) == (0, [])
    assert graph.item("POST", "a", "/permanentDelete").status_code == 404
    graph.put("b")
    emulator.change(drives=[{"kind": "personal"}])
    assert graph.item("POST", "b", "/permanentDelete").status_code == 400
    assert list(emulator.files()) == ["b"]


def test_the_root_stays(graph: Graph) -> None:
    assert graph.item("DELETE", "").status_code == 400


def test_a_full_drive(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(drives=[{"quota_total": 1000}])
    graph.put("a", bytes(900))
    response = graph.item("PUT", "b", "/content", data=bytes(101))
    assert (response.status_code, error_code(response)) == (507, "quotaLimitReached")
    graph.put("b", bytes(100))
    assert set(emulator.files()) == {"a", "b"}


def test_a_quota_that_is_not_known(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(drives=[{"quota_total": 0}])
    graph.put("a", bytes(900))
    quota = graph.call("GET", f"drives/{DRIVE_ID}").json()["quota"]
    assert quota == {"total": 0, "used": 0, "remaining": 0, "deleted": 0}


# ---------------------------------------------------------------------- permissions


def test_an_app_without_permission(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(apps=[{"permissions": ["User.Read.All"]}])
    responses = [graph.call("GET", f"drives/{DRIVE_ID}"), graph.item("PUT", "a", "/content", data=b"x")]
    assert [(response.status_code, error_code(response)) for response in responses] == [(403, "accessDenied")] * 2


def test_an_app_that_may_only_read(emulator: OneDriveEmulator, graph: Graph) -> None:
    graph.put("a")
    emulator.change(apps=[{"permissions": ["Files.Read.All"]}])
    assert graph.item("GET", "a", "/content").status_code == 200
    assert graph.item("PUT", "b", "/content", data=b"x").status_code == 403
    assert graph.item("DELETE", "a").status_code == 403
    assert graph.open_session("c").status_code == 403
    assert inner_codes(graph.open_session("c")) == []


def test_a_drive_that_is_denied(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.change(drives=[{"is_denied": True}])
    assert error_code(graph.call("GET", f"drives/{DRIVE_ID}")) == "accessDenied"


def test_another_program_places_a_file(emulator: OneDriveEmulator, graph: Graph) -> None:
    emulator.place("foreign/file", b"theirs")
    assert graph.item("GET", "foreign/file", "/content").content == b"theirs"
