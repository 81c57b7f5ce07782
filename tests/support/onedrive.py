"""The OneDrive emulator for tests: started as a process, asked and told things, and held to account at the end.

A module of tests starts one and gives every test a fresh state::

    @pytest.fixture(scope="module")
    def emulator_process():
        with started_emulator() as emulator:
            yield emulator

    @pytest.fixture
    def emulator(emulator_process):
        with fresh(emulator_process, page_size=3) as emulator:
            yield emulator  # at the end: no violation, no unknown route, every planned fault fired

Settings are the fields of ``tests.onedrive_emulator.settings.Settings``; faults those of its ``faults`` module.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from tests.onedrive_emulator.settings import CLIENT_ID, CLIENT_SECRET, DRIVE_ID, SITE_ID, TENANT_ID, USER
from tests.support.microsoft_redirect import microsoft_hosts
from tests.support.microsoft_redirect.microsoft_hosts import MicrosoftHostsAdapter
from tests.support.microsoft_redirect.sitecustomize import VARIABLE
from tests.support.product_code import ROOT

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "DRIVE_ID",
    "MATRIX_FAULTS",
    "SITE_ID",
    "TENANT_ID",
    "USER",
    "MicrosoftHostsAdapter",
    "OneDriveEmulator",
    "fresh",
    "started_emulator",
]

_STOP_SECONDS = 10

# What is tried at every index of a request. A pause of one second is the shortest that Retry-After can ask for.
MATRIX_FAULTS: dict[str, dict[str, Any]] = {
    "401": {"kind": "status", "status": 401},
    "403": {"kind": "status", "status": 403},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": 1},
    "500": {"kind": "status", "status": 500},
    "503 with HTML": {"kind": "status", "status": 503, "body": "html"},
    "reset in the body": {"kind": "reset_in_body"},
    "lost response": {"kind": "lost_response"},
    "wrong bytes stored": {"kind": "wrong_bytes_stored"},
}


@dataclass(frozen=True)
class OneDriveEmulator:
    """A running emulator. ``ports`` are those of its services, ``hosts`` the port for each host of Microsoft."""

    ports: Mapping[str, int]
    hosts: Mapping[str, int]
    process_id: int

    # ------------------------------------------------------------------ ways to it

    def url(self, service: str) -> str:
        """``http://127.0.0.1:PORT`` of ``sign_in``, ``graph``, ``upload``, ``download`` or ``admin``."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def session(self) -> requests.Session:
        """A session for which Microsoft's hosts are the emulator."""
        session = requests.Session()
        session.mount("https://", MicrosoftHostsAdapter(self.hosts))
        return session

    def child_environment(self) -> dict[str, str]:
        """What to add to the environment of a child in Python, for which Microsoft's hosts then are the emulator."""
        folder = Path(microsoft_hosts.__file__).parent
        path = os.pathsep.join([str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {"PYTHONPATH": path, VARIABLE: json.dumps(dict(self.hosts))}

    @contextmanager
    def redirected(self) -> Iterator[None]:
        """For this block, Microsoft's hosts are the emulator for every session of this process."""
        with microsoft_hosts.redirected(self.hosts):
            yield

    # ------------------------------------------------------------------ what is planned and changed

    def plan(self, kind: str, route: str = "*", nth: int = 1, times: int | None = 1, **options: Any) -> None:
        """Plan a fault: see ``tests.onedrive_emulator.faults``."""
        self._ask("POST", "faults", {"kind": kind, "route": route, "nth": nth, "times": times, **options})

    def advance_clock(self, seconds: float) -> None:
        self._ask("POST", "clock", {"advance": seconds})

    def change(self, **settings: Any) -> None:
        """Other settings from now on."""
        self._ask("POST", "settings", settings)

    def reset(self, **settings: Any) -> None:
        """Begin anew; nothing of what was is left."""
        self._ask("POST", "reset", settings)

    def revoke_tokens(self) -> None:
        self._ask("POST", "revoke_tokens")

    def place(self, path: str, content: bytes, drive: str = DRIVE_ID) -> None:
        """Put a file there, as another program would, or other content into the one that is there."""
        query = f"drive={quote(drive, safe='')}&path={quote(path, safe='')}"
        requests.put(f"{self.url('admin')}/content?{query}", content, timeout=60).raise_for_status()

    # ------------------------------------------------------------------ what is there, and what happened

    def files(self, drive: str = DRIVE_ID, *, with_sha256: bool = True) -> dict[str, dict[str, Any]]:
        """The files by path: ``size``, ``quick_xor_hash``, ``sha256``, ``modified``, ``version``, ``id``."""
        return {item["path"]: item for item in self._items(drive, with_sha256) if not item["is_folder"]}

    def folders(self, drive: str = DRIVE_ID) -> list[str]:
        return [item["path"] for item in self._items(drive, False) if item["is_folder"]]

    def _items(self, drive: str, with_sha256: bool) -> list[dict[str, Any]]:
        items = self._ask("GET", "items" if with_sha256 else "items?sha256=no")
        return [item for item in items if item["drive"] == drive]

    def content(self, path: str, drive: str = DRIVE_ID) -> bytes:
        """The stored bytes of a file."""
        query = f"drive={quote(drive, safe='')}&path={quote(path, safe='')}"
        response = requests.get(f"{self.url('admin')}/content?{query}", timeout=60)
        response.raise_for_status()
        return response.content

    def open_sessions(self) -> list[dict[str, Any]]:
        """``path``, ``received``, ``total``, ``expires`` of each upload session that is neither finished nor ended."""
        return list(self._ask("GET", "sessions"))

    def drive(self, drive: str = DRIVE_ID) -> dict[str, Any]:
        """``used``, ``remaining`` and ``recycle_bin``."""
        (found,) = (entry for entry in self._ask("GET", "drives") if entry["id"] == drive)
        return dict(found)

    def requests(self) -> list[dict[str, Any]]:
        """The log: see ``tests.onedrive_emulator.journal.Entry``. A request's index is its place in here, from 1."""
        return list(self._ask("GET", "requests"))

    def violations(self) -> list[str]:
        """Rules that were broken, and requests to routes that do not exist."""
        found = self._ask("GET", "violations")
        return [*found["violations"], *(f"unknown route: {route}" for route in found["unknown_routes"])]

    def unfired_faults(self) -> list[dict[str, Any]]:
        return [fault for fault in self._ask("GET", "faults") if not fault["is_complete"]]

    def secrets(self) -> list[str]:
        """Everything that no log may hold: client secrets, tokens, upload and download addresses."""
        return list(self._ask("GET", "secrets"))

    def check(self) -> None:
        """Raise AssertionError for a violation, an unknown route, or a planned fault that did not fire."""
        if violations := self.violations():
            raise AssertionError("\n".join(violations))
        if unfired := self.unfired_faults():
            raise AssertionError("\n".join(f"this planned fault did not fire: {fault}" for fault in unfired))

    def _ask(self, method: str, route: str, document: object = None) -> Any:
        response = requests.request(method, f"{self.url('admin')}/{route}", json=document, timeout=60)
        assert response.ok, f"{method} {route}: {response.text}"
        return response.json()


@contextmanager
def started_emulator(folder: Path | None = None, **settings: Any) -> Iterator[OneDriveEmulator]:
    """Start one, and end it. ``folder`` is where content lies with ``keep="disk"``."""
    command = [sys.executable, "-m", "tests.onedrive_emulator", "--settings", json.dumps(settings)]
    if folder is not None:
        command += ["--folder", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the emulator did not start"
        yield OneDriveEmulator(**json.loads(line), process_id=process.pid)
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        finally:
            process.kill()
            process.stdout.close()


@contextmanager
def fresh(emulator: OneDriveEmulator, **settings: Any) -> Iterator[OneDriveEmulator]:
    """Begin anew with these settings, and check at the end of the block, if it ended well, that all was as planned."""
    emulator.reset(**settings)
    yield emulator
    emulator.check()
