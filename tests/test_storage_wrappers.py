"""What stands around an adapter: trying again, bandwidth, and the spool for those that need the size first."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ObjectNotFoundError, StorageError, StorageFullError, StorageUnavailableError
from model import StoredObject
from storages.bandwidth import Bandwidth, LimitedStorage
from storages.local import LocalStorage
from storages.retrying import RetryingStorage
from storages.spool import MemoryContent, SpooledFile, SpoolingStorage, spool
from storages.storage import KnownContent, Storage
from storages.workplace import Patience, Workplace
from storages.wrapper import StorageWrapper
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.storage_contract import PlannedError, StorageContract, keys, pieces

_Item = TypeVar("_Item")
QUICK = Patience(attempts=3, first_wait=0.001, longest_wait=0.002, longest_asked_wait=10)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(Workplace, "wait", lambda self, seconds: waited.append(seconds))
    return waited


class SizeFirstStorage(StorageWrapper):
    """A local storage that takes known content only, as OneDrive does."""

    def __init__(self, root: Path) -> None:
        super().__init__(LocalStorage("SIZE", root))
        self.needs_size_first = True
        self.taken: list[tuple[int, str]] = []

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        assert isinstance(chunks, KnownContent)
        self.taken.append((chunks.size, chunks.sha256))
        return super().put(key, chunks)


class FlakyStorage(StorageWrapper):
    """Fails at planned calls, counted over all methods; a read or listing fails after ``yields`` items."""

    def __init__(self, root: Path, failing: dict[int, int]) -> None:
        super().__init__(LocalStorage("FLAKY", root))
        self.failing = dict(failing)
        self.calls = 0
        self.read: list[tuple[int, int | None]] = []

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.read.append((offset, length))
        content = b"".join(super().get(key, offset, length))
        yield from self._failing_after(iter(pieces(content, 10)))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        yield from self._failing_after(super().list(prefix))

    def stat(self, key: str) -> StoredObject:
        for _ in self._failing_after(iter(())):
            raise AssertionError
        return super().stat(key)

    def delete(self, key: str) -> None:
        for _ in self._failing_after(iter(())):
            raise AssertionError
        super().delete(key)

    def _failing_after(self, items: Iterator[_Item]) -> Iterator[_Item]:
        self.calls += 1
        yields = self.failing.pop(self.calls, None)
        for number, item in enumerate(items):
            if number == yields:
                raise StorageUnavailableError("planned")
            yield item
        if yields is not None:
            raise StorageUnavailableError("planned")


class TestSpoolingContract(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return SpoolingStorage(SizeFirstStorage(tmp_path / "root"), Workplace(tmp_path / "state"))

    @pytest.fixture
    def open_again(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: SpoolingStorage(SizeFirstStorage(tmp_path / "root"), Workplace(tmp_path / "state"))

    @pytest.fixture(autouse=True)
    def _nothing_stays(self, tmp_path: Path) -> Iterator[None]:
        yield
        assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []


class TestRetryingContract(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return RetryingStorage(LocalStorage("LOCAL", tmp_path / "root"), Workplace())

    @pytest.fixture
    def open_again(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: RetryingStorage(LocalStorage("LOCAL", tmp_path / "root"), Workplace())


class TestLimitedContract(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return LimitedStorage(LocalStorage("LOCAL", tmp_path / "root"), [Bandwidth(10**12)], Workplace())

    @pytest.fixture
    def open_again(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: LimitedStorage(LocalStorage("LOCAL", tmp_path / "root"), [Bandwidth(10**12)], Workplace())


# --- trying again -------------------------------------------------------------------------------------------------


@given(failing=st.dictionaries(st.integers(1, 6), st.integers(0, 12), max_size=4), start=st.integers(0, 120))
def test_a_broken_download_goes_on_where_it_stood(
    failing: dict[int, int], start: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytes(range(100))
    storage = FlakyStorage(tmp_path_factory.mktemp("flaky"), failing)
    storage.put("key", [content])
    workplace = Workplace(patience=Patience(attempts=5, first_wait=0, longest_wait=0))
    assert b"".join(RetryingStorage(storage, workplace).get("key", start, 90)) == content[start : start + 90]
    assert all(offset + (length or 0) == start + 90 for offset, length in storage.read)


def test_a_broken_listing_yields_each_object_once(tmp_path: Path) -> None:
    storage = FlakyStorage(tmp_path, {1: 2, 2: 0, 3: 4})
    names = [f"folder/{number}" for number in range(6)]
    for name in names:
        storage.put(name, [b"x"])
    assert keys(RetryingStorage(storage, Workplace(patience=QUICK))) == names
    assert storage.failing == {}


def test_stat_and_delete_are_tried_again(tmp_path: Path) -> None:
    storage = FlakyStorage(tmp_path, {1: 0, 2: 0, 4: 0})
    storage.put("key", [b"x"])
    retrying = RetryingStorage(storage, Workplace(patience=QUICK))
    assert retrying.stat("key").size == 1
    retrying.delete("key")
    assert storage.failing == {}
    assert keys(retrying) == []


def test_patience_ends_with_the_last_error(tmp_path: Path, waits: list[float]) -> None:
    storage = FlakyStorage(tmp_path, dict.fromkeys(range(1, 9), 0))
    with pytest.raises(StorageUnavailableError, match="planned"):
        RetryingStorage(storage, Workplace(patience=QUICK)).stat("key")
    assert storage.calls == QUICK.attempts
    assert len(waits) == QUICK.attempts - 1


def test_what_cannot_change_is_not_tried_again(tmp_path: Path) -> None:
    storage = FlakyStorage(tmp_path, {})
    with pytest.raises(ObjectNotFoundError):
        RetryingStorage(storage, Workplace(patience=QUICK)).stat("absent")
    assert storage.calls == 1


def test_a_wait_that_the_service_asks_for_is_kept(waits: list[float]) -> None:
    answers: list[StorageUnavailableError | str] = [StorageUnavailableError("later", wait=7.5), "done"]

    def action() -> str:
        answer = answers.pop(0)
        if isinstance(answer, str):
            return answer
        raise answer

    assert Workplace(patience=QUICK).repeat(action) == "done"
    assert waits == [7.5]
    answers[:] = [StorageUnavailableError("much later", wait=11)]
    with pytest.raises(StorageUnavailableError, match="much later"):
        Workplace(patience=QUICK).repeat(action)


def test_cancelling_ends_a_wait() -> None:
    workplace = Workplace()
    timer = threading.Timer(0.05, workplace.cancelled.set)
    timer.start()
    with pytest.raises(StorageError, match="cancelled"):
        workplace.wait(600)
    timer.join()


# --- the spool ----------------------------------------------------------------------------------------------------


def test_what_is_spooled_is_private_and_removed(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    storage = SizeFirstStorage(tmp_path / "root")

    def chunks() -> Iterator[bytes]:
        for _ in range(6):
            yield bytes(1 << 20)
            seen.extend((path.name, stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.rglob("upload-*"))

    SpoolingStorage(storage, Workplace(tmp_path / "state")).put("key", chunks())
    assert {mode for _, mode in seen} == {0o600}
    assert storage.taken == [(6 << 20, hashlib.sha256(bytes(6 << 20)).hexdigest())]
    assert list((tmp_path / "state" / "spool").iterdir()) == []
    assert stat.S_IMODE((tmp_path / "state" / "spool").stat().st_mode) == 0o700


def test_known_content_is_not_spooled_again(tmp_path: Path) -> None:
    storage = SizeFirstStorage(tmp_path / "root")
    content = MemoryContent(b"x" * 10_000_000)
    SpoolingStorage(storage, Workplace(tmp_path / "state")).put("key", content)
    assert storage.taken == [(content.size, content.sha256)]
    assert not (tmp_path / "state").exists()


@requires_root
def test_a_full_disk_below_the_spool_is_named_and_cleaned(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 80 << 20) as disk:
        for expected, amount in ((0, 100), (60 << 20, 1)):
            with pytest.raises(StorageFullError, match=r"disk that holds .*small.*STATE_DIR") as caught:
                spool(disk / "state" / "file", (bytes(1 << 20) for _ in range(amount)), expected)
            assert "waits there until it is whole" in str(caught.value)
            assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_a_stream_that_raises_leaves_no_spooled_file(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 100
        raise PlannedError

    with pytest.raises(PlannedError):
        spool(tmp_path / "file", chunks())
    assert list(tmp_path.iterdir()) == []


@given(offset=st.integers(0, 70_000), length=st.integers(0, 70_000))
def test_spooled_content_is_read_from_anywhere(
    offset: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = random.Random(1).randbytes(65_537)
    path = tmp_path_factory.mktemp("spool") / "file"
    spooled = spool(path, pieces(content, 1000))
    assert (spooled.size, spooled.crc32) == (len(content), zlib.crc32(content))
    with SpooledFile(path, hashlib.sha256(content).hexdigest()) as file:
        assert file.read(offset, length) == content[offset : offset + length]
        assert (file.size, b"".join(file)) == (len(content), content)


def test_a_spooled_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="absent cannot be used: No such file"):
        SpooledFile(tmp_path / "absent", "")


# --- bandwidth ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True])
def test_what_is_put_waits_for_its_bandwidths(tmp_path: Path, waits: list[float], known: bool) -> None:
    clock = [0.0]
    waits_of_time = pytest.MonkeyPatch()
    waits_of_time.setattr("storages.bandwidth.time.monotonic", lambda: clock[0] + sum(waits))
    try:
        own, shared = Bandwidth(4_000_000), Bandwidth(1_000_000)
        storage = LimitedStorage(LocalStorage("LOCAL", tmp_path), [own, shared], Workplace())
        content = os.urandom(3_000_000)
        storage.put("key", MemoryContent(content) if known else [content])
    finally:
        waits_of_time.undo()
    assert 2.5 < sum(waits) < 3.1
    assert b"".join(storage.get("key")) == content


def test_two_storages_share_one_bandwidth(tmp_path: Path, waits: list[float]) -> None:
    shared = Bandwidth(1_000_000)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("storages.bandwidth.time.monotonic", lambda: 0.0)
    try:
        for name in ("one", "two"):
            LimitedStorage(LocalStorage(name, tmp_path / name), [shared], Workplace()).put("key", [bytes(1_000_000)])
    finally:
        monkeypatch.undo()
    assert max(waits) > 1.7


def test_a_limited_upload_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    workplace = Workplace()
    workplace.cancelled.set()
    storage = LimitedStorage(LocalStorage("LOCAL", tmp_path), [Bandwidth(1000)], workplace)
    with pytest.raises(StorageError, match="cancelled"):
        storage.put("key", [bytes(1_000_000)])
    assert keys(storage) == []
