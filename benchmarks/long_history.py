"""A catalog with a long history: a million runs of a thousand backups, and as many checks as stay of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from catalog import open_catalog

_FIRST_RUN = datetime(2026, 1, 1, tzinfo=UTC)

# A million rows through the catalog itself would be a million flushes of the disk.
_INSERTS = (
    "INSERT INTO runs (id, backup_id, started, ended, status, message) VALUES (?, ?, ?, ?, ?, '')",
    "INSERT INTO archives (run_id, name, started, size, sha256, file_count, content_size) VALUES (?, ?, ?, 1, ?, 1, 1)",
    "INSERT INTO copies (run_id, position, storage, key, status, size) VALUES (?, 0, 'LOCAL', ?, ?, 1)",
)
_INSERT_CHECK = (
    "INSERT INTO checks (id, backup_id, kind, copy, target, started, ended, outcome, message) "
    "VALUES (?, ?, ?, ?, 'LOCAL', ?, ?, ?, '')"
)
_CHECKS_OF_A_KIND = 200


def fill_catalog(state_directory: Path, run_count: int, backup_ids: list[str]) -> None:
    """Runs of all backups in turn, an hour apart; every seventh failed. 400 checks of each backup."""
    open_catalog(state_directory, None).close()
    connection = sqlite3.connect(state_directory / "catalog.db")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executemany("INSERT INTO backups (id) VALUES (?)", [(backup_id,) for backup_id in backup_ids])
    for statement, columns in zip(_INSERTS, ((0, 1, 2, 2, 3), (0, 4, 2, 5), (0, 4, 3)), strict=True):
        rows = (tuple(row[column] for column in columns) for row in _runs(run_count, backup_ids))
        connection.executemany(statement, rows)
    for backup_id in backup_ids:
        connection.executemany(_INSERT_CHECK, _checks(backup_id))
    connection.commit()
    connection.close()


def _runs(run_count: int, backup_ids: list[str]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Id, backup, start, status, archive name and hash of each."""
    for number in range(run_count):
        started = _FIRST_RUN + timedelta(hours=number // len(backup_ids))
        backup_id = backup_ids[number % len(backup_ids)]
        status = "failed" if number % 7 == 0 else "good"
        name = f"{backup_id}-{started:%Y%m%dT%H%M%SZ}.zip"
        yield f"{number:032x}", backup_id, f"{started:%Y-%m-%d %H:%M:%S.%f}", status, name, f"{number:064x}"


def _checks(backup_id: str) -> Iterator[tuple[str, str, str, str, str, str, str]]:
    """Id, backup, kind, copy, start, end, outcome. Each copy is checked four times; one in a hundred checks failed, and
    the last but one of them stands."""
    for kind in ("verify", "drill"):
        for number in range(_CHECKS_OF_A_KIND):
            started = f"{_FIRST_RUN + timedelta(hours=number):%Y-%m-%d %H:%M:%S.%f}"
            copy = f"{_FIRST_RUN + timedelta(hours=number % 50):%Y%m%dT%H%M%SZ}"
            outcome = "failed" if number % 100 == 98 else "passed"
            yield f"{backup_id} {kind} {number}", backup_id, kind, copy, started, started, outcome
