"""Imports run one way, as docs/architecture.md draws; each library has its one place; starts are quick.

Written on ``ast`` because import-linter (grimp) takes packages only, and half of the top level here is single modules.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.product_code import ROOT, all_imports, units

# For each unit (a top-level module or package), the units that it may import.
COMMON = {"model", "errors", "utils", "bech32"}
COMMAND = {*COMMON, "command_line", "interruption", "progress", "config", "schedules", "operations"}
MAY_IMPORT = {
    "utils": set(),
    "bech32": set(),
    "model": {"utils"},
    "errors": {"model"},  # for its annotations only, under TYPE_CHECKING
    "config": COMMON,
    "schedules": COMMON,
    "ssh": COMMON,
    "hosts": {*COMMON, "ssh"},
    "sources": {*COMMON, "hosts"},
    "archives": COMMON,
    "storages": {*COMMON, "ssh"},
    "catalog": COMMON,
    "notifications": COMMON,
    "accounts": COMMON,
    "operations": {
        *COMMON,
        *("sources", "hosts", "archives", "storages", "catalog", "schedules", "interruption", "notifications"),
    },
    "command_line": {*COMMON, "catalog", "config", "operations"},  # catalog: for an annotation
    "interruption": {"errors", "utils"},
    "progress": {*COMMON, "command_line"},
    "main": {*COMMAND, "commands"},
    "backup": {*COMMAND, "catalog", "commands"},  # which it opens, and hands to the operations
    "restore": {"command_line", "commands"},
    "web": {
        *COMMON,
        "command_line",
        "accounts",
        "archives",
        "catalog",
        "config",
        "operations",
        "schedules",
        "storages",
    },
    "dashboard": {*COMMAND, "accounts", "catalog", "web"},
    "commands": {
        *COMMAND,
        "accounts",
        "archives",
        "catalog",
    },  # archives: annotations of what `show` prints; catalog: `rebuild`
}

# For each library, the only folders or files that may import it.
PLACES = {
    "yaml": ("config/",),
    "dotenv": ("config/",),
    "crontab": ("schedules/",),
    "cronsim": ("config/", "schedules/"),
    "pathspec": ("config/", "sources/"),
    "isal": ("archives/", "storages/"),
    "numpy": ("storages/onedrive/quick_xor_hash.py",),
    "zstandard": ("archives/",),
    "sqlalchemy": ("catalog/",),
    "alembic": ("catalog/",),
    "psycopg2": ("catalog/", "sources/postgres_client.py"),
    "boto3": ("storages/s3/client.py",),
    "botocore": ("storages/s3/client.py", "storages/s3/connection_errors.py"),
    "msal": ("storages/onedrive/sign_in.py",),
    "requests": ("storages/onedrive/http.py", "notifications/ping.py"),
    "paramiko": ("ssh/",),
    "cryptography": ("archives/age_", "archives/signature.py"),
    "docker": ("hosts/docker_api.py",),
    "rich": ("progress.py",),
    "apprise": ("notifications/",),
    "prometheus_client": ("operations/metrics.py",),
    "argon2": ("accounts/",),
    "fastapi": ("web/",),
    "starlette": ("web/",),
    "pydantic": ("web/",),
    "jinja2": ("web/",),
    "markupsafe": ("web/",),
    "uvicorn": ("web/",),
}
IMPORTED_ONLY_WHEN_USED = {
    *("boto3", "botocore", "msal", "requests", "paramiko", "docker", "psycopg2", "rich", "numpy"),
    *("apprise", "prometheus_client", "argon2"),
}


def test_every_unit_has_its_rule() -> None:
    assert units() <= MAY_IMPORT.keys(), "say in MAY_IMPORT what the new module or package may import"


def test_imports_between_units_run_one_way() -> None:
    ours = units()
    wrong = [
        str(found)
        for found in all_imports()
        if found.name in ours and found.name != found.importer and found.name not in MAY_IMPORT[found.importer]
    ]
    assert wrong == []


def test_the_rules_themselves_hold_no_circle() -> None:
    remaining = {
        unit: allowed - {"model"} if unit == "errors" else set(allowed) for unit, allowed in MAY_IMPORT.items()
    }
    while free := {unit for unit, allowed in remaining.items() if not allowed & remaining.keys()}:
        remaining = {unit: allowed for unit, allowed in remaining.items() if unit not in free}
    assert remaining == {}


@pytest.mark.parametrize("library", PLACES)
def test_a_library_is_imported_in_its_place_only(library: str) -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.name == library and not any(found.file.startswith(place) for place in PLACES[library])
    ]
    assert wrong == []


def test_a_library_that_not_every_run_needs_is_imported_only_when_it_is_used() -> None:
    wrong = [str(found) for found in all_imports() if found.name in IMPORTED_ONLY_WHEN_USED and not found.is_deferred]
    assert wrong == []


def test_every_other_import_is_a_known_library_or_the_standard_library() -> None:
    known = units() | PLACES.keys() | sys.stdlib_module_names
    assert [str(found) for found in all_imports() if found.name not in known] == []


def test_no_top_level_name_shadows_the_standard_library_or_a_dependency() -> None:
    names = {path.stem for path in ROOT.glob("*.py")} | {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert names & (sys.stdlib_module_names | PLACES.keys()) == set()


@pytest.mark.parametrize("command", ["main.py", "backup.py", "restore.py", "dashboard.py"])
def test_help_loads_no_library(command: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / command, "--help"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert answer.returncode == 0, answer.stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.stderr.splitlines()}
    assert "argparse" in loaded
    assert loaded & PLACES.keys() == set()
