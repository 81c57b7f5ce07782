"""As much of a configuration as can be known, for reading copies where much was lost: nothing of it raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import load_readable_configuration
from model import Configuration, Secret
from tests.support.configurations import file_backup, warnings_of, write

DISK = "STORAGES:\n  - {NAME: disk, TYPE: LOCAL, ROOT: /mnt/disk}\n"
S3 = {"S3_BUCKET": "copies", "AWS_SECRET_ACCESS_KEY": "shh-it-is-secret"}


def readable(folder: Path, text: str | None, env: str | None = None, **environment: str) -> Configuration:
    if text is not None:
        write(folder, text, env)
    return load_readable_configuration(folder / "config.yaml", environment)


def test_a_right_one_has_its_backups_and_also_the_storages_that_none_uses(tmp_path: Path) -> None:
    found = readable(tmp_path, DISK + file_backup(), **S3)
    assert [backup.id for backup in found.backups] == ["shop/files"]
    assert found.storages["disk"].settings == {"ROOT": "/mnt/disk"}
    assert found.storages["S3"].settings == {
        "BUCKET": "copies",
        "SECRET_ACCESS_KEY": Secret(S3["AWS_SECRET_ACCESS_KEY"]),
    }
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("projects", "problem"),
    [
        ("PROJECTS:\n  - NAM: shop\n", "4:5: PROJECTS does not know NAM: did you mean NAME?"),
        ("PROJEKTS: []\n", "3:1: config.yaml does not know PROJEKTS: did you mean PROJECTS?"),
        (file_backup(FILE_PATH="${NOWHERE}"), None),
    ],
)
def test_wrong_projects_leave_the_storages(projects: str, problem: str | None, tmp_path: Path) -> None:
    found = readable(tmp_path, DISK + projects)
    assert found.backups == ()
    assert found.storages["disk"].settings == {"ROOT": "/mnt/disk"}
    first, *_, last = warnings_of(found)
    assert problem in (first, None)
    assert last == "1:1: So none of its backups is known here; its storages are."


@pytest.mark.parametrize("text", ["STORAGES:\n  - {NAME: disk, TYPE: LOCAL}\nPROJECTS: []\n", "{{{", "[]", "", None])
def test_where_the_file_is_wrong_or_missing_the_environment_is_left(text: str | None, tmp_path: Path) -> None:
    found = readable(tmp_path, text, LOCAL_STORAGE_ROOT="/mnt/copies", STATE_DIR="/var/lib/state", **S3)
    assert found.backups == ()
    assert found.storages["LOCAL"].settings == {"ROOT": "/mnt/copies"}
    assert found.storages["S3"].settings["BUCKET"] == "copies"
    assert "disk" not in found.storages
    assert found.state_directory == Path("/var/lib/state")
    assert warnings_of(found)[-1].endswith("the storages of the environment are.")


def test_the_storages_of_an_env_file_without_a_configuration(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOCAL_STORAGE_ROOT=/mnt/copies\n")
    assert readable(tmp_path, None).storages["LOCAL"].settings == {"ROOT": "/mnt/copies"}


def test_what_a_place_has_nothing_to_do_with_is_not_warned_of(tmp_path: Path) -> None:
    found = readable(tmp_path, file_backup(UPLOAD_TO="{STORAGE_NAME: ONEDRIVE, PATH: shop}"))
    assert [backup.id for backup in found.backups] == ["shop/files"]
    assert found.warnings == ()


def test_where_even_the_env_file_is_wrong_there_is_no_storage(tmp_path: Path) -> None:
    found = readable(tmp_path, DISK + file_backup(), env="what is this\n")
    assert (found.backups, found.storages, found.state_directory) == ((), {}, tmp_path / "state")
    (warning,) = found.warnings
    assert (warning.file, warning.line) == (str(tmp_path / ".env"), 1)


def test_a_wrong_variable_of_a_storage_that_no_backup_uses_costs_only_that_storage(tmp_path: Path) -> None:
    found = readable(tmp_path, DISK + file_backup(), S3_ENDPOINT_URL="not a url")
    assert [backup.id for backup in found.backups] == ["shop/files"]
    assert "S3" not in found.storages
    assert {"disk", "LOCAL", "ONEDRIVE"} <= found.storages.keys()
