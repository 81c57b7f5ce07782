"""The least that an upload session costs: ``python -m benchmarks.raw_fragments EMULATOR FILE`` sends the file in
sequential fragments of 10 MiB, with nothing else done to it. ``EMULATOR`` is the JSON that the emulator prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, DRIVE_ID, TENANT_ID, OneDriveEmulator

_FRAGMENT = 10 << 20


def main() -> None:
    emulator = OneDriveEmulator(**json.loads(sys.argv[1]))
    path = Path(sys.argv[2])
    total = path.stat().st_size
    session = emulator.session()
    token = session.post(
        f"https://login.microsoftonline.com/{TENANT_ID}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": "https://graph.microsoft.com/.default",
        },
        timeout=60,
    ).json()["access_token"]
    created = session.post(
        f"https://graph.microsoft.com/v1.0/drives/{DRIVE_ID}/root:/raw.bin:/createUploadSession",
        json={"item": {"@microsoft.graph.conflictBehavior": "replace", "name": "raw.bin"}},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    created.raise_for_status()
    upload_url = created.json()["uploadUrl"]
    assert urlsplit(upload_url).scheme == "https"
    with path.open("rb", buffering=0) as file:
        offset = 0
        while block := file.read(_FRAGMENT):
            headers = {"Content-Range": f"bytes {offset}-{offset + len(block) - 1}/{total}"}
            session.put(upload_url, data=block, headers=headers, timeout=600).raise_for_status()
            offset += len(block)


if __name__ == "__main__":
    main()
