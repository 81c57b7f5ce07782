"""How every backup stands: its runs, its copies on each target, what is late, unusual or damaged, how far it is proven.

:func:`overview` asks the catalog once for all backups. Who watches for longer asks it for :func:`facts_of` those that
changed, and makes a :func:`standing` of them as often as the time passes: that one is pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from catalog import Catalog, LastChecks, StandingFacts
from model import Backup, Configuration
from operations.copies.layout import folder_key
from operations.status.deadlines import CLOCK_ERROR, Outlook, Past, outlook
from operations.status.levels import level_of
from operations.status.notices import notices_of
from operations.status.sizes import sizes, usual_duration
from operations.status.standing import Standing, TargetStanding
from schedules.times import next_runs

__all__ = ["Standing", "facts_of", "overview", "standing", "standings"]

# Good runs from before then tell how a backup grows in a month.
_TREND = timedelta(days=30)


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
    facts = facts_of(ids, configured, catalog, now)
    state = configuration.state_directory
    return [standing(backup_id, configured.get(backup_id), facts[backup_id], now, state) for backup_id in ids]


def facts_of(
    backup_ids: Collection[str], configured: Mapping[str, Backup], catalog: Catalog, now: datetime
) -> dict[str, StandingFacts]:
    """What the catalog knows of these backups, all of one moment. Raises CatalogError."""
    folders = {
        backup_id: [
            (target.storage.name, folder_key(target.path, backup_id))
            for target in (configured[backup_id].targets if backup_id in configured else ())
        ]
        for backup_id in backup_ids
    }
    return catalog.standing_facts(folders, until=now + CLOCK_ERROR, earlier=now - _TREND)


def standing(
    backup_id: str, backup: Backup | None, facts: StandingFacts, now: datetime, state_directory: Path
) -> Standing:
    """How a backup stands now; ``backup`` is None for one that is no longer configured. Pure."""
    usual = usual_duration(facts.good)
    ahead = Outlook()
    targets: tuple[TargetStanding, ...] = ()
    checks = facts.checks
    if backup is not None:
        copies = {
            str(target): facts.copies[place]
            for target in backup.targets
            if (place := (target.storage.name, folder_key(target.path, backup_id))) in facts.copies
        }
        past = Past(facts.scheduled_since, facts.newest, copies, usual)
        ahead = outlook(backup, past, now)
        used = {usage.target: usage for usage in facts.usage}
        late_names = {name for each in ahead.late for name in each.targets}
        targets = tuple(
            TargetStanding(target, copies.get(name), used.get(name), name in late_names)
            for target in backup.targets
            for name in [str(target)]
        )
        checks = _on_its_targets(checks, backup)
    bare = Standing(
        backup_id,
        backup,
        facts.last,
        facts.last_good,
        _next_run(backup.intervals, now) if backup is not None and backup.enabled else None,
        checks,
        last_ended=facts.last_ended,
        is_scheduled=facts.scheduled_since is not None,
        targets=targets,
        late=ahead.late,
        deadline=ahead.deadline,
        sizes=sizes(facts.good),
        usual_duration=usual,
    )
    noticed = replace(bare, notices=notices_of(bare, now, state_directory))
    return replace(noticed, level=level_of(noticed))


@lru_cache(maxsize=256)
def _next_run(intervals: tuple[str, ...], now: datetime) -> datetime | None:
    """Many backups have the same intervals, and at one moment the same next run."""
    return next(iter(next_runs(intervals, now, 1)), None)


def _on_its_targets(checks: LastChecks, backup: Backup) -> LastChecks:
    """Without the damage of copies on targets that the backup no longer has: nobody reads them any more."""
    names = {str(target) for target in backup.targets}
    return replace(checks, damaged=tuple(check for check in checks.damaged if check.target in names))
