"""``restore.py verify`` by whole processes: by hand and as cron calls it, and what the catalog remembers of it."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from errors import EXIT_ALREADY_RUNNING, EXIT_FAILED, EXIT_GOOD, EXIT_USAGE
from model import CheckKind, CheckOutcome, StorageDefinition, StorageType, Target
from operations.locks import lock_check
from storages.local import LocalStorage
from tests.support.holdfast import BACKUP_ID
from tests.support.several_targets import SeveralTargets, flip_a_bit
from tests.support.stored_copies import put_copy

WEEKLY = {"INTERVALS": "0 5 * * 0"}
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> SeveralTargets:
    """With two copies on each target."""
    site = SeveralTargets(tmp_path_factory.mktemp("backed up"))
    for _ in range(2):
        site.holdfast.back_up()
    return site


@pytest.fixture
def site(backed_up: SeveralTargets, tmp_path: Path) -> SeveralTargets:
    return backed_up.again(tmp_path, VERIFY=WEEKLY)


def checks(site: SeveralTargets) -> dict[tuple[str, str], datetime]:
    with closing(open_catalog(site.holdfast.state, None)) as catalog:
        return catalog.last_verified(BACKUP_ID)


def damaged(site: SeveralTargets) -> list[tuple[str, str]]:
    with closing(open_catalog(site.holdfast.state, None)) as catalog:
        return [(each.target, each.copy) for each in catalog.last_checks([BACKUP_ID])[BACKUP_ID].damaged]


def logs(site: SeveralTargets, kind: CheckKind) -> list[str]:
    found = sorted((site.holdfast.state / "logs" / BACKUP_ID).glob(f"{kind.value}-*.log"))
    return [path.read_text() for path in found]


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_which_copies_are_read(site: SeveralTargets) -> None:
    older, newest = site.timestamps("one")

    def read(*arguments: str) -> list[tuple[str, str]]:
        answer = site.document("verify", *arguments)
        assert answer["errors"] == []
        assert {each["outcome"] for each in answer["copies"]} == {"passed"}
        return sorted((each["copy"]["storage"], each["copy"]["timestamp"]) for each in answer["copies"])

    both_newest = [("ONE", newest), ("TWO", newest)]
    everything = [("ONE", older), ("ONE", newest), ("TWO", older), ("TWO", newest)]
    assert read("shop/*") == both_newest
    assert read(f"{BACKUP_ID}@{older}", "--storage", "TWO") == [("TWO", older)]
    assert read(f"{BACKUP_ID}@{older}", BACKUP_ID) == everything
    assert read("--all") == read("--all", "shop") == everything
    assert read("--sample", "10%", BACKUP_ID, "--storage", "ONE") == [("ONE", older), ("ONE", newest)]
    assert set(checks(site)) == {(f"{storage}:kept", timestamp) for storage, timestamp in everything}


def test_what_is_wrong_is_named_and_the_others_are_read(site: SeveralTargets) -> None:
    flip_a_bit(site.part("two", ".zip", 0))
    older, _ = site.timestamps("one")
    ended = site.run("verify", "--all")
    assert ended.returncode == EXIT_FAILED
    assert ended.stdout.count("sound") == 3
    assert f"{BACKUP_ID}@{older} on TWO:kept is damaged:" in ended.stderr
    assert f"restore.py heal {BACKUP_ID}@{older} makes it again" in ended.stderr
    assert damaged(site) == [("TWO:kept", older)]


def test_two_copies_on_one_storage_are_two(tmp_path: Path) -> None:
    site = SeveralTargets(tmp_path, ("one",))
    site.configure(*({"STORAGE_NAME": "ONE", "PATH": path} for path in ("first", "second")))
    site.holdfast.back_up()
    (archive,) = site.copies("one", "first").glob("*.zip")
    flip_a_bit(archive)
    assert site.run("verify", BACKUP_ID).returncode == EXIT_FAILED
    timestamp = archive.name.removesuffix(".zip")[-16:]
    assert damaged(site) == [("ONE:first", timestamp)]
    assert list(checks(site)) == [("ONE:second", timestamp)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give the ids of backups, or --all."),
        (["--all", "--sample", "10%"], "--all does not go with --sample."),
        (["--sample", "0%", BACKUP_ID], "--sample must be a part of the copies from 1% to 100%."),
        (["--sample", "10%", f"{BACKUP_ID}@2026"], "--sample chooses the copies itself."),
        (["--scheduled"], "--scheduled goes with the id of one backup"),
        (["--scheduled", "--all", BACKUP_ID], "--scheduled goes with the id of one backup"),
        (["nothing/*"], "There is no backup 'nothing/*'"),
    ],
)
def test_what_makes_no_sense(site: SeveralTargets, arguments: list[str], message: str) -> None:
    ended = site.run("verify", *arguments)
    assert (ended.returncode, message in ended.stderr) == (EXIT_USAGE, True), ended.stderr


def test_a_catalog_that_cannot_be_used_is_said_and_stops_nothing(site: SeveralTargets) -> None:
    ended = site.run("verify", BACKUP_ID, env={"CATALOG_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert (ended.returncode, ended.stdout.count("sound")) == (EXIT_GOOD, 2)
    assert "The check is not recorded." in ended.stderr


# --- as cron calls it -------------------------------------------------------------------------------------------------


def test_a_schedule_reaches_every_copy_in_silence(tmp_path: Path) -> None:
    site = SeveralTargets(tmp_path, ("one",))
    site.configure("one", VERIFY={**WEEKLY, "SAMPLE": "1%"})
    site.holdfast.back_up()
    newest = site.timestamps("one")[-1]
    target, storage = Target(StorageDefinition("ONE", StorageType.LOCAL), "kept"), LocalStorage("ONE", tmp_path / "one")
    for days in range(1, 4):
        put_copy(storage, target, datetime.now(UTC) - days * DAY)
    reached: set[str] = set()
    for turn in range(1, 4):
        before = checks(site)
        ended = site.run("verify", "--scheduled", BACKUP_ID)
        # These small copies are no archives: what is said of them is not what this is about.
        assert ended.returncode in (EXIT_GOOD, EXIT_FAILED)
        with closing(open_catalog(site.holdfast.state, None)) as catalog:
            found = {each.copy for each in catalog.last_checks([BACKUP_ID])[BACKUP_ID].damaged}
        assert checks(site)["ONE:kept", newest] > before.get(("ONE:kept", newest), datetime.min.replace(tzinfo=UTC))
        assert len(found) == turn, "one more of the others"
        reached |= found
        assert len(logs(site, CheckKind.VERIFY)) >= 1
    assert reached == set(site.timestamps("one")) - {newest}


def test_where_all_is_well_nothing_is_said(site: SeveralTargets) -> None:
    ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert (ended.returncode, ended.stdout, ended.stderr) == (EXIT_GOOD, "", "")
    assert len(checks(site)) == 4
    (log,) = logs(site, CheckKind.VERIFY)
    assert log.count("sound") == 4


def test_what_is_damaged_is_mailed(site: SeveralTargets) -> None:
    site.part("two", ".zip").unlink()
    _, newest = site.timestamps("one")
    ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert (ended.returncode, ended.stdout) == (EXIT_FAILED, "")
    assert f"{BACKUP_ID}@{newest} on TWO:kept is damaged:" in ended.stderr
    assert f"restore.py heal {BACKUP_ID}@{newest} makes it again" in ended.stderr
    assert " ERROR shop/files@" in logs(site, CheckKind.VERIFY)[0]
    assert len(damaged(site)) == 1
    for path in site.copies("two").iterdir():
        path.unlink()
    assert site.run("verify", "--scheduled", BACKUP_ID).returncode == EXIT_GOOD
    assert damaged(site) == [], "it has gone, and is nobody's trouble any more"


def test_what_is_damaged_is_healed_where_that_is_asked_for(site: SeveralTargets) -> None:
    site.configure("one", "two", VERIFY={**WEEKLY, "HEAL": "yes"})
    whole = site.files("one")
    flip_a_bit(site.part("two", ".zip"))
    ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert (ended.returncode, ended.stdout) == (EXIT_GOOD, "")
    assert "is damaged" in ended.stderr
    assert "on TWO:kept was made again from ONE:kept" in ended.stderr
    assert site.files("two") == whole
    assert (damaged(site), len(checks(site))) == ([], 4)
    ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert (ended.returncode, ended.stdout, ended.stderr) == (EXIT_GOOD, "", "")


def test_where_it_cannot_be_healed_the_schedule_fails(site: SeveralTargets) -> None:
    site.configure("one", "two", VERIFY={**WEEKLY, "HEAL": "yes"})
    for name in ("one", "two"):
        flip_a_bit(site.part(name, ".zip"))
    before = site.files("two")
    ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert ended.returncode == EXIT_FAILED
    assert "Nothing was changed." in ended.stderr
    assert site.files("two") == before


@pytest.mark.parametrize("keys", [{}, {"VERIFY": WEEKLY, "ENABLED": False}, {"VERIFY": {"DRILL": WEEKLY}}])
def test_a_line_that_is_outdated(site: SeveralTargets, keys: dict[str, object]) -> None:
    site.configure("one", "two", **keys)
    ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert ended.returncode == EXIT_USAGE
    assert "This scheduled line is outdated: `main.py sync` brings the crontab up to date." in ended.stderr


def test_two_at_once(site: SeveralTargets) -> None:
    with lock_check(site.holdfast.state, CheckKind.VERIFY, BACKUP_ID):
        ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert ended.returncode == EXIT_ALREADY_RUNNING
    assert f"The verification of {BACKUP_ID} is running already" in ended.stderr


def test_a_target_that_cannot_be_listed_is_said_and_the_other_is_read(site: SeveralTargets) -> None:
    shutil.rmtree(site.folder / "two")
    (site.folder / "two").symlink_to(site.folder / "two")
    ended = site.run("verify", "--scheduled", BACKUP_ID)
    assert ended.returncode == EXIT_FAILED
    assert "TWO:kept: The storage TWO cannot use" in ended.stderr
    assert {target for target, _ in checks(site)} == {"ONE:kept"}
    assert CheckOutcome.FAILED.value not in ended.stdout
