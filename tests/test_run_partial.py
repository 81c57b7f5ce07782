"""Sources that cannot be read, in part or at all, and targets that fail while others do not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.skips import requires_program
from tests.support.trees import make_tree

# Root without the right to pass over modes: it is refused what its files' modes refuse, as any other owner is.
AS_ORDINARY_USER = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")

pytestmark = [requires_program(AS_ORDINARY_USER[0])] if os.geteuid() == 0 else []


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    yield make_tree(tmp_path / "tree", files=5)
    for path in tmp_path.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


@pytest.fixture
def holdfast(tmp_path: Path, tree: Path) -> Holdfast:
    holdfast = Holdfast(tmp_path / "holdfast")
    holdfast.configure(tree)
    return holdfast


def run(holdfast: Holdfast, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as somebody who can be refused something."""
    command = holdfast.command(program, *arguments)
    return holdfast.run_command([*AS_ORDINARY_USER, *command] if os.geteuid() == 0 else command)


def last_run(holdfast: Holdfast) -> dict[str, Any]:
    overview = run(holdfast, "backup.py", "--json")
    (backup,) = json.loads(overview.stdout)["backups"]
    return dict(backup["last"])


def manifest(holdfast: Holdfast) -> dict[str, Any]:
    (path,) = holdfast.parts(".manifest.json")
    return dict(json.loads(path.read_text()))


def newest_log(holdfast: Holdfast) -> str:
    return max((holdfast.state / "logs" / BACKUP_ID).iterdir()).read_text()


def test_an_unreadable_file_makes_the_run_partial(holdfast: Holdfast, tree: Path) -> None:
    unreadable = tree / "folder 1" / "file 1.txt"
    unreadable.chmod(0)
    ended = run(holdfast, "backup.py", BACKUP_ID)
    name = str(unreadable)[1:]
    assert ended.returncode == 3
    assert ended.stderr.startswith("shop/files: partial. 1 path could not be read, so the archive is without:\n")
    assert f"  {name} (Permission denied)" in ended.stderr
    assert f"WARNING unreadable: {name}: Permission denied" in newest_log(holdfast)
    document = manifest(holdfast)
    assert document["status"] == "partial"
    assert name in json.dumps(document["notes"])
    last = last_run(holdfast)
    assert (last["status"], last["files"]) == ("partial", 4)
    listed = json.loads(run(holdfast, "restore.py", "list", "--json").stdout)["copies"]
    assert [copy["status"] for copy in listed] == ["partial"]
    assert run(holdfast, "restore.py", "verify", BACKUP_ID).returncode == 0


def test_an_unreadable_folder_makes_the_run_partial(holdfast: Holdfast, tree: Path) -> None:
    (tree / "folder 1").chmod(0)
    ended = run(holdfast, "backup.py", "--scheduled", BACKUP_ID)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert f"{str(tree)[1:]}/folder 1 (Permission denied)" in ended.stderr


def test_a_partial_run_is_never_the_last_good_one(holdfast: Holdfast, tree: Path) -> None:
    assert run(holdfast, "backup.py", BACKUP_ID).returncode == 0
    (tree / "folder 1" / "file 1.txt").chmod(0)
    assert run(holdfast, "backup.py", BACKUP_ID).returncode == 3
    (backup,) = json.loads(run(holdfast, "backup.py", "--json").stdout)["backups"]
    assert (backup["last"]["status"], backup["last_good"]["status"]) == ("partial", "good")
    good = backup["last_good"]["archive"].removesuffix(".zip").rpartition("-")[2]
    shown = run(holdfast, "restore.py", "verify", BACKUP_ID)
    assert f"{BACKUP_ID}@{good}" in shown.stdout


def test_many_unreadable_files_are_counted_and_not_all_shown(holdfast: Holdfast, tree: Path) -> None:
    for number in range(20):
        (tree / f"secret {number:02}").touch(mode=0)
    ended = run(holdfast, "backup.py", BACKUP_ID)
    assert ended.returncode == 3
    assert "20 paths could not be read" in ended.stderr
    assert ended.stderr.count("Permission denied") == 5
    assert "the log and the manifest name them" in ended.stderr
    assert newest_log(holdfast).count("WARNING unreadable: ") == 20
    assert json.dumps(manifest(holdfast)["notes"]).count("Permission denied") == 20


def test_a_source_of_which_nothing_can_be_read_fails(holdfast: Holdfast, tree: Path) -> None:
    secret = tree / "secret"
    secret.write_text("x")
    secret.chmod(0)
    holdfast.configure(secret)
    ended = run(holdfast, "backup.py", BACKUP_ID)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "shop/files: failed. Nothing of shop/files could be read" in ended.stderr
    assert holdfast.parts("") == []
    assert last_run(holdfast)["status"] == "failed"


def test_a_missing_path_fails_and_leaves_nothing(holdfast: Holdfast, tree: Path) -> None:
    """Not an empty archive, and not one of the other paths alone: that would be called good next time, too."""
    missing = tree / "missing"
    holdfast.configure(tree, missing)
    ended = run(holdfast, "backup.py", BACKUP_ID)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"{missing}: No such file or directory" in ended.stderr
    assert "Correct them in the configuration" in ended.stderr
    assert holdfast.parts("") == []
    assert last_run(holdfast)["status"] == "failed"
    shown = run(holdfast, "backup.py")
    assert "failed" in shown.stdout
    assert "LAST GOOD" in shown.stdout


def test_an_empty_folder_is_a_good_backup(holdfast: Holdfast, tree: Path) -> None:
    holdfast.configure(tree / "empty")
    assert run(holdfast, "backup.py", BACKUP_ID).returncode == 0
    assert manifest(holdfast)["status"] == "good"


def test_a_file_that_vanishes_is_noted_and_the_run_is_good(holdfast: Holdfast, tree: Path) -> None:
    """It is removed when its folder has just been listed."""
    plan = {"point": "host.list_directory", "nth": 1, "when": "after", "signal": signal.SIGSTOP}
    gone = tree / "gone"
    gone.write_text("soon")
    process = holdfast.start_command(holdfast.command_with_plan([plan], BACKUP_ID))
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    gone.unlink()
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    document = manifest(holdfast)
    assert document["status"] == "good"
    assert f"INFO vanished: {str(gone)[1:]}: it vanished" in newest_log(holdfast)
    assert str(gone)[1:] in json.dumps(document["notes"])


def test_a_target_that_may_not_be_written_is_named(holdfast: Holdfast) -> None:
    holdfast.storage.mkdir()
    holdfast.storage.chmod(0o500)
    ended = run(holdfast, "backup.py", BACKUP_ID)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"cannot use {holdfast.storage}" in ended.stderr
    assert "Permission denied. Give user " in ended.stderr
    assert list(holdfast.storage.iterdir()) == []
    assert last_run(holdfast)["status"] == "failed"


def test_a_target_that_fails_does_not_stop_the_other(tmp_path: Path, tree: Path) -> None:
    holdfast = Holdfast(tmp_path / "holdfast")
    refused = tmp_path / "refused"
    refused.write_text("a file where a folder must be")
    names = {"REFUSED": refused, "GOOD": holdfast.storage}
    storages = [{"NAME": name, "TYPE": "LOCAL", "ROOT": str(root)} for name, root in names.items()]
    targets = [{"STORAGE_NAME": name, "PATH": ""} for name in names]
    backup = {"NAME": "files", "INTERVALS": "@daily", "FILE_PATH": str(tree), "UPLOAD_TO": targets}
    holdfast.write({"STORAGES": storages, "PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]})
    ended = run(holdfast, "backup.py", BACKUP_ID)
    assert ended.returncode == 1
    assert ended.stderr.startswith("shop/files: failed. REFUSED: The storage REFUSED cannot use")
    assert [(copy["storage"], copy["status"]) for copy in last_run(holdfast)["copies"]] == [
        ("REFUSED", "failed"),
        ("GOOD", "good"),
    ]
    assert manifest(holdfast)["status"] == "good"
    verified = run(holdfast, "restore.py", "verify", BACKUP_ID)
    assert verified.returncode == 0, verified.stderr


NOBODY_LISTENS = 1
UNREACHABLE: dict[str, tuple[dict[str, Any], str]] = {
    "DB_BACKUPS": ({"DB_INFO": {"NAME": "shop", "HOST": "127.0.0.1", "PORT": NOBODY_LISTENS}}, "127.0.0.1"),
    "SSH": ({"SSH": {"IP_ADDRESS": "127.0.0.1", "PORT": NOBODY_LISTENS}}, "127.0.0.1"),
    "DOCKER": ({"DOCKER": {"CONTAINER_NAME": "shop", "DOCKER_HOST": "unix:///dev/null/docker.sock"}}, "docker.sock"),
}


@pytest.mark.parametrize("kind", UNREACHABLE)
def test_a_source_that_cannot_be_reached_is_named_and_the_others_run(holdfast: Holdfast, tree: Path, kind: str) -> None:
    keys, message = UNREACHABLE[kind]
    common: dict[str, Any] = {"INTERVALS": "@daily", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    first = {**common, "NAME": "first", **keys}
    section = "DB_BACKUP" if "DB_INFO" in keys else "FILE_BACKUP"
    if section == "FILE_BACKUP":
        first["FILE_PATH"] = str(tree)
    files = {**common, "NAME": "files", "FILE_PATH": str(tree)}
    sections = {"shop": {section: [first]}, "z": {"FILE_BACKUP": [files]}}
    holdfast.write({"PROJECTS": [{"NAME": name, "BACKUPS": [section]} for name, section in sections.items()]})
    ended = holdfast.run("backup.py", "--all")
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "z/files: good." in ended.stdout
    assert [path for path in (holdfast.storage / "shop").rglob("*") if path.is_file()] == []
    standings = json.loads(holdfast.run("backup.py", "--json").stdout)["backups"]
    assert [standing["last"]["status"] for standing in standings] == ["failed", "good"]
