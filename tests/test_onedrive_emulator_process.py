"""The emulator as a process, and the ways of a test and of its children to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.graph_requests import FRAGMENT_UNIT, Graph
from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, DRIVE_ID, TENANT_ID, OneDriveEmulator, started_emulator
from tests.support.product_code import ROOT


def is_running(emulator: OneDriveEmulator) -> bool:
    try:
        os.kill(emulator.process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_ends_with_the_block_that_started_it() -> None:
    with pytest.raises(KeyError), started_emulator() as emulator:
        assert is_running(emulator)
        raise KeyError
    assert not is_running(emulator)
    with pytest.raises(requests.ConnectionError):
        requests.get(emulator.url("graph"))


def test_it_ends_with_sigterm() -> None:
    command = [sys.executable, "-m", "tests.onedrive_emulator"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b'"ports"' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_settings_of_the_start_stay_after_a_reset() -> None:
    with started_emulator(page_size=2, drives=[{"id": "mine"}]) as emulator:
        emulator.change(page_size=3)
        emulator.reset(token_seconds=10)
        graph = Graph(emulator)
        for number in range(3):
            graph.call("PUT", f"drives/mine/root:/{number}:/content", data=b"x")
        assert len(graph.call("GET", "drives/mine/root/children").json()["value"]) == 2
        with pytest.raises(AssertionError, match="unexpected keyword"):
            emulator.change(unknown=1)


def test_five_ports() -> None:
    with started_emulator() as emulator:
        assert len(set(emulator.ports.values())) == 5
        assert emulator.hosts["graph.microsoft.com"] == emulator.hosts["graph.microsoft.us"] == emulator.ports["graph"]


SIGN_IN_AND_UPLOAD = f"""
import sys
assert not {{"requests", "msal"}} & sys.modules.keys(), "the redirection loads libraries at the start"
import msal, requests
from requests.adapters import HTTPAdapter
app = msal.ConfidentialClientApplication({CLIENT_ID!r}, client_credential={CLIENT_SECRET!r},
    authority="https://login.microsoftonline.com/{TENANT_ID}")
token = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])["access_token"]
session = requests.Session()
session.mount("https://", HTTPAdapter(pool_maxsize=3))
place = "https://graph.microsoft.com/v1.0/drives/{DRIVE_ID}/root:/file"
bearer = {{"Authorization": "Bearer " + token}}
document = {{"item": {{"@microsoft.graph.conflictBehavior": "fail"}}}}
url = session.post(place + ":/createUploadSession", json=document, headers=bearer).json()["uploadUrl"]
session.put(url, data=b"from a child", headers={{"Content-Range": "bytes 0-11/12"}}).raise_for_status()
assert session.get(place + ":/content", headers=bearer).content == b"from a child"
try:
    session.get("https://example.com/")
except requests.ConnectionError as error:
    print(error)
"""


def test_a_child_reaches_it_by_the_names_of_microsoft(tmp_path: Path) -> None:
    with started_emulator() as emulator:
        environment = {**os.environ, **emulator.child_environment()}
        command = [sys.executable, "-c", SIGN_IN_AND_UPLOAD]
        child = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert child.returncode == 0, child.stderr
        assert child.stdout == "a test tried to reach example.com\n"
        assert emulator.content("file") == b"from a child"
        assert all(request["host"].endswith(".com") for request in emulator.requests())
        emulator.check()


def test_every_session_of_this_process_for_a_block() -> None:
    with started_emulator() as emulator:
        graph = Graph(emulator)
        bearer = {"Authorization": f"Bearer {graph.token}"}
        with emulator.redirected():
            assert requests.get(f"https://graph.microsoft.com/v1.0/drives/{DRIVE_ID}", headers=bearer).ok
            with pytest.raises(requests.ConnectionError, match="a test tried to reach"):
                requests.get("https://example.com/")
        emulator.check()


def test_content_on_disk(tmp_path: Path) -> None:
    with started_emulator(tmp_path, keep="disk") as emulator:
        graph = Graph(emulator)
        content = bytes(range(256)) * (FRAGMENT_UNIT // 128)
        url = graph.upload_url("file")
        half = len(content) // 2
        graph.send(url, content[:half], 0, len(content))
        assert graph.send(url, content[half:], half, len(content)).status_code == 201
        assert (
            requests.get(graph.download_url("file"), headers={"Range": "bytes=1000-1002"}).content == content[1000:1003]
        )
        assert emulator.content("file") == content
        assert list(tmp_path.iterdir()) == []  # files without a name: nothing stays when the emulator is killed
