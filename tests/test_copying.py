"""A copy onto another target: the same bytes or nothing, whatever is wrong with either, and whatever ends it."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import EXIT_ALREADY_RUNNING, EXIT_FAILED, EXIT_TERMINATED, EXIT_USAGE
from operations.locks import lock_backup
from tests.support.archives import snapshot
from tests.support.four_targets import PATH, Places, places
from tests.support.holdfast import BACKUP_ID
from tests.support.onedrive_storage import emulator, emulator_process
from tests.support.s3_fixtures import rclone
from tests.support.several_targets import SeveralTargets, flip_a_bit
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.sshd import requires_sshd, sshd
from tests.support.trees import make_tree

__all__ = ["emulator", "emulator_process", "places", "rclone", "sshd"]

PARTS = [".index.zst", ".manifest.json", ".zip"]


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> SeveralTargets:
    site = SeveralTargets(tmp_path_factory.mktemp("backed up"))
    site.configure("one")
    site.holdfast.back_up()
    return site


@pytest.fixture
def site(backed_up: SeveralTargets, tmp_path: Path) -> SeveralTargets:
    """With one copy, on ONE only, although TWO is a target since then."""
    site = SeveralTargets(tmp_path, ("one", "two", "three"))
    site.tree = backed_up.tree
    site.configure("one", "two")
    for folder in ("one", "holdfast/state"):
        shutil.copytree(backed_up.folder / folder, tmp_path / folder)
    return site


def endings(files: dict[str, bytes]) -> list[str]:
    return sorted(name.partition("Z")[2] or name for name in files)


# --- what is copied -----------------------------------------------------------------------------------------------


def test_a_copy_is_the_same_to_the_byte_and_needs_the_first_no_more(site: SeveralTargets, tmp_path: Path) -> None:
    site.run("pin", BACKUP_ID, "--reason", "mine")
    before = {name: content for name, content in site.files("one").items() if not name.endswith(".pin.json")}
    ended = site.run("copy", BACKUP_ID, "--to", "TWO")
    assert ended.returncode == 0, ended.stderr
    assert "was copied from ONE:kept to TWO:kept" in ended.stdout
    assert site.files("two") == before
    for path in site.copies("one").iterdir():
        path.unlink()
    restored = site.holdfast.restore(tmp_path / "back")
    assert restored.returncode == 0, restored.stderr
    assert snapshot(tmp_path / "back" / site.tree.relative_to("/")) == snapshot(site.tree)


def test_what_is_there_already_is_read_and_said(site: SeveralTargets) -> None:
    site.run("copy", BACKUP_ID, "--to", "TWO")
    again = site.run("copy", BACKUP_ID, "--to", "TWO")
    assert (again.returncode, "is on TWO:kept already, and is sound" in again.stdout) == (0, True), again.stderr
    assert site.document("copy", BACKUP_ID, "--to", "ONE")["from"] is None
    flip_a_bit(site.part("two", ".zip"))
    damaged = site.files("two")
    again = site.run("copy", BACKUP_ID, "--to", "TWO")
    assert again.returncode == EXIT_FAILED
    assert "is there already, and is damaged. Nothing was changed." in again.stderr
    assert f"restore.py heal {BACKUP_ID}@" in again.stderr
    assert site.files("two") == damaged


def test_to_any_path_of_a_storage(site: SeveralTargets) -> None:
    (timestamp,) = site.timestamps("one")
    shown = site.document("copy", f"{BACKUP_ID}@{timestamp}", "--to", "THREE:a/b", "--dry-run")
    assert (shown["to"], shown["is_there"], site.files("three", "a/b")) == ("THREE:a/b", False, {})
    answer = site.document("copy", f"{BACKUP_ID}@{timestamp}", "--to", "THREE:a/b/")
    assert (answer["from"], answer["remarks"]) == ("ONE:kept", [])
    assert answer["copy"]["timestamp"] == timestamp
    assert site.files("three", "a/b") == site.files("one")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("NONE", "There is no storage 'NONE'"),
        ("THREE", "shop/files has no target on THREE. Write THREE:PATH"),
        ("THREE:../x", "must not hold `..`"),
    ],
)
def test_a_target_that_is_none(site: SeveralTargets, to: str, message: str) -> None:
    ended = site.run("copy", BACKUP_ID, "--to", to)
    assert (ended.returncode, message in ended.stderr) == (EXIT_USAGE, True), ended.stderr


def test_while_a_run_is_under_way_nothing_is_copied(site: SeveralTargets) -> None:
    with lock_backup(site.holdfast.state, BACKUP_ID):
        ended = site.run("copy", BACKUP_ID, "--to", "TWO")
    assert (ended.returncode, site.files("two")) == (EXIT_ALREADY_RUNNING, {})


@requires_sshd
def test_onto_every_kind_of_storage_and_nothing_where_the_first_is_damaged(places: Places) -> None:
    """OneDrive needs the size first, and gets it without the spool; the archive is more than one part or fragment."""
    make_tree(places.source / "tree", files=3, large_size=40 << 20)
    places.configure("LOCAL")
    assert places.run("backup.py", BACKUP_ID).returncode == 0
    names = ("OFFSITE", "ONEDRIVE", "SERVER")
    for name in names:
        ended = places.run("restore.py", "copy", BACKUP_ID, "--to", f"{name}:{PATH}")
        assert ended.returncode == 0, ended.stderr
        assert places.copies(name) == places.copies("LOCAL")
        assert [places.content(name, key) for key in places.copies(name)] == [
            places.content("LOCAL", key) for key in places.copies(name)
        ]
    archive = next((places.holdfast.storage / PATH / BACKUP_ID).glob("*.zip"))
    data = archive.read_bytes()
    archive.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    for name in names:
        ended = places.run("restore.py", "copy", BACKUP_ID, "--to", f"{name}:other")
        assert ended.returncode == EXIT_FAILED
        assert "is not what was stored (its SHA-256 differs)" in ended.stderr, name
        with places.emulator.redirected():
            assert list(places.storage(name).list("other/")) == []
    assert places.left_over() == []


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [".zip", ".index.zst"])
@pytest.mark.parametrize("is_cut", [False, True])
def test_a_damaged_copy_is_not_copied(site: SeveralTargets, part: str, *, is_cut: bool) -> None:
    path = site.part("one", part)
    if is_cut:
        path.write_bytes(path.read_bytes()[:-1])
    else:
        flip_a_bit(path)
    ended = site.run("copy", BACKUP_ID, "--to", "TWO")
    assert ended.returncode == EXIT_FAILED
    assert "cannot be copied" in ended.stderr
    assert "Nothing was put onto TWO:kept." in ended.stderr
    assert not [name for name in site.files("two") if name != "HOW-TO-RESTORE.txt"]


def test_another_copy_of_the_same_run_does_instead(site: SeveralTargets) -> None:
    site.run("copy", BACKUP_ID, "--to", "TWO")
    good = site.files("one")
    flip_a_bit(site.part("one", ".zip"))
    site.part("one", ".index.zst").unlink()
    site.configure("one", "two", "three")
    answer = site.document("copy", BACKUP_ID, "--to", "THREE")
    assert answer["from"] == "TWO:kept"
    assert "cannot be copied" in answer["remarks"][0]
    assert site.files("three") == good


@requires_root
def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "two", 1 << 20) as disk:
        site = SeveralTargets(tmp_path, large_size=4 << 20)
        site.configure("one")
        site.holdfast.back_up()
        site.configure("one", "two")
        ended = site.run("copy", BACKUP_ID, "--to", "TWO")
        assert ended.returncode == EXIT_FAILED
        assert "No space left on device. Make room on the disk" in ended.stderr
        assert [path for path in disk.rglob("*") if path.is_file()] == []


# --- what ends it -------------------------------------------------------------------------------------------------


class Interrupted:
    """Processes that copy to TWO, and are ended at each point that they pass."""

    def __init__(self, site: SeveralTargets) -> None:
        self.site = site
        self._restore = ("copy", BACKUP_ID, "--to", "TWO")

    def points(self) -> Iterator[tuple[str, int]]:
        """What makes something durable or visible."""
        command = self.site.holdfast.command_with_plan([], *self._restore, program="restore.py")
        assert self.site.holdfast.run_command(command).returncode == 0
        counts = Counter(self.site.holdfast.trace.read_text().splitlines())
        assert counts["storage.put"] == 4 + 1, counts
        for name in ("storage.put", "storage.delete", "os.link"):
            yield from ((name, nth) for nth in range(1, counts[name] + 1))

    def end_at(self, point: str, nth: int, when: str, number: int) -> int:
        plan = {"point": point, "nth": nth, "when": when, "signal": number}
        command = self.site.holdfast.command_with_plan([plan], *self._restore, program="restore.py")
        return int(self.site.holdfast.run_command(command).returncode)


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_no_half_of_a_copy_and_the_next_one_tidies_up(site: SeveralTargets) -> None:
    killed = Interrupted(site)
    whole = site.files("one")
    for number, (point, nth) in enumerate(killed.points()):
        for path in site.copies("two").iterdir():
            path.unlink()
        code = killed.end_at(point, nth, "before" if number % 2 else "after", signal.SIGKILL)
        assert code == -signal.SIGKILL, (point, nth)
        if site.timestamps("two"):
            assert whole.items() <= site.files("two").items(), (point, nth)
        ended = site.run("copy", BACKUP_ID, "--to", "TWO")
        assert ended.returncode == 0, ended.stderr
        assert site.files("two") == whole, (point, nth)


def test_the_next_run_tidies_up_as_well(site: SeveralTargets) -> None:
    killed = Interrupted(site)
    killed.end_at("storage.put", 3, "after", signal.SIGKILL)
    assert endings(site.files("two")) == [".index.zst", ".removal.json", ".zip"]
    site.holdfast.back_up()
    assert endings(site.files("two")) == [*PARTS, "HOW-TO-RESTORE.txt"]
    assert site.timestamps("two") == site.timestamps("one")[1:]


@pytest.mark.parametrize(("nth", "is_whole"), [(1, False), (2, False), (4, False), (5, True)])
def test_a_signal_leaves_all_or_nothing(site: SeveralTargets, nth: int, *, is_whole: bool) -> None:
    code = Interrupted(site).end_at("storage.put", nth, "after", signal.SIGTERM)
    assert code == EXIT_TERMINATED
    found = [ending for ending in endings(site.files("two")) if ending not in ("HOW-TO-RESTORE.txt", ".removal.json")]
    assert found == (PARTS if is_whole else [])
