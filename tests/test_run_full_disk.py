"""A full disk under the target, the state folder or the spool: a clear error, nothing lost, and good again after."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import snapshot
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.trees import make_tree

pytestmark = requires_root

# The archive of the tree is half of it.
LARGE_SIZE = 8 << 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", large_size=LARGE_SIZE)


def installation(tmp_path: Path, tree: Path, *roots: Path) -> Holdfast:
    """With a storage for each of these folders."""
    holdfast = Holdfast(tmp_path / "holdfast")
    storages = [{"NAME": root.name.upper(), "TYPE": "LOCAL", "ROOT": str(root)} for root in roots]
    backup = {
        "NAME": "files",
        "INTERVALS": "0 2 * * *",
        "FILE_PATH": str(tree),
        "UPLOAD_TO": [{"STORAGE_NAME": storage["NAME"], "PATH": "here"} for storage in storages],
    }
    projects = [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]
    holdfast.write({"STORAGES": storages, "PROJECTS": projects})
    return holdfast


@contextmanager
def filled(disk: Path, leave: int = 0) -> Iterator[None]:
    """The disk with a foreign file that takes all of it but ``leave`` bytes."""
    file = disk / "foreign"
    status = os.statvfs(disk)
    with file.open("wb") as output:
        output.write(bytes(max(status.f_bavail * status.f_frsize - leave, 0)))
    try:
        yield
    finally:
        file.unlink()


def copies(root: Path) -> list[str]:
    """What lies there of archives, finished or not."""
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != "HOW-TO-RESTORE.txt")


def standing(holdfast: Holdfast) -> dict[str, Any]:
    (backup,) = json.loads(holdfast.run("backup.py", "--json").stdout)["backups"]
    return dict(backup)


def assert_restores(holdfast: Holdfast, tree: Path, to: Path) -> None:
    restored = holdfast.restore(to)
    assert restored.returncode == 0, restored.stderr
    assert snapshot(to / tree.relative_to("/")) == snapshot(tree)


def test_the_target_is_full(tmp_path: Path, tree: Path) -> None:
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        holdfast = installation(tmp_path, tree, disk)
        run = holdfast.run("backup.py", BACKUP_ID)
        assert (run.returncode, run.stdout) == (1, "")
        assert f"{disk}/here/shop/files" in run.stderr
        assert "No space left on device. Make room on the disk" in run.stderr
        assert copies(disk) == []
        last = standing(holdfast)["last"]
        assert (last["status"], last["archive"]) == ("failed", None)
        assert "No space left" in last["message"]


def test_the_other_target_is_finished_and_recorded(tmp_path: Path, tree: Path) -> None:
    other = tmp_path / "other"
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        holdfast = installation(tmp_path, tree, disk, other)
        run = holdfast.run("backup.py", BACKUP_ID)
        assert run.returncode == 1
        assert run.stderr.startswith("shop/files: failed. DISK: The storage DISK cannot use")
        assert copies(disk) == []
        assert [name.partition("Z.")[2] for name in copies(other)] == ["index.zst", "manifest.json", "zip"]
        last = standing(holdfast)["last"]
        assert last["status"] == "failed"
        assert [(copy["storage"], copy["status"]) for copy in last["copies"]] == [("DISK", "failed"), ("OTHER", "good")]
        assert_restores(holdfast, tree, tmp_path / "restored")


def test_the_next_run_is_good_once_there_is_room(tmp_path: Path, tree: Path) -> None:
    with small_disk(tmp_path / "disk", 16 << 20) as disk:
        holdfast = installation(tmp_path, tree, disk)
        holdfast.back_up()
        older = copies(disk)
        with filled(disk, leave=1 << 20):
            assert holdfast.run("backup.py", BACKUP_ID).returncode == 1
            assert sorted({*older, "foreign"}) == copies(disk)
            assert holdfast.run("restore.py", "verify", BACKUP_ID).returncode == 0
        holdfast.back_up()
        assert len(copies(disk)) == 2 * len(older)
        assert set(copies(disk)) > set(older)
        assert_restores(holdfast, tree, tmp_path / "restored")


@pytest.mark.parametrize("left", [16 << 10, 64 << 10, 256 << 10])
def test_the_target_is_full_after_the_archive(tmp_path: Path, tree: Path, left: int) -> None:
    """Room for the archive, and little more than that."""
    with small_disk(tmp_path / "disk", 32 << 20) as disk:
        holdfast = installation(tmp_path, tree, disk)
        holdfast.back_up()
        (archive,) = disk.rglob("*.zip")
        older = copies(disk)
        with filled(disk, leave=archive.stat().st_size + left):
            run = holdfast.run("backup.py", BACKUP_ID)
            new = set(copies(disk)) - {*older, "foreign"}
            assert set(older) <= set(copies(disk))
            if run.returncode == 0:
                assert len(new) == 3
            else:
                assert (run.returncode, new) == (1, set())
                assert "No space left on device" in run.stderr
        holdfast.back_up()
        assert holdfast.run("restore.py", "verify", BACKUP_ID).returncode == 0


def test_what_a_failed_run_could_not_remove_is_removed_by_the_next(tmp_path: Path, tree: Path) -> None:
    """A target that fails for all that follows: the archive is there, the index is not, and cannot be removed."""
    holdfast = installation(tmp_path, tree, tmp_path / "one")
    holdfast.back_up()
    index_fails = {"point": "os.fdatasync", "nth": 2, "when": "before", "error": errno.EIO}
    removing_fails = {"point": "storage.delete", "nth": 1, "when": "before", "error": errno.EIO}
    run = holdfast.run_command(holdfast.command_with_plan([index_fails, removing_fails], BACKUP_ID))
    assert (run.returncode, run.stdout) == (1, "")
    assert len(list((tmp_path / "one").rglob("*.zip"))) == 2, "the planned leftover is not there"
    assert len(json.loads(holdfast.run("restore.py", "list", "--json").stdout)["copies"]) == 1
    holdfast.back_up()
    assert len(list((tmp_path / "one").rglob("*.zip"))) == 2
    assert len(json.loads(holdfast.run("restore.py", "list", "--json").stdout)["copies"]) == 2


def test_the_state_folder_is_full(tmp_path: Path, tree: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        holdfast = installation(tmp_path, tree, tmp_path / "one")
        state = {"STATE_DIR": str(disk / "state")}
        assert holdfast.run("backup.py", BACKUP_ID, env=state).returncode == 0
        older = copies(tmp_path / "one")
        with filled(disk):
            run = holdfast.run("backup.py", BACKUP_ID, env=state)
            assert (run.returncode, run.stdout) == (1, "")
            assert f"The catalog {disk}/state/catalog.db" in run.stderr
            assert "full" in run.stderr
            assert "Traceback" not in run.stderr
            assert copies(tmp_path / "one") == older
        assert holdfast.run("backup.py", BACKUP_ID, env=state).returncode == 0
        assert len(copies(tmp_path / "one")) == 2 * len(older)


def test_a_state_folder_that_was_full_from_the_beginning(tmp_path: Path, tree: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk, filled(disk):
        holdfast = installation(tmp_path, tree, tmp_path / "one")
        run = holdfast.run("backup.py", BACKUP_ID, env={"STATE_DIR": str(disk / "state")})
        assert (run.returncode, run.stdout) == (1, "")
        assert str(disk / "state") in run.stderr
        assert "Traceback" not in run.stderr
        assert copies(tmp_path / "one") == []


def test_the_state_folder_becomes_full_before_the_run_is_recorded(tmp_path: Path, tree: Path) -> None:
    """The copy is whole by then and stays; that the catalog does not know it is said."""
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        holdfast = installation(tmp_path, tree, tmp_path / "one")
        state = {"STATE_DIR": str(disk / "state")}
        event = {"point": "catalog.finish_run", "nth": 1, "when": "before", "signal": signal.SIGSTOP}
        run = holdfast.start_command(holdfast.command_with_plan([event], BACKUP_ID), env=state)
        os.waitid(os.P_PID, run.pid, os.WSTOPPED)
        with filled(disk):
            run.send_signal(signal.SIGCONT)
            output, errors = run.communicate(timeout=60)
            assert (run.returncode, output) == (1, "")
            assert f"The catalog {disk}/state/catalog.db" in errors
            assert "Traceback" not in errors
        assert holdfast.run("restore.py", "verify", BACKUP_ID).returncode == 0
        first = copies(tmp_path / "one")
        assert holdfast.run("backup.py", BACKUP_ID, env=state).returncode == 0
        assert set(copies(tmp_path / "one")) > set(first)


def test_the_spool_is_full(tmp_path: Path) -> None:
    """What the index needs beyond 16 MiB goes to the spool: here for links with long targets."""
    links = tmp_path / "links"
    links.mkdir()
    for number in range(6000):
        (links / str(number)).symlink_to(os.fsdecode(os.urandom(4000).replace(b"\0", b"x")))
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        holdfast = installation(tmp_path, links, tmp_path / "one")
        run = holdfast.run("backup.py", BACKUP_ID, env={"STATE_DIR": str(disk / "state")})
        assert (run.returncode, run.stdout) == (1, "")
        assert f"{disk}/state/spool" in run.stderr
        assert "No space left on device" in run.stderr
        assert "Traceback" not in run.stderr
        assert copies(tmp_path / "one") == []
        assert list((disk / "state" / "spool").iterdir()) == []
        holdfast.back_up()
        assert holdfast.run("restore.py", "verify", BACKUP_ID).returncode == 0
