"""One stream to several targets: order, content, and what is left where something fails."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from errors import HoldfastError, InterruptedRun, StorageError, StorageFullError
from model import StorageDefinition, StorageType, StoredObject, Target
from operations.copies.layout import CopyKeys
from operations.running.delivery import Delivered, Put, deliver
from operations.running.distribution import Distribution, on_all
from operations.running.spooled_copy import SpooledCopy
from operations.running.targets import TargetCopy
from storages.local import LocalStorage
from storages.workplace import Workplace

KEY = "shop/files/a.zip"
CHUNKS = [random.Random(number).randbytes(1 << 18) for number in range(40)]
CONTENT = b"".join(CHUNKS)


class Targets:
    """Local storages in folders of their own."""

    def __init__(self, root: Path, count: int) -> None:
        self.roots = [root / f"target {number}" for number in range(count)]
        self.storages = [LocalStorage(path.name, path) for path in self.roots]

    @property
    def puts(self) -> list[Put]:
        return [partial(storage.put, KEY) for storage in self.storages]

    def files(self, number: int) -> list[Path]:
        """Every file on one target, those under way among them."""
        return [path for path in self.roots[number].rglob("*") if path.is_file()]

    def content(self, number: int) -> bytes:
        return b"".join(self.storages[number].get(KEY))


@pytest.fixture
def targets(tmp_path: Path) -> Targets:
    return Targets(tmp_path, 3)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert {thread for thread in threading.enumerate() if thread not in before and thread.name == "deliver"} == set()


def failing(put: Put, after: int, error: Exception) -> tuple[Put, list[int]]:
    """A put that fails once it has seen ``after`` chunks, and the number that it had seen when it did."""
    fired: list[int] = []

    def put_until_it_fails(chunks: Iterable[bytes]) -> StoredObject:
        def until_it_fails() -> Iterator[bytes]:
            seen = 0
            for chunk in chunks:
                if seen == after:
                    break
                seen += 1
                yield chunk
            fired.append(seen)
            raise error

        return put(until_it_fails())

    return put_until_it_fails, fired


def test_every_target_gets_the_same_bytes_in_order(targets: Targets) -> None:
    delivered = deliver(CHUNKS, targets.puts)
    assert (delivered.size, delivered.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    for number, result in enumerate(delivered.results):
        assert isinstance(result, StoredObject)
        assert result.size == delivered.size
        assert targets.content(number) == CONTENT


def test_an_empty_stream_is_an_empty_object(targets: Targets) -> None:
    delivered = deliver([], targets.puts)
    assert delivered.size == 0
    assert [targets.content(number) for number in range(3)] == [b"", b"", b""]


@pytest.mark.parametrize("after", [0, 20, 40], ids=["at the start", "in the middle", "at the end"])
@pytest.mark.parametrize("position", range(3))
def test_a_target_that_fails_does_not_stop_the_others(targets: Targets, after: int, position: int) -> None:
    puts = targets.puts
    error = StorageFullError("No space left.")
    puts[position], fired = failing(puts[position], after, error)
    delivered = deliver(CHUNKS, puts)
    assert fired == [after]
    assert delivered.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert delivered.results[position] is error
    assert targets.files(position) == []
    for number in {0, 1, 2} - {position}:
        assert isinstance(delivered.results[number], StoredObject)
        assert targets.content(number) == CONTENT


def test_an_error_that_nobody_foresaw_is_no_copy(targets: Targets) -> None:
    puts = targets.puts
    puts[1], fired = failing(puts[1], 3, ZeroDivisionError("a bug"))
    delivered = deliver(CHUNKS, puts)
    assert fired == [3]
    assert "ZeroDivisionError: a bug" in str(delivered.results[1])
    assert isinstance(delivered.results[1], HoldfastError)
    assert targets.content(2) == CONTENT


def test_where_all_targets_fail_reading_stops(targets: Targets) -> None:
    plans = [failing(put, after, StorageError(f"broken {after}")) for after, put in enumerate(targets.puts)]
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1000

    delivered = deliver(endless(), [put for put, _ in plans])
    assert [fired for _, fired in plans] == [[0], [1], [2]]
    assert [str(result) for result in delivered.results] == ["broken 0", "broken 1", "broken 2"]
    assert read > 0
    assert [targets.files(number) for number in range(3)] == [[], [], []]


def test_a_target_that_stops_early_is_told_from_one_that_has_it_all(targets: Targets) -> None:
    def put_a_part(chunks: Iterable[bytes]) -> StoredObject:
        taken = next(iter(chunks))
        return StoredObject(KEY, len(taken), datetime.now(UTC), hashlib.sha256(taken).hexdigest())

    delivered = deliver(CHUNKS, [put_a_part])
    (result,) = delivered.results
    assert isinstance(result, StoredObject)
    assert result.size != delivered.size
    assert result.sha256 != delivered.sha256


@pytest.mark.parametrize("after", [0, 1, 20, 40])
@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt(), InterruptedRun("by SIGTERM", 143)], ids=repr)
def test_where_the_producer_fails_no_target_keeps_anything(targets: Targets, after: int, error: BaseException) -> None:
    def producer() -> Iterator[bytes]:
        yield from CHUNKS[:after]
        raise error

    with pytest.raises(type(error)) as raised:
        deliver(producer(), targets.puts)
    assert raised.value is error
    assert [targets.files(number) for number in range(3)] == [[], [], []]


def test_the_producer_fails_while_a_target_already_has() -> None:
    """The failed target's queue is full and read by nobody any more: nothing may wait for it."""
    seen = threading.Event()

    def put(_: Iterable[bytes]) -> StoredObject:
        seen.set()
        raise StorageError("refused")

    def producer() -> Iterator[bytes]:
        yield from CHUNKS
        assert seen.wait(30)
        raise KeyboardInterrupt

    held: list[bytes] = []

    def take(chunks: Iterable[bytes]) -> StoredObject:
        held.extend(chunks)
        raise AssertionError("the stream ended as if it were whole")

    with pytest.raises(KeyboardInterrupt):
        deliver(producer(), [put, take])
    assert held[:1] == CHUNKS[:1]


def test_a_slow_target_holds_the_producer_back(targets: Targets) -> None:
    """The queue of a target is bounded, and so is what is in memory."""
    go_on = threading.Event()
    produced = 0
    most_ahead = 0
    taken = 0

    def slow_put(chunks: Iterable[bytes]) -> StoredObject:
        def slowly() -> Iterator[bytes]:
            nonlocal taken
            assert go_on.wait(30)
            for chunk in chunks:
                taken += 1
                yield chunk

        return targets.storages[0].put(KEY, slowly())

    def producer() -> Iterator[bytes]:
        nonlocal produced, most_ahead
        for chunk in CHUNKS:
            produced += 1
            most_ahead = max(most_ahead, produced - taken)
            if produced == 9:
                go_on.set()
            yield chunk

    delivered = deliver(producer(), [slow_put, targets.puts[1]])
    assert produced == taken == len(CHUNKS)
    # Eight in the queue, one on its way out of it and one on its way in.
    assert most_ahead <= 10
    assert [targets.content(number) for number in (0, 1)] == [CONTENT, CONTENT]
    assert all(isinstance(result, StoredObject) for result in delivered.results)


# --- with the targets of a backup ---

STARTED = datetime(2026, 11, 20, 3, 0, 0, tzinfo=UTC)


@pytest.fixture
def open_copies(tmp_path: Path) -> Callable[[int], list[TargetCopy]]:
    def open_them(count: int) -> list[TargetCopy]:
        copies = []
        for number in range(count):
            root = str(tmp_path / f"storage {number}")
            storage = StorageDefinition(f"DISK{number}", StorageType.LOCAL, {"ROOT": root})
            copies.append(TargetCopy(Target(storage, "backups"), "shop/files", STARTED))
            copies[-1].open(Workplace(tmp_path), None)
            copies[-1].clean_up([])
        return copies

    return open_them


def deliver_to(copies: list[TargetCopy], chunks: Iterable[bytes], key_of: Callable[[CopyKeys], str]) -> Delivered:
    workplace = Workplace(Path("/nowhere"))
    spooled = SpooledCopy(Path("/nowhere"), copies[0].keys)
    return Distribution(copies, spooled, workplace, lambda *_: None).send(chunks, key_of)


def test_an_object_that_is_there_fails_its_target_only(open_copies: Callable[[int], list[TargetCopy]]) -> None:
    copies = open_copies(2)
    copies[0].storage.put(copies[0].keys.archive, [b"older"])
    delivered = deliver_to(copies, CHUNKS, lambda keys: keys.archive)
    assert "never overwritten" in str(copies[0].error)
    assert copies[1].error is None
    assert b"".join(copies[0].storage.get(copies[0].keys.archive)) == b"older"
    assert copies[1].storage.stat(copies[1].keys.archive).size == delivered.size


def test_a_target_that_failed_gets_no_further_object(open_copies: Callable[[int], list[TargetCopy]]) -> None:
    copies = open_copies(2)
    copies[0].error = StorageError("it failed before")
    delivered = deliver_to(copies, CHUNKS, lambda keys: keys.index)
    assert delivered.size == len(CONTENT)
    assert list(copies[0].storage.list("")) == []
    assert [found.key for found in copies[1].storage.list("")] == [copies[1].keys.index]


def test_what_a_target_says_that_it_stored_is_checked(
    open_copies: Callable[[int], list[TargetCopy]], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = open_copies(2)
    lies = [0]

    def lying_put(key: str, chunks: Iterable[bytes]) -> StoredObject:
        size = sum(map(len, chunks))
        lies[0] += 1
        return StoredObject(key, size, STARTED, "0" * 64)

    monkeypatch.setattr(copies[0].storage, "put", lying_put)
    deliver_to(copies, CHUNKS, lambda keys: keys.archive)
    assert lies == [1]
    assert "DISK0:backups holds something else than what was sent" in str(copies[0].error)
    assert copies[1].error is None


def test_where_all_fail_the_error_names_each(open_copies: Callable[[int], list[TargetCopy]]) -> None:
    copies = open_copies(2)
    for copy in copies:
        copy.storage.put(copy.keys.archive, [b"older"])
    with pytest.raises(HoldfastError) as raised:
        deliver_to(copies, CHUNKS, lambda keys: keys.archive)
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()] == ["DISK0", "DISK1"]


def test_a_copy_without_its_manifest_is_removed_and_one_with_it_stays(
    open_copies: Callable[[int], list[TargetCopy]],
) -> None:
    copies = open_copies(2)
    deliver_to(copies, CHUNKS, lambda keys: keys.archive)
    deliver_to(copies, [b"index"], lambda keys: keys.index)
    copies[0].finish(b"{}", b"how to")
    copies[1].error = StorageError("it failed before its manifest was written")
    on_all(copies[1:], lambda copy: copy.finish(b"{}", b"how to"), Workplace())
    for copy in copies:
        copy.discard_unfinished()
    assert len(list(copies[0].storage.list(""))) == 4
    assert list(copies[1].storage.list("")) == []


def test_a_failure_on_one_of_all_targets_is_kept_there(open_copies: Callable[[int], list[TargetCopy]]) -> None:
    copies = open_copies(3)
    copies[0].error = before = StorageError("it failed before")
    done: list[TargetCopy] = []

    def act(copy: TargetCopy) -> None:
        if copy is copies[1]:
            raise ZeroDivisionError("a bug")
        done.append(copy)

    on_all(copies, act, Workplace())
    assert done == [copies[2]]
    assert (copies[0].error, copies[2].error) == (before, None)
    assert "ZeroDivisionError: a bug" in str(copies[1].error)
