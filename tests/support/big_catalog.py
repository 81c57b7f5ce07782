"""A catalog with very many runs, written into SQLite directly: through the Catalog a million runs take an hour."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from catalog import open_catalog

_STATUSES = ("good",) * 194 + ("partial",) * 3 + ("failed",) * 2 + ("interrupted",)
_TIME = "%Y-%m-%d %H:%M:%S.%f"
_MIB = 1024 * 1024


def backup_ids(backups: int, per_project: int = 5) -> list[str]:
    """``project-000/backup-0`` and so on."""
    return [f"project-{number // per_project:03}/backup-{number % per_project}" for number in range(backups)]


def configuration_text(backups: int, per_project: int = 5) -> str:
    """A config.yaml that has these backups, each at 02:00 to two folders of the LOCAL storage."""
    lines = ["PROJECTS:"]
    for number in range(backups):
        if number % per_project == 0:
            lines += [f"  - NAME: project-{number // per_project:03}", "    BACKUPS:", "      - FILE_BACKUP:"]
        lines += [
            f"          - NAME: backup-{number % per_project}",
            '            INTERVALS: ["0 2 * * *"]',
            "            FILE_PATH: [/etc/hostname]",
            "            UPLOAD_TO: [{STORAGE_NAME: LOCAL, PATH: first}, {STORAGE_NAME: LOCAL, PATH: second}]",
        ]
    return "\n".join(lines) + "\n"


def fill(state: Path, backups: int, runs_each: int, now: datetime, *, seed: int = 1, checks: int = 0) -> None:
    """Have a catalog in ``state`` with ``runs_each`` daily runs of each backup, the last one the night before ``now``.

    ``checks`` is how many verifications, and how many drills, each backup has had.

    About one run in thirty is not good; sizes grow slowly. The indexes are made at the end, which is quicker.
    """
    open_catalog(state, None).close()
    chance = random.Random(seed)
    with sqlite3.connect(state / "catalog.db") as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA foreign_keys = OFF")
        indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        again = indexes.fetchall()
        for name, _ in again:
            connection.execute(f'DROP INDEX "{name}"')
        for number, backup_id in enumerate(backup_ids(backups)):
            rows = list(_runs(number, backup_id, runs_each, now, chance))
            connection.execute("INSERT INTO backups (id, revision) VALUES (?, 1)", (backup_id,))
            connection.executemany("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", [run for run, _, _ in rows])
            connection.executemany(
                "INSERT INTO archives VALUES (?, ?, ?, ?, ?, ?, ?)", [archive for _, archive, _ in rows if archive]
            )
            connection.executemany(
                "INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?)", [copy for *_, copies in rows for copy in copies]
            )
            connection.executemany(_INSERT_CHECK, _checks(backup_id, checks, now))
            for target in ("LOCAL:first", "LOCAL:second"):
                values = (backup_id, target, 30, 30 * 100 * _MIB, now.strftime(_TIME))
                connection.execute("INSERT INTO usage VALUES (?, ?, ?, ?, ?)", values)
        for _, statement in again:
            connection.execute(statement)
    connection.close()


_Row = tuple[object, ...]

_INSERT_CHECK = (
    "INSERT INTO checks (id, backup_id, kind, copy, target, started, ended, outcome, message) "
    "VALUES (?, ?, ?, ?, 'LOCAL:first', ?, ?, ?, '')"
)


def _checks(backup_id: str, count: int, now: datetime) -> Iterator[_Row]:
    """Each copy is checked several times; one in a hundred checks failed, and the last but one of these stands."""
    for kind in ("verify", "drill"):
        for number in range(count):
            started = (now - timedelta(hours=count - number)).strftime(_TIME)
            copy = f"{now - timedelta(days=number % 50):%Y%m%dT%H%M%SZ}"
            outcome = "failed" if number % 100 == 98 else "passed"
            yield f"{backup_id} {kind} {number}", backup_id, kind, copy, started, started, outcome


def _runs(
    number: int, backup_id: str, count: int, now: datetime, chance: random.Random
) -> Iterator[tuple[_Row, _Row | None, list[_Row]]]:
    base = chance.randrange(1, 2_000) * _MIB
    night = now.replace(hour=2, minute=0, second=0, microsecond=0)
    for index in range(count):
        slot = night - timedelta(days=count - 1 - index)
        started = slot + timedelta(seconds=2 + number % 50)
        ended = started + timedelta(seconds=20 + chance.randrange(60))
        status = chance.choice(_STATUSES)
        run_id = f"{number:08x}{index:024x}"
        message = "" if status == "good" else "The server did not answer. It was tried 5 times."
        run: _Row = (
            run_id,
            backup_id,
            started.strftime(_TIME),
            slot.strftime(_TIME),
            ended.strftime(_TIME),
            status,
            message,
        )
        if status not in ("good", "partial"):
            yield run, None, []
            continue
        size = int(base * (1 + index / 4_000) * (0.98 + chance.random() * 0.04))
        project, name = backup_id.split("/")
        archive_name = f"{project}-{name}-{started:%Y%m%dT%H%M%SZ}.zip"
        archive: _Row = (run_id, archive_name, started.strftime(_TIME), size, "0" * 64, 1_000 + index, size * 3)
        copies: list[_Row] = [
            (run_id, position, "LOCAL", f"{path}/{backup_id}/{archive_name}", status, size, None)
            for position, path in enumerate(("first", "second"))
        ]
        yield run, archive, copies
