"""How soon the dashboard shows what is in a copy of very many files, and what that costs.

It makes a copy of 500,000 members (its index and manifest, beside an archive without content), starts the real
dashboard, and asks it as a browser does. ``python -m benchmarks.browse`` does that alone.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from archives.entry import Entry
from archives.index import IndexWriter
from archives.manifest import FilePart, Manifest, NoteList, Totals
from archives.signature import signing_key
from benchmarks.dashboard import Serving, a_dashboard, peak_memory
from benchmarks.measure import MemorySampler
from benchmarks.report import Table
from model import Member, MemberKind, RunStatus
from operations.copies.layout import copy_keys, object_name
from utils import make_private_directory

MEMBERS = 500_000
_STARTED = datetime(2026, 11, 20, 3, tzinfo=UTC)
_COPIES = "/backups/bench/files/copies"
_FILES_IN_A_FOLDER = 74


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="holdfast-benchmark-"))
    try:
        for row in opening(work, arguments.rounds, arguments.members).rows:
            print("  ".join(row))
    finally:
        shutil.rmtree(work)


def opening(work: Path, rounds: int, members: int = MEMBERS) -> Table:
    """What a copy of so many members costs, in folders and all in one."""
    rows = []
    for name, is_flat in (("in folders of 75", False), ("all in one folder", True)):
        folder = work / f"browse-{'flat' if is_flat else 'deep'}"
        make_installation(folder, members, is_flat=is_flat)
        found: dict[str, list[float]] = {}
        for _ in range(rounds):
            shutil.rmtree(folder / "state" / "browse", ignore_errors=True)
            for path in (folder / "state").glob("dashboard.db*"):  # its user is added again
                path.unlink()
            for what, figure in browsing(folder):
                found.setdefault(what, []).append(figure)
        rows += [(what, name, _UNITS[what].format(statistics.median(figures))) for what, figures in found.items()]
    return Table(
        f"A copy of {members:,} files that nobody opened before",
        f"The median of {rounds} each time with a dashboard that was just started and nothing kept of the copy.",
        ("what", "files", "measured"),
        rows,
    )


_UNITS = {
    "the first folder": "{:.2f} s",
    "bytes sent for it": "{:,.0f}",
    "a search at once after it, which needs the whole listing": "{:.2f} s",
    "the page of another folder, once it is whole": "{:.3f} s",
    "a search by a part of a name, once it is whole": "{:.3f} s",
    "the most memory of the dashboard, in MB": "{:.0f}",
    "the same with the process that makes the listing (Pss), in MB": "{:.0f}",
    "the listing on the disk, in MB": "{:.0f}",
}


def browsing(folder: Path) -> Iterator[tuple[str, float]]:
    """What was measured once: a key of ``_UNITS``, and its figure."""
    names = iter(_UNITS)
    with a_dashboard(folder) as dashboard, MemorySampler(dashboard.process) as sampler:
        _ask(dashboard, f"/api/v1{_COPIES}")
        copy = f"{_COPIES}/20261120T030000Z"
        seconds, first = _timed(lambda: _ask(dashboard, f"/api/v1{copy}/files"))
        yield next(names), seconds
        yield next(names), len(first)
        page = json.loads(first)
        folders = [item["locator"] for item in page["items"] if item["kind"] == "directory"]
        other = quote([page["folder"], *folders][-1])
        yield next(names), _timed(lambda: _ask(dashboard, f"/api/v1{copy}/search?q=99999"))[0]
        yield next(names), _timed(lambda: _ask(dashboard, f"{copy}?folder={other}"))[0]
        yield next(names), _timed(lambda: _ask(dashboard, f"/api/v1{copy}/search?q=99999"))[0]
        yield next(names), peak_memory(dashboard.process) / 1e6
        yield next(names), sampler.peak / 1e6
    size = sum(file.stat().st_size for file in (folder / "state" / "browse").rglob("*") if file.is_file())
    yield next(names), size / 1e6


def make_installation(folder: Path, members: int, *, is_flat: bool) -> None:
    """A configuration with one backup, and one copy of it."""
    make_private_directory(folder / "state")
    (folder / ".env").write_text("")
    (folder / "config.yaml").write_text(
        "PROJECTS:\n  - NAME: bench\n    BACKUPS:\n      - FILE_BACKUP:\n          - NAME: files\n"
        '            INTERVALS: "0 3 * * *"\n            FILE_PATH: /srv/shop/uploads\n'
        "            UPLOAD_TO: {STORAGE_NAME: LOCAL, PATH: kept}\n"
    )
    keys = copy_keys("kept", "bench/files", _STARTED)
    place = folder / "backups" / Path(keys.manifest).parent
    place.mkdir(parents=True)
    writer, totals, end = IndexWriter(folder), Totals(), 0
    for entry in _entries(members, is_flat=is_flat):
        writer.add(entry)
        totals.add(entry)
        end = entry.offset + entry.header_size + entry.packed_size
    index = b"".join(writer.chunks())
    (place / object_name(keys.index)).write_bytes(index)
    with (place / object_name(keys.archive)).open("wb") as archive:
        archive.truncate(end)
    manifest = Manifest(
        backup_id="bench/files",
        run_id="0" * 32,
        status=RunStatus.GOOD,
        started=_STARTED,
        ended=_STARTED,
        host="server.example.com",
        source={},
        archive=FilePart(object_name(keys.archive), end, "0" * 64),
        index=FilePart(object_name(keys.index), len(index), hashlib.sha256(index).hexdigest()),
        compression="deflate",
        content=totals,
        notes=NoteList(),
        made_by="Holdfast",
    )
    (place / object_name(keys.manifest)).write_bytes(manifest.signed(signing_key(folder / "state").sign).encode())


def _entries(count: int, *, is_flat: bool) -> Iterator[Entry]:
    """Photos in a folder for each day, or all in one."""
    chance = random.Random(20261120)
    offset = 0
    for path, kind in _paths(count, is_flat=is_flat):
        size = chance.randrange(200_000) if kind is MemberKind.FILE else 0
        modified_ns = 1_700_000_000_000_000_000 + chance.randrange(10**17)
        member = Member(path, kind, 0o644, 33, 33, "www-data", "www-data", modified_ns, size)
        yield Entry(member, 8, size, size // 2, chance.getrandbits(32), offset, 60 + len(path))
        offset += 60 + len(path) + size // 2


def _paths(count: int, *, is_flat: bool) -> Iterator[tuple[bytes, MemberKind]]:
    chance = random.Random(20261121)
    top = b"srv/shop/uploads"
    yield top, MemberKind.DIRECTORY
    for number in range(count - 1):
        day, in_day = divmod(number, _FILES_IN_A_FOLDER + 1)
        folder = top if is_flat else b"%s/%d/%02d/%02d" % (top, 2000 + day // 336, day // 28 % 12 + 1, day % 28 + 1)
        if in_day == 0 and not is_flat:
            yield folder, MemberKind.DIRECTORY
        else:
            yield folder + b"/IMG_%06d-product photo.jpg" % chance.randrange(10**6), MemberKind.FILE


def _timed(ask: Callable[[], bytes]) -> tuple[float, bytes]:
    begun = time.monotonic()
    answer = ask()
    return time.monotonic() - begun, answer


def _ask(dashboard: Serving, path: str) -> bytes:
    """The body of an answer, also where it says that the copy is still being opened: then it is asked again."""
    connection = http.client.HTTPConnection(dashboard.host, dashboard.port)
    while True:
        connection.request("GET", path, headers=_headers(dashboard))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == http.client.OK:
            return body
        assert answer.status == http.client.SERVICE_UNAVAILABLE, body


def _headers(dashboard: Serving) -> dict[str, Any]:
    return {"Cookie": dashboard.cookie}


if __name__ == "__main__":
    main()
