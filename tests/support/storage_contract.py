"""What every storage must do, as tests over the fixture ``storage``.

A module of tests for one storage inherits :class:`StorageContract` in a class whose name begins with ``Test``, and
defines the fixture ``storage``: an empty storage, new for each test. ``open_again`` gives another object for the same
place, as another process would have it.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import ObjectExistsError, ObjectNotFoundError, StorageError
from storages.storage import Storage

STRANGE_KEYS = [
    "plain",
    "with space/and more  spaces.zip",
    "Übung/日本語/emoji-😀.zip",
    "number#sign/100%/a+b/a%20b/a%2Fb",
    "quotes'\"/back\\slash/semi;colon/$HOME/`id`/*?[x]",
    "-leading-dash/.hidden/..two-dots/dots..",
    "new\nline/tab\t",
    "a/deep/path/of/many/parts/to/be/made/at/once",
]

BAD_KEYS = ["", "/absolute", "a//b", "a/", "/", ".", "..", "../outside", "a/../b", "a/./b", "nul\0", "lone\udc80"]

# One MiB blocks and 64 MiB segments are what storages gather in; around these sizes mistakes are made.
SIZES = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (64 << 20) + 7]

# The storage of a test of ranges holds one object that all examples read.
_of_one_object = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


class PlannedError(Exception):
    """What the chunks of a test raise."""


class StorageContract:
    """Inherit, and define the fixture ``storage``. The attributes say what a service cannot do, and why is said there.

    ``REFUSED_KEYS`` are those of STRANGE_KEYS that the service has no name for: they must be refused, by name.
    ``IS_CASE_SENSITIVE`` is false where two keys that differ in case are one object.
    ``IS_EXCLUSIVE`` is false where the service has no way to publish only if the name is free: then a key that exists
    before ``put`` is still refused, and of two puts at once one may replace the other.
    """

    REFUSED_KEYS: frozenset[str] = frozenset()
    IS_CASE_SENSITIVE = True
    IS_EXCLUSIVE = True

    @pytest.fixture
    def storage(self) -> Storage:
        raise NotImplementedError

    @pytest.mark.parametrize("size", SIZES)
    def test_what_was_put_is_got_back(self, storage: Storage, size: int) -> None:
        content = random.Random(size).randbytes(size)
        before = datetime.now(UTC)
        stored = storage.put("folder/object", pieces(content, 300_000))
        assert stored.key == "folder/object"
        assert stored.size == size
        assert stored.sha256 in (None, hashlib.sha256(content).hexdigest())
        assert abs(stored.modified - before) < timedelta(minutes=5)
        assert b"".join(storage.get("folder/object")) == content
        assert storage.stat("folder/object").size == size

    def test_chunks_of_every_length(self, storage: Storage) -> None:
        lengths = [0, 1, 3, 70_000, 0, 2_500_000, 1, 1 << 20, 5, 0]
        chunks = [bytes([number]) * length for number, length in enumerate(lengths)]
        stored = storage.put("mixed", iter(chunks))
        assert stored.sha256 in (None, hashlib.sha256(b"".join(chunks)).hexdigest())
        assert b"".join(storage.get("mixed")) == b"".join(chunks)

    @pytest.mark.parametrize("key", STRANGE_KEYS)
    def test_strange_keys(self, storage: Storage, key: str) -> None:
        if key in self.REFUSED_KEYS:
            with pytest.raises(StorageError, match="cannot use the key"):
                storage.put(key, [b"content"])
            return
        storage.put(key, [b"content of ", key.encode()])
        assert b"".join(storage.get(key)) == b"content of " + key.encode()
        assert storage.stat(key).key == key
        assert [stored.key for stored in storage.list("")] == [key]
        storage.delete(key)
        assert keys(storage) == []

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_bad_keys_are_refused(self, storage: Storage, key: str) -> None:
        for act in (
            lambda: storage.put(key, [b"x"]),
            lambda: next(storage.get(key)),
            lambda: storage.stat(key),
            lambda: storage.delete(key),
        ):
            with pytest.raises(StorageError, match="cannot use the key"):
                act()
        assert keys(storage) == []

    @given(offset=st.integers(0, 3_000_100), length=st.none() | st.integers(0, 3_000_100))
    @settings(max_examples=50, deadline=None, suppress_health_check=_of_one_object)
    def test_ranges(self, storage: Storage, offset: int, length: int | None) -> None:
        content = random.Random(5).randbytes(3_000_000)
        if not keys(storage):
            storage.put("ranged", pieces(content, 1_000_000))
        end = None if length is None else offset + length
        assert b"".join(storage.get("ranged", offset, length)) == content[offset:end]

    def test_absent_objects(self, storage: Storage) -> None:
        storage.put("there/object", [b"x"])
        for absent in ("absent", "there", "there/absent", "there/object/below"):
            with pytest.raises(ObjectNotFoundError):
                next(storage.get(absent))
            with pytest.raises(ObjectNotFoundError):
                storage.stat(absent)
            storage.delete(absent)
        assert keys(storage) == ["there/object"]

    def test_list_is_ordered_and_takes_any_text_as_prefix(self, storage: Storage) -> None:
        names = ["a", "a.b", "a.b.c", "a-b/c", "ab/a", "ab/b/c", "ab0", "b/é", "b/z", "b/Z", "c d/e", "é"]
        if not self.IS_CASE_SENSITIVE:
            names.remove("b/Z")
        everything = [name + "/x" for name in names] + [name + ".zip" for name in names]
        for key in random.Random(1).sample(everything, len(everything)):
            storage.put(key, [key.encode()])
        for prefix in ["", "a", "a.", "ab", "ab/", "ab/b", "b/", "b/Z", "c ", "c d/e/x", "absent", "absent/x", "é"]:
            listed = list(storage.list(prefix))
            assert [stored.key for stored in listed] == sorted(key for key in everything if key.startswith(prefix))
            assert all(stored.size == len(stored.key.encode()) for stored in listed)

    def test_list_of_an_empty_storage(self, storage: Storage) -> None:
        assert keys(storage) == []
        assert list(storage.list("no/such/")) == []

    def test_a_key_is_never_overwritten(self, storage: Storage) -> None:
        storage.put("key", [b"first"])
        with pytest.raises(ObjectExistsError, match="key"):
            storage.put("key", [b"second"])
        assert b"".join(storage.get("key")) == b"first"

    def test_a_key_that_appears_during_a_put_is_not_overwritten(self, storage: Storage) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"slow" * 1_000_000
            storage.put("key", [b"quick"])
            yield b"slow"

        with pytest.raises(ObjectExistsError, match="key"):
            storage.put("key", chunks())
        assert b"".join(storage.get("key")) == b"quick"
        assert keys(storage) == ["key"]

    @pytest.mark.parametrize("error", [PlannedError("planned"), OSError(28, "planned"), KeyboardInterrupt("planned")])
    @pytest.mark.parametrize("size", [0, 10, 5_000_000])
    def test_chunks_that_raise_leave_nothing(self, storage: Storage, size: int, error: BaseException) -> None:
        def chunks() -> Iterator[bytes]:
            yield bytes(size)
            raise error

        with pytest.raises(type(error)) as caught:
            storage.put("folder/key", chunks())
        assert caught.value is error
        assert keys(storage) == []
        with pytest.raises(ObjectNotFoundError):
            storage.stat("folder/key")
        assert storage.clean_up("") == 0
        storage.put("folder/key", [b"again"])
        assert keys(storage) == ["folder/key"]

    def test_nothing_is_visible_while_chunks_come(self, storage: Storage) -> None:
        seen: list[list[str]] = []

        def chunks() -> Iterator[bytes]:
            for _ in range(4):
                yield bytes(2_000_000)
                seen.append(keys(storage))

        storage.put("folder/key", chunks())
        assert seen == [[], [], [], []]
        assert keys(storage) == ["folder/key"]

    def test_of_concurrent_puts_of_one_key_exactly_one_wins(
        self, storage: Storage, open_again: Callable[[], Storage]
    ) -> None:
        for round_number in range(5):
            key = f"contested/{round_number}"
            outcomes = _put_at_once(key, [open_again() for _ in range(8)])
            winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
            if not self.IS_EXCLUSIVE:
                assert b"".join(storage.get(key)) in [bytes([number]) * 100_000 for number in winners]
                continue
            assert len(winners) == 1
            assert all(isinstance(outcome, ObjectExistsError) for outcome in outcomes if outcome is not None)
            assert b"".join(storage.get(key)) == bytes([winners[0]]) * 100_000
        assert storage.clean_up("") == 0

    def test_clean_up_leaves_finished_objects(self, storage: Storage) -> None:
        storage.put("a/b/key", [b"x"])
        assert storage.clean_up("a/b/") == 0
        assert storage.clean_up("absent/") == 0
        assert keys(storage) == ["a/b/key"]


def keys(storage: Storage) -> list[str]:
    return [stored.key for stored in storage.list("")]


def pieces(content: bytes, length: int) -> Iterator[bytes]:
    for offset in range(0, len(content), length):
        yield content[offset : offset + length]


def _put_at_once(key: str, storages: list[Storage]) -> list[Exception | None]:
    """What each of the storages answered: None or its error."""
    barrier = threading.Barrier(len(storages))
    outcomes: list[Exception | None] = [None] * len(storages)

    def put(number: int) -> None:
        def chunks() -> Iterator[bytes]:
            yield bytes([number]) * 50_000
            barrier.wait()  # all of them have begun before the first can end
            yield bytes([number]) * 50_000

        try:
            storages[number].put(key, chunks())
        except StorageError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=put, args=(number,)) for number in range(len(storages))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
