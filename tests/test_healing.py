"""Copies that are made again: from what, after which damage, and what is left where it cannot be done or is ended."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

import operations.copies.copying
from archives.manifest import Manifest
from errors import EXIT_ALREADY_RUNNING, EXIT_FAILED, StorageError, StorageUnavailableError
from model import CheckOutcome, Member, StoredObject, Target
from operations.copies.healing import Healing, HealReport
from operations.copies.keyring import Keyring
from operations.copies.stored_copies import list_copies
from operations.locks import lock_backup
from operations.running.targets import open_for_writing, tidy_up
from operations.verifying.checking import check_copy
from storages.factory import open_storage
from storages.storage import Storage
from storages.wrapper import StorageWrapper
from tests.support.age_keys import make_key_pair
from tests.support.holdfast import BACKUP_ID
from tests.support.s3_fixtures import rclone
from tests.support.s3_servers import S3Server
from tests.support.several_targets import SeveralTargets, flip_a_bit
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.stored_copies import Killed, Plan, PlannedStorage

__all__ = ["rclone"]


def ignore(_member: Member, _size: int) -> None:
    pass


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> SeveralTargets:
    """With two copies on each target."""
    site = SeveralTargets(tmp_path_factory.mktemp("backed up"))
    for _ in range(2):
        site.holdfast.back_up()
    return site


@pytest.fixture
def site(backed_up: SeveralTargets, tmp_path: Path) -> SeveralTargets:
    return backed_up.again(tmp_path)


def heal(site: SeveralTargets, *only: str) -> HealReport:
    """As ``restore.py heal`` does it, in this process."""
    configuration, backup = site.holdfast.configuration(), site.holdfast.the_backup()
    keyring = Keyring.of(configuration)
    listing = list_copies(backup, keyring=keyring)
    checks = [check_copy(copy, ignore) for copy in listing.copies if not only or copy.keys.timestamp in only]
    found = [check for check in checks if check is not None]
    healing = Healing(backup, configuration.state_directory, keyring, listing, found)
    return healing.run(UTC, lambda _: None, only or None)


# --- what is healed -----------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def forge(path: Path) -> None:
    """As somebody does who knows how manifests are written, and has not the key."""
    manifest = Manifest.decode(path.read_bytes())
    path.write_bytes(replace(manifest, run_id="another").encode())


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "archive flipped": (".zip", flip_a_bit),
    "archive cut": (".zip", cut),
    "archive missing": (".zip", Path.unlink),
    "index flipped": (".index.zst", flip_a_bit),
    "index missing": (".index.zst", Path.unlink),
    "manifest flipped": (".manifest.json", flip_a_bit),
    "manifest empty": (".manifest.json", empty),
    "manifest forged": (".manifest.json", forge),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("number", [0, 1], ids=["older", "newest"])
def test_a_damaged_copy_is_made_again(site: SeveralTargets, damage: str, number: int) -> None:
    suffix, harm = DAMAGES[damage]
    whole = site.files("one")
    harm(site.part("two", suffix, number))
    pin = site.part("two", ".manifest.json", number)
    pin = pin.with_name(pin.name.replace(".manifest.", ".pin."))
    pin.write_text("mine")
    others = {path: path.stat().st_ino for path in site.copies("two").iterdir()}
    assert site.files("two") != whole
    report = heal(site)
    assert report.problems == []
    (healed,) = report.healed
    assert (healed.copy.keys.timestamp, str(healed.copy.target)) == (site.timestamps("one")[number], "TWO:kept")
    assert str(healed.source) == "ONE:kept"
    assert site.files("two") == {**whole, pin.name: b"mine"}, "what is pinned stays pinned"
    assert healed.copy.pin is not None
    kept = {path: inode for path, inode in others.items() if healed.copy.keys.timestamp not in path.name}
    assert {path: path.stat().st_ino for path in kept} == kept, "the other copy was not touched"
    assert heal(site) == HealReport()


def test_by_command(site: SeveralTargets) -> None:
    whole = site.files("one")
    flip_a_bit(site.part("two", ".zip"))
    site.part("one", ".index.zst", 0).unlink()
    _, newest = site.timestamps("one")
    checked = site.run("verify", BACKUP_ID)
    assert f"restore.py heal {BACKUP_ID}@{newest} makes it again" in checked.stderr
    ended = site.run("heal", f"{BACKUP_ID}@{newest}")
    assert ended.returncode == 0, ended.stderr
    assert f"{BACKUP_ID}@{newest} on TWO:kept was made again from ONE:kept: " in ended.stdout
    assert "shop/files: 2 copies read, 1 made again" in ended.stdout
    assert site.files("two") == whole
    answer = site.document("heal")
    assert (answer["read"], answer["errors"]) == (4, [])
    assert [(each["copy"]["storage"], each["from"]) for each in answer["healed"]] == [("ONE", "TWO:kept")]
    assert site.files("one") == whole
    assert site.run("verify", "--all").returncode == 0


def test_the_newest_good_copy_is_put_where_it_is_missing(site: SeveralTargets) -> None:
    whole = site.files("one")
    for path in site.copies("two").iterdir():
        path.unlink()
    report = heal(site)
    assert [healed.reasons for healed in report.healed] == [("it was missing there",)]
    assert site.timestamps("two") == site.timestamps("one")[1:], "older ones may have gone because of KEEP"
    assert site.files("two").items() <= whole.items()
    assert heal(site) == HealReport()


def test_a_target_that_takes_one_in_each_period_gets_no_second(site: SeveralTargets) -> None:
    for path in site.copies("two").glob(f"*{site.timestamps('two')[1]}*"):
        path.unlink()
    site.configure("one", {"STORAGE_NAME": "TWO", "PATH": "kept", "ONLY": "YEARLY"})
    assert heal(site) == HealReport()
    for path in site.copies("two").iterdir():
        path.unlink()
    assert len(heal(site).healed) == 1


def test_on_a_server_and_from_one(tmp_path: Path, rclone: S3Server) -> None:
    definition = rclone.definition(rclone.new_bucket())
    settings = {
        key: str(getattr(value, "reveal", lambda value=value: value)()) for key, value in definition.settings.items()
    }
    site = SeveralTargets(tmp_path, ("one",), [{"NAME": "OFFSITE", "TYPE": "S3", **settings}])
    site.configure("one", {"STORAGE_NAME": "OFFSITE", "PATH": "kept"})
    site.holdfast.back_up()
    whole = site.files("one")
    bucket = str(definition.settings["BUCKET"])

    def lying_there() -> dict[str, bytes]:
        keys = rclone.keys(bucket, "kept/")
        return {key.rpartition("/")[2]: rclone.content(bucket, key) for key in keys}

    assert lying_there() == whole
    for suffix, change in ((".zip", b"x"), (".index.zst", None), (".manifest.json", b"{}")):
        (key,) = [key for key in rclone.keys(bucket, "kept/") if key.endswith(suffix)]
        if change is None:
            rclone.client().delete_object(Bucket=bucket, Key=key)
        else:
            rclone.client().put_object(Bucket=bucket, Key=key, Body=change)
        report = heal(site)
        assert (len(report.healed), report.problems) == (1, []), suffix
        assert lying_there() == whole
    flip_a_bit(site.part("one", ".zip"))
    assert str(heal(site).healed[0].source) == "OFFSITE:kept"
    assert site.files("one") == whole


def test_an_encrypted_copy_needs_no_key_for_it(tmp_path: Path) -> None:
    site = SeveralTargets(tmp_path)
    public = make_key_pair("age", tmp_path).public
    site.configure("one", ENCRYPT_TO=public)
    site.holdfast.back_up()
    site.configure("one", "two", ENCRYPT_TO=public)
    assert site.run("copy", BACKUP_ID, "--to", "TWO").returncode == 0
    whole = site.files("one")
    assert site.files("two") == whole
    for suffix, harm in ((".zip.age", flip_a_bit), (".index.zst.age", Path.unlink), (".manifest.json", forge)):
        harm(site.part("two", suffix))
        report = heal(site)
        assert (len(report.healed), report.problems) == (1, []), suffix
        assert site.files("two") == whole


# --- what is not ----------------------------------------------------------------------------------------------------


def test_without_a_good_copy_anywhere_nothing_is_touched(site: SeveralTargets) -> None:
    flip_a_bit(site.part("one", ".zip"))
    site.part("two", ".index.zst").unlink()
    before = site.files("one"), site.files("two")
    ended = site.run("heal", BACKUP_ID)
    assert ended.returncode == EXIT_FAILED
    assert ended.stderr.count("holds a good copy of the same run that can be trusted. Nothing was changed.") == 2
    assert (site.files("one"), site.files("two")) == before


def test_a_copy_that_nobody_vouches_for_replaces_no_other(site: SeveralTargets) -> None:
    """Who can write to ONE damages TWO, and would have his own archive put there."""
    stem = site.part("one", ".zip").name.removesuffix(".zip")
    archive, manifest_path = site.copies("one") / f"{stem}.zip", site.copies("one") / f"{stem}.manifest.json"
    older = site.part("one", ".zip", 0).read_bytes()
    archive.write_bytes(older)
    manifest = Manifest.decode(manifest_path.read_bytes())
    older_manifest = Manifest.decode(site.part("one", ".manifest.json", 0).read_bytes())
    part = replace(older_manifest.archive, name=archive.name)
    index = replace(older_manifest.index, name=f"{stem}.index.zst")
    (site.copies("one") / f"{stem}.index.zst").write_bytes(site.part("one", ".index.zst", 0).read_bytes())
    manifest_path.write_bytes(replace(manifest, archive=part, index=index, signature=None).encode())
    flip_a_bit(site.part("two", ".manifest.json"))
    before = site.files("two")
    report = heal(site)
    assert report.healed == []
    assert "can be trusted. Nothing was changed." in report.problems[0]
    assert site.files("two") == before


class Refusing(StorageWrapper):
    """Its archives cannot be read."""

    def __init__(self, storage: Storage, error: StorageError) -> None:
        super().__init__(storage)
        self._error = error

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if key.endswith(".zip"):
            raise self._error
        return super().get(key, offset, length)


@pytest.mark.parametrize("error", [StorageUnavailableError("no answer"), StorageError("it lies in GLACIER")])
def test_a_copy_that_cannot_be_read_is_not_called_bad(site: SeveralTargets, error: StorageError) -> None:
    copy = list_copies(site.holdfast.the_backup()).copies[0]
    check = check_copy(replace(copy, storage=Refusing(copy.storage, error)), ignore)
    assert check is not None
    assert (check.outcome, check.reasons) == (CheckOutcome.NOT_DONE, [str(error)])


class Pruned(StorageWrapper):
    """A pruning removes the copy as soon as it is read."""

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        for suffix in (".manifest.json", ".zip", ".index.zst"):
            self.delete(key.partition("Z.")[0] + "Z" + suffix)
        return super().get(key, offset, length)


def test_a_copy_that_is_pruned_while_it_is_read_is_not_called_bad(site: SeveralTargets) -> None:
    copy = list_copies(site.holdfast.the_backup()).copies[0]
    assert check_copy(replace(copy, storage=Pruned(copy.storage)), ignore) is None
    site.part("two", ".zip").unlink()
    (damaged,) = [copy for copy in list_copies(site.holdfast.the_backup()).copies if copy.damage is not None]
    check = check_copy(damaged, ignore)
    assert check is not None
    assert check.outcome is CheckOutcome.FAILED


def test_while_a_run_is_under_way_nothing_is_healed(site: SeveralTargets) -> None:
    flip_a_bit(site.part("two", ".zip"))
    before = site.files("two")
    with lock_backup(site.holdfast.state, BACKUP_ID):
        assert site.run("heal", BACKUP_ID).returncode == EXIT_ALREADY_RUNNING
    assert site.files("two") == before


@requires_root
def test_a_full_disk_and_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "two", 8 << 20) as disk:
        site = SeveralTargets(tmp_path, large_size=4 << 20)
        site.holdfast.back_up()
        whole = site.files("one")
        site.part("two", ".zip").write_bytes(b"short")
        (disk / "foreign").write_bytes(bytes(7 << 20))
        report = heal(site)
        assert (report.healed, len(report.problems)) == ([], 1)
        assert "No space left on device" in report.problems[0]
        assert site.timestamps("two") == []
        (disk / "foreign").unlink()
        report = heal(site)
        assert [healed.reasons for healed in report.healed] == [("an earlier healing was not finished",)]
        assert site.files("two") == whole


# --- what ends it ---------------------------------------------------------------------------------------------------


class Dead(PlannedStorage):
    """A process that was killed does nothing more."""

    def __init__(self, storage: Storage, plan: Plan) -> None:
        super().__init__(storage, plan)
        self.plan = plan

    def delete(self, key: str) -> None:
        self._require_life()
        super().delete(key)

    def stat(self, key: str) -> StoredObject:
        self._require_life()
        return super().stat(key)

    def _require_life(self) -> None:
        if self.plan.has_killed:
            raise Killed


@pytest.mark.parametrize("is_older", [True, False])
@pytest.mark.parametrize("kill_is_after", [True, False])
def test_whatever_kills_it_the_next_healing_goes_on(
    site: SeveralTargets, monkeypatch: pytest.MonkeyPatch, *, kill_is_after: bool, is_older: bool
) -> None:
    """Also where a run comes in between, and tidies up."""
    whole = site.files("one")
    reached = 0
    for kill_at in range(30):
        flip_a_bit(site.part("two", ".zip", 0 if is_older else 1))
        plan = Plan(kill_at, kill_is_after)

        def planned(target: Target, *arguments: object, plan: Plan = plan) -> Storage:
            return Dead(open_for_writing(target, *arguments), plan)  # type: ignore[arg-type]

        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(operations.copies.copying, "open_for_writing", planned)
            heal(site)
        if not plan.has_killed:
            break
        reached += 1
        backup = site.holdfast.the_backup()
        for copy in list_copies(backup).copies:
            assert (copy.error, copy.damage) == (None, None), plan.changes
        tidy_up(backup.id, backup.targets[1], open_storage(backup.targets[1].storage))
        assert heal(site).problems == []
        assert site.files("two") == whole, plan.changes
    assert reached == 10, "a note, the deletions of five objects, four put, and the note's own"


def test_kill_9_and_a_run_and_a_healing(site: SeveralTargets) -> None:
    whole = site.files("one")
    for point, nth in (("storage.delete", 1), ("storage.put", 2), ("storage.put", 3)):
        flip_a_bit(site.part("two", ".zip", 0))
        plan = {"point": point, "nth": nth, "when": "after", "signal": signal.SIGKILL}
        command = site.holdfast.command_with_plan([plan], "heal", BACKUP_ID, program="restore.py")
        assert site.holdfast.run_command(command).returncode == -signal.SIGKILL
        assert site.files("two") != whole
        if point == "storage.delete":
            site.holdfast.back_up()
            whole = site.files("one")
        ended = site.run("heal", BACKUP_ID)
        assert (ended.returncode, "an earlier healing was not finished" in ended.stdout) == (0, True), ended.stderr
        assert site.files("two") == whole


def test_what_is_awaited_and_has_gone_everywhere_is_forgotten(site: SeveralTargets) -> None:
    first = site.timestamps("one")[0]
    note = site.part("two", ".manifest.json", 0)
    for path in site.copies("two").glob(f"*{first}*"):
        path.unlink()
    note = note.with_name(note.name.replace(".manifest.", ".removal."))
    note.write_text('{"format": "holdfast-removal", "version": 1, "made_again": true}')
    for path in site.copies("one").glob(f"*{first}*"):
        path.unlink()
    assert heal(site) == HealReport()
    assert not note.exists()
