"""The state folder is lost, then the whole machine: what is on the target, the configuration and the key are enough."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.encrypted_copies import Key, new_key
from tests.support.holdfast import Holdfast
from tests.support.product_code import ROOT
from tests.support.sqlite_fingerprint import database_fingerprint
from tests.support.trees import make_tree
from tests.support.users import user_without_rights
from tests.support.whole_trees import describe_tree, differences, restored

PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class Site:
    """A machine with files, a database, a key that is kept elsewhere, and a disk with the copies."""

    holdfast: Holdfast
    files: Path
    database: Path
    key: Key

    def configure(self) -> None:
        def backup(kind: str, name: str, **keys: object) -> dict[str, object]:
            everywhere = {"NAME": name, "INTERVALS": "@daily", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": "kept"}]}
            return {kind: [{**everywhere, **keys}]}

        self.holdfast.write(
            {
                "PROJECTS": [
                    {
                        "NAME": "shop",
                        "BACKUPS": [
                            backup("FILE_BACKUP", "files", FILE_PATH=[str(self.files)], ENCRYPT_TO=self.key.recipient),
                            backup(
                                "DB_BACKUP",
                                "db",
                                DB_INFO={"TYPE": "sqlite", "FILE_PATH": str(self.database)},
                                ENCRYPT_PASSPHRASE="${BACKUP_PASSPHRASE}",
                            ),
                        ],
                    }
                ]
            }
        )
        env = self.holdfast.folder / ".env"
        env.write_text(f"BACKUP_PASSPHRASE='{PASSPHRASE}'\n")
        env.chmod(0o600)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    files = make_tree(tmp_path / "files")
    database = tmp_path / "shop.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE users (name TEXT)")
        connection.executemany("INSERT INTO users VALUES (?)", [(f"user {number}",) for number in range(200)])
    site = Site(Holdfast(tmp_path / "machine"), files, database, new_key(tmp_path))
    site.configure()
    ended = site.holdfast.run("backup.py", "--all")
    assert (ended.returncode, ended.stderr) == (0, "")
    return site


def test_without_the_state_folder_everything_is_restored_and_rebuilt(site: Site, tmp_path: Path) -> None:
    shutil.rmtree(site.holdfast.state)
    ended = site.holdfast.run(
        "restore.py", "restore", "shop/files", "--to", tmp_path / "to", "--identity", site.key.path
    )
    assert ended.returncode == 0, ended.stderr
    assert (
        "is not trusted here" in ended.stderr
    )  # the key of the lost folder signed it, and nobody can tell whose it was
    assert differences(describe_tree(site.files), describe_tree(restored(tmp_path / "to", site.files))) == []
    again = tmp_path / "again.db"
    ended = site.holdfast.run("restore.py", "restore", "shop/db", "--to-database", str(again))
    assert ended.returncode == 0, ended.stderr
    assert database_fingerprint(again) == database_fingerprint(site.database)
    assert site.holdfast.run("restore.py", "rebuild").returncode == 0
    standings = json.loads(site.holdfast.run("backup.py", "--json").stdout)["backups"]
    assert [standing["last_good"]["backup"] for standing in standings] == ["shop/files", "shop/db"]


def test_a_key_of_the_lost_state_folder_that_was_kept_is_believed(site: Site) -> None:
    listed = json.loads(site.holdfast.run("restore.py", "list", "--json").stdout)["copies"]
    (kept,) = {copy["signed_by"] for copy in listed}
    shutil.rmtree(site.holdfast.state)
    ended = site.holdfast.run("backup.py", "shop/files")  # which makes a new key
    assert ended.returncode == 0, ended.stderr
    oldest = f"shop/files@{min(copy['timestamp'] for copy in listed if copy['backup'] == 'shop/files')}"
    refused = site.holdfast.run("restore.py", "show", oldest, "--identity", site.key.path)
    assert refused.returncode == 1
    assert "is not used" in refused.stderr
    assert "--untrusted" in refused.stderr
    asked_for = site.holdfast.run("restore.py", "show", oldest, "--identity", site.key.path, "--untrusted")
    assert asked_for.returncode == 0, asked_for.stderr
    configuration = json.loads(site.holdfast.config.read_text())
    site.holdfast.write({**configuration, "TRUSTED_KEYS": [kept]})
    believed = site.holdfast.run("restore.py", "show", oldest, "--identity", site.key.path)
    assert (believed.returncode, believed.stderr) == (0, "")


def test_without_the_machine_another_user_in_another_folder_restores_everything(site: Site, tmp_path: Path) -> None:
    """From the disk with the copies, config.yaml, .env and the private key."""
    files, database = describe_tree(site.files), database_fingerprint(site.database)
    user = user_without_rights()
    with folder_of(user.pw_uid, user.pw_gid) as home:
        for name in ("config.yaml", ".env"):
            shutil.copy(site.holdfast.folder / name, home / name)
        shutil.copy(site.key.path, home / "identity.txt")
        shutil.copytree(site.holdfast.storage, home / "disk")
        for lost in (site.holdfast.folder, site.files, site.key.path.parent / "source"):
            shutil.rmtree(lost, ignore_errors=True)
        site.database.unlink()
        give(home, user.pw_uid, user.pw_gid)
        to, again = home / "files", home / "again.db"
        run_as(user.pw_uid, home, "restore", "shop/files", "--to", str(to), "--identity", str(home / "identity.txt"))
        run_as(user.pw_uid, home, "restore", "shop/db", "--to-database", str(again))
        found = describe_tree(restored(to, site.files))
        assert {path: node.content for path, node in found.items()} == {
            path: node.content for path, node in files.items()
        }
        assert database_fingerprint(again) == database
        if os.geteuid() == 0:
            assert again.stat().st_uid == user.pw_uid


@contextmanager
def folder_of(user: int, group: int) -> Iterator[Path]:
    """A folder that this user may come to."""
    folder = Path(mkdtemp(prefix="holdfast-another-user-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give(folder: Path, user: int, group: int) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, group)


def run_as(user: int, home: Path, command: str, *arguments: str) -> None:
    """A command of restore.py, which must end well; the same comes before it as root, into other places."""
    common = ["--config", str(home / "config.yaml"), command]
    rehearsal = [
        argument.replace(str(home / "files"), str(home / "x")).replace("again.db", "x.db") for argument in arguments
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LOCAL_STORAGE_ROOT": str(home / "disk")}
    program = [sys.executable, str(ROOT / "tests" / "support" / "as_another_user.py"), str(user)]
    plan = json.dumps([[*common, *rehearsal], [*common, *arguments]])
    ended = subprocess.run([*program, plan], env=environment, capture_output=True, text=True, cwd="/")
    assert ended.returncode == 0, ended.stderr
