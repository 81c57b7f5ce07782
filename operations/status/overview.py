"""How every backup stands: its last run, its last good run, its next run, and how far it is proven."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalog import Catalog, LastChecks
from model import Backup, Check, CheckKind, CheckOutcome, Configuration, Run
from schedules.times import next_runs


@dataclass(frozen=True, slots=True)
class Standing:
    """One backup. ``backup`` is None where it is no longer in the configuration: its copies stay, nothing runs."""

    backup_id: str
    backup: Backup | None
    last: Run | None
    last_good: Run | None
    next_run: datetime | None
    checks: LastChecks

    @property
    def concerns(self) -> list[Check]:
        """The checks that somebody should know of: each copy that was found damaged and not found well since, the
        newest drill unless it passed, and the newest verification where it could not be done."""
        concerns = list(self.checks.damaged)
        verified, drilled = self.checks.last.get(CheckKind.VERIFY), self.checks.last.get(CheckKind.DRILL)
        if verified is not None and verified.outcome is CheckOutcome.NOT_DONE:
            concerns.append(verified)
        if drilled is not None and drilled.outcome is not CheckOutcome.PASSED:
            concerns.append(drilled)
        return concerns


def overview(configuration: Configuration, catalog: Catalog, now: datetime) -> Sequence[Standing]:
    """Every configured backup in the order of the configuration, then the orphaned ones. Raises CatalogError."""
    configured = {backup.id: backup for backup in configuration.backups}
    orphaned = [backup_id for backup_id in catalog.known_backup_ids() if backup_id not in configured]
    return standings(configuration, catalog, [*configured, *orphaned], now)


def standings(
    configuration: Configuration, catalog: Catalog, ids: Collection[str], now: datetime
) -> Sequence[Standing]:
    """How these backups stand, in this order. Raises CatalogError."""
    configured = {backup.id: backup for backup in configuration.backups}
    runs = catalog.last_runs(ids)
    checks = catalog.last_checks(ids)
    found = []
    for backup_id in ids:
        backup = configured.get(backup_id)
        upcoming = next_runs(backup.intervals, now, 1) if backup is not None and backup.enabled else []
        found.append(
            Standing(
                backup_id,
                backup,
                runs[backup_id].last,
                runs[backup_id].last_good,
                upcoming[0] if upcoming else None,
                checks[backup_id] if backup is None else _on_its_targets(checks[backup_id], backup),
            )
        )
    return found


def _on_its_targets(checks: LastChecks, backup: Backup) -> LastChecks:
    """Without the damage of copies on targets that the backup no longer has: nobody reads them any more."""
    names = {str(target) for target in backup.targets}
    return replace(checks, damaged=tuple(check for check in checks.damaged if check.target in names))
