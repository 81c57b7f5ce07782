"""How every backup stands: its last run, its last good run, its next run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog import Catalog
from model import Backup, Configuration, Run
from schedules.times import next_runs


@dataclass(frozen=True, slots=True)
class Standing:
    """One backup. ``backup`` is None where it is no longer in the configuration: its copies stay, nothing runs."""

    backup_id: str
    backup: Backup | None
    last: Run | None
    last_good: Run | None
    next_run: datetime | None


def overview(configuration: Configuration, catalog: Catalog, now: datetime) -> Sequence[Standing]:
    """Every configured backup in the order of the configuration, then the orphaned ones. Raises CatalogError."""
    configured = {backup.id: backup for backup in configuration.backups}
    orphaned = [backup_id for backup_id in catalog.known_backup_ids() if backup_id not in configured]
    ids = [*configured, *orphaned]
    runs = catalog.last_runs(ids)
    standings = []
    for backup_id in ids:
        backup = configured.get(backup_id)
        upcoming = next_runs(backup.intervals, now, 1) if backup is not None and backup.enabled else []
        standings.append(
            Standing(
                backup_id,
                backup,
                runs[backup_id].last,
                runs[backup_id].last_good,
                upcoming[0] if upcoming else None,
            )
        )
    return standings
