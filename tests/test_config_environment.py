"""Variables, ``.env``, secrets in files, storages from the environment, and what is said about all of these."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config import load_configuration
from errors import ConfigurationError
from model import DatabaseSource, FileSource, Keep, Secret, StorageDefinition, StorageType
from tests.support.configurations import HOME, db_backup, errors_of, file_backup, load, warnings_of, write
from tests.support.skips import requires_ordinary_user


def password(
    folder: Path, written: str, environment: dict[str, str] | None = None, env: str | None = None
) -> str | None:
    source = load(folder, db_backup(DB_INFO=f"{{NAME: shop, PASSWORD: {written}}}"), environment, env).backups[0].source
    assert isinstance(source, DatabaseSource)
    return source.password.reveal() if source.password else None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${A}", "first"),
        ("x${A}y${B}z", "xfirsty${A}z"),
        ("${NONE:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${A:-default}", "first"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $ $$ {A}", "$A $ $$ {A}"),
    ],
)
def test_variables(written: str, meant: str, tmp_path: Path) -> None:
    assert password(tmp_path, f"'{written}'", {"A": "first", "B": "${A}", "EMPTY": ""}) == meant


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    env = "A=from the file\nB='quoted # text'\nexport C=\"a\\nb\"\nD=$A ${A}\n"
    assert password(tmp_path, '"${A}|${B}|${C}|${D}"', {"A": "outer"}, env) == "outer|quoted # text|a\nb|$A ${A}"


def test_a_named_env_file_takes_the_place_of_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, file_backup(FILE_PATH="/srv/${A}"), env="A=default\n")
    (tmp_path / "other").write_text("A=other\n")
    source = load_configuration(path, {}, tmp_path / "other").backups[0].source
    assert isinstance(source, FileSource)
    assert source.paths == ("/srv/other",)


def test_a_named_env_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"/other:1:1: This file does not exist\."):
        load_configuration(write(tmp_path, file_backup()), {}, tmp_path / "other")


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        (
            "A=1\n\n# fine\nB='never closed\n",
            ".env:4:1: This line is not NAME=value. Write a comment with `#` at its beginning.",
        ),
        ("STATE_DIR=state\n", ".env:1:1: STATE_DIR must be an absolute path."),
        ("\nMAX_FILES_COUNT=many\n", ".env:2:1: MAX_FILES_COUNT must be a whole number from 1 to 100,000."),
        (
            "CATALOG_URL=canary\n",
            ".env:1:1: CATALOG_URL must be a URL such as postgresql://user:password@host/database.",
        ),
        ("LOCAL_STORAGE_ROOT=backups\n", ".env:1:1: LOCAL_STORAGE_ROOT must be an absolute path."),
        ("STATE_DIR=~nobody-of-this-name/x\n", ".env:1:1: STATE_DIR begins with `~`, but this user has no home folder"),
    ],
)
def test_problems_in_the_env_file_have_its_lines(env: str, problem: str, tmp_path: Path) -> None:
    (found,) = errors_of(tmp_path, file_backup(), env=env)
    assert found.startswith(problem)


def test_an_env_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, file_backup())
    (tmp_path / ".env").write_bytes(b"A=1\nB=\xff\n")
    with pytest.raises(ConfigurationError, match=r"\.env:2:3: The byte 0xff is not UTF-8 text\."):
        load_configuration(path, {})


def test_problems_of_the_environment_say_so(tmp_path: Path) -> None:
    assert errors_of(tmp_path, file_backup(), {"MAX_FILES_COUNT": "0"}) == [
        "1:1: MAX_FILES_COUNT (from the environment) must be a whole number from 1 to 100,000."
    ]


def test_the_folder_of_the_configuration_is_a_variable(tmp_path: Path) -> None:
    configuration = load(
        tmp_path, file_backup(FILE_PATH="${CONFIG_DIR}/docs"), {"CONFIG_DIR": "/wrong"}, "CONFIG_DIR=/wrong\n"
    )
    assert configuration.backups[0].source == FileSource((f"{tmp_path}/docs",))


def test_without_home_the_password_database_is_asked(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path, file_backup(FILE_PATH="~/x")), {})
    source = configuration.backups[0].source
    assert isinstance(source, FileSource)
    assert source.paths[0].startswith("/")


def test_settings_of_this_machine(tmp_path: Path) -> None:
    configuration = load(tmp_path, file_backup())
    assert (configuration.state_directory, configuration.catalog_url) == (tmp_path / "state", None)
    env = "STATE_DIR=~/state\nCATALOG_URL=postgresql://u:p@h/d\nMAX_FILES_COUNT=4\n"
    configuration = load(tmp_path, file_backup(), env=env)
    assert configuration.state_directory == Path(HOME, "state")
    assert configuration.catalog_url == Secret("postgresql://u:p@h/d")
    assert configuration.backups[0].keep == Keep(last=4)
    assert load(tmp_path, file_backup(KEEP="{DAILY: 2}"), env=env).backups[0].keep == Keep(daily=2)


def test_paths_are_absolute_and_links_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, file_backup())
    (tmp_path / "current").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    assert load_configuration(Path("./current/config.yaml"), {}).path == tmp_path / "current/config.yaml"
    upwards = Path("current", "..", tmp_path.name, "config.yaml")
    assert load_configuration(upwards, {}).path == tmp_path / "config.yaml"


# --- storages -----------------------------------------------------------------------------------------------------


def test_storages_from_the_environment(tmp_path: Path) -> None:
    targets = "[{STORAGE_NAME: LOCAL}, {STORAGE_NAME: S3}, {STORAGE_NAME: ONEDRIVE}]"
    env = """\
LOCAL_STORAGE_ROOT=/mnt/disk/
S3_BUCKET=bucket
S3_ENDPOINT_URL=https://s3.example.com
AWS_REGION=here
AWS_ACCESS_KEY_ID=id
AWS_SECRET_ACCESS_KEY=canary-of-s3
TENANT_ID=tenant
CLIENT_ID=client
CLIENT_SECRET=canary-of-onedrive
ONEDRIVE_DRIVE=someone@example.com
"""
    configuration = load(tmp_path, file_backup(UPLOAD_TO=targets), env=env)
    assert configuration.warnings == ()
    assert configuration.storages == {
        "LOCAL": StorageDefinition("LOCAL", StorageType.LOCAL, {"ROOT": "/mnt/disk"}),
        "S3": StorageDefinition(
            "S3",
            StorageType.S3,
            {
                "BUCKET": "bucket",
                "ENDPOINT_URL": "https://s3.example.com",
                "REGION": "here",
                "ACCESS_KEY_ID": "id",
                "SECRET_ACCESS_KEY": Secret("canary-of-s3"),
            },
        ),
        "ONEDRIVE": StorageDefinition(
            "ONEDRIVE",
            StorageType.ONEDRIVE,
            {
                "TENANT_ID": "tenant",
                "CLIENT_ID": "client",
                "CLIENT_SECRET": Secret("canary-of-onedrive"),
                "DRIVE": "someone@example.com",
            },
        ),
    }


def test_local_needs_no_setting(tmp_path: Path) -> None:
    storages = load(tmp_path, "PROJECTS:\n").storages
    assert storages == {"LOCAL": StorageDefinition("LOCAL", StorageType.LOCAL, {"ROOT": f"{tmp_path}/backups"})}


def test_a_storage_that_is_used_often_is_warned_about_once(tmp_path: Path) -> None:
    text = file_backup(UPLOAD_TO="[{STORAGE_NAME: S3, PATH: a}, {STORAGE_NAME: S3, PATH: b}]")
    assert warnings_of(load(tmp_path, text)) == [
        f"7:40: The storage S3 cannot be used yet. Set S3_BUCKET in the environment or in {tmp_path}/.env."
    ]


def test_storages_with_names_of_their_own(tmp_path: Path) -> None:
    text = """\
STORAGES:
  - {NAME: disk, TYPE: local, ROOT: ~/disk}
  - {NAME: S3, TYPE: S3, BUCKET: b, ACCESS_KEY_ID: a, SECRET_ACCESS_KEY: "${KEY}"}
  - {NAME: far, TYPE: SFTP, HOST: example.com, PORT: 2222, USERNAME: u, KEY_FILE: ~/.ssh/id, ROOT: ~/backups}
"""
    targets = "[{STORAGE_NAME: disk}, {STORAGE_NAME: S3}, {STORAGE_NAME: far}]"
    configuration = load(tmp_path, text + file_backup(UPLOAD_TO=targets), {"KEY": "canary-key", "S3_BUCKET": "other"})
    assert [target.storage.settings for target in configuration.backups[0].targets] == [
        {"ROOT": f"{HOME}/disk"},
        {"BUCKET": "b", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": Secret("canary-key")},
        {"HOST": "example.com", "PORT": "2222", "USERNAME": "u", "KEY_FILE": f"{HOME}/.ssh/id", "ROOT": "~/backups"},
    ]
    assert configuration.warnings == ()


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "meant"), [("geheim\n", "geheim"), ("geheim", "geheim"), ("a\r\n", "a"), ("\n\n", "\n")]
)
def test_a_secret_from_a_file(content: str, meant: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(content.encode())
    file.chmod(0o600)
    configuration = load(tmp_path, db_backup(DB_INFO="{NAME: shop, PASSWORD_FILE: '${CONFIG_DIR}/password'}"))
    source = configuration.backups[0].source
    assert isinstance(source, DatabaseSource)
    assert source.password == Secret(meant)
    assert configuration.warnings == ()


def test_a_secret_file_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "password")
    assert errors_of(tmp_path, db_backup(DB_INFO="{NAME: shop, PASSWORD_FILE: '${CONFIG_DIR}/password'}")) == [
        "6:50: PASSWORD_FILE names a file that is not a file."
    ]


def test_files_with_secrets_that_every_user_can_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("canary\n")
    (tmp_path / "password").chmod(0o644)
    text = db_backup(DB_INFO="{NAME: shop, PASSWORD: '${A}'}", SSH="{HOST: a, PASSWORD: canary}")
    storage = (
        "STORAGES: {NAME: s, TYPE: S3, BUCKET: b, ACCESS_KEY_ID: a, SECRET_ACCESS_KEY_FILE: '${CONFIG_DIR}/password'}\n"
    )
    path = write(tmp_path, text + storage, env="A=canary\n")
    path.chmod(0o644)
    (tmp_path / ".env").chmod(0o604)
    configuration = load_configuration(path, {})
    assert warnings_of(configuration) == [
        f"1:1: This file holds a secret and every user can read it. Run: chmod 600 {path}",
        f"9:84: Every user can read the file of SECRET_ACCESS_KEY_FILE. Run: chmod 600 {tmp_path}/password",
        f".env:1:1: This file holds a secret and every user can read it. Run: chmod 600 {tmp_path}/.env",
    ]


@pytest.mark.parametrize(
    ("written", "is_there"), [("a", 1), ("${A}", 0), ("${A:-}${B}", 0), ("${A:-b}", 1), ("a${A}", 1)]
)
def test_a_secret_is_in_the_file_where_part_of_it_is_written_out(written: str, is_there: int, tmp_path: Path) -> None:
    path = write(tmp_path, db_backup(DB_INFO=f"{{NAME: shop, PASSWORD: '{written}'}}"))
    path.chmod(0o644)
    assert len(load_configuration(path, {"A": "1", "B": "2"}).warnings) == is_there


def test_files_without_secrets_may_be_read_by_every_user(tmp_path: Path) -> None:
    path = write(tmp_path, file_backup(FILE_PATH="${A}"), env="A=/srv\n")
    path.chmod(0o644)
    (tmp_path / ".env").chmod(0o644)
    assert load_configuration(path, {}).warnings == ()


def test_a_configuration_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigurationError, match=f"{path}:1:1: This file is not a file"):
            load_configuration(path, {})


@requires_ordinary_user
def test_a_configuration_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, file_backup())
    path.chmod(0)
    with pytest.raises(ConfigurationError, match="1:1: This file cannot be opened: Permission denied"):
        load_configuration(path, {})
