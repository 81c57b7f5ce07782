"""The whole machine is lost: another one, another user, and nothing but config.yaml, .env and the identity."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.age_keys import make_key_pair
from tests.support.product_code import ROOT
from tests.support.skips import requires_root
from tests.support.users import user_without_rights
from tests.support.whole_trees import restored

CONFIG = """\
STORAGES:
  - {{NAME: disk, TYPE: LOCAL, ROOT: "${{DISK}}"}}
DEFAULTS:
  ENCRYPT_TO: {recipient}
  UPLOAD_TO: {{STORAGE_NAME: disk, PATH: kept}}
PROJECTS:
  - NAME: shop
    BACKUPS:
      - FILE_BACKUP: {{NAME: files, INTERVALS: "@daily", FILE_PATH: "${{DATA}}/files"}}
        DB_BACKUP: {{NAME: db, INTERVALS: "@daily", DB_INFO: {{TYPE: sqlite, FILE_PATH: "${{DATA}}/shop.sqlite"}}}}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user can reach, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run(
    machine: Path, program: str, *arguments: str | Path, user: pwd.struct_passwd | None = None
) -> subprocess.CompletedProcess[str]:
    """With the configuration of a machine, and an environment that has nothing of it."""
    command: list[str | Path] = [sys.executable, ROOT / program]
    if user is not None:
        launcher = ROOT / "tests" / "support" / "ordinary_user.py"
        command = [sys.executable, launcher, str(user.pw_uid), str(user.pw_gid), program]
    return subprocess.run(
        [*command, "--config", machine / "config.yaml", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )


def make_machine(folder: Path) -> Path:
    """A machine with files and a database, both backed up, encrypted, onto a disk. The private key is elsewhere."""
    machine = folder / "first"
    data = machine / "data"
    (data / "files").mkdir(parents=True)
    (data / "files" / "letter.txt").write_text("what must come back")
    with closing(sqlite3.connect(data / "shop.sqlite")) as database:
        database.execute("CREATE TABLE orders (id INTEGER)")
        database.executemany("INSERT INTO orders VALUES (?)", [(number,) for number in range(100)])
        database.commit()
    (folder / "safe").mkdir()
    key = make_key_pair("age", folder / "safe")
    (machine / "config.yaml").write_text(CONFIG.format(recipient=key.public))
    (machine / ".env").write_text(f"DISK={folder / 'disk'}\nDATA={data}\nAGE_IDENTITY_FILE=\n")
    (machine / ".env").chmod(0o600)
    ended = run(machine, "backup.py", "--all")
    assert ended.returncode == 0, ended.stderr
    return machine


@requires_root
def test_everything_is_restored_on_another_machine_by_another_user(folder: Path) -> None:
    first = make_machine(folder)
    files = first / "data" / "files"
    second = folder / "second"
    second.mkdir()
    for name in ("config.yaml", ".env"):
        shutil.copy(first / name, second / name)
    (identity,) = (folder / "safe").iterdir()
    shutil.copy(identity, second / "identity")
    shutil.rmtree(first)
    shutil.rmtree(folder / "safe")

    user = user_without_rights()
    (second / ".env").write_text(
        (second / ".env").read_text().replace("AGE_IDENTITY_FILE=", f"AGE_IDENTITY_FILE={second}/identity")
    )
    for path in (second, *second.rglob("*"), folder / "disk", *(folder / "disk").rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    listed = run(second, "restore.py", "list", "--json", user=user)
    assert listed.returncode == 0, listed.stderr
    assert {copy["backup"] for copy in json.loads(listed.stdout)["copies"]} == {"shop/files", "shop/db"}
    back = run(second, "restore.py", "restore", "shop/files", "--to", second / "back", user=user)
    assert back.returncode == 0, back.stderr
    letter = restored(second / "back", files) / "letter.txt"
    assert (letter.read_text(), letter.stat().st_uid) == ("what must come back", user.pw_uid)
    database = run(second, "restore.py", "restore", "shop/db", "--to-database", second / "shop.sqlite", user=user)
    assert database.returncode == 0, database.stderr
    with closing(sqlite3.connect(second / "shop.sqlite")) as found:
        assert found.execute("SELECT count(*), sum(id) FROM orders").fetchone() == (100, 4950)
    assert run(second, "restore.py", "verify", "shop/db", user=user).returncode == 0
    assert run(second, "restore.py", "rebuild").returncode == 0
    overview = json.loads(run(second, "backup.py", "--json").stdout)["backups"]
    assert [standing["last_good"]["status"] for standing in overview] == ["good", "good"]


def test_the_disk_and_the_identity_alone_will_do(folder: Path) -> None:
    first = make_machine(folder)
    shutil.rmtree(first)
    nowhere = folder / "nowhere"
    disk, (identity,) = folder / "disk", (folder / "safe").iterdir()
    locked = run(nowhere, "restore.py", "restore", "shop/files", "--from", disk, "--to", folder / "back")
    assert locked.returncode == 1
    assert "Name its file with --identity FILE" in locked.stderr
    for backup_id in ("shop/files", "shop/db"):
        to = folder / backup_id.replace("/", "-")
        back = run(nowhere, "restore.py", "restore", backup_id, "--from", disk, "--to", to, "--identity", identity)
        assert back.returncode == 0, back.stderr
    (letter,) = (folder / "shop-files").rglob("letter.txt")
    assert letter.read_text() == "what must come back"
    (dump,) = (folder / "shop-db").rglob("*.sqlite")
    with closing(sqlite3.connect(dump)) as found:
        assert found.execute("SELECT count(*) FROM orders").fetchone() == (100,)
    assert not nowhere.exists()
