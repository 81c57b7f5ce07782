"""The user's own configurations: the samples of the notes, the one in real use, and the sample that is shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from config import load_configuration
from errors import ConfigurationError
from model import DatabaseSource, DockerContainer, FileSource, Secret, SshHost
from tests.support import configurations
from tests.support.configurations import errors_of, load, warnings_of
from tests.support.product_code import ROOT

NOTHING_TO_DO = (
    "There is nothing to do yet for this project: write a FILE_BACKUP, a DB_BACKUP or a COMMAND_BACKUP below its "
    "BACKUPS."
)


@pytest.mark.parametrize("sample", ["NOTES_PROJECTS", "NOTES_BACKUPS"])
def test_the_samples_that_are_yaml_load_with_nothing_to_do(sample: str, tmp_path: Path) -> None:
    configuration = load(tmp_path, getattr(configurations, sample))
    assert configuration.backups == ()
    assert warnings_of(configuration) == [f"2:7: {NOTHING_TO_DO}"]


def test_the_sample_with_path_too_far_right_is_told_the_column(tmp_path: Path) -> None:
    assert errors_of(tmp_path, configurations.NOTES_WHOLE) == [
        "10:21: PATH stands too far to the right: the line above has a value already. "
        "Start it in column 19, below STORAGE_NAME of line 9."
    ]


def test_the_sample_with_backups_too_far_left_is_told_the_column(tmp_path: Path) -> None:
    assert errors_of(tmp_path, configurations.NOTES_SSH) == [
        "3:5: BACKUPS is too far to the left to belong to the item above. "
        "Start it in column 7, below NAME of line 2; a new item needs `- `."
    ]


def test_a_sample_corrected_as_told_loads(tmp_path: Path) -> None:
    corrected = configurations.NOTES_WHOLE.replace("                    PATH", "                  PATH").replace(
        "            - UPLOAD_TO", "            - FILE_PATH: /srv\n            - UPLOAD_TO", 1
    )
    files, database = load(tmp_path, corrected).backups
    assert files.intervals == database.intervals == ("3 * 2 * *", "1 * 1 * *")
    assert [str(target) for target in files.targets + database.targets] == ["ONEDRIVE:from/to/path"] * 2
    assert database.source == DatabaseSource(
        "postgres", ("db_name",), "username", Secret("password"), "localhost", 5432
    )


def test_the_configuration_in_real_use_validates_as_it_is(tmp_path: Path) -> None:
    configuration = load(tmp_path, configurations.IN_REAL_USE)
    tanks, production, local = configuration.backups
    assert [backup.id for backup in configuration.backups] == ["Tanks/files", "Till-Production/db", "Till-Local/db"]
    assert tanks.source == FileSource(("/var/log/apache2/access.log",))
    assert tanks.ssh == production.ssh == SshHost("ubuntu", "203.0.113.26")
    assert production.docker == DockerContainer("till-backend-database-1")
    assert production.source == DatabaseSource(
        "postgres", ("till_prod",), "till_prod", Secret("aB1cD2eF3"), "localhost", 5432
    )
    assert isinstance(local.source, DatabaseSource)
    assert local.source.password == Secret("1234")
    assert (local.ssh, local.docker) == (None, None)
    assert warnings_of(configuration) == [
        "10:32: The storage ONEDRIVE cannot be used yet. Set TENANT_ID, CLIENT_ID, CLIENT_SECRET, ONEDRIVE_DRIVE "
        f"in the environment or in {tmp_path}/.env."
    ]


def test_the_environment_of_the_first_version_is_enough_but_for_the_drive(tmp_path: Path) -> None:
    env = "TENANT_ID=tenant\nCLIENT_ID=client\nCLIENT_SECRET=canary-of-onedrive\nMAX_FILES_COUNT=5\n"
    configuration = load(tmp_path, configurations.IN_REAL_USE, env=env)
    settings = configuration.storages["ONEDRIVE"].settings
    assert settings == {"TENANT_ID": "tenant", "CLIENT_ID": "client", "CLIENT_SECRET": Secret("canary-of-onedrive")}
    assert {backup.keep.last for backup in configuration.backups} == {5}
    assert warnings_of(configuration) == [
        f"10:32: The storage ONEDRIVE cannot be used yet. Set ONEDRIVE_DRIVE in the environment or in {tmp_path}/.env.",
    ]


def test_the_shipped_sample_works_as_it_is(tmp_path: Path) -> None:
    shutil.copy(ROOT / "config.yaml", tmp_path / "config.yaml")
    configuration = load_configuration(tmp_path / "config.yaml", {})
    assert configuration.warnings == ()
    assert [backup.id for backup in configuration.enabled_backups] == ["holdfast/own-files", "holdfast/host-settings"]
    assert {target.storage.settings["ROOT"] for backup in configuration.backups for target in backup.targets} == {
        str(tmp_path / "backups")
    }


def test_what_the_shipped_sample_backs_up_is_there(tmp_path: Path) -> None:
    for backup in load_configuration(ROOT / "config.yaml", {}, _empty_file(tmp_path)).backups:
        assert isinstance(backup.source, FileSource)
        assert [path for path in backup.source.paths if not Path(path).exists()] == []


def test_the_commented_examples_of_the_shipped_sample_load_too(tmp_path: Path) -> None:
    text = (ROOT / "config.yaml").read_text()
    before, examples = text.split("own names.\n")
    uncommented = "\n".join(line.replace("# ", "", 1) for line in examples.splitlines())
    configuration = load(tmp_path, f"{before}\n{uncommented}\n", {"SHOP_DB_PASSWORD": "a", "BLOG_DB_PASSWORD": "b"})
    assert [backup.id for backup in configuration.backups][2:] == [
        "shop/uploads",
        "shop/db",
        "shop/blog",
        "shop/directory",
    ]
    assert set(configuration.storages) == {"LOCAL", "S3", "ONEDRIVE"}


def test_a_copied_env_sample_changes_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "config.yaml", tmp_path / "config.yaml")
    before = load_configuration(tmp_path / "config.yaml", {})
    shutil.copy(ROOT / "env.sample", tmp_path / ".env")
    assert load_configuration(tmp_path / "config.yaml", {}) == before


def test_a_missing_configuration_says_where_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(tmp_path / "config.yaml", {})
    assert str(caught.value) == (
        f"{tmp_path}/config.yaml:1:1: This file does not exist. Name the right one with --config."
    )


def _empty_file(folder: Path) -> Path:
    (folder / "env").touch()
    return folder / "env"
