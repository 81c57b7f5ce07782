"""Uploads to OneDrive through all that can come between: what is good is found out, and what is not is sent again."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path

import pytest

from errors import IntegrityError, ObjectExistsError, ObjectNotFoundError, StorageError, StorageFullError
from storages.spool import MemoryContent
from storages.storage import Storage
from storages.workplace import Patience, Workplace
from tests.support.onedrive import OneDriveEmulator
from tests.support.onedrive_storage import (
    FRAGMENT,
    emulator,
    emulator_process,
    fragments_sent,
    open_onedrive,
    routes,
    small_fragments,
)
from tests.support.storage_contract import keys

__all__ = ["emulator", "emulator_process", "small_fragments"]

pytestmark = pytest.mark.usefixtures("small_fragments")

SMALL = random.Random(1).randbytes(90_000)
LARGE = random.Random(2).randbytes(3 * FRAGMENT + 12_345)


@pytest.fixture
def storage(emulator: OneDriveEmulator, tmp_path: Path) -> Storage:
    return open_onedrive(tmp_path / "state")


def assert_stored(emulator: OneDriveEmulator, content: bytes, key: str = "folder/object") -> None:
    """It is there, once, whole, and nothing else is left."""
    files = emulator.files()
    assert list(files) == [key]
    assert files[key]["sha256"] == hashlib.sha256(content).hexdigest()
    assert emulator.open_sessions() == []


def assert_nothing_is_there(emulator: OneDriveEmulator) -> None:
    assert emulator.files() == {}
    assert emulator.open_sessions() == []


def put(storage: Storage, content: bytes = LARGE, key: str = "folder/object") -> None:
    storage.put(key, MemoryContent(content))


# --- how it is sent ------------------------------------------------------------------------------------------------


def test_fragments_come_in_order_and_whole(emulator: OneDriveEmulator, storage: Storage) -> None:
    put(storage)
    assert_stored(emulator, LARGE)
    starts = [0, FRAGMENT, 2 * FRAGMENT, 3 * FRAGMENT]
    assert fragments_sent(emulator) == list(
        zip(starts, [start - 1 for start in [*starts[1:], len(LARGE)]], strict=True)
    )
    uploads = [entry for entry in emulator.requests() if entry["service"] == "upload"]
    assert not any(entry["authorization_was_sent"] for entry in uploads)
    assert {entry["user_agent"].split("/")[0] for entry in emulator.requests()} == {"NONISV|Holdfast|Holdfast"}


def test_a_small_object_needs_one_request_and_a_look(emulator: OneDriveEmulator, storage: Storage) -> None:
    put(storage, SMALL)
    assert_stored(emulator, SMALL)
    assert routes(emulator, "graph") == ["graph.drive", "graph.item", "graph.put_content"]


def test_content_that_is_not_what_it_says_is_never_stored(emulator: OneDriveEmulator, storage: Storage) -> None:
    class Changed(MemoryContent):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length).replace(b"\x00", b"\x01")

    class Shortened(MemoryContent):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length)[: max(0, self.size - 5 - offset)]

    for content in (Changed(LARGE), Changed(SMALL), Shortened(LARGE), Shortened(SMALL)):
        with pytest.raises(IntegrityError, match="is not what it was"):
            storage.put("folder/object", content)
        assert_nothing_is_there(emulator)
    assert (3 * FRAGMENT, len(LARGE) - 1) not in fragments_sent(emulator)


def test_an_error_of_the_content_passes_and_leaves_nothing(emulator: OneDriveEmulator, storage: Storage) -> None:
    class Unreadable(MemoryContent):
        def read(self, offset: int, length: int) -> bytes:
            if offset >= FRAGMENT:
                raise StorageError("planned")
            return super().read(offset, length)

    with pytest.raises(StorageError, match=r"^planned$"):
        storage.put("folder/object", Unreadable(LARGE))
    assert_nothing_is_there(emulator)


# --- what comes between --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 1, 100_000, FRAGMENT - 1])
@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_broken_fragment_goes_on_where_the_service_stands(
    emulator: OneDriveEmulator, storage: Storage, nth: int, keep: int
) -> None:
    keep = min(keep, 12_000) if nth == 4 else keep
    emulator.plan("reset_in_body", "upload.fragment", nth, after=keep + 100, keep=keep)
    put(storage)
    assert_stored(emulator, LARGE)
    assert fragments_sent(emulator)[nth][0] == (nth - 1) * FRAGMENT + keep


@pytest.mark.parametrize("kind", ["lost_response", "session_lost", "revoke_tokens"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_fragments_that_meet_something(emulator: OneDriveEmulator, storage: Storage, nth: int, kind: str) -> None:
    emulator.plan(kind, "upload.fragment", nth)
    put(storage)
    assert_stored(emulator, LARGE)


@pytest.mark.parametrize("kind", ["status", "status_after"])
@pytest.mark.parametrize("status", [401, 404, 416, 500, 502, 503, 504, 509])
@pytest.mark.parametrize("nth", [2, 4])
def test_fragments_that_are_answered_otherwise(
    emulator: OneDriveEmulator, storage: Storage, nth: int, status: int, kind: str
) -> None:
    emulator.plan(kind, "upload.fragment", nth, status=status)
    put(storage)
    assert_stored(emulator, LARGE)
    if kind == "status_after":
        assert len(fragments_sent(emulator)) == 4, "nothing that had come is sent again"


def test_a_lost_answer_to_the_last_fragment_is_found_out_without_sending_again(
    emulator: OneDriveEmulator, storage: Storage
) -> None:
    emulator.plan("lost_response", "upload.commit")
    put(storage)
    assert_stored(emulator, LARGE)
    assert len(fragments_sent(emulator)) == 4
    assert routes(emulator, "upload").count("upload.status") == 0


def test_a_token_that_expires_during_an_upload_is_renewed(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.plan("advance_clock", "upload.fragment", 2, seconds=800)
    emulator.plan("lost_response", "upload.commit")
    emulator.change(token_seconds=600)
    put(storage)
    assert_stored(emulator, LARGE)
    assert routes(emulator, "sign_in").count("sign_in.token") == 2


def test_a_session_that_expires_is_begun_anew(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.plan("advance_clock", "upload.fragment", 3, seconds=16 * 60)
    put(storage)
    assert_stored(emulator, LARGE)
    assert routes(emulator, "graph").count("graph.create_session") == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_session_that_reaches_its_greatest_age_is_begun_anew(
    emulator: OneDriveEmulator, storage: Storage, status: int
) -> None:
    emulator.change(session_cap_seconds=600, session_status_after_cap=status)
    emulator.plan("advance_clock", "upload.fragment", 3, seconds=700)
    put(storage)
    assert_stored(emulator, LARGE)


def test_sessions_are_not_begun_for_ever(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.plan("session_lost", "upload.fragment", 1, times=None)
    with pytest.raises(StorageError, match="has ended 3 uploads"):
        put(storage)
    assert_nothing_is_there(emulator)
    assert routes(emulator, "graph").count("graph.create_session") == 3


def test_patience_ends(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.plan("status", "upload.fragment", 2, times=None, status=500)
    with pytest.raises(StorageError, match="Run the backup again later"):
        put(storage)
    assert_nothing_is_there(emulator)
    assert len(fragments_sent(emulator)) == 1 + 5


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_lost_answers_everywhere_still_make_one_good_copy(
    emulator: OneDriveEmulator, storage: Storage, content: bytes
) -> None:
    for route in ("sign_in.token", "graph.drive", "graph.item", "graph.create_folder"):
        if content is LARGE or route != "graph.create_folder":
            emulator.plan("lost_response", route)
    emulator.plan("lost_response", "graph.put_content" if content is SMALL else "upload.commit")
    put(storage, content)
    assert_stored(emulator, content)


def test_a_lost_answer_with_the_address_of_the_session(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    """Its name stays taken until the service ends it; that is waited for."""
    emulator.change(session_seconds=2)
    emulator.plan("lost_response", "graph.create_session")
    waited: list[float] = []

    class Watched(Workplace):
        def wait(self, seconds: float) -> None:
            waited.append(seconds)
            super().wait(min(seconds, 3))

    put(open_onedrive(workplace=Watched(tmp_path, Patience(first_wait=0.01))))
    assert_stored(emulator, LARGE)
    assert max(waited) == 16 * 60


def test_a_session_of_another_program_under_this_name(emulator: OneDriveEmulator, storage: Storage) -> None:
    other = open_onedrive()  # it has no state: its sessions are noted nowhere

    class Blocked(MemoryContent):
        def read(self, offset: int, length: int) -> bytes:
            if offset == 0:
                with pytest.raises(ObjectExistsError, match="is being stored by another upload"):
                    put(storage)
            return super().read(offset, length)

    other.put("folder/object", Blocked(LARGE))
    assert_stored(emulator, LARGE)


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_key_that_appears_late_is_not_overwritten(
    emulator: OneDriveEmulator, storage: Storage, content: bytes
) -> None:
    class Slow(MemoryContent):
        def read(self, offset: int, length: int) -> bytes:
            if offset + length >= self.size:
                emulator.place("folder/object", b"quick")
            return super().read(offset, length)

    with pytest.raises(ObjectExistsError, match="object"):
        storage.put("folder/object", Slow(content))
    assert_stored(emulator, b"quick")


# --- throttling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["sign_in.token", "graph.drive", "graph.create_session", "upload.fragment"])
@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_that_is_asked_for_is_kept(
    emulator: OneDriveEmulator, storage: Storage, route: str, status: int
) -> None:
    """The emulator notes what comes before its time."""
    emulator.plan("status", route, status=status, retry_after=1, body="html")
    put(storage)
    assert_stored(emulator, LARGE)


def test_a_pause_is_one_for_every_thread(emulator: OneDriveEmulator, storage: Storage) -> None:
    """On a busy machine a request may be on its way for long; who does not pause is met in the second after that."""
    emulator.reset(throttle_grace_seconds=1)
    put(storage, SMALL, "there")
    emulator.plan("status", "upload.fragment", 2, status=429, retry_after=2)
    is_ended = threading.Event()

    def look() -> None:
        while not is_ended.wait(0.05):
            storage.stat("there")

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    put(storage)
    is_ended.set()
    for thread in threads:
        thread.join()
    assert set(emulator.files()) == {"there", "folder/object"}


def test_a_pause_that_is_too_long_is_an_error_that_says_so(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.plan("status", "graph.create_session", status=429, retry_after=3000)
    with pytest.raises(StorageError, match="asks to wait for 3000 s"):
        put(storage)
    with pytest.raises(StorageError, match="to wait for"):
        keys(storage)
    assert_nothing_is_there(emulator)


def test_cancelling_ends_a_pause(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    emulator.plan("status", "graph.drive", status=429, retry_after=1000)
    threading.Timer(0.5, workplace.cancelled.set).start()
    with pytest.raises(StorageError, match="cancelled"):
        put(open_onedrive(workplace=workplace))


# --- what was stored is looked at ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize("kind", ["wrong_bytes_stored", "last_byte_lost", "wrong_size", "wrong_hash"])
def test_what_was_stored_wrong_is_removed_and_sent_again(
    emulator: OneDriveEmulator, storage: Storage, kind: str, content: bytes
) -> None:
    emulator.plan(kind, "graph.put_content" if content is SMALL else "upload.commit")
    put(storage, content)
    assert_stored(emulator, content)
    assert len(emulator.drive()["recycle_bin"]) == 1


@pytest.mark.parametrize("content", [SMALL, LARGE])
@pytest.mark.parametrize(("delete_for_good", "in_recycle_bin"), [("no", 2), ("yes", 0)])
def test_what_is_stored_wrong_twice_is_an_error(
    emulator: OneDriveEmulator, content: bytes, delete_for_good: str, in_recycle_bin: int
) -> None:
    emulator.plan("wrong_bytes_stored", "content", 1, times=None)
    with pytest.raises(IntegrityError, match="is not what was sent, twice in a row"):
        put(open_onedrive(DELETE_FOR_GOOD=delete_for_good), content)
    assert_nothing_is_there(emulator)
    assert len(emulator.drive()["recycle_bin"]) == in_recycle_bin


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_hash_that_comes_late_is_waited_for(emulator: OneDriveEmulator, storage: Storage, content: bytes) -> None:
    emulator.plan("no_hash", "graph.put_content" if content is SMALL else "upload.commit")
    put(storage, content)
    assert_stored(emulator, content)
    assert "download.content" not in routes(emulator, "download")


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_without_a_hash_the_object_is_read_back(emulator: OneDriveEmulator, storage: Storage, content: bytes) -> None:
    route = "graph.put_content" if content is SMALL else "upload.commit"
    emulator.plan("no_hash", route, lasting=True)
    emulator.plan("truncated_answer", "download.content", after=1000)
    put(storage, content)
    assert_stored(emulator, content)
    assert routes(emulator, "download") == ["download.content"] * 2


def test_without_a_hash_wrong_bytes_are_found_by_reading_back(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.plan("no_hash", "upload.commit", lasting=True, times=2)
    emulator.plan("wrong_bytes_stored", "upload.fragment", 2)
    put(storage)
    assert_stored(emulator, LARGE)


# --- the quota -----------------------------------------------------------------------------------------------------


def test_a_quota_that_is_too_small_is_found_before_anything_is_sent(
    emulator: OneDriveEmulator, storage: Storage
) -> None:
    emulator.change(drives=[{"quota_total": 2_000_000, "used_elsewhere": 1_500_000}])
    with pytest.raises(StorageFullError, match=r"has 995 kB, and the drive has 500 kB left.*recycle bin"):
        put(storage)
    assert fragments_sent(emulator) == []
    assert_nothing_is_there(emulator)


@pytest.mark.parametrize("checked_at", ["create", "fragment", "commit"])
@pytest.mark.parametrize("status_at", ["graph.create_session", "upload.fragment", "upload.commit"])
def test_a_quota_that_runs_out_on_the_way(
    emulator: OneDriveEmulator, storage: Storage, checked_at: str, status_at: str
) -> None:
    emulator.change(quota_checked_at=checked_at)
    emulator.plan("status", status_at, status=507)
    with pytest.raises(StorageFullError, match=r"the drive is full.*recycle bin"):
        put(storage)
    assert_nothing_is_there(emulator)
    assert routes(emulator, "graph").count("graph.create_session") == 1, "it is not tried again"


def test_an_unknown_quota_is_no_full_one(emulator: OneDriveEmulator, storage: Storage) -> None:
    emulator.change(drives=[{"quota_total": 0}])
    put(storage)
    assert_stored(emulator, LARGE)


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["truncated_answer", "lost_response"])
def test_a_download_that_breaks_goes_on(emulator: OneDriveEmulator, storage: Storage, kind: str) -> None:
    put(storage)
    emulator.plan(kind, "download.content")
    assert b"".join(storage.get("folder/object", 10_000)) == LARGE[10_000:]
    assert len(routes(emulator, "download")) == 2


def test_a_download_address_that_has_expired_is_asked_for_again(emulator: OneDriveEmulator, storage: Storage) -> None:
    put(storage)
    emulator.plan("advance_clock", "download.content", seconds=4000)
    assert b"".join(storage.get("folder/object")) == LARGE
    assert [entry["status"] for entry in emulator.requests() if entry["route"] == "graph.get_content"].count(302) == 2
    downloads = [entry for entry in emulator.requests() if entry["service"] == "download"]
    assert not any(entry["authorization_was_sent"] for entry in downloads)


def test_a_range_costs_no_more_than_its_bytes(emulator: OneDriveEmulator, storage: Storage) -> None:
    put(storage)
    assert b"".join(storage.get("folder/object", 500_000, 1000)) == LARGE[500_000:501_000]
    assert b"".join(storage.get("folder/object", 7, 2)) == LARGE[7:9]
    assert list(storage.get("folder/object", len(LARGE))) == []
    assert list(storage.get("folder/object", 5, 0)) == []
    ranges = [entry["range"] for entry in emulator.requests() if entry["service"] == "download"]
    assert ranges == ["bytes=500000-500999", "bytes=7-8"]
    assert routes(emulator, "graph").count("graph.get_content") == 1, "where it lies is asked for once"


def test_what_is_read_is_what_lies_there_now(emulator: OneDriveEmulator, storage: Storage) -> None:
    put(storage, b"first")
    assert b"".join(storage.get("folder/object")) == b"first"
    storage.delete("folder/object")
    with pytest.raises(ObjectNotFoundError):
        list(storage.get("folder/object"))
    put(storage, b"other")
    assert b"".join(storage.get("folder/object")) == b"other"
    emulator.place("folder/object", b"and something longer")
    assert b"".join(storage.get("folder/object")) == b"and something longer"
