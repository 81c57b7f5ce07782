"""How long the small commands take: help, an unchanged sync, the overview of a long history."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.archives import REPOSITORY, holdfast
from benchmarks.measure import Contender, take_turns
from benchmarks.rebuild import COPIES, rebuilding
from benchmarks.report import Table
from tests.support import big_catalog
from utils import utc_now

_BACKUPS_WITH_HISTORY = 1_000
_RUNS = 1_000_000
_CHECKS_EACH = 200

# A crontab(1) that keeps its table in a file, so that nothing of the machine is touched.
_CRONTAB = """#!/bin/sh
case "$1" in
-l) if [ -f "{file}" ]; then cat "{file}"; else echo "no crontab for you" >&2; exit 1; fi ;;
-) cat > "{file}" ;;
esac
"""


def starting(work: Path, rounds: int) -> Table:
    """Small commands as whole processes."""
    contenders = [
        Contender('python -c "import argparse"', [sys.executable, "-c", "import argparse"]),
        Contender("backup.py --help", [sys.executable, str(REPOSITORY / "backup.py"), "--help"]),
    ]
    for count in (10, 2000):
        folder = work / f"sync-{count}"
        environment = _installed(folder, count)
        name = f"main.py sync, unchanged, {count:,} backups"
        contenders.append(Contender(name, holdfast("main.py", folder, "sync"), environment=environment))
    folder = work / "overview"
    folder.mkdir()
    (folder / "config.yaml").write_text(big_catalog.configuration_text(_BACKUPS_WITH_HISTORY))
    runs_each = _RUNS // _BACKUPS_WITH_HISTORY
    big_catalog.fill(folder / "state", _BACKUPS_WITH_HISTORY, runs_each, utc_now(), checks=_CHECKS_EACH)
    name = f"backup.py, {_BACKUPS_WITH_HISTORY:,} backups, {_RUNS:,} runs"
    contenders.append(Contender(name, holdfast("backup.py", folder)))
    results = take_turns(contenders, rounds, lambda: None)
    results[f"restore.py rebuild, {COPIES:,} copies in a folder"] = rebuilding(work, 1)
    return Table(
        "Starting",
        "Whole processes again. Each backup has two intervals; the crontab is a stand-in program that keeps a file.",
        ("command", "seconds"),
        [(name, f"{result.median:.3f}") for name, result in results.items()],
    )


def _installed(folder: Path, count: int) -> dict[str, str]:
    """A configuration of so many backups whose schedule is installed; the environment that leads to its crontab."""
    (folder / "bin").mkdir(parents=True)
    crontab = folder / "bin" / "crontab"
    crontab.write_text(_CRONTAB.format(file=folder / "table"))
    crontab.chmod(0o755)
    _configure(folder, count)
    environment = {"PATH": f"{crontab.parent}:{os.environ['PATH']}"}
    subprocess.run(
        holdfast("main.py", folder, "sync"), env=os.environ | environment, check=True, stdout=subprocess.DEVNULL
    )
    return environment


def _configure(folder: Path, count: int) -> None:
    """Write a configuration of so many backups."""
    folder.mkdir(exist_ok=True)
    backups = "".join(
        f"          - NAME: backup-{number}\n"
        f'            INTERVALS: ["{number % 60} 2 * * *", "{number % 60} 14 * * 1-5"]\n'
        f"            FILE_PATH: /srv/project/{number}\n"
        "            UPLOAD_TO: {STORAGE_NAME: LOCAL, PATH: backups}\n"
        for number in range(count)
    )
    (folder / "config.yaml").write_text(f"PROJECTS:\n  - NAME: bench\n    BACKUPS:\n      - FILE_BACKUP:\n{backups}")
