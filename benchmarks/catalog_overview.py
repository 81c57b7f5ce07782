"""How long the overview's question takes to answer with a long history: process start, imports and all.

Fills a catalog with runs (each with an archive and a copy) through SQLite itself, asks for the last runs of every
backup in processes of their own, and prints a table. Nothing is kept.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from catalog import open_catalog  # noqa: E402

FIRST_RUN = datetime(2026, 1, 1, tzinfo=UTC)

# What `backup.py` asks for without arguments.
ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from catalog import open_catalog
catalog = open_catalog(Path(sys.argv[2]), None)
last = catalog.last_runs(catalog.known_backup_ids())
print(len(last), sum(runs.last_good is not None for runs in last.values()))
"""

# A million rows through the catalog itself would be a million flushes of the disk.
INSERTS = (
    "INSERT INTO runs (id, backup_id, started, ended, status, message) VALUES (?, ?, ?, ?, ?, '')",
    "INSERT INTO archives (run_id, name, started, size, sha256, file_count, content_size) VALUES (?, ?, ?, 1, ?, 1, 1)",
    "INSERT INTO copies (run_id, position, storage, key, status, size) VALUES (?, 0, 'LOCAL', ?, ?, 1)",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="how many runs in all (default: 1,000,000)")
    parser.add_argument("--backups", type=int, default=1_000, help="of how many backups (default: 1,000)")
    parser.add_argument("--repeat", type=int, default=5, help="how often each is timed (default: 5)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-benchmark-") as folder:
        state = Path(folder)
        fill(state, arguments.runs, arguments.backups)
        bare = [seconds(["-c", "import argparse"]) for _ in range(arguments.repeat)]
        asked = [seconds(["-c", ASK, str(REPOSITORY), folder]) for _ in range(arguments.repeat)]
        size = (state / "catalog.db").stat().st_size
    print(f"{arguments.runs:,} runs of {arguments.backups:,} backups, {size / 1e6:,.0f} MB\n")
    print("| what | median s | worst s |")
    print("|---|---|---|")
    print(f"| python -c 'import argparse' | {statistics.median(bare):.3f} | {max(bare):.3f} |")
    print(
        f"| last and last good run of every backup, a new process | {statistics.median(asked):.3f} | {max(asked):.3f} |"
    )


def fill(state: Path, run_count: int, backup_count: int) -> None:
    """Runs of all backups in turn, an hour apart; every seventh failed."""
    open_catalog(state, None).close()
    connection = sqlite3.connect(state / "catalog.db")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executemany("INSERT INTO backups (id) VALUES (?)", [(backup_id(n),) for n in range(backup_count)])
    for statement, columns in zip(INSERTS, ((0, 1, 2, 2, 3), (0, 4, 2, 5), (0, 4, 3)), strict=True):
        rows = (tuple(row[column] for column in columns) for row in runs(run_count, backup_count))
        connection.executemany(statement, rows)
    connection.commit()
    connection.close()


def runs(run_count: int, backup_count: int) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Id, backup, start, status, archive name and hash of each."""
    for number in range(run_count):
        started = FIRST_RUN + timedelta(hours=number // backup_count)
        status = "failed" if number % 7 == 0 else "good"
        text = f"{started:%Y-%m-%d %H:%M:%S.%f}"
        name = f"{backup_id(number % backup_count)}-{started:%Y%m%dT%H%M%SZ}.zip"
        yield f"{number:032x}", backup_id(number % backup_count), text, status, name, f"{number:064x}"


def backup_id(number: int) -> str:
    return f"project-{number // 10}/backup-{number % 10}"


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
