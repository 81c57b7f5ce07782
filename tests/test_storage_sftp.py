"""The SFTP storage against real servers: the contract, and what is special about files on a server."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ObjectNotFoundError, StorageError, StorageUnavailableError
from model import Secret, StorageDefinition, StorageType
from ssh.connection import Deadlines, SshServer
from ssh.sign_in import Credentials
from storages.factory import open_storage
from storages.sftp.checksum import PosixChecksum
from storages.sftp.storage import SftpStorage
from storages.storage import UNFINISHED_PREFIX, Storage
from storages.workplace import Workplace
from tests.support.delay_proxy import delay_proxy
from tests.support.rclone_sftp import RcloneSftp, running_rclone_sftp
from tests.support.sftp import IMPATIENT, sftp_storage_at
from tests.support.sshd import USER, Sshd, requires_sshd, running_sshd, sshd, write_known_hosts
from tests.support.storage_contract import StorageContract, keys

__all__ = ["sshd"]

pytestmark = requires_sshd

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "not there yet" / "backups"


@pytest.fixture
def storage(sshd: Sshd, root: Path) -> Storage:
    return sftp_storage_at(sshd, root)


@pytest.fixture
def open_again(sshd: Sshd, root: Path) -> Callable[[], Storage]:
    return lambda: sftp_storage_at(sshd, root)


class TestContract(StorageContract):
    @pytest.fixture
    def storage(self, sshd: Sshd, root: Path) -> Storage:
        return sftp_storage_at(sshd, root)


_folder_numbers = count()


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneSftp]:
    with running_rclone_sftp(tmp_path_factory.mktemp("rclone"), "somebody", "a-password") as server:
        yield server


class TestContractWithAnotherServer(StorageContract):
    """One with passwords, without commands, extensions and large packets, and whose RENAME overwrites."""

    IS_EXCLUSIVE = False

    # Several renames to one name at once leave rclone's own cache without the file.
    test_of_concurrent_puts_of_one_key_exactly_one_wins = None  # type: ignore[assignment]

    @pytest.fixture
    def open_again(self, rclone: RcloneSftp) -> Callable[[], Storage]:
        root = f"/{next(_folder_numbers)}"
        credentials = Credentials("somebody", password=Secret("a-password"))
        server = SshServer("127.0.0.1", credentials, rclone.port, rclone.host_key)
        return lambda: SftpStorage("OFFSITE", server, root, Workplace(patience=IMPATIENT))

    @pytest.fixture
    def storage(self, open_again: Callable[[], Storage]) -> Storage:
        return open_again()


def test_modes_are_private(storage: Storage, root: Path) -> None:
    storage.put("a/b/c", [b"x"])
    assert stat.S_IMODE((root / "a/b/c").stat().st_mode) == 0o600
    for folder in (root.parent, root, root / "a", root / "a/b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_key_is_the_path(storage: Storage, root: Path) -> None:
    storage.put("a/b.zip", [b"content"])
    assert (root / "a/b.zip").read_bytes() == b"content"
    assert [path.name for path in (root / "a").iterdir()] == ["b.zip"]


@given(st.lists(st.binary(max_size=70)))
def test_the_checksum_is_that_of_cksum(blocks: list[bytes]) -> None:
    checksum = PosixChecksum()
    for block in blocks:
        checksum.update(block)
    content = b"".join(blocks)
    told = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.split()
    assert [checksum.value(), len(content)] == [int(field) for field in told]


LARGE = [zlib.crc32(str(number).encode()).to_bytes(4, "big") * 100_000 for number in range(8)]


def test_a_server_for_sftp_alone(root: Path) -> None:
    with running_sshd(lines=["ForceCommand internal-sftp"]) as server:
        storage = sftp_storage_at(server, root)
        storage.put("folder/key", LARGE)
        assert b"".join(storage.get("folder/key")) == b"".join(LARGE)


def test_a_far_server(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    with delay_proxy(("127.0.0.1", sshd.port), 0.05) as port:
        write_known_hosts(tmp_path / "known_hosts", port, sshd.host_keys)
        credentials = Credentials(USER, sshd.user_key)
        server = SshServer("127.0.0.1", credentials, port, known_hosts_file=tmp_path / "known_hosts")
        storage = SftpStorage("OFFSITE", server, str(root), Workplace())
        storage.put("folder/key", [*LARGE, *LARGE])
        assert b"".join(storage.get("folder/key")) == b"".join(LARGE) * 2
        assert b"".join(storage.get("folder/key", 399_999, 2)) == (LARGE[0] + LARGE[1])[399_999:400_001]


def test_a_server_without_sftp(root: Path) -> None:
    with running_sshd(subsystem="") as server, pytest.raises(StorageError, match=r"OFFSITE .* has no subsystem sftp"):
        sftp_storage_at(server, root).put("key", [b"x"])


def test_a_user_whose_shell_lets_nothing_run(root: Path) -> None:
    with (
        running_sshd(lines=["ForceCommand /bin/false"]) as server,
        pytest.raises(StorageError, match=r"ended before it said anything.*internal-sftp"),
    ):
        sftp_storage_at(server, root).put("key", [b"x"])


def test_a_login_that_prints_something(root: Path) -> None:
    with (
        running_sshd(lines=["ForceCommand echo Welcome to this server"]) as server,
        pytest.raises(StorageError, match=r"no SFTP packet.*\.bashrc"),
    ):
        sftp_storage_at(server, root).put("key", [b"x"])


_PUT_UNTIL_KILLED = """
import sys, time
from model import StorageDefinition, StorageType
from storages.factory import open_storage

port, key, known_hosts, root = sys.argv[1:]
settings = {"HOST": "127.0.0.1", "PORT": port, "KEY_FILE": key, "KNOWN_HOSTS_FILE": known_hosts, "ROOT": root}

def chunks():
    yield bytes(9_000_000)
    print("began", flush=True)
    time.sleep(60)

open_storage(StorageDefinition("OFFSITE", StorageType.SFTP, settings)).put("project/backup/key", chunks())
"""


def _unfinished(root: Path) -> list[Path]:
    return list(root.rglob(f"{UNFINISHED_PREFIX}*"))


def test_a_killed_put_leaves_nothing_visible_and_is_cleaned_up(storage: Storage, sshd: Sshd, root: Path) -> None:
    storage.put("project/backup/older", [b"older"])
    arguments = [str(sshd.port), str(sshd.user_key), str(sshd.known_hosts), str(root)]
    process = subprocess.Popen(
        [sys.executable, "-c", _PUT_UNTIL_KILLED, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"began\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(_unfinished(root)) == 1
    assert _unfinished(root)[0].stat().st_size > 0
    assert keys(storage) == ["project/backup/older"]
    assert storage.clean_up("project/other/") == 0
    assert storage.clean_up("project/backup/") == 1
    assert _unfinished(root) == []
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
    (elsewhere / "back").symlink_to(root)
    (root / "linked").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (root / "nowhere").symlink_to(root / "absent")
    os.mkfifo(root / "fifo")
    (root / os.fsdecode(b"not-utf-8-\xff")).write_bytes(b"x")
    (root / os.fsdecode(b"folder-\xff")).mkdir()
    assert keys(storage) == ["linked/moved", "ours"]
    with pytest.raises(ObjectNotFoundError):
        next(storage.get("fifo"))
    assert storage.clean_up("") == 0
    assert len(list(root.iterdir())) == 8


def test_a_folder_of_a_thousand_names(storage: Storage, root: Path) -> None:
    storage.put("many/first", [b"x"])
    names = sorted(f"name {number}" for number in range(1000))
    for name in names:
        (root / "many" / name).write_bytes(b"x")
    assert keys(storage) == ["many/first", *(f"many/{name}" for name in names)]


def test_a_file_where_a_folder_must_be(storage: Storage) -> None:
    storage.put("a", [b"x"])
    for key in ("a/b", "a/b/c"):
        with pytest.raises(StorageError, match=r"OFFSITE cannot use .*/a/b.*: a file lies where a folder must be"):
            storage.put(key, [b"x"])
    assert keys(storage) == ["a"]


def test_a_name_that_is_too_long(storage: Storage) -> None:
    with pytest.raises(StorageError, match="OFFSITE cannot use"):
        storage.put("x" * 256, [b"x"])


def test_a_root_below_the_login_folder() -> None:
    """No object is put there: it is the home of whoever runs the tests."""
    with running_sshd(lines=["ForceCommand internal-sftp -d /usr"]) as server:
        storage = sftp_storage_at(server, "~/bin")
        assert storage.stat("env").size == Path("/usr/bin/env").stat().st_size
        assert "env" in keys(sftp_storage_at(server, "~/bin/"))
        assert sftp_storage_at(server, "~").stat("bin/env").size > 0


@pytest.mark.parametrize("root_setting", ["relative/path", "~other/path"])
def test_a_root_that_cannot_be_used_is_named(sshd: Sshd, root_setting: str) -> None:
    with pytest.raises(StorageError, match=f"ROOT '{root_setting}'"):
        sftp_storage_at(sshd, root_setting)


def test_a_get_that_is_given_up_harms_no_later_call(storage: Storage) -> None:
    storage.put("key", LARGE)
    for _ in range(3):
        reading = storage.get("key")
        assert next(reading)
        reading.close()  # type: ignore[attr-defined]  # it is a generator
    assert b"".join(storage.get("key")) == b"".join(LARGE)


def test_several_threads_use_one_storage(storage: Storage) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(3):
                key = f"{number}/{turn}"
                storage.put(key, [key.encode() * 1000])
                assert b"".join(storage.get(key)) == key.encode() * 1000
                assert [stored.key for stored in storage.list(f"{number}/{turn}")] == [key]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(keys(storage)) == 15


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(root: Path) -> None:
    with running_sshd() as server:
        storage = open_storage(
            StorageDefinition(
                "OFFSITE",
                StorageType.SFTP,
                {
                    "HOST": "127.0.0.1",
                    "PORT": str(server.port),
                    "KEY_FILE": str(server.user_key),
                    "HOST_KEY": server.fingerprint(),
                    "ROOT": str(root),
                },
            )
        )
        storage.put("key", [b"x"])
        connections = server.children()
        assert connections
        for pid in connections:
            os.kill(pid, signal.SIGKILL)
        assert storage.stat("key").size == 1


def test_a_server_that_stands_still_ends_in_time(root: Path) -> None:
    with running_sshd() as server:
        storage = sftp_storage_at(server, root, Deadlines(connect=0.5, sign_in=0.5, answer=0.5))
        stopped: list[int] = []

        def chunks() -> Iterator[bytes]:
            yield bytes(1_000_000)
            for pid in (server.process.pid, *server.children()):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            for _ in range(100):
                yield bytes(1_000_000)

        with pytest.raises(StorageUnavailableError, match="OFFSITE cannot be reached"):
            storage.put("key", chunks())
        assert stopped
