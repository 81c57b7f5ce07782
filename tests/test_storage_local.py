"""The local storage: the contract, and what is special about files."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from errors import IntegrityError, ObjectExistsError, StorageError, StorageFullError
from model import Secret, StorageDefinition, StorageType
from storages.factory import open_storage
from storages.local import LocalStorage
from storages.storage import UNFINISHED_PREFIX, Storage
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.storage_contract import StorageContract, keys

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "not there yet" / "backups"


@pytest.fixture
def storage(root: Path) -> Storage:
    return LocalStorage("LOCAL", root)


@pytest.fixture
def open_again(root: Path) -> Callable[[], Storage]:
    return lambda: LocalStorage("LOCAL", root)


class TestContract(StorageContract):
    @pytest.fixture
    def storage(self, root: Path) -> Storage:
        return LocalStorage("LOCAL", root)


class TestContractWithoutHardLinks(StorageContract):
    """File systems such as FAT answer EPERM to link(2). The fault is planned, and must have been met."""

    @pytest.fixture
    def storage(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
        refused: list[object] = []
        published: list[object] = []

        def refuse(source: object, target: object) -> None:
            refused.append(target)
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source))

        rename = Path.rename

        def rename_late(path: Path, target: Path) -> Path:
            published.append(target)
            time.sleep(0.02)  # room for a writer that was not held off
            return rename(path, target)

        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(Path, "rename", rename_late)
        yield LocalStorage("LOCAL", root)
        assert len(published) <= len(refused)
        assert all(target in refused for target in published)


def test_modes_are_private(storage: Storage, root: Path) -> None:
    old_mask = os.umask(0)
    try:
        storage.put("a/b/c", [b"x"])
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE((root / "a/b/c").stat().st_mode) == 0o600
    for folder in (root.parent, root, root / "a", root / "a/b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_key_is_the_path(storage: Storage, root: Path) -> None:
    storage.put("a/b.zip", [b"content"])
    assert (root / "a/b.zip").read_bytes() == b"content"
    assert [path.name for path in (root / "a").iterdir()] == ["b.zip"]


def _unfinished(root: Path) -> Path:
    return next(root.rglob(f"{UNFINISHED_PREFIX}*"))


@pytest.mark.parametrize("size", [2 << 20, 65 << 20])
def test_bytes_that_change_on_the_disk_are_found(storage: Storage, root: Path, size: int) -> None:
    met: list[Path] = []

    def chunks() -> Iterator[bytes]:
        yield bytes(size)
        path = _unfinished(root)
        with path.open("r+b") as file:
            file.seek(size - 1000 if size < 64 << 20 else 64 << 20)
            file.write(b"\1")
        met.append(path)
        yield b"the end"

    with pytest.raises(IntegrityError, match=r"folder/key .* is not what was written"):
        storage.put("folder/key", chunks())
    assert len(met) == 1
    assert list(root.rglob("*")) == [root / "folder"]


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_is_too_short_or_too_long_is_found(storage: Storage, root: Path, change: int) -> None:
    met: list[int] = []

    def chunks() -> Iterator[bytes]:
        yield b"x" * (3 << 20)
        os.truncate(_unfinished(root), (3 << 20) + change)
        met.append(change)

    with pytest.raises(IntegrityError):
        storage.put("key", chunks())
    assert met == [change]
    assert list(root.iterdir()) == []


def test_a_file_that_is_removed_while_it_is_written(storage: Storage, root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(2 << 20)
        _unfinished(root).unlink()

    with pytest.raises(StorageError, match="removed it while it was being written"):
        storage.put("key", chunks())
    assert keys(storage) == []


_PUT_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from storages.local import LocalStorage

def chunks():
    yield bytes(3_000_000)
    print("began", flush=True)
    time.sleep(60)

LocalStorage("LOCAL", Path(sys.argv[1])).put("project/backup/key", chunks())
"""


def test_a_killed_put_leaves_nothing_visible_and_is_cleaned_up(storage: Storage, root: Path) -> None:
    storage.put("project/backup/older", [b"older"])
    process = subprocess.Popen(
        [sys.executable, "-c", _PUT_UNTIL_KILLED, str(root)], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"began\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    left = _unfinished(root)
    assert left.stat().st_size > 0
    assert keys(storage) == ["project/backup/older"]
    assert storage.clean_up("project/other/") == 0
    assert storage.clean_up("project/backup/") == 1
    assert not left.exists()
    assert keys(storage) == ["project/backup/older"]
    storage.put("project/backup/key", [b"again"])


def test_unfinished_names_are_no_keys(storage: Storage) -> None:
    with pytest.raises(StorageError, match="cannot use the key"):
        storage.put(f"a/{UNFINISHED_PREFIX}x", [b""])


def test_foreign_things_are_neither_listed_nor_touched(storage: Storage, root: Path, tmp_path: Path) -> None:
    storage.put("ours", [b"x"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "moved").write_bytes(b"on another disk")
    (root / "linked").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (root / "nowhere").symlink_to(root / "absent")
    os.mkfifo(root / "fifo")
    (root / os.fsdecode(b"not-utf-8-\xff")).write_bytes(b"x")
    assert keys(storage) == ["linked/moved", "ours"]
    with pytest.raises(StorageError):
        next(storage.get("fifo"))
    assert storage.clean_up("") == 0
    assert len(list(root.iterdir())) == 7


def test_a_file_where_a_folder_must_be(storage: Storage, root: Path) -> None:
    storage.put("a", [b"x"])
    with pytest.raises(StorageError, match="A file lies where a folder must be"):
        storage.put("a/b/c", [b"x"])
    storage.put("d/e", [b"x"])
    with pytest.raises(ObjectExistsError):
        storage.put("d", [b"x"])


def test_a_name_that_is_too_long(storage: Storage) -> None:
    with pytest.raises(StorageError, match="shorter NAME"):
        storage.put("x" * 256, [b"x"])


# It goes into the folder while it may: the folders above are closed to the other user.
_PUT_AS_NOBODY = """
import os, sys
from pathlib import Path
from errors import StorageError
from storages.local import LocalStorage

os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    LocalStorage("DISK", Path("root")).put("key", [b"x"])
except StorageError as error:
    print(error)
"""


def test_a_root_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    """As root nothing is forbidden, so the rights are tried by another user."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    answer = subprocess.run(
        [sys.executable, "-c", _PUT_AS_NOBODY, locked], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert "The storage DISK cannot use root/key: Permission denied" in answer
    assert "choose another ROOT" in answer


_LIST_AS_NOBODY = """
import os, sys
from pathlib import Path
from errors import StorageError
from storages.local import LocalStorage

os.chdir(sys.argv[1])
os.setgid(65534)
os.setuid(65534)
try:
    print([stored.key for stored in LocalStorage("DISK", Path("root")).list("")])
except StorageError as error:
    print(error)
"""


@requires_root
@pytest.mark.parametrize(("name", "answer"), [("lost+found", "['key']\n"), ("closed", "Permission denied")])
def test_a_folder_that_is_closed_ends_a_listing_unless_it_belongs_to_the_file_system(
    name: str, answer: str, tmp_path: Path
) -> None:
    (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root" / "key").touch()
    for folder, mode in ((tmp_path, 0o755), (tmp_path / "root", 0o755), (tmp_path / "root" / name, 0o700)):
        folder.chmod(mode)
    listed = subprocess.run(
        [sys.executable, "-c", _LIST_AS_NOBODY, tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert answer in listed


@requires_root
def test_a_full_disk_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 4_000_000) as root:
        storage = LocalStorage("LOCAL", root)
        storage.put("folder/older", [b"older"])
        with pytest.raises(StorageFullError, match=r"small/folder/key: No space left.* Make room"):
            storage.put("folder/key", (bytes(500_000) for _ in range(20)))
        assert keys(storage) == ["folder/older"]
        assert [path.name for path in (root / "folder").iterdir()] == ["older"]
        storage.put("folder/key", [b"small"])
        assert keys(storage) == ["folder/key", "folder/older"]


@pytest.mark.parametrize("root_setting", ["/srv/backups", Secret("/srv/backups")])
def test_factory_opens_a_local_storage(root_setting: str | Secret, tmp_path: Path) -> None:
    opened = open_storage(StorageDefinition("DISK", StorageType.LOCAL, {"ROOT": root_setting}))
    with pytest.raises(StorageError, match=r"DISK has no object /srv/backups/no-such-object"):
        opened.stat("no-such-object")
