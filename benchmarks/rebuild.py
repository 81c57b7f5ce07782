"""How long the catalog takes to be made again from 10,000 copies in a folder of this machine.

``python -m benchmarks.rebuild`` prints one line: seconds and peak memory of the whole process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from archives.manifest import FilePart, Manifest, NoteList, Totals
from archives.signature import SigningKey, signing_key
from benchmarks.archives import holdfast
from benchmarks.measure import Contender, Measured, take_turns
from model import Note, NoteKind, RunStatus
from operations.copies.layout import CopyKeys, copy_keys, object_name
from utils import make_private_directory

COPIES = 10_000
_BACKUPS = 20
_BEGIN = datetime(2024, 1, 1, 3, tzinfo=UTC)


def rebuilding(work: Path, rounds: int, copies: int = COPIES) -> Measured:
    """``restore.py rebuild`` of so many copies into an empty catalog, as a whole process."""
    folder = work / "rebuild"
    make_installation(folder, copies)

    def forget() -> None:
        for file in (folder / "state").glob("catalog.*"):
            file.unlink()

    command = Contender("restore.py rebuild", holdfast("restore.py", folder, "rebuild"), prepare=forget)
    return take_turns([command], rounds, lambda: None)[command.name]


def make_installation(folder: Path, copies: int) -> None:
    """A configuration of some backups, and copies of each: manifests as they are, beside archives without content."""
    make_private_directory(folder / "state")
    backups = "".join(
        f"          - NAME: backup-{number}\n"
        '            INTERVALS: "0 3 * * *"\n'
        f"            FILE_PATH: /srv/project/{number}\n"
        "            UPLOAD_TO: {STORAGE_NAME: LOCAL, PATH: kept}\n"
        for number in range(_BACKUPS)
    )
    (folder / "config.yaml").write_text(f"PROJECTS:\n  - NAME: bench\n    BACKUPS:\n      - FILE_BACKUP:\n{backups}")
    key = signing_key(folder / "state")
    for backup_id, started in _runs(copies):
        _put(folder / "backups", copy_keys("kept", backup_id, started), backup_id, started, key)


def _runs(copies: int) -> Iterator[tuple[str, datetime]]:
    for number in range(copies):
        yield f"bench/backup-{number % _BACKUPS}", _BEGIN + timedelta(hours=number // _BACKUPS)


def _put(root: Path, keys: CopyKeys, backup_id: str, started: datetime, key: SigningKey) -> None:
    (root / keys.manifest).parent.mkdir(parents=True, exist_ok=True)
    archive = FilePart(object_name(keys.archive), 250_000_000, os.urandom(32).hex())
    index = FilePart(object_name(keys.index), 40_000, os.urandom(32).hex())
    for part in (archive, index):
        with open((root / keys.manifest).parent / part.name, "wb") as file:
            file.truncate(part.size)
    manifest = _manifest(backup_id, started, archive, index)
    (root / keys.manifest).write_bytes(manifest.signed(key.sign).encode())


def _manifest(backup_id: str, started: datetime, archive: FilePart, index: FilePart) -> Manifest:
    manifest = Manifest(
        backup_id=backup_id,
        run_id=os.urandom(16).hex(),
        status=RunStatus.GOOD,
        started=started,
        ended=started + timedelta(minutes=2),
        host="server.example.com",
        source={"FILE_PATH": [f"/srv/project/{number}" for number in range(5)], "EXCLUDE": ["*.tmp", "cache/"]},
        archive=archive,
        index=index,
        compression="deflate",
        content=Totals(30_000, 2_000, 100, 900_000_000),
        notes=NoteList(),
        made_by="Holdfast",
    )
    notes = NoteList()
    for number in range(5):
        path = f"/srv/project/1/log/access-{number}.log".encode()
        notes.add(Note(NoteKind.CHANGED, path, "it grew while it was read"))
    return replace(manifest, notes=notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="holdfast-benchmark-"))
    try:
        result = rebuilding(work, arguments.rounds, arguments.copies)
    finally:
        shutil.rmtree(work)
    peak = max(result.peak_memory) / 1e6
    print(f"{arguments.copies:,} copies: {result.median:.1f} s, {peak:.0f} MB")


if __name__ == "__main__":
    main()
