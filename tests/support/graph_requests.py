"""Plain requests to the OneDrive emulator, for the tests of the emulator itself: no client of ours is between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests

from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, DRIVE_ID, TENANT_ID, OneDriveEmulator

BEHAVIOUR = "@microsoft.graph.conflictBehavior"
FRAGMENT_UNIT = 327_680


@dataclass
class Graph:
    """Graph of one emulator, with a token of its own."""

    emulator: OneDriveEmulator
    token: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.token = self.token or sign_in(self.emulator).json()["access_token"]

    def call(self, method: str, address: str, **options: Any) -> requests.Response:
        """``address`` follows ``/v1.0/``; the token is sent unless ``headers`` are given."""
        options = {"headers": {"Authorization": f"Bearer {self.token}"}, "timeout": 60, **options}
        return self.session.request(method, f"{self.emulator.url('graph')}/v1.0/{address}", **options)

    def item(self, method: str, path: str, action: str = "", **options: Any) -> requests.Response:
        """The same for an item by its path; ``action`` is as ``/content``."""
        place = f"root:/{quote(path, safe='/')}:{action}" if path else f"root{action}"
        return self.call(method, f"drives/{DRIVE_ID}/{place}", **options)

    def put(self, path: str, content: bytes = b"content") -> dict[str, Any]:
        """A small file."""
        response = self.item("PUT", path, "/content", data=content)
        assert response.status_code in (200, 201), response.text
        return dict(response.json())

    def open_session(self, path: str, behaviour: str = "fail", **more: Any) -> requests.Response:
        document = {"item": {BEHAVIOUR: behaviour, **more}}
        return self.item("POST", path, "/createUploadSession", json=document)

    def upload_url(self, path: str, behaviour: str = "fail") -> str:
        response = self.open_session(path, behaviour)
        assert response.status_code == 200, response.text
        return str(response.json()["uploadUrl"])

    def download_url(self, path: str) -> str:
        response = self.item("GET", path, "/content", allow_redirects=False)
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def send(self, url: str, content: bytes, first: int, total: int, **headers: str) -> requests.Response:
        """One fragment; ``headers`` are added or, with underscores for dashes, put in place of the right ones."""
        right = {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{total}"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.put(url, data=content, headers={**right, **given}, timeout=60)


def sign_in(emulator: OneDriveEmulator, tenant: str = TENANT_ID, **form: str) -> requests.Response:
    """What the token endpoint answers; ``form`` replaces fields of the right form."""
    right = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scope": "https://graph.microsoft.com/.default",
    }
    url = f"{emulator.url('sign_in')}/{tenant}/oauth2/v2.0/token"
    return requests.post(url, data={**right, **form}, timeout=60)


def error_code(response: requests.Response) -> str:
    return str(response.json()["error"]["code"])


def inner_codes(response: requests.Response) -> list[str]:
    """The codes of the inner errors, from the outside in, however they are spelled."""
    codes = []
    error = response.json()["error"]
    while error is not None:
        error = error.get("innerError") or error.get("innererror")
        if error is not None and "code" in error:
            codes.append(error["code"])
    return codes
