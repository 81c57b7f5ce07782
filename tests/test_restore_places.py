"""Copies are listed, shown and restored from wherever they lie, with or without state and configuration."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

import command_line
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.s3_servers import rclone_server
from tests.support.whole_trees import describe_tree, differences, restored

OTHER = {
    "NAME": "other",
    "BACKUPS": [
        {
            "FILE_BACKUP": [
                {
                    "INTERVALS": "0 3 * * *",
                    "FILE_PATH": ["/etc/hostname"],
                    "UPLOAD_TO": [{"STORAGE_NAME": "disk", "PATH": "kept"}],
                }
            ]
        }
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Holdfast:
    """A machine that made a copy of ``shop/files`` in ``storage/kept``, and then lost state and configuration."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "source").mkdir()
    (folder / "source" / "file").write_text("content")
    (folder / "source" / "link").symlink_to("file")
    machine = Holdfast(folder / "machine")
    machine.configure(folder / "source", UPLOAD_TO=[{"STORAGE_NAME": "LOCAL", "PATH": "kept"}])
    machine.back_up()
    shutil.rmtree(machine.state)
    machine.config.unlink()
    return machine


@pytest.fixture
def machine(made: Holdfast, tmp_path: Path) -> Iterator[Holdfast]:
    """The same, with nothing of its own: what a test configures is gone afterwards."""
    yield made
    made.config.unlink(missing_ok=True)
    assert not made.state.exists(), "nothing that reads copies needs the state folder, or makes it"


def configure(machine: Holdfast, *projects: object) -> None:
    disk = {"NAME": "disk", "TYPE": "LOCAL", "ROOT": str(machine.storage)}
    machine.write({"STORAGES": [disk], "PROJECTS": list(projects)})


def listed(machine: Holdfast, *arguments: str) -> list[tuple[str, str, str]]:
    answer = machine.run("restore.py", "list", "--json", *arguments)
    document = json.loads(answer.stdout)
    assert answer.returncode == 0
    assert document["errors"] == []
    return [(copy["backup"], copy["storage"], copy["key"].partition("/shop-files-")[0]) for copy in document["copies"]]


def test_a_storage_without_a_configuration(machine: Holdfast) -> None:
    for place in ("LOCAL", "LOCAL:kept", "LOCAL:kept/shop"):
        assert listed(machine, "--from", place) == [(BACKUP_ID, "LOCAL", "kept/shop/files")]


def test_a_bucket_that_only_the_environment_knows(machine: Holdfast, tmp_path: Path) -> None:
    """The folder of the copies was moved into a bucket; ``.env`` beside no configuration has the keys."""
    with rclone_server(machine.folder) as server:
        (machine.folder / ".env").write_text(
            f"S3_BUCKET=storage\nS3_ENDPOINT_URL={server.endpoint_url}\nAWS_REGION=us-east-1\n"
            f"AWS_ACCESS_KEY_ID={server.access_key_id}\nAWS_SECRET_ACCESS_KEY={server.secret_access_key}\n"
        )
        (machine.folder / ".env").chmod(0o600)
        try:
            assert listed(machine, "--from", "S3:kept") == [(BACKUP_ID, "S3", "kept/shop/files")]
            answer = machine.restore(tmp_path / "back", "--from", "S3")
        finally:
            (machine.folder / ".env").unlink()
    assert answer.returncode == 0, answer.stderr
    source = machine.folder.parent / "source"
    assert differences(describe_tree(source), describe_tree(restored(tmp_path / "back", source))) == []


def test_a_folder_without_a_configuration(machine: Holdfast, tmp_path: Path) -> None:
    expected = [(BACKUP_ID, f"{machine.storage}/kept", "shop/files")]
    assert listed(machine, "--from", str(machine.storage)) == expected
    folder = machine.storage / "kept" / "shop" / "files"
    assert listed(machine, "shop", "--from", str(folder)) == expected
    there = machine.run("restore.py", "verify", BACKUP_ID, "--from", "./shop", cwd=machine.storage / "kept")
    assert "sound" in there.stdout, there.stderr
    answer = machine.restore(tmp_path / "back", "--from", str(folder))
    assert answer.returncode == 0, answer.stderr
    source = machine.folder.parent / "source"
    assert differences(describe_tree(source), describe_tree(restored(tmp_path / "back", source))) == []


def test_copies_in_a_folder_of_another_name_are_told_beside_the_others(machine: Holdfast, tmp_path: Path) -> None:
    shutil.copytree(machine.copies.parent.parent / "kept", tmp_path / "disk")
    shutil.copytree(tmp_path / "disk" / "shop" / "files", tmp_path / "disk" / "download")
    answer = machine.run("restore.py", "list", "--from", str(tmp_path / "disk"))
    assert answer.returncode == 0
    assert answer.stdout.count(f"{BACKUP_ID}@") == 1
    assert "/download/shop-files-" in answer.stderr
    assert "lies in another folder than its name says, and is not looked at" in answer.stderr


def test_a_configuration_that_does_not_name_the_backup_any_more(machine: Holdfast) -> None:
    configure(machine, OTHER)
    shown = machine.run("restore.py", "show", BACKUP_ID, "--from", "disk:kept")
    assert "/source/file" in shown.stdout
    # The key that signed it was lost with the state folder; there is nothing else to say.
    assert [line.partition(": its manifest is signed with ")[0] for line in shown.stderr.splitlines()] == [
        f"warning: {shown.stdout.splitlines()[0].rpartition(': ')[0]}"
    ]


def test_a_configuration_whose_projects_are_wrong(machine: Holdfast) -> None:
    configure(machine, {"NAM": "shop"})
    answer = machine.run("restore.py", "list", "--from", "disk:kept")
    assert answer.returncode == 0
    assert f"{BACKUP_ID}@" in answer.stdout
    assert "warning: PROJECTS does not know NAM: did you mean NAME?" in answer.stderr
    assert "So none of its backups is known here; its storages are." in answer.stderr
    without = machine.run("restore.py", "list")
    assert without.returncode == 2


def test_a_default_configuration_that_is_not_there_is_not_missed(
    machine: Holdfast, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "INSTALLATION", machine.folder)
    for name, value in machine.environment().items():
        monkeypatch.setenv(name, value)
    found = command_line.load_readable(Namespace(config=None, env_file=None, quiet=False))
    assert capsys.readouterr().err == ""
    assert found.storages["LOCAL"].settings == {"ROOT": str(machine.storage)}
    command_line.load_readable(Namespace(config=machine.config, env_file=None, quiet=False))
    assert "This file does not exist" in capsys.readouterr().err


def test_a_place_without_copies_and_one_that_is_none(machine: Holdfast) -> None:
    for place, message, exit_code in (
        ("LOCAL:kept/shop/db", "There is no copy of any backup at LOCAL:kept/shop/db.", 2),
        ("tape:kept", "There is no storage named 'tape' to read from.", 2),
        ("S3:kept", "The storage S3 has no BUCKET. Set it in the environment or in .env", 1),
    ):
        for command in (["list"], ["show", BACKUP_ID]):
            answer = machine.run("restore.py", *command, "--from", place)
            assert (answer.returncode, message in answer.stderr) == (exit_code, True), answer.stderr
    unknown = machine.run("restore.py", "show", "shop/db", "--from", "LOCAL")
    assert f"There is no copy of a backup 'shop/db' at LOCAL. There are: {BACKUP_ID}." in unknown.stderr


def test_a_database_needs_to_be_told_into_which_server(machine: Holdfast) -> None:
    answer = machine.run("restore.py", "restore", BACKUP_ID, "--to-database", "back", "--from", "LOCAL")
    assert answer.returncode == 2
    assert f"Only copies are known of {BACKUP_ID}, and not which server its databases came from." in answer.stderr
    assert "--on ID" in answer.stderr


def test_a_pin_at_a_place(machine: Holdfast) -> None:
    pinned = machine.run("restore.py", "pin", BACKUP_ID, "--reason", "the last of it", "--from", "LOCAL:kept")
    assert pinned.returncode == 0, pinned.stderr
    assert "good, pinned" in machine.run("restore.py", "list", "--from", "LOCAL").stdout
    assert machine.run("restore.py", "unpin", BACKUP_ID, "--from", "LOCAL").returncode == 0
    assert "pinned" not in machine.run("restore.py", "list", "--from", "LOCAL").stdout


# --- orphaned backups ---


def test_the_copies_of_a_backup_that_left_the_configuration(machine: Holdfast, tmp_path: Path) -> None:
    configure(machine, OTHER)
    answer = machine.run("restore.py", "list")
    assert answer.returncode == 0, answer.stderr
    (row,) = [line for line in answer.stdout.splitlines() if line.startswith(f"{BACKUP_ID}@")]
    assert "good, orphaned" in row
    (copy,) = json.loads(machine.run("restore.py", "list", BACKUP_ID, "--json").stdout)["copies"]
    assert (copy["orphaned"], copy["storage"]) == (True, "disk")
    assert machine.run("restore.py", "verify", BACKUP_ID).returncode == 0
    shutil.rmtree(machine.state)  # where the verification was noted
    answer = machine.restore(tmp_path / "back")
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in (tmp_path / "back").rglob("file")] == ["file"]


def test_an_id_that_is_neither_configured_nor_on_its_targets(machine: Holdfast) -> None:
    configure(machine, OTHER)
    answer = machine.run("restore.py", "show", "shop/fils")
    assert answer.returncode == 2
    assert "There is no backup 'shop/fils'" in answer.stderr


def test_prune_leaves_orphans_alone(machine: Holdfast) -> None:
    configure(machine, OTHER)
    refused = machine.run("restore.py", "prune", BACKUP_ID, "--dry-run")
    assert refused.returncode == 2
    assert f"There is no backup '{BACKUP_ID}'" in refused.stderr
    assert "--from" not in machine.run("restore.py", "prune", "--help").stdout
