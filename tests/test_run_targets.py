"""One run, four targets: the same archive everywhere, read back from everywhere, and one that fails stops no other."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.four_targets import NAMES, PATH, Places, places
from tests.support.holdfast import BACKUP_ID
from tests.support.onedrive_storage import emulator, emulator_process
from tests.support.s3_fixtures import rclone
from tests.support.sshd import requires_sshd, sshd
from tests.support.trees import make_tree
from tests.support.warm_start import IMPATIENT
from tests.support.whole_trees import describe_tree, differences, restored

__all__ = ["emulator", "emulator_process", "places", "rclone", "sshd"]

pytestmark = requires_sshd

# More than one part, fragment and queue of each storage.
LARGE = 48 << 20


@pytest.fixture
def source(places: Places) -> Path:
    return make_tree(places.source / "tree", files=20, large_size=LARGE)


def last_run(places: Places) -> dict[str, Any]:
    (standing,) = json.loads(places.run("backup.py", "--json").stdout)["backups"]
    return dict(standing["last"])


def test_every_target_has_the_same_archive_and_gives_it_back(places: Places, source: Path, tmp_path: Path) -> None:
    places.configure(*NAMES)
    ended = places.run("backup.py", BACKUP_ID)
    assert ended.returncode == 0, ended.stderr
    run = last_run(places)
    assert [(copy["storage"], copy["status"]) for copy in run["copies"]] == [(name, "good") for name in NAMES]
    stem = run["archive"].removesuffix(".zip")
    parts = sorted(["HOW-TO-RESTORE.txt", f"{stem}.index.zst", f"{stem}.manifest.json", f"{stem}.zip"])
    assert [places.copies(name) for name in NAMES] == [parts] * len(NAMES)
    for part in parts:
        assert len({hashlib.sha256(places.content(name, part)).hexdigest() for name in NAMES}) == 1, part
    assert hashlib.sha256(places.content("ONEDRIVE", f"{stem}.zip")).hexdigest() == run["sha256"]
    assert places.left_over() == []

    listed = json.loads(places.run("restore.py", "list", "--json").stdout)["copies"]
    assert sorted(copy["storage"] for copy in listed) == sorted(NAMES)
    expected = describe_tree(source)
    for name in NAMES:
        options = ("--storage", name)
        shown = places.run("restore.py", "show", BACKUP_ID, *options)
        assert "large" in shown.stdout, shown.stderr
        verified = places.run("restore.py", "verify", BACKUP_ID, *options)
        assert verified.returncode == 0, verified.stderr
        to = tmp_path / f"from {name}"
        back = places.run("restore.py", "restore", BACKUP_ID, *options, "--to", to)
        assert back.returncode == 0, back.stderr
        assert differences(expected, describe_tree(restored(to, source))) == []


def test_show_reads_little_of_a_remote_archive(places: Places, source: Path) -> None:
    places.configure("ONEDRIVE")
    assert places.run("backup.py", BACKUP_ID).returncode == 0
    before = len(places.emulator.requests())
    assert places.run("restore.py", "show", BACKUP_ID).returncode == 0
    ranges = [entry["range"] for entry in places.emulator.requests()[before:] if entry["service"] == "download"]
    bounds = [text.removeprefix("bytes=").split("-") for text in ranges]
    assert bounds
    assert all(last for _, last in bounds), ranges


BREAKING: dict[str, tuple[str, dict[str, object], str]] = {
    "a bucket that is not there": ("OFFSITE", {"BUCKET": "no-such-bucket-here"}, "no-such-bucket-here"),
    "a wrong key": ("OFFSITE", {"SECRET_ACCESS_KEY": "wrong-secret-of-forty-characters-or-so-00"}, "SECRET_ACCESS_KEY"),
    "a wrong client secret": ("ONEDRIVE", {"CLIENT_SECRET": "wrong"}, "CLIENT_SECRET"),
    "nobody at the address": ("SERVER", {"PORT": 1}, "127.0.0.1"),
    "a disk that refuses": ("LOCAL", {}, "cannot use"),
}


@pytest.mark.parametrize("case", BREAKING)
def test_a_target_that_fails_at_the_start_stops_no_other(places: Places, source: Path, case: str) -> None:
    name, change, words = BREAKING[case]
    places.configure(*NAMES, changes={name: change} if change else None)
    if not change:
        places.holdfast.storage.write_text("a file where a folder must be")
    command = places.holdfast.command("backup.py", BACKUP_ID)
    command.insert(1, IMPATIENT)  # nobody is waited for in full where nobody ever comes
    ended = places.holdfast.run_command(command, env=places.emulator.child_environment())
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    run = last_run(places)
    assert {copy["storage"]: copy["status"] for copy in run["copies"]} == {
        other: "failed" if other == name else "good" for other in NAMES
    }
    for other in set(NAMES) - {name}:
        verified = places.run("restore.py", "verify", BACKUP_ID, "--storage", other)
        assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize(
    ("route", "nth"),
    [("graph.create_session", 1), ("upload.fragment", 2), ("upload.commit", 1)],
    ids=["at the start", "in the middle", "at the end"],
)
def test_onedrive_that_is_full_at_any_time_stops_no_other(places: Places, source: Path, route: str, nth: int) -> None:
    places.configure(*NAMES)
    places.emulator.plan("status", route, nth, status=507, code="quotaLimitReached")
    ended = places.run("backup.py", BACKUP_ID)
    assert ended.returncode == 1
    assert "ONEDRIVE" in ended.stderr
    run = last_run(places)
    assert [copy["storage"] for copy in run["copies"] if copy["status"] == "failed"] == ["ONEDRIVE"]
    assert places.left_over() == []
    assert places.copies("ONEDRIVE") == []


def test_a_download_that_is_altered_on_its_way_is_found(places: Places) -> None:
    make_tree(places.source / "tree", files=5)
    with FaultProxy(places.s3.endpoint_url) as proxy:
        places.configure("OFFSITE", changes={"OFFSITE": {"ENDPOINT_URL": proxy.url}})
        assert places.run("backup.py", BACKUP_ID).returncode == 0
        proxy.settle()
        assert places.run("restore.py", "verify", BACKUP_ID).returncode == 0
        objects = [
            number
            for number, request in enumerate(proxy.requests, start=1)
            if request.method == "GET" and "list-type" not in request.target
        ]
        assert len(objects) >= 3, "the manifest, the index and the archive are read"
        for number in objects:
            proxy.settle()
            proxy.plan(Fault.ALTERED_ANSWER, number)
            verified = places.run("restore.py", "verify", BACKUP_ID)
            assert verified.returncode == 1, (number, verified.stdout)


def test_a_download_from_onedrive_that_is_altered_on_its_way_is_found(places: Places) -> None:
    make_tree(places.source / "tree", files=5)
    places.configure("ONEDRIVE")
    assert places.run("backup.py", BACKUP_ID).returncode == 0
    for number in (1, 2, 3):
        places.emulator.plan("corrupted_answer", "download.content", number)
        verified = places.run("restore.py", "verify", BACKUP_ID)
        assert verified.returncode == 1, (number, verified.stdout)


def test_no_secret_of_any_target_is_written_or_said(places: Places, source: Path) -> None:
    places.configure(*NAMES)
    outputs = [
        places.run(*command).stdout + places.run(*command).stderr
        for command in [
            ("backup.py", BACKUP_ID, "-v"),
            ("backup.py", "--json"),
            ("restore.py", "list", "-v"),
            ("restore.py", "verify", BACKUP_ID, "-v"),
            ("main.py", "doctor", "-v"),
        ]
    ]
    secrets = [*places.emulator.secrets(), places.s3.secret_access_key]
    assert any("upload" in secret for secret in secrets), "no address of an upload was met"
    written = [path for path in places.holdfast.state.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in written)
    for secret in secrets:
        assert [text for text in outputs if secret in text] == []
        assert [path for path in written if secret.encode() in path.read_bytes()] == []


def test_the_path_of_a_target_may_hold_any_character_that_its_service_knows(places: Places) -> None:
    make_tree(places.source / "tree", files=2)
    places.configure(*NAMES, UPLOAD_TO=[{"STORAGE_NAME": name, "PATH": "Ü b+c/100 %/#é"} for name in NAMES])
    ended = places.run("backup.py", BACKUP_ID)
    assert ended.returncode == 0, ended.stderr
    verified = places.run("restore.py", "verify", BACKUP_ID)
    assert verified.returncode == 0, verified.stderr
    assert PATH not in verified.stdout
