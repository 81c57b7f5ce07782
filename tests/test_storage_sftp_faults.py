"""Whatever goes wrong with whichever request: a good copy or a clear error, and nothing is left behind."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import IntegrityError, StorageError, StorageFullError, StorageUnavailableError
from ssh.connection import Deadlines
from storages.retrying import RetryingStorage
from storages.sftp.storage import SftpStorage
from storages.storage import UNFINISHED_PREFIX
from storages.workplace import Workplace
from tests.support import sftp_faults
from tests.support.sftp import IMPATIENT, sftp_storage_at
from tests.support.sftp_faults import Fault, FaultPlan
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.sshd import Sshd, requires_sshd, running_sshd
from tests.support.storage_contract import keys

pytestmark = requires_sshd

IN_A_HURRY = Deadlines(connect=15, sign_in=15, answer=2)

CUTS = [sftp_faults.CUT_BEFORE, sftp_faults.CUT_INSIDE, sftp_faults.LOST_ANSWER, sftp_faults.HALF_ANSWER]

# A block is 255 KiB. Of the large one the first MiB is read back, and then the server tells the checksum.
SMALL, LARGE = 1000, 1_300_000


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> FaultPlan:
    return FaultPlan(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def sshd(plan: FaultPlan) -> Iterator[Sshd]:
    with running_sshd(plan.subsystem) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path, plan: FaultPlan) -> Iterator[Path]:
    yield tmp_path
    plan.clear()


def _chunks(size: int) -> Iterator[bytes]:
    content = _content(size)
    for offset in range(0, size, 100_000):
        yield content[offset : offset + 100_000]


def _content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _put_with_faults(sshd: Sshd, plan: FaultPlan, root: Path, size: int, fault: str) -> list[str]:
    """An object for each request of a put that the fault can meet; what became of each."""
    storage = sftp_storage_at(sshd, root)
    keys(storage)  # opens the session
    outcomes: list[str] = []
    while True:
        number = len(outcomes) + 1
        key = f"folder/{fault}-{number}"
        plan.plan(Fault(fault, number=number))
        try:
            storage.put(key, _chunks(size))
            outcomes.append("good")
        except StorageError as error:
            assert "OFFSITE" in str(error)
            outcomes.append(type(error).__name__)
        has_fired = plan.has_fired
        plan.clear()
        _assert_good_or_absent(storage, key, size, outcomes[-1] == "good")
        assert _unfinished(root) == [], " ".join(outcomes)
        if not has_fired:
            assert outcomes.pop() == "good"
            return outcomes


def _assert_good_or_absent(storage: SftpStorage, key: str, size: int, is_good: bool) -> None:
    found = [stored.key for stored in storage.list(key) if stored.key == key]
    if is_good:
        assert found == [key]
    if found:
        assert b"".join(storage.get(key)) == _content(size)


def _unfinished(root: Path) -> list[Path]:
    return list(root.rglob(f"{UNFINISHED_PREFIX}*"))


@pytest.mark.parametrize(
    ("fault", "size"),
    [*((cut, SMALL) for cut in CUTS), (sftp_faults.CUT_BEFORE, LARGE), (sftp_faults.LOST_ANSWER, LARGE)],
)
def test_a_connection_that_breaks_at_any_request_of_a_put_is_opened_again(
    sshd: Sshd, plan: FaultPlan, root: Path, size: int, fault: str
) -> None:
    outcomes = _put_with_faults(sshd, plan, root, size, fault)
    assert len(outcomes) >= (10 if size == SMALL else 15)
    assert set(outcomes) == {"good"}


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_request_of_a_put_that_is_refused_is_an_error(sshd: Sshd, plan: FaultPlan, root: Path, size: int) -> None:
    outcomes = _put_with_faults(sshd, plan, root, size, sftp_faults.REFUSED)
    assert len(outcomes) >= (10 if size == SMALL else 15)
    assert set(outcomes) == {"good", "StorageError"}  # good where a folder could not be flushed, or a handle closed


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_bytes_that_are_stored_wrongly_are_found(sshd: Sshd, plan: FaultPlan, root: Path, size: int) -> None:
    storage = sftp_storage_at(sshd, root)
    for number in range(1, 2 + size // 261_120):
        plan.plan(Fault(sftp_faults.ALTERED, sftp_faults.WRITE, number))
        with pytest.raises(IntegrityError, match=r"folder/key in the storage OFFSITE is not what was sent"):
            storage.put("folder/key", _chunks(size))
        assert plan.has_fired
        assert keys(storage) == []
        assert _unfinished(root) == []


def test_bytes_that_are_stored_wrongly_are_found_where_the_server_tells_no_checksum(
    plan: FaultPlan, root: Path
) -> None:
    with running_sshd(plan.subsystem, [f"ForceCommand {plan.subsystem}"]) as sshd:
        storage = sftp_storage_at(sshd, root)
        for number in range(1, 6):
            plan.plan(Fault(sftp_faults.ALTERED, sftp_faults.WRITE, number))
            with pytest.raises(IntegrityError):
                storage.put("key", _chunks(LARGE))
            assert plan.has_fired
        plan.clear()
        storage.put("key", _chunks(LARGE))
        assert b"".join(storage.get("key")) == _content(LARGE)
        assert _unfinished(root) == []


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (
            Fault(sftp_faults.REFUSED, sftp_faults.OPEN, 1, 3, "Permission denied"),
            StorageError,
            "permission denied. Give",
        ),
        (Fault(sftp_faults.REFUSED, sftp_faults.WRITE, 2, 4, "No space left on device"), StorageFullError, "Make room"),
        (Fault(sftp_faults.REFUSED, sftp_faults.WRITE, 1, 15, ""), StorageFullError, "quota"),
        (Fault(sftp_faults.REFUSED, sftp_faults.WRITE, 3, 4, "Failure"), StorageError, r"status 4 \(Failure\)"),
        (Fault(sftp_faults.REFUSED, sftp_faults.RENAME, 1, 4, "Failure"), StorageError, "status 4"),
    ],
)
def test_what_a_server_refuses_is_told(
    sshd: Sshd, plan: FaultPlan, root: Path, fault: Fault, error: type[Exception], message: str
) -> None:
    storage = sftp_storage_at(sshd, root)
    plan.plan(fault)
    with pytest.raises(error, match=message):
        storage.put("folder/key", _chunks(LARGE))
    assert plan.has_fired
    assert keys(storage) == []
    assert _unfinished(root) == []


@pytest.mark.parametrize("request_type", [sftp_faults.OPEN, sftp_faults.WRITE, sftp_faults.READ, sftp_faults.RENAME])
def test_a_server_that_stalls_is_left_for_another_connection(
    sshd: Sshd, plan: FaultPlan, root: Path, request_type: int
) -> None:
    storage = sftp_storage_at(sshd, root, IN_A_HURRY)
    plan.plan(Fault(sftp_faults.STALLED, request_type))
    storage.put("folder/key", _chunks(SMALL))
    assert plan.has_fired
    assert (root / "folder/key").read_bytes() == _content(SMALL)
    assert _unfinished(root) == []


def test_a_server_that_does_not_come_back_ends_a_put_and_a_clean_up_removes_what_is_left(
    plan: FaultPlan, root: Path
) -> None:
    with running_sshd(plan.subsystem) as sshd:
        storage = sftp_storage_at(sshd, root)
        port = sshd.port

        def chunks() -> Iterator[bytes]:
            yield bytes(2_000_000)
            sshd.stop()
            yield bytes(2_000_000)

        with pytest.raises(StorageUnavailableError, match=f"OFFSITE cannot be reached.*127.0.0.1 port {port}"):
            storage.put("folder/key", chunks())
        assert len(_unfinished(root)) == 1
        with pytest.raises(StorageUnavailableError, match="Nothing listens"):
            keys(storage)
    with running_sshd(port=port) as sshd:
        storage = sftp_storage_at(sshd, root)
        assert keys(storage) == []
        assert storage.clean_up("other/") == 0
        assert storage.clean_up("folder/") == 1
        assert _unfinished(root) == []


@pytest.mark.parametrize("fault", [*CUTS, sftp_faults.REFUSED])
def test_a_get_goes_on_where_it_broke_or_fails(sshd: Sshd, plan: FaultPlan, root: Path, fault: str) -> None:
    adapter = sftp_storage_at(sshd, root)
    adapter.put("key", _chunks(LARGE))
    storage = RetryingStorage(adapter, Workplace(patience=IMPATIENT))
    number, has_fired = 0, True
    while has_fired:
        number += 1
        plan.plan(Fault(fault, number=number))
        try:
            assert b"".join(storage.get("key")) == _content(LARGE)
        except StorageError as error:
            assert fault == sftp_faults.REFUSED
            assert not isinstance(error, StorageUnavailableError)
        has_fired = plan.has_fired
    assert number > 8


@pytest.mark.parametrize("fault", [*CUTS, sftp_faults.REFUSED])
def test_stat_list_and_delete_are_repeated_or_fail(sshd: Sshd, plan: FaultPlan, root: Path, fault: str) -> None:
    adapter = sftp_storage_at(sshd, root)
    storage = RetryingStorage(adapter, Workplace(patience=IMPATIENT))
    for number in range(1, 6):
        adapter.put("a/key", [b"x"])
        plan.plan(Fault(fault, number=number))
        try:
            assert storage.stat("a/key").size == 1
            assert [stored.key for stored in storage.list("a/")] == ["a/key"]
            storage.delete("a/key")
        except StorageError as error:
            assert fault == sftp_faults.REFUSED
            assert not isinstance(error, StorageUnavailableError)
        assert plan.has_fired
        plan.clear()
        storage.delete("a/key")
        assert keys(adapter) == []


@requires_root
def test_a_full_disk_is_named_and_left_as_it_was(sshd: Sshd, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 4_000_000) as root:
        storage = sftp_storage_at(sshd, root)
        storage.put("folder/older", [b"older"])
        with pytest.raises(StorageFullError, match=r"OFFSITE has no room left for .*small/folder/key. Make room"):
            storage.put("folder/key", (bytes(500_000) for _ in range(20)))
        assert keys(storage) == ["folder/older"]
        assert [path.name for path in (root / "folder").iterdir()] == ["older"]
        storage.put("folder/key", [b"small"])
        assert keys(storage) == ["folder/key", "folder/older"]
