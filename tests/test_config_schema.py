"""The schema is the one truth: the code, config.schema.json, docs/config.md and env.sample are held to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from config.json_schema import json_schema
from config.reference import reference
from config.schema import BACKUPS, COMMAND_BACKUP, DB_BACKUP, FILE_BACKUP, sections
from config.schema_databases import DATABASE
from config.schema_storages import STORAGE
from config.settings import ENVIRONMENT
from config.shapes import Key, Section
from errors import ConfigurationError
from model import Configuration
from tests.support import configurations
from tests.support.configurations import command_backup, db_backup, errors_of, file_backup, load
from tests.support.product_code import ROOT

VARIABLES = dict.fromkeys(
    [
        "SHOP_DB_PASSWORD",
        "SSH_PASSWORD",
        "SFTP_PASSWORD",
        "MY_SECRET_KEY",
        "MY_SESSION_TOKEN",
        "MY_CLIENT_SECRET",
        "MY_PASSPHRASE",
        "BACKUP_PASSPHRASE",
        "SSH_KEY_PASSPHRASE",
        "SHOP_API_TOKEN",
        "PING_KEY",
        "SHOP",
    ],
    "value",
) | {"NOTIFY_URL": "ntfys://a-topic"}

# Keys that need another, which is not always needed.
PARTNERS = {
    "ACCESS_KEY_ID": "SECRET_ACCESS_KEY: a",
    "SECRET_ACCESS_KEY": "ACCESS_KEY_ID: a",
    "KMS_KEY_ID": "ENCRYPTION: aws:kms",
    "OBJECT_LOCK_MODE": "OBJECT_LOCK_DAYS: 3",
    "OBJECT_LOCK_DAYS": "OBJECT_LOCK_MODE: GOVERNANCE",
    "SAMPLE": 'INTERVALS: "@daily"',
    "HEAL": 'INTERVALS: "@daily"',
}


def test_the_json_schema_beside_the_code_is_of_this_code() -> None:
    assert (ROOT / "config.schema.json").read_text() == json.dumps(json_schema(), indent=2) + "\n", (
        "run: python main.py schema > config.schema.json"
    )


def test_the_reference_page_is_of_this_code() -> None:
    assert (ROOT / "docs" / "config.md").read_text() == reference(), (
        "run: python -c 'from config.reference import reference; print(reference(), end=\"\")' > docs/config.md"
    )


def test_env_sample_lists_every_name_and_no_other() -> None:
    written = re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / "env.sample").read_text(), re.MULTILINE)
    assert sorted(written) == sorted(name.name for name in ENVIRONMENT)


def test_the_reference_page_has_every_key() -> None:
    page = reference()
    for section in sections():
        for key in section.keys:
            for spelling in key.spellings:
                assert f"`{spelling}`" in page


def test_links_of_the_reference_page_lead_to_its_headings() -> None:
    page = reference()
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall("^#+ (.*)$", page, re.MULTILINE)
    }
    assert set(re.findall(r"\(#([^)]*)\)", page)) <= anchors


def test_examples_in_the_reference_page_load(tmp_path: Path) -> None:
    (example,) = [block for block in re.findall("```yaml\n(.*?)```", reference(), re.DOTALL) if "PROJECTS" in block]
    assert [backup.id for backup in load(tmp_path, example).backups] == ["shop/uploads", "shop/db", "shop/directory"]


# --- every key does something -------------------------------------------------------------------------------------


def with_key(section: Section, key: str, value: str) -> str:
    """A configuration in which ``section`` has this key, and whatever else it needs."""
    needed = {inner.name: inner.example for inner in section.keys if inner.required and key not in inner.spellings}
    if section.kind == "ONEDRIVE" and key not in ("CLIENT_SECRET", "CLIENT_SECRET_FILE", "CERTIFICATE_FILE"):
        needed["CLIENT_SECRET"] = "a"
    if section.title.startswith("DB_INFO") and key != "TYPE":
        needed["TYPE"] = section.kind
    if key == "DOCKER_HOST":
        needed["CONTAINER_NAME"] = "web"
    if key == "TLS_KEY_FILE":
        needed["TLS_CERT_FILE"] = "/etc/ssl/a.pem"
    if section.title == "KEEP" and key == "MIN_COUNT":
        needed["DAILY"] = "7"
    if section.title == "DOCKER" and key == "COMPOSE_PROJECT":
        needed["COMPOSE_SERVICE"] = "db"
    keys = needed | {key: value}
    written = "{" + ", ".join(f"{name}: {text}" for name, text in keys.items() if text != "") + "}"
    outer = file_backup() + db_backup(NAME="b").removeprefix("PROJECTS:\n")
    if section.title.startswith("STORAGES"):
        return f"STORAGES: {written}\n{outer}"
    if section.title.startswith("DB_INFO"):
        return db_backup(DB_INFO=written)
    if section.title == "DEFAULTS":
        return f"DEFAULTS: {written}\n" + file_backup(**{key: ""} if key in ("INTERVALS", "UPLOAD_TO") else {})
    if section is FILE_BACKUP:
        return file_backup(**{key: value})
    if section is DB_BACKUP:
        return db_backup(**{key: value})
    if section is COMMAND_BACKUP:
        return command_backup(**{key: value})
    if section.title == "PROJECTS":
        return (
            outer + f"  - {written}\n"
            if key == "NAME"
            else outer.replace("NAME: shop\n", f"NAME: shop\n    {key}: {value}\n", 1)
        )
    if section.title == "JUMP_HOST":
        return file_backup(SSH=f"{{HOST: 192.0.2.7, JUMP_HOST: {written}}}")
    if section.title == "config.yaml":
        return outer + f"{key}: {value}\n"
    if section.title == "DASHBOARD":
        return outer + f"DASHBOARD: {written}\n"
    if section.title == "DRILL":
        inner = f"{{DRILL: {written}}}"
        name = "[shop, blog]" if key == "ASSERT_IN" else "shop"
        return db_backup(DB_INFO=f"{{NAME: {name}}}", VERIFY=inner)
    if section.title == "UPLOAD_TO" and key == "ONLY":
        return file_backup(UPLOAD_TO=f"[{written}, {{STORAGE_NAME: LOCAL, PATH: other}}]")
    if section.title in (
        "SSH",
        "UPLOAD_TO",
        "VERIFY",
        "DOCKER",
        "STOP_CONTAINERS",
        "KEEP",
        "COMPRESSION",
        "NOTIFY",
        "PING",
    ):
        return file_backup(**{section.title: written})
    raise AssertionError(f"no configuration is known for {section.title}")


LEAF_KEYS = [
    pytest.param(section, key, spelling, id=f"{section.title} {spelling}")
    for section in sections()
    for key in section.keys
    for spelling in key.spellings
    if key.example not in ("[]", "{}")
]


@pytest.mark.parametrize(("section", "key", "spelling"), LEAF_KEYS)
def test_every_key_loads_with_its_example_and_does_something(
    section: Section, key: Key, spelling: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("https://from.a/file")
    (tmp_path / "secret").chmod(0o600)
    value = "'${CONFIG_DIR}/secret'" if spelling == key.file_key else key.example
    partner = PARTNERS.get(key.name)
    text = with_key(section, spelling, value + (f", {partner}" if partner else ""))
    configuration = load(tmp_path, text, VARIABLES)
    if key.name == "TYPE":
        # Where it can be left out, it says what holds anyway; where it cannot, another one is an error.
        assert errors_of(tmp_path, with_key(section, "TYPE", "other"), VARIABLES) != []
        return
    assert outcome(tmp_path, with_key(section, spelling, "")) != comparable(configuration)


def comparable(configuration: Configuration) -> object:
    return replace(configuration, warnings=())


def outcome(folder: Path, text: str) -> object:
    try:
        return comparable(load(folder, text, VARIABLES))
    except ConfigurationError as error:
        return str(error)


def test_the_kinds_of_backup_and_the_variants_are_known_to_the_code() -> None:
    assert [key.name for key in BACKUPS.keys] == ["FILE_BACKUP", "DB_BACKUP", "COMMAND_BACKUP"]
    assert list(STORAGE.sections) == ["LOCAL", "S3", "ONEDRIVE", "SFTP"]
    assert list(DATABASE.sections) == ["postgres", "mariadb", "mysql", "sqlite"]


@pytest.mark.parametrize("name", ENVIRONMENT, ids=lambda name: name.name)
def test_every_name_of_the_environment_takes_its_example_and_does_something(name: Any, tmp_path: Path) -> None:
    text = file_backup(UPLOAD_TO="[{STORAGE_NAME: LOCAL}, {STORAGE_NAME: S3}, {STORAGE_NAME: ONEDRIVE}]")
    without, given = load(tmp_path, text), load(tmp_path, text, {name.name: name.example or "secret"})
    assert settings_of(without) != settings_of(given)


def settings_of(configuration: Configuration) -> object:
    machine = (configuration.state_directory, configuration.catalog_url, configuration.identity_file)
    return (configuration.backups, *machine)


# --- the JSON Schema ----------------------------------------------------------------------------------------------


def editor_problems(text: str) -> list[str]:
    """What an editor would mark. It reads YAML with its types, as YAML 1.1 has them here."""
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_json_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "text",
    [
        configurations.NOTES_PROJECTS,
        configurations.NOTES_BACKUPS,
        configurations.IN_REAL_USE,
        (ROOT / "config.yaml").read_text(),
        file_backup(COMPRESSION="{METHOD: ZSTD, LEVEL: ${X:-3}}".replace("${X:-3}", '"${X:-3}"'), ENABLED="Off"),
        "PROJECTS:\n  - NAME: a\n  - BACKUPS:\n      - FILE_BACKUP:\n          - NAME: 1\n          - ENABLED: yes\n",
    ],
)
def test_good_configurations_are_good_for_editors(text: str) -> None:
    assert editor_problems(text) == []


@pytest.mark.parametrize(("section", "key", "spelling"), LEAF_KEYS)
def test_every_example_is_good_for_editors(section: Section, key: Key, spelling: str) -> None:
    value = "/run/secret" if spelling == key.file_key else key.example
    assert editor_problems(with_key(section, spelling, value)) == []


@pytest.mark.parametrize(
    "text",
    [
        "PROJECT: []\n",
        "{}\n",
        file_backup(COLOUR="red"),
        file_backup(ENABLED="maybe"),
        file_backup(FILE_PATH="{a: b}"),
        file_backup(KEEP="{LAST: 0}"),
        file_backup(COMPRESSION="{METHOD: lzma}"),
        db_backup(DB_INFO="{NAME: shop, PORT: 70000}"),
        "STORAGES: {NAME: a, TYPE: LOCAL, BUCKET: b}\nPROJECTS:\n",
    ],
)
def test_bad_configurations_are_bad_for_editors(text: str, tmp_path: Path) -> None:
    assert editor_problems(text) != []
    assert errors_of(tmp_path, text) != []
