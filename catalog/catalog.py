"""The catalog's questions and answers, in the words of ``model``. The SQL stands in ``catalog.queries``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

from catalog import check_queries, history_queries, queries, standing_queries, usage_queries
from catalog.check_queries import LastChecks
from catalog.database import Database
from catalog.queries import LastRuns
from catalog.sqlite import SqliteDatabase
from catalog.standing_queries import StandingFacts
from model import Check, Run, RunPoint, RunStatus, Secret, Usage

# Of the runs that are found on targets, so many are recorded in one transaction: others wait no longer than that.
_FOUND_AT_ONCE = 500


class Catalog:
    """Every method is one transaction (``record_found`` is several), may be called from several processes at once, and
    raises CatalogError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_run(self, run: Run) -> None:
        """Record a run that begins: its id is new."""
        self._database.write(partial(queries.begin_run, run=run))

    def finish_run(self, run: Run) -> None:
        """Record how a run ended: status, time, message, archive and copies, in place of what was there of it.

        A run that the catalog does not know (it was lost in between) is recorded whole.
        """
        self._database.write(partial(queries.finish_run, run=run))

    def mark_dead_runs(self, backup_id: str, now: datetime) -> list[Run]:
        """Every running run of this backup becomes an interrupted one that ended now; these runs, oldest first.

        The caller holds the lock of the backup, so that no process can be behind them any more.
        """
        return self._database.write(partial(queries.mark_dead_runs, backup_id=backup_id, now=now))

    def record_found(self, runs: Iterable[Run]) -> int:
        """Record runs that were read from the manifests on the targets; how many of them the catalog did not know.

        Those are recorded whole. A known one stays as it is, but where the catalog has no archive of it, or no copies,
        those that were found are taken: its record was lost, or interrupted. It may be done again where it was ended:
        some hundred runs at a time are recorded, and ``runs`` is read in between.
        """
        waiting = iter(runs)
        new = 0
        while found := list(islice(waiting, _FOUND_AT_ONCE)):
            new += self._database.write(partial(queries.record_found, found=found))
        return new

    def last_runs(self, backup_ids: Iterable[str]) -> dict[str, LastRuns]:
        """The last run and the last good run of each of these backups."""
        return self._database.read(partial(queries.last_runs, backup_ids=list(backup_ids)))

    def standing_facts(
        self, folders: Mapping[str, Sequence[tuple[str, str]]], *, until: datetime, earlier: datetime
    ) -> dict[str, StandingFacts]:
        """What is known of how these backups stand, all of one moment.

        ``folders`` are the ids of backups with the places where their copies lie: for each target the name of its
        storage, and its folder there with a slash at the end. Runs that began after ``until`` count as none but in
        ``last`` and ``last_good``. Some good runs from before ``earlier`` are among the good ones.
        """
        return self._database.read(
            partial(standing_queries.standing_facts, folders=folders, until=until, earlier=earlier)
        )

    def runs(self, backup_id: str, limit: int, *, before: datetime | None = None) -> list[Run]:
        """The newest runs of a backup, newest first; with ``before``, of those that began earlier than that."""
        return self._database.read(partial(queries.newest_runs, backup_id=backup_id, limit=limit, before=before))

    def runs_of_all(
        self,
        limit: int,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        backup_ids: Collection[str] | None = None,
    ) -> list[Run]:
        """The newest runs of all backups, or of these, that began at ``since`` or later, and before ``before``, newest
        first."""
        work = partial(history_queries.runs_of_all, since=since, before=before, limit=limit, backup_ids=backup_ids)
        return self._database.read(work)

    def run(self, run_id: str) -> Run | None:
        """The run of this id; None where none has it."""
        return self._database.read(partial(history_queries.run_by_id, run_id=run_id))

    def history(self, backup_id: str, since: datetime) -> list[RunPoint]:
        """What charts and calendars need of each run of a backup that began at ``since`` or later, oldest first."""
        return self._database.read(partial(history_queries.history, backup_id=backup_id, since=since))

    def outcomes(self, backup_id: str, since: datetime) -> list[tuple[datetime, RunStatus]]:
        """When each run of a backup began, of those at ``since`` or later, and how it stands; in no order."""
        return self._database.read(partial(history_queries.outcomes, backup_id=backup_id, since=since))

    def revisions(self) -> dict[str, int]:
        """A number for each backup that ever ran or was checked. It is another one once something was recorded of it:
        a run, a check, the space in use. Cheap enough to be asked several times a second."""
        return self._database.read(history_queries.revisions)

    def record_usage(self, measured: Sequence[Usage]) -> None:
        """Record what lies on targets, in place of what was known of these targets."""
        self._database.write(partial(usage_queries.record_usage, measured=measured))

    def last_usage(self, backup_ids: Collection[str]) -> dict[str, tuple[Usage, ...]]:
        """What lies on the targets of each of these backups, as it was last measured; by name of the target.

        Targets that the backup no longer has are among them: their copies may still lie there.
        """
        return self._database.read(partial(usage_queries.last_usage, backup_ids=backup_ids))

    def slot_runs(self, backup_id: str, slot: datetime) -> list[Run]:
        """The runs that were to fulfil this scheduled time, oldest first."""
        return self._database.read(partial(queries.slot_runs, backup_id=backup_id, slot=slot))

    def known_backup_ids(self) -> list[str]:
        """Every backup that ever ran or was checked, in order, whether it is still configured or not."""
        return self._database.read(queries.known_backup_ids)

    def record_check(self, check: Check) -> None:
        """Record how a check ended: its id is new.

        Of each backup and kind the newest 200 checks stay, because one that is scheduled every hour must not fill the
        disk. Beyond these stay the newest of each outcome, because it says since when a backup is proven, and the
        newest of each outcome of each copy (up to 5,000 checks in all), because it says what is to be read next, and
        which copies are damaged.
        """
        self._database.write(partial(check_queries.record_check, check=check))

    def forget_checks(self, backup_id: str, target: str, present: Collection[str]) -> None:
        """Forget the checks of copies that are no longer on this target: all but those named in ``present``.

        Their damage is no longer anybody's. That a backup was proven stays true: what proves it is kept.
        """
        self._database.write(partial(check_queries.forget_checks, backup_id=backup_id, target=target, present=present))

    def last_checks(self, backup_ids: Iterable[str]) -> dict[str, LastChecks]:
        """How far each of these backups is proven."""
        return self._database.read(partial(check_queries.last_checks, backup_ids=list(backup_ids)))

    def last_verified(self, backup_id: str) -> dict[tuple[str, str], datetime]:
        """For each target and copy (``20261120T030000Z``), when it was last verified or drilled and found well."""
        return self._database.read(partial(check_queries.last_verified, backup_id=backup_id))

    def record_schedule(self, intervals_by_backup: Mapping[str, tuple[str, ...]], now: datetime) -> None:
        """Remember since when each backup has these intervals: now where they are new or changed, as before where not.

        Backups that are not among them are forgotten. Nothing is written where nothing changed.
        """
        if self._database.read(queries.recorded_intervals) != dict(intervals_by_backup):
            self._database.write(partial(queries.record_schedule, intervals_by_backup=intervals_by_backup, now=now))

    def schedule_since(self) -> dict[str, datetime]:
        """Since when each scheduled backup has the intervals that it has."""
        return self._database.read(queries.schedule_since)

    def close(self) -> None:
        """Release what is held. The catalog cannot be used afterwards."""
        self._database.close()


def open_catalog(state_directory: Path, url: Secret | None) -> Catalog:
    """The catalog in the state folder, or in the PostgreSQL database that ``url`` names, made where it is missing.

    Raises CatalogError. A damaged SQLite file is set aside, with a warning to the log, and a new one begun.
    """
    database: Database
    if url is None:
        database = SqliteDatabase(state_directory)
    else:
        from catalog.postgresql import PostgresqlDatabase

        database = PostgresqlDatabase(url)
    database.migrate()
    return Catalog(database)
