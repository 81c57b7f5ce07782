"""The state folder is lost: the target, the configuration and the key are enough. test_lost_machine.py loses more."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.encrypted_copies import Key, new_key
from tests.support.holdfast import Holdfast
from tests.support.sqlite_fingerprint import database_fingerprint
from tests.support.trees import make_tree
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
