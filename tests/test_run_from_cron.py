"""From config.yaml to a copy by the machine's own cron, and runs in an environment as bare as cron's, or barer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from catalog import open_catalog
from config import load_configuration
from model import CheckKind, CheckOutcome
from schedules.crontab_lines import scheduled_lines
from tests.support.age_keys import make_key_pair
from tests.support.archives import snapshot
from tests.support.configurations import file_backup, write
from tests.support.cron import CronUser, copy_of_holdfast, cron_daemon, cron_user, python_for, skip_without_cron
from tests.support.product_code import ROOT
from tests.support.trees import make_tree

# cron hands every scheduled line to it: what a line prints would be mailed.
RECORDING_SHELL = """\
#!/bin/sh
/bin/sh "$@" >>'{output}' 2>&1
echo "$? $2" >>'{ended}'
"""


@pytest.fixture
def user() -> Iterator[CronUser]:
    skip_without_cron()
    with cron_user() as user:
        yield user


def add_awkward_names(tree: Path) -> None:
    for name in (b"caf\xc3\xa9", b"latin caf\xe9", b"new\nline", b"-rf", b"100% 'quoted\""):
        (tree / os.fsdecode(name)).write_bytes(b"content of " + name)


@pytest.mark.slow
def test_cron_makes_a_copy_that_restores_to_the_byte(user: CronUser) -> None:
    tree = make_tree(user.home / "uploads & 100%")
    add_awkward_names(tree)
    python = python_for(user)
    holdfast = copy_of_holdfast(user, user.home / "hold fast")
    write(holdfast, file_backup(NAME="up loads", INTERVALS='"* * * * *"', FILE_PATH=json.dumps(str(tree))))
    user.own(tree)
    user.own(holdfast)
    shell, output, ended = user.home / "shell", user.home / "output", user.home / "ended"
    shell.write_text(RECORDING_SHELL.format(output=output, ended=ended))
    shell.chmod(0o755)
    assert user.install(f"SHELL={shell}\n".encode()) == ""
    synced = user.run(python, holdfast / "main.py", "sync")
    assert synced.returncode == 0, synced.stderr

    copies = holdfast / "backups" / "shop" / "shop" / "up-loads"
    with cron_daemon() as cron:
        assert cron.wait_until(lambda: ended.exists() and "--scheduled" in ended.read_text())
    removed = user.run(python, holdfast / "main.py", "remove")
    assert removed.returncode == 0, removed.stderr

    assert output.read_text() == ""
    scheduled = [line for line in ended.read_text().splitlines() if "--scheduled" in line]
    assert {line.split(" ", 1)[0] for line in scheduled} == {"0"}
    assert len(list(copies.glob("*.manifest.json"))) == len(scheduled)
    overview = user.run(python, holdfast / "backup.py", "--json")
    (standing,) = json.loads(overview.stdout)["backups"]
    assert standing["last"]["status"] == "good"
    assert standing["last"]["slot"].endswith(":00+00:00")
    restored = user.run(python, holdfast / "restore.py", "restore", "shop/up-loads", "--to", user.home / "restored")
    assert restored.returncode == 0, restored.stderr
    assert snapshot(user.home / "restored" / tree.relative_to("/")) == snapshot(tree)


ENVIRONMENTS = {
    "nothing at all": {},
    "as cron's": {"PATH": "/usr/bin:/bin", "HOME": "/", "LOGNAME": "root", "SHELL": "/bin/sh"},
    "a locale of bytes": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a locale that is not installed": {"LC_ALL": "xx_XX.KOI8-R", "TZ": "Nowhere/None"},
    "a closed terminal": {"TERM": "xterm", "COLUMNS": "1"},
}


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_the_archive_does_not_depend_on_the_environment(tmp_path: Path, kind: str) -> None:
    tree = make_tree(tmp_path / "tr\u00e9e")
    add_awkward_names(tree)
    config = write(tmp_path, file_backup(NAME="files", FILE_PATH=json.dumps(str(tree), ensure_ascii=False)))
    command = [sys.executable, str(ROOT / "backup.py"), "--config", str(config), "--scheduled", "shop/files"]
    full = {**os.environ, "LC_ALL": "C.UTF-8", "LANG": "en_US.UTF-8", "TERM": "xterm-256color"}
    by_hand = subprocess.run([*command[:-2], "shop/files"], env=full, capture_output=True, stdin=subprocess.DEVNULL)
    assert by_hand.returncode == 0, by_hand.stderr
    bare = subprocess.run(command, env=ENVIRONMENTS[kind], capture_output=True, stdin=subprocess.DEVNULL, cwd="/")
    assert (bare.returncode, bare.stdout, bare.stderr) == (0, b"", b"")
    archives = sorted((tmp_path / "backups").rglob("*.zip"))
    assert len(archives) == 2
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_every_scheduled_line_does_what_it_is_there_for(tmp_path: Path) -> None:
    """As the shell that cron starts takes them out of the crontab, with encrypted copies and cron's environment."""
    tree, key = make_tree(tmp_path / "100% of it"), make_key_pair("age", tmp_path)
    text = file_backup(
        NAME="files",
        FILE_PATH=json.dumps(str(tree)),
        ENCRYPT_TO=key.public,
        VERIFY='{INTERVALS: "@weekly", DRILL: {INTERVALS: "@monthly"}}',
    )
    config = write(tmp_path, text, env=f"AGE_IDENTITY_FILE={key.file}\n")
    scheduled = scheduled_lines(load_configuration(config, {}), Path(sys.executable), ROOT)
    environment = ENVIRONMENTS["as cron's"]
    for line in scheduled[:3]:
        command = re.sub(rb"^@\w+ |^(\S+ ){5}", b"", line).replace(b"\\%", b"%")
        ended = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, cwd="/")
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b""), command
    with closing(open_catalog(tmp_path / "state", None)) as catalog:
        (run,) = catalog.runs("shop/files", 10)
        last = catalog.last_checks(["shop/files"])["shop/files"]
    assert run.archive is not None and run.archive.name.endswith(".zip.age")
    assert {check.kind: check.outcome for check in last.last.values()} == dict.fromkeys(CheckKind, CheckOutcome.PASSED)


def test_a_run_without_standard_streams(tmp_path: Path) -> None:
    """As a daemon may start it: descriptors 0, 1 and 2 are closed, and the first files that are opened get them."""
    tree = make_tree(tmp_path / "tree")
    config = write(tmp_path, file_backup(NAME="files", FILE_PATH=str(tree)))
    command = 'exec "$@" <&- >&- 2>&-'
    program = [sys.executable, str(ROOT / "backup.py"), "--config", str(config), "shop/files"]
    ended = subprocess.run(["/bin/sh", "-c", command, "sh", *program])
    assert ended.returncode == 0
    verified = subprocess.run(
        [sys.executable, ROOT / "restore.py", "--config", config, "verify", "shop/files"], capture_output=True
    )
    assert verified.returncode == 0, verified.stderr
