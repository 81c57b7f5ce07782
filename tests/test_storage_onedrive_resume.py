"""Uploads to OneDrive that a kill or a shutdown ends: gone on with by the next process, or cleaned up by it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from errors import ObjectExistsError, StorageError
from storages.spool import MemoryContent
from storages.workplace import Workplace
from tests.support.onedrive import DRIVE_ID, USER, OneDriveEmulator
from tests.support.onedrive_storage import (
    FRAGMENT,
    IMPATIENT,
    emulator,
    emulator_process,
    fragments_sent,
    open_onedrive,
    routes,
    small_fragments,
)
from tests.support.product_code import ROOT

__all__ = ["emulator", "emulator_process", "small_fragments"]

pytestmark = pytest.mark.usefixtures("small_fragments")

KEY = "backups/shop/archive.zip"
SEED, SIZE = 9, 4 * FRAGMENT + 77_777
CONTENT = random.Random(SEED).randbytes(SIZE)

CHILD = """
import random, sys, time
from pathlib import Path
from storages.onedrive import fragments, upload
from storages.spool import MemoryContent
from tests.support.onedrive_storage import FRAGMENT, SMALL_OBJECT, open_onedrive

class Stuck(MemoryContent):
    def read(self, offset, length):
        if offset >= int(sys.argv[3]):
            time.sleep(600)
        return super().read(offset, length)

upload.LARGEST_SMALL, fragments.FRAGMENT_SIZE = SMALL_OBJECT, FRAGMENT
content = random.Random(int(sys.argv[4])).randbytes(int(sys.argv[5]))
open_onedrive(Path(sys.argv[1])).put(sys.argv[2], Stuck(content))
"""


def kill_an_upload(emulator: OneDriveEmulator, state: Path, fragments: int = 3) -> int:
    """Have another process upload CONTENT, and kill it when the service has taken so many fragments. What it took."""
    expected = fragments * FRAGMENT
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, state, KEY, str(expected), str(SEED), str(SIZE)],
        cwd=ROOT,
        env={**os.environ, **emulator.child_environment()},
    )
    try:
        deadline = time.monotonic() + 60
        while _received(emulator) < expected:
            assert child.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    return expected


def _received(emulator: OneDriveEmulator) -> int:
    return max([0, *(int(session["received"]) for session in emulator.open_sessions())])


def records(state: Path) -> list[Path]:
    return list((state / "uploads").glob("*"))


def assert_stored(emulator: OneDriveEmulator, key: str = KEY) -> None:
    assert emulator.files()[key]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert emulator.open_sessions() == []


def test_a_killed_upload_is_gone_on_with(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    received = kill_an_upload(emulator, tmp_path)
    assert emulator.files() == {}
    (record,) = records(tmp_path)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.parent.stat().st_mode) == 0o700
    before = len(fragments_sent(emulator))
    open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))
    assert_stored(emulator)
    assert [first for first, _ in fragments_sent(emulator)[before:]] == [received, received + FRAGMENT]
    assert records(tmp_path) == []
    assert routes(emulator, "graph").count("graph.create_session") == 1


def test_from_an_offset_that_is_not_aligned(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    kill_an_upload(emulator, tmp_path, fragments=2)
    emulator.plan("reset_in_body", "upload.fragment", after=5000, keep=4321)
    before = len(fragments_sent(emulator))
    open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))
    assert_stored(emulator)
    starts = [first for first, _ in fragments_sent(emulator)[before:]]
    assert starts[:2] == [2 * FRAGMENT, 2 * FRAGMENT + 4321]


def test_with_a_limited_bandwidth_what_is_only_hashed_does_not_wait(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    from storages.bandwidth import Bandwidth
    from storages.factory import open_storage
    from tests.support.onedrive_storage import onedrive_definition

    kill_an_upload(emulator, tmp_path)
    taken: list[int] = []

    class Counted(Bandwidth):
        def take(self, count: int, workplace: Workplace) -> None:
            taken.append(count)

    storage = open_storage(onedrive_definition(), Workplace(tmp_path, IMPATIENT), [Counted(1)])
    storage.put(KEY, MemoryContent(CONTENT))
    assert_stored(emulator)
    assert sum(taken) == SIZE - 3 * FRAGMENT


def test_a_session_that_expired_meanwhile_is_begun_anew(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    kill_an_upload(emulator, tmp_path)
    emulator.advance_clock(20 * 60)
    open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))
    assert_stored(emulator)
    assert records(tmp_path) == []


def test_other_content_under_the_same_key_ends_the_old_session(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    kill_an_upload(emulator, tmp_path)
    other = CONTENT[::-1]
    open_onedrive(tmp_path).put(KEY, MemoryContent(other))
    assert emulator.content(KEY) == other
    assert emulator.open_sessions() == []
    assert routes(emulator, "upload").count("upload.cancel") == 1


def test_small_content_under_the_same_key_ends_the_old_session(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    kill_an_upload(emulator, tmp_path)
    open_onedrive(tmp_path).put(KEY, MemoryContent(b"small"))
    assert emulator.content(KEY) == b"small"
    assert emulator.open_sessions() == []
    assert records(tmp_path) == []


def test_one_that_was_killed_after_the_last_byte_is_found_to_be_whole(
    emulator: OneDriveEmulator, tmp_path: Path
) -> None:
    kill_an_upload(emulator, tmp_path)
    (record,) = records(tmp_path)
    noted = record.read_bytes()
    open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))
    record.write_bytes(noted)
    before = len(fragments_sent(emulator))
    assert open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT)).size == SIZE
    assert len(fragments_sent(emulator)) == before
    assert records(tmp_path) == []
    with pytest.raises(ObjectExistsError):
        open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))


def test_clean_up_ends_what_was_left_below_the_prefix(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    kill_an_upload(emulator, tmp_path)
    storage = open_onedrive(tmp_path)
    assert storage.clean_up("backups/other/") == 0
    assert len(emulator.open_sessions()) == 1
    assert storage.clean_up("backups/shop/") == 1
    assert emulator.open_sessions() == []
    assert records(tmp_path) == []
    assert storage.clean_up("backups/shop/") == 0
    storage.put(KEY, MemoryContent(CONTENT))
    assert_stored(emulator)


def test_clean_up_of_a_session_that_is_gone_already(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    kill_an_upload(emulator, tmp_path)
    emulator.advance_clock(20 * 60)
    assert open_onedrive(tmp_path).clean_up("") == 1
    assert records(tmp_path) == []


def test_clean_up_leaves_the_sessions_of_other_drives_and_foreign_files(
    emulator: OneDriveEmulator, tmp_path: Path
) -> None:
    kill_an_upload(emulator, tmp_path)
    uploads = tmp_path / "uploads"
    for name, content in {"onedrive-foreign.json": "no JSON", "s3-1.json": "{}", "onedrive-other.json": "{}"}.items():
        (uploads / name).write_text(content)
    emulator.change(drives=[{"id": DRIVE_ID, "users": [USER]}, {"id": "b!other", "users": ["other@contoso.example"]}])
    assert open_onedrive(tmp_path, DRIVE="other@contoso.example").clean_up("") == 0
    assert len(emulator.open_sessions()) == 1
    assert open_onedrive(tmp_path).clean_up("") == 1
    assert {path.name for path in uploads.iterdir()} == {"onedrive-foreign.json", "s3-1.json", "onedrive-other.json"}


def test_without_anything_to_clean_up_nothing_is_asked(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    assert open_onedrive(tmp_path).clean_up("backups/") == 0
    assert open_onedrive().clean_up("backups/") == 0
    assert emulator.requests() == []


class Interrupting(MemoryContent):
    """Raises or cancels where the third fragment is read."""

    def __init__(self, content: bytes, workplace: Workplace, error: BaseException | None) -> None:
        super().__init__(content)
        self._workplace = workplace
        self._error = error

    def read(self, offset: int, length: int) -> bytes:
        if offset >= 2 * FRAGMENT:
            if self._error is not None:
                raise self._error
            self._workplace.cancelled.set()
        return super().read(offset, length)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt("planned")])
def test_an_interruption_leaves_the_session_to_the_next_process(
    emulator: OneDriveEmulator, tmp_path: Path, error: BaseException | None
) -> None:
    workplace = Workplace(tmp_path, IMPATIENT)
    with pytest.raises(KeyboardInterrupt if error else StorageError):
        open_onedrive(workplace=workplace).put(KEY, Interrupting(CONTENT, workplace, error))
    assert emulator.files() == {}
    assert len(records(tmp_path)) == 1
    received = _received(emulator)
    assert received >= FRAGMENT
    before = len(fragments_sent(emulator))
    open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))
    assert_stored(emulator)
    assert fragments_sent(emulator)[before][0] == received


def test_a_session_that_cannot_be_ended_now_is_ended_by_clean_up(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    emulator.plan("status", "upload.fragment", 2, times=None, status=507)
    emulator.plan("status", "upload.cancel", status=500)
    with pytest.raises(StorageError):
        open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))
    assert len(emulator.open_sessions()) == len(records(tmp_path)) == 1
    assert open_onedrive(tmp_path).clean_up("backups/") == 1
    assert emulator.open_sessions() == []


def test_a_session_in_use_is_left_to_whoever_uses_it(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    other = open_onedrive(tmp_path)

    class Watching(MemoryContent):
        def read(self, offset: int, length: int) -> bytes:
            if offset == FRAGMENT:
                assert other.clean_up("") == 0
                with pytest.raises(ObjectExistsError, match="by another upload"):
                    other.put(KEY, MemoryContent(CONTENT))
            return super().read(offset, length)

    open_onedrive(tmp_path).put(KEY, Watching(CONTENT))
    assert_stored(emulator)


def test_a_state_that_cannot_be_written_is_an_error_and_leaves_no_session(
    emulator: OneDriveEmulator, tmp_path: Path
) -> None:
    (tmp_path / "uploads").write_text("a file where the folder must be")
    with pytest.raises(StorageError, match=r"cannot be noted in .*/uploads"):
        open_onedrive(tmp_path).put(KEY, MemoryContent(CONTENT))
    assert emulator.files() == {}
    assert emulator.open_sessions() == []


def test_the_record_holds_what_is_needed_and_no_more(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    kill_an_upload(emulator, tmp_path)
    (record,) = records(tmp_path)
    document = json.loads(record.read_text())
    assert document.pop("upload_url") in emulator.secrets()
    assert document == {
        "drive_id": DRIVE_ID,
        "key": KEY,
        "size": SIZE,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
