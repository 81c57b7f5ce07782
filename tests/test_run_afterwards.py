"""What a run does once it has ended: it says that its size is unusual, and measures what lies on each target."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from model import Archive, Copy, Run, RunStatus, Usage
from operations.usage import record_usage
from storages.workplace import Workplace
from tests.support.holdfast import BACKUP_ID
from tests.support.several_targets import SeveralTargets
from utils import utc_now

DAY = timedelta(days=1)


@pytest.fixture
def site(tmp_path: Path) -> SeveralTargets:
    return SeveralTargets(tmp_path)


def record_earlier(site: SeveralTargets, *content_sizes: int) -> None:
    """Good runs of the nights before, oldest first, with so much content."""
    catalog = open_catalog(site.holdfast.state, None)
    runs = []
    for number, size in enumerate(reversed(content_sizes), start=1):
        started = utc_now() - number * DAY
        archive = Archive("x.zip", started, size // 2, "0" * 64, 3, size)
        copies = tuple(Copy(storage, "x.zip", RunStatus.GOOD, size // 2) for storage in ("ONE", "TWO"))
        runs.append(Run(f"r{number}", BACKUP_ID, started, None, started, RunStatus.GOOD, "", archive, copies))
    catalog.record_found(runs)
    catalog.close()


def last_run(site: SeveralTargets) -> Run:
    catalog = open_catalog(site.holdfast.state, None)
    (run,) = catalog.runs(BACKUP_ID, 1)
    catalog.close()
    return run


def usage(site: SeveralTargets) -> dict[str, Usage]:
    catalog = open_catalog(site.holdfast.state, None)
    found = catalog.last_usage([BACKUP_ID])[BACKUP_ID]
    catalog.close()
    return {each.target: each for each in found}


def log_text(site: SeveralTargets) -> str:
    *_, newest = sorted((site.holdfast.state / "logs" / BACKUP_ID).glob("2*.log"))
    return newest.read_text()


# --- its size ---------------------------------------------------------------------------------------------------


def test_a_run_of_an_unusual_size_is_good_and_says_so_once_even_to_cron(site: SeveralTargets) -> None:
    record_earlier(site, *[210_000_000] * 5)
    ended = site.holdfast.run("backup.py", "--scheduled", BACKUP_ID)
    assert (ended.returncode, ended.stdout) == (0, "")
    said = "usually about 210 MB. Look whether that is right: `restore.py show shop/files` lists what is in it."
    assert ended.stderr.startswith(f"{BACKUP_ID}: The archive holds ")
    assert ended.stderr.rstrip().endswith(said)
    run = last_run(site)
    assert run.status is RunStatus.GOOD
    assert run.message.endswith(said)
    assert "WARNING The archive holds" in log_text(site)
    (shown,) = json.loads(site.holdfast.run("backup.py", "--json").stdout)["backups"]
    assert [notice["kind"] for notice in shown["notices"]] == ["size"]
    assert shown["level"] == "warning"


def test_a_run_of_a_usual_size_says_nothing(site: SeveralTargets) -> None:
    site.holdfast.back_up()
    size = last_run(site).archive
    assert size is not None
    record_earlier(site, *[size.content_size] * 5)
    ended = site.holdfast.back_up("-q")
    assert (ended.stdout, ended.stderr) == ("", "")
    assert last_run(site).message == ""


# --- what lies on its targets -----------------------------------------------------------------------------------


def lies_there(site: SeveralTargets, name: str) -> tuple[int, int]:
    """How many copies, and bytes of all files."""
    files = site.files(name)
    return sum(file.endswith(".manifest.json") for file in files), sum(map(len, files.values()))


def test_a_run_measures_what_lies_on_each_target_after_old_copies_went(site: SeveralTargets) -> None:
    site.configure("one", {"STORAGE_NAME": "TWO", "PATH": "kept", "KEEP": {"LAST": 1}})
    started = utc_now()
    for count in (1, 2):
        site.holdfast.back_up()
        found = usage(site)
        assert {name: (each.copies, each.size) for name, each in found.items()} == {
            "ONE:kept": lies_there(site, "one"),
            "TWO:kept": lies_there(site, "two"),
        }
        assert (found["ONE:kept"].copies, found["TWO:kept"].copies) == (count, 1)
    assert all(each.measured > started for each in found.values())


def test_two_targets_on_one_storage_are_measured_apart(site: SeveralTargets) -> None:
    site.configure({"STORAGE_NAME": "ONE", "PATH": "a"}, {"STORAGE_NAME": "ONE", "PATH": "b"})
    site.holdfast.back_up()
    shutil.rmtree(site.copies("one", "a"))
    site.holdfast.back_up()
    assert {name: each.copies for name, each in usage(site).items()} == {"ONE:a": 1, "ONE:b": 2}


def test_a_target_that_cannot_be_listed_keeps_its_last_measure_and_the_log_says_so(site: SeveralTargets) -> None:
    site.holdfast.back_up()
    before = usage(site)
    shutil.rmtree(site.folder / "two")
    (site.folder / "two").symlink_to("two")  # a circle: nobody can go there, not even root
    assert site.holdfast.run("backup.py", BACKUP_ID).returncode == 1
    after = usage(site)
    assert (after["ONE:kept"].copies, after["TWO:kept"]) == (2, before["TWO:kept"])
    assert "INFO what is used of TWO:kept was not measured: " in log_text(site)


def test_a_target_whose_copy_failed_is_not_asked_again(site: SeveralTargets, caplog: pytest.LogCaptureFixture) -> None:
    """One that does not answer would be waited for once more, as long as for the copy."""
    (backup,) = site.holdfast.configuration().backups
    catalog = open_catalog(site.holdfast.state, None)
    copies = (Copy("ONE", "a", RunStatus.GOOD), Copy("TWO", "b", RunStatus.FAILED, error="No answer."))
    run = Run("1", BACKUP_ID, utc_now(), status=RunStatus.FAILED, copies=copies)
    with caplog.at_level("INFO"):
        record_usage(run, backup, catalog, Workplace(site.holdfast.state), logging.getLogger("test"))
    catalog.close()
    assert set(usage(site)) == {"ONE:kept"}
    assert "what is used of TWO:kept was not measured: its copy has failed" in caplog.text
