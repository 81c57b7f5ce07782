"""What ``backup.py --dry-run`` and ``main.py doctor`` tell of databases, programs and other hosts, before any run."""

from __future__ import annotations

import getpass
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.holdfast import Holdfast
from tests.support.sshd import Sshd, requires_sshd, sshd
from tests.support.trees import make_tree

__all__ = ["sshd"]

NOBODY_LISTENS = 1


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    return Holdfast(tmp_path / "holdfast")


@pytest.fixture
def shop_db(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE items (name)")
        connection.executemany("INSERT INTO items VALUES (?)", [(f"item {number}",) for number in range(1000)])
        connection.commit()
    return path


def write(holdfast: Holdfast, *backups: tuple[str, Mapping[str, object]]) -> None:
    common = {"INTERVALS": "@daily", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    holdfast.write(
        {"PROJECTS": [{"NAME": "shop", "BACKUPS": [{kind: [{**common, **keys}]} for kind, keys in backups]}]}
    )


def sqlite_backup(path: Path) -> tuple[str, dict[str, object]]:
    return "DB_BACKUP", {"NAME": "lite", "DB_INFO": {"TYPE": "sqlite", "FILE_PATH": str(path)}}


UNREACHABLE: tuple[str, dict[str, object]] = (
    "DB_BACKUP",
    {
        "NAME": "away",
        "DB_INFO": {"NAME": "shop", "HOST": "127.0.0.1", "PORT": NOBODY_LISTENS, "PASSWORD": "Canary-1-x"},
    },
)


def command_backup(mark: Path) -> tuple[str, dict[str, object]]:
    return "COMMAND_BACKUP", {"NAME": "list", "COMMAND": ["touch", str(mark)], "FILENAME": "list.txt"}


def dry_runs(holdfast: Holdfast) -> dict[str, dict[str, Any]]:
    document = json.loads(holdfast.run("backup.py", "--all", "--dry-run", "--json").stdout)
    return {each["backup"]: each for each in document["dry_runs"]}


def test_a_dry_run_of_a_database_knows_its_size_and_writes_nothing(holdfast: Holdfast, shop_db: Path) -> None:
    write(holdfast, sqlite_backup(shop_db))
    (known,) = dry_runs(holdfast).values()
    assert (known["files"], known["size"]) == (2, shop_db.stat().st_size)
    shown = holdfast.run("backup.py", "--all", "--dry-run", "-v")
    assert shown.returncode == 0, shown.stderr
    assert f"databases{shop_db}" in shown.stdout
    assert not holdfast.storage.exists()
    assert not holdfast.state.exists()


def test_a_dry_run_does_not_run_the_program(holdfast: Holdfast, tmp_path: Path) -> None:
    write(holdfast, command_backup(tmp_path / "mark"))
    shown = holdfast.run("backup.py", "--all", "--dry-run")
    assert shown.stdout.splitlines()[1] == "  1 file: the size is known once it is read"
    assert dry_runs(holdfast)["shop/list"]["size"] is None
    assert not (tmp_path / "mark").exists()


def test_a_dry_run_that_fails_does_not_hide_the_others(holdfast: Holdfast, shop_db: Path) -> None:
    write(holdfast, UNREACHABLE, sqlite_backup(shop_db))
    shown = holdfast.run("backup.py", "--all", "--dry-run")
    assert shown.returncode == 1
    assert shown.stderr.startswith(
        'shop/away: it would fail. The PostgreSQL database "shop" at 127.0.0.1 cannot be used'
    )
    assert "shop/lite\n  2 files" in shown.stdout
    assert "Canary" not in shown.stdout + shown.stderr
    document = json.loads(holdfast.run("backup.py", "--all", "--dry-run", "--json").stdout)
    assert list(document["errors"]) == ["shop/away"]
    assert [each["backup"] for each in document["dry_runs"]] == ["shop/lite"]


@requires_sshd
def test_a_dry_run_over_ssh_counts_paths(holdfast: Holdfast, tmp_path: Path, sshd: Sshd) -> None:
    make_tree(tmp_path / "tree")
    ssh = {
        "USERNAME": getpass.getuser(),
        "IP_ADDRESS": "127.0.0.1",
        "PORT": sshd.port,
        "KEY_FILE": str(sshd.user_key),
        "KNOWN_HOSTS_FILE": str(sshd.known_hosts),
    }
    here: dict[str, object] = {"NAME": "here", "FILE_PATH": str(tmp_path / "tree"), "EXCLUDE": "*.log"}
    write(holdfast, ("FILE_BACKUP", here), ("FILE_BACKUP", {**here, "NAME": "there", "SSH": ssh}))
    found = dry_runs(holdfast)
    near, far = found["shop/here"], found["shop/there"]
    assert far["paths"] == near["files"] + near["folders"] + near["links"] > 0
    assert far["size"] is None
    doctor = holdfast.run("main.py", "doctor")
    user = getpass.getuser()
    assert (
        f"ok       shop/there: {user}@127.0.0.1 port {sshd.port} answers, and has {tmp_path / 'tree'}\n"
        in doctor.stdout
    )


def test_doctor_tries_each_source(holdfast: Holdfast, shop_db: Path, tmp_path: Path) -> None:
    missing: dict[str, object] = {"NAME": "none", "COMMAND": "no-such-program", "FILENAME": "x"}
    write(
        holdfast,
        sqlite_backup(shop_db),
        UNREACHABLE,
        command_backup(tmp_path / "mark"),
        ("COMMAND_BACKUP", missing),
        (
            "FILE_BACKUP",
            {
                "NAME": "docker",
                "FILE_PATH": "/srv",
                "DOCKER": {"CONTAINER_NAME": "x", "DOCKER_HOST": "unix:///dev/null/d"},
            },
        ),
    )
    doctor = holdfast.run("main.py", "doctor")
    assert doctor.returncode == 1
    version = sqlite3.sqlite_version
    assert f"ok       shop/lite: SQLite {version} on this machine answers: 1 database, about" in doctor.stdout
    assert "ok       shop/list: this machine answers, and has touch\n" in doctor.stdout
    assert 'failed   shop/away: The PostgreSQL database "shop" at 127.0.0.1 cannot be used' in doctor.stdout
    assert "failed   shop/none: The program no-such-program cannot be run." in doctor.stdout
    assert "failed   shop/docker: " in doctor.stdout
    assert "/dev/null/d" in doctor.stdout
    assert not (tmp_path / "mark").exists()
    assert "Traceback" not in doctor.stdout + doctor.stderr
    assert "Canary" not in doctor.stdout + doctor.stderr
