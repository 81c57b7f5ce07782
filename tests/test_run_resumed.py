"""Uploads that are killed or interrupted: taken up again where the service allows it, cleaned up everywhere."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from model import RunStatus, StorageDefinition, StorageType, Target
from storages.local import LocalStorage
from tests.support.four_targets import PATH, Places, places
from tests.support.holdfast import BACKUP_ID
from tests.support.onedrive_storage import emulator, emulator_process, fragments_sent
from tests.support.s3_fixtures import rclone
from tests.support.sshd import requires_sshd, sshd
from tests.support.stored_copies import put_copy
from tests.support.trees import make_tree

__all__ = ["emulator", "emulator_process", "places", "rclone", "sshd"]

pytestmark = requires_sshd

# Two thirds of it cannot be packed: four fragments of OneDrive, five parts of S3.
LARGE = 72 << 20
FRAGMENT = 10 << 20


@pytest.fixture
def source(places: Places) -> Path:
    return make_tree(places.source / "tree", files=5, large_size=LARGE)


def stop_when(places: Places, is_time: Callable[[], bool], number: signal.Signals) -> tuple[int, str]:
    """Start a run, send it the signal when it is time; its exit status, and what it said."""
    run = places.holdfast.start("backup.py", BACKUP_ID, env=places.emulator.child_environment())
    try:
        deadline = time.monotonic() + 120
        while not is_time():
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline, "the time never came"
            time.sleep(0.01)
    finally:
        run.send_signal(number)
        _, said = run.communicate(timeout=120)
    return run.returncode, said


def received(places: Places) -> int:
    """How many bytes the upload session under way has."""
    return max([0, *(int(session["received"]) for session in places.emulator.open_sessions())])


def runs(places: Places) -> list[dict[str, Any]]:
    listed = json.loads(places.run("backup.py", "--json").stdout)["backups"]
    return [standing["last"] for standing in listed]


def archives(places: Places, name: str) -> list[str]:
    return [key for key in places.copies(name) if key.endswith(".zip")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_an_upload_to_onedrive_goes_on_with_the_next_run(places: Places, source: Path, number: signal.Signals) -> None:
    places.configure("LOCAL", "ONEDRIVE")
    places.emulator.plan("slow", "upload.fragment", 3, seconds=2)
    exit_code, said = stop_when(places, lambda: received(places) >= 2 * FRAGMENT, number)
    assert exit_code in (-signal.SIGKILL, 143)
    if number is signal.SIGTERM:
        assert "the next run goes on with its upload" in said
    assert archives(places, "ONEDRIVE") == []
    (waiting,) = (places.holdfast.state / "spool").rglob("*.zip")
    sent_before = len(fragments_sent(places.emulator))

    ended = places.run("backup.py", BACKUP_ID)
    assert ended.returncode == 0, ended.stderr
    resumed_at = fragments_sent(places.emulator)[sent_before][0]
    assert resumed_at >= 2 * FRAGMENT, "what the service had was sent again"
    assert len(archives(places, "LOCAL")) == len(archives(places, "ONEDRIVE")) == 2
    assert waiting.name in archives(places, "ONEDRIVE")
    assert places.left_over() == []
    listed = json.loads(places.run("restore.py", "list", "--json").stdout)["copies"]
    assert [copy["status"] for copy in listed] == ["good"] * 4
    for copy in listed:
        name = f"{BACKUP_ID}@{copy['timestamp']}"
        verified = places.run("restore.py", "verify", name, "--storage", copy["storage"])
        assert verified.returncode == 0, verified.stderr


def test_the_run_that_was_resumed_is_recorded_as_good(places: Places, source: Path) -> None:
    places.configure("LOCAL", "ONEDRIVE")
    places.emulator.plan("slow", "upload.fragment", 2, seconds=2)
    stop_when(places, lambda: received(places) >= FRAGMENT, signal.SIGTERM)
    assert [run["status"] for run in runs(places)] == ["interrupted"]
    interrupted = runs(places)[0]["id"]
    # The source cannot be read any more, so the run that comes now makes no archive of its own.
    places.source.rename(places.source.with_name("moved"))
    assert places.run("backup.py", BACKUP_ID).returncode == 1
    (standing,) = json.loads(places.run("backup.py", "--json").stdout)["backups"]
    assert standing["last"]["status"] == "failed"
    assert standing["last_good"]["id"] == interrupted
    assert {copy["storage"]: copy["status"] for copy in standing["last_good"]["copies"]} == {
        "LOCAL": "good",
        "ONEDRIVE": "good",
    }


def test_a_target_with_only_is_left_out_of_what_goes_on_too(places: Places, source: Path) -> None:
    """And one whose first copy of the period it is gets it, so that the run that comes then leaves it out."""
    held = Target(StorageDefinition("LOCAL", StorageType.LOCAL), "rare")
    put_copy(LocalStorage("LOCAL", places.holdfast.storage), held, datetime.now(UTC))
    rare = {"STORAGE_NAME": "LOCAL", "PATH": "rare", "ONLY": "YEARLY"}
    targets = [
        {"STORAGE_NAME": "LOCAL", "PATH": PATH},
        rare,
        {"STORAGE_NAME": "ONEDRIVE", "PATH": PATH, "ONLY": "YEARLY"},
    ]
    places.configure("LOCAL", "ONEDRIVE", UPLOAD_TO=targets)
    places.emulator.plan("slow", "upload.fragment", 2, seconds=2)
    stop_when(places, lambda: received(places) >= FRAGMENT, signal.SIGKILL)
    (waiting,) = (places.holdfast.state / "spool").rglob("*.zip")

    ended = places.run("backup.py", BACKUP_ID, "--json")
    assert ended.returncode == 0, ended.stderr
    (run,) = json.loads(ended.stdout)["runs"]
    assert [copy["status"] for copy in run["copies"]] == ["good", "skipped", "skipped"]
    with closing(open_catalog(places.holdfast.state, None)) as catalog:
        resumed = catalog.runs(BACKUP_ID, 10)[1]
    assert (resumed.status, [copy.status.value for copy in resumed.copies]) == (
        RunStatus.GOOD,
        ["good", "skipped", "good"],
    )
    assert (len(archives(places, "LOCAL")), archives(places, "ONEDRIVE")) == (2, [waiting.name])
    assert len(list((places.holdfast.storage / "rare" / BACKUP_ID).glob("*.zip"))) == 1


def test_what_cannot_be_resumed_is_given_up_and_made_anew(places: Places, source: Path) -> None:
    places.configure("LOCAL", "ONEDRIVE")
    places.emulator.plan("slow", "upload.fragment", 2, seconds=2)
    stop_when(places, lambda: received(places) >= FRAGMENT, signal.SIGKILL)
    (waiting,) = (places.holdfast.state / "spool").rglob("*.zip")
    with waiting.open("r+b") as file:  # the disk lost a byte meanwhile
        file.seek(waiting.stat().st_size - 1_000_000)
        file.write(b"rotten")
    ended = places.run("backup.py", BACKUP_ID)
    assert ended.returncode == 0, ended.stderr
    assert archives(places, "ONEDRIVE") != [waiting.name]
    assert len(archives(places, "ONEDRIVE")) == 1
    assert places.left_over() == []
    verified = places.run("restore.py", "verify", BACKUP_ID, "--storage", "ONEDRIVE")
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize("name", ["OFFSITE", "SERVER"])
def test_a_killed_upload_is_cleaned_up_by_the_next_run(places: Places, source: Path, name: str) -> None:
    slow = [{"STORAGE_NAME": name, "PATH": "backups/shop", "BANDWIDTH": "12MB/s"}]
    places.configure(name, UPLOAD_TO=slow)
    exit_code, _ = stop_when(places, lambda: places.left_over() != [], signal.SIGKILL)
    assert exit_code == -signal.SIGKILL
    assert places.left_over() != []
    places.configure(name)
    ended = places.run("backup.py", BACKUP_ID)
    assert ended.returncode == 0, ended.stderr
    assert places.left_over() == []
    assert len(archives(places, name)) == 1


@pytest.mark.parametrize("name", ["OFFSITE", "SERVER"])
def test_an_interrupted_upload_leaves_nothing(places: Places, source: Path, name: str) -> None:
    slow = [{"STORAGE_NAME": name, "PATH": "backups/shop", "BANDWIDTH": "12MB/s"}]
    places.configure(name, UPLOAD_TO=slow)
    exit_code, said = stop_when(places, lambda: places.left_over() != [], signal.SIGTERM)
    assert exit_code == 143
    assert "What was not finished is removed" in said
    assert places.left_over() == []
    assert places.copies(name) == []
