"""Copies that the dashboard shows: what its tests ask for, and an installation that has one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from tests.support.copies import back_up_as
from tests.support.dashboard import Client, Dashboard
from tests.support.holdfast import Holdfast

COPIES = "/api/v1/backups/shop/files/copies"


def make_a_copy(installation: Holdfast) -> None:
    """Run the backup of an installation, in this process."""
    back_up_as(installation.the_backup(), installation.state)


def locator(path: str | bytes | Path) -> str:
    """A path of this machine, or of a member, as the API has it."""
    return quote(os.fsencode(path).strip(b"/"))


@dataclass(frozen=True)
class Browsed:
    """The newest copy of shop/files as one who is signed in sees it."""

    client: Client
    timestamp: str

    @classmethod
    def by(cls, client: Client) -> Browsed:
        copies = client.get(COPIES).json()["copies"]
        return cls(client, copies[0]["timestamp"])

    def get(self, what: str, **parameters: str | int) -> requests.Response:
        """``files``, ``search``, ``member``, ``download`` or ``download-folder`` of it."""
        return self.client.get(f"{COPIES}/{self.timestamp}/{what}", params=parameters)

    def files(self, folder: str | None = None) -> list[dict[str, Any]]:
        """All items of a folder, given by its locator."""
        found: list[dict[str, Any]] = []
        parameters: dict[str, str | int] = {} if folder is None else {"folder": folder}
        while True:
            answer = self.get("files", **parameters)
            assert answer.status_code == 200, answer.text
            found += answer.json()["items"]
            if answer.json()["next"] is None:
                return found
            parameters["after"] = answer.json()["next"]

    def walk(self, folder: str = "") -> Iterator[dict[str, Any]]:
        """All items below a folder."""
        for item in self.files(folder):
            yield item
            if item["kind"] == "directory":
                yield from self.walk(item["locator"])


def audited(dashboard: Dashboard, count: int) -> list[str]:
    """The lines of the audit log, once there are so many: those of downloads are written when these have ended."""
    deadline = time.monotonic() + 20
    while True:
        lines = dashboard.audit_log.read_text().splitlines() if dashboard.audit_log.exists() else []
        if len(lines) >= count or time.monotonic() > deadline:
            return lines
        time.sleep(0.02)
