"""Downloads at the running dashboard: the right bytes or none, for operators only, and a line in the audit log each."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from accounts import Role
from tests.support.dashboard import Dashboard, installation, running_dashboard
from tests.support.holdfast import Holdfast
from tests.support.trees import make_tree
from tests.support.web_copies import COPIES, Browsed, audited, locator, make_a_copy
from web.browsing.content_response import content_disposition
from web.browsing.reader import DOWNLOADS_AT_ONCE

__all__ = ["installation"]

LARGE = 7_000_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


def make_source(source: Path) -> None:
    make_tree(source / "tree", large_size=LARGE)
    (source / "tree" / os.fsdecode(b"caf\xe9")).write_text("not UTF-8")
    (source / "tree" / "ünï.txt").write_text("UTF-8")


@pytest.fixture
def dashboard(installation: Holdfast, source: Path) -> Iterator[Dashboard]:
    make_source(source)
    make_a_copy(installation)
    with running_dashboard(installation) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsed]:
    """A copy that no test changes."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "source").mkdir()
    (folder / "source" / "hello.txt").write_text("Hello.\n")
    holdfast = Holdfast(folder / "holdfast")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_STORAGE_ROOT", str(holdfast.storage))
        patch.setenv("STATE_DIR", str(holdfast.state))
        holdfast.configure(folder / "source")
        make_a_copy(holdfast)
        with running_dashboard(holdfast) as running:
            yield Browsed.by(running.client())


@pytest.fixture
def browsed(dashboard: Dashboard) -> Browsed:
    return Browsed.by(dashboard.client())


def test_a_file_comes_as_it_was(browsed: Browsed, dashboard: Dashboard, source: Path) -> None:
    answer = browsed.get("download", path=locator(source / "tree" / "large"))
    assert answer.content == (source / "tree" / "large").read_bytes()
    assert answer.headers["content-length"] == str(LARGE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith('attachment; filename="large"')
    assert browsed.get("download", path=locator(source / "tree" / "ünï.txt")).text == "UTF-8"
    first, second = (json.loads(line) for line in audited(dashboard, 2))
    assert (first["who"], first["action"], first["outcome"]) == ("olga", "download", "done")
    assert first["object"].endswith("source/tree/large")
    assert second["object"].endswith("source/tree/ünï.txt")


def test_a_folder_comes_as_a_zip(browsed: Browsed, dashboard: Dashboard, source: Path, tmp_path: Path) -> None:
    answer = browsed.get("download-folder", folder=locator(source / "tree"))
    path = tmp_path / "tree.zip"
    path.write_bytes(answer.content)
    subprocess.run(["unzip", "-q", path, "-d", tmp_path / "unpacked"], check=True)
    unpacked = tmp_path / "unpacked" / str(source)[1:] / "tree"
    compared = subprocess.run(["diff", "-r", "--no-dereference", source / "tree", unpacked], capture_output=True)
    # unzip takes the name that is not UTF-8 for another code page: everything else must be the same.
    assert all(line.startswith(b"Only in") and b"caf" in line for line in compared.stdout.splitlines())
    assert ".zip" in answer.headers["content-disposition"]
    (line,) = audited(dashboard, 1)
    assert json.loads(line)["object"].endswith("source/tree")


def test_all_of_a_copy_comes_as_a_zip(browsed: Browsed, source: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(browsed.get("download-folder").content)) as archive:
        assert archive.testzip() is None
        assert archive.read(f"{str(source)[1:]}/hello.txt") == b"Hello.\n"


def test_viewers_see_names_and_take_nothing(dashboard: Dashboard, source: Path) -> None:
    for viewer in (dashboard.client(Role.VIEWER), dashboard.program(Role.VIEWER)):
        browsed = Browsed.by(viewer)
        assert browsed.get("files").status_code == 200
        assert browsed.get("download", path=locator(source / "hello.txt")).status_code == 403
        assert browsed.get("download-folder").status_code == 403
    page = dashboard.client(Role.VIEWER).get(f"/backups/shop/files/copies/{browsed.timestamp}").text
    assert "hello.txt" in page
    assert "/download" not in page
    assert audited(dashboard, 0) == []


def test_a_damaged_file_is_cut_off(browsed: Browsed, dashboard: Dashboard, source: Path) -> None:
    large, small = locator(source / "tree" / "large"), locator(source / "hello.txt")
    assert browsed.get("files").status_code == 200
    (archive,) = dashboard.holdfast.parts(".zip")
    with zipfile.ZipFile(archive) as whole:
        place = whole.getinfo(f"{str(source)[1:]}/tree/large").header_offset
    data = bytearray(archive.read_bytes())
    data[place + 4_200_000 // 2 + 1_000_000] ^= 1  # in the fifth block, or behind it
    data[data.index(b"Hello.\n")] ^= 1
    archive.write_bytes(data)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        browsed.get("download", path=large).content  # noqa: B018 - it is read
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        browsed.get("download-folder", folder=locator(source)).content  # noqa: B018 - it is read
    lines = [json.loads(line) for line in audited(dashboard, 2)]
    assert all(line["outcome"].startswith("failed: ") for line in lines)
    # Of a small file it is known before anything is sent.
    assert browsed.get("download", path=small).status_code == 409


def test_an_archive_that_is_gone_is_told(browsed: Browsed, dashboard: Dashboard, source: Path) -> None:
    assert browsed.get("files").status_code == 200
    (archive,) = dashboard.holdfast.parts(".zip")
    archive.unlink()
    assert browsed.get("download", path=locator(source / "hello.txt")).status_code == 404
    assert browsed.get("download-folder").status_code == 404


def test_only_so_many_at_once_and_who_goes_away_makes_room(
    dashboard: Dashboard, browsed: Browsed, source: Path
) -> None:
    path = locator(source / "tree" / "large")
    release = [dashboard.services.copies.begin_download() for _ in range(DOWNLOADS_AT_ONCE - 1)]
    host, port = dashboard.base.removeprefix("http://").strip("/").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET {COPIES}/{browsed.timestamp}/download?path={path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        token = dashboard.token()
        client.sendall(f"{request}Authorization: Bearer {token}\r\n\r\n".encode())
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        refused = browsed.get("download", path=path)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    (line,) = audited(dashboard, 1)
    assert json.loads(line)["outcome"] == "broken off by the client"
    assert browsed.get("download", path=path).status_code == 200
    for give_back in release:
        give_back()


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "..%2F..%2Fetc%2Fpasswd",
        "/etc/passwd",
        "//etc/passwd",
        "%00",
        "etc/passwd%00.txt",
        "source/../hello.txt",
        "%",
        "%zz",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "a" * 5000,
        "a/" * 2000,
    ],
)
def test_no_path_leads_out_of_the_copy(shared: Browsed, path: str) -> None:
    browsed = shared
    for what, parameter in (
        ("files", "folder"),
        ("member", "path"),
        ("download", "path"),
        ("download-folder", "folder"),
    ):
        answer = browsed.get(what, **{parameter: path})
        assert answer.status_code == 404, (what, answer.text)


def test_no_target_backup_or_time_leads_elsewhere(shared: Browsed) -> None:
    browsed = shared
    client = browsed.client
    assert browsed.get("files", target="../LOCAL").status_code == 404
    assert browsed.get("files", target="/").status_code == 404
    for timestamp in ("..", "latest", "20261120T030000Z.zip", "20261120", "%2e%2e%2fx", "20261399T999999Z"):
        assert client.get(f"{COPIES}/{timestamp}/files").status_code in (404, 422)
        assert client.get(f"/backups/shop/files/copies/{timestamp}").status_code in (404, 422)
    for backup in ("shop/other", "shop/..", "%2e%2e/%2e%2e", "shop/files%2f.."):
        assert client.get(f"/api/v1/backups/{backup}/copies").status_code == 404
    assert browsed.get("files", after="x").status_code == 422
    assert browsed.get("files", after="W10").status_code == 422


def test_what_is_no_file_is_not_downloaded_as_one(browsed: Browsed, source: Path) -> None:
    assert browsed.get("download", path=locator(source / "tree")).status_code == 422
    assert browsed.get("download", path=locator(source / "tree" / "link")).status_code == 422
    assert browsed.get("download", path="/").status_code == 404
    assert browsed.get("download-folder", folder=locator(source / "hello.txt")).status_code == 404


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.txt", "a.txt"),
        ("../../x", "_.._x"),
        ('a"b\r\nSet-Cookie: x', "a_b__Set-Cookie_ x"),
        ("", "file"),
        ("..", "file"),
        ("é", "_"),
        ("C:\\x", "C__x"),
    ],
)
def test_a_name_is_one_file_name_for_the_browser(name: str, shown: str) -> None:
    header = content_disposition(name)
    assert header.startswith(f"attachment; filename=\"{shown}\"; filename*=UTF-8''")
    assert header.isascii()
    assert header.isprintable()
