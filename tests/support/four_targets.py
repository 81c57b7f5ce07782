"""An installation whose backup goes to four places at once: a disk, S3, OneDrive and SFTP, each a real server.

Only OneDrive is the emulator. Import the fixture ``places``, and those that it needs, into the module that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storages.factory import open_storage
from storages.storage import Storage
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, TENANT_ID, USER, OneDriveEmulator
from tests.support.s3_servers import S3Server
from tests.support.sshd import USER as SSH_USER
from tests.support.sshd import Sshd

NAMES = ("LOCAL", "OFFSITE", "ONEDRIVE", "SERVER")
PATH = "backups/shop"


@dataclass(frozen=True)
class Places:
    """The installation and its four storages."""

    holdfast: Holdfast
    source: Path
    s3: S3Server
    bucket: str
    emulator: OneDriveEmulator
    sshd: Sshd
    sftp_root: Path

    def configure(self, *names: str, changes: dict[str, dict[str, object]] | None = None, **keys: object) -> None:
        """One backup of :attr:`source` to these storages, each with its ``changes``."""
        definitions = self._definitions()
        for name, settings in (changes or {}).items():
            definitions[name] |= settings
        backup = {
            "NAME": "files",
            "INTERVALS": "0 2 * * *",
            "FILE_PATH": str(self.source),
            "UPLOAD_TO": [{"STORAGE_NAME": name, "PATH": PATH} for name in names],
            **keys,
        }
        storages = [definition for name, definition in definitions.items() if name != "LOCAL"]
        project = {"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}
        self.holdfast.write({"STORAGES": storages, "PROJECTS": [project]})

    def run(self, program: str, *arguments: str | Path) -> Any:
        """A program of Holdfast, for which Microsoft is the emulator."""
        return self.holdfast.run(program, *arguments, env=self.emulator.child_environment())

    def storage(self, name: str) -> Storage:
        """One of the storages, opened in this process."""
        return open_storage(self.holdfast.configuration().storages[name])

    def copies(self, name: str) -> list[str]:
        """The names of the objects in the backup's folder there."""
        folder = f"{PATH}/{BACKUP_ID}/"
        with self.emulator.redirected():
            return [stored.key.removeprefix(folder) for stored in self.storage(name).list(folder)]

    def content(self, name: str, key: str) -> bytes:
        with self.emulator.redirected():
            return b"".join(self.storage(name).get(f"{PATH}/{BACKUP_ID}/{key}"))

    def left_over(self) -> list[str]:
        """What an upload that did not end well may leave, anywhere."""
        hidden = [str(path) for path in self.sftp_root.rglob(".holdfast*")]
        hidden += [str(path) for path in self.holdfast.storage.rglob(".holdfast*")]
        sessions = [session["path"] for session in self.emulator.open_sessions()]
        spooled = [str(path) for path in (self.holdfast.state / "spool").rglob("*")]
        records = [str(path) for path in (self.holdfast.state / "uploads").rglob("*")]
        return [*hidden, *sessions, *spooled, *records, *self.s3.unfinished_uploads(self.bucket)]

    def _definitions(self) -> dict[str, dict[str, object]]:
        return {
            "LOCAL": {},
            "OFFSITE": {
                "NAME": "OFFSITE",
                "TYPE": "S3",
                "BUCKET": self.bucket,
                "ENDPOINT_URL": self.s3.endpoint_url,
                "REGION": "us-east-1",
                "ACCESS_KEY_ID": self.s3.access_key_id,
                "SECRET_ACCESS_KEY": self.s3.secret_access_key,
            },
            "ONEDRIVE": {
                "NAME": "ONEDRIVE",
                "TYPE": "ONEDRIVE",
                "TENANT_ID": TENANT_ID,
                "CLIENT_ID": CLIENT_ID,
                "CLIENT_SECRET": CLIENT_SECRET,
                "DRIVE": USER,
            },
            "SERVER": {
                "NAME": "SERVER",
                "TYPE": "SFTP",
                "HOST": "127.0.0.1",
                "PORT": self.sshd.port,
                "USERNAME": SSH_USER,
                "KEY_FILE": str(self.sshd.user_key),
                "KNOWN_HOSTS_FILE": str(self.sshd.known_hosts),
                "ROOT": str(self.sftp_root),
            },
        }


@pytest.fixture
def places(tmp_path: Path, rclone: S3Server, emulator: OneDriveEmulator, sshd: Sshd) -> Iterator[Places]:
    holdfast = Holdfast(tmp_path / "holdfast")
    source = tmp_path / "source"
    source.mkdir()
    yield Places(holdfast, source, rclone, rclone.new_bucket(), emulator, sshd, tmp_path / "sftp root")
