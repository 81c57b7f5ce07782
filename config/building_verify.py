"""Records to proofs: when copies are read back and restored for real, and what a restored database is asked."""

from __future__ import annotations

from config.environment import Environment
from config.home import local_file, local_path
from config.problems import Position, Problems
from config.records import Record
from config.scalars import PATH
from model import Assertion, CommandSource, DatabaseSource, DrillPlan, Encryption, Source, VerifyPlan

_ALL_DATABASES = "*"


class Verifications:
    """Makes plans, and reports what cannot be."""

    def __init__(self, environment: Environment, problems: Problems, *, has_identity: bool) -> None:
        """``has_identity`` says that this machine may open copies that are encrypted to recipients."""
        self._environment = environment
        self._problems = problems
        self._has_identity = has_identity

    def plan(self, record: Record, backup_id: str, source: Source, encryption: Encryption | None) -> VerifyPlan | None:
        """What ``VERIFY`` of a backup says."""
        verify = record.record("VERIFY")
        if verify is None:
            return None
        drill = verify.record("DRILL")
        plan = VerifyPlan(
            intervals=intervals(verify, self._problems),
            sample=verify.number("SAMPLE") or VerifyPlan().sample,
            heal=verify.flag("HEAL", VerifyPlan().heal),
            drill=self._drill(drill, backup_id, source, "VERIFY" in record.inherited) if drill else None,
        )
        if not plan.intervals:
            self._check_without_intervals(verify)
        if drill and encryption and encryption.recipients and not self._has_identity:
            message = (
                "This drill cannot open copies that are encrypted with ENCRYPT_TO: AGE_IDENTITY_FILE is not set. Set "
                "it, or have the drill on the machine that has the private key."
            )
            self._problems.warn(verify.position_of("DRILL"), message)
        return plan if plan.intervals or plan.drill else None

    def _check_without_intervals(self, verify: Record) -> None:
        if "INTERVALS" not in verify.positions and "DRILL" not in verify.positions:
            if not verify.has_unknown_keys:
                message = "VERIFY says nothing about when. Write INTERVALS or DRILL below it."
                self._problems.error(verify.position, message)
            return
        for key in ("SAMPLE", "HEAL"):
            if key in verify.positions and not verify.lists.get("INTERVALS"):
                message = f"{key} is about copies that are read back. Write beside it when that is done: INTERVALS."
                self._problems.error(verify.position_of(key), message)

    # --- drills --------------------------------------------------------------------------------------------------

    def _drill(self, drill: Record, backup_id: str, source: Source, is_inherited: bool) -> DrillPlan:
        return DrillPlan(
            intervals=intervals(drill, self._problems),
            assertions=self._assertions(drill, backup_id, source, is_inherited),
            folder=local_file(drill, "FOLDER", self._environment, self._problems),
        )

    def _assertions(self, drill: Record, backup_id: str, source: Source, is_inherited: bool) -> tuple[Assertion, ...]:
        """Those of ``DEFAULTS`` are for the databases that they fit: files have no use for them, as for EXCLUDE a
        database has none."""
        if not isinstance(source, DatabaseSource):
            if not is_inherited:
                self._report_no_database(drill, source)
            return ()
        if not source.names:
            return ()  # which was reported
        asked = [Assertion(query) for _, query in drill.texts("ASSERT")]
        if asked and (len(source.names) > 1 or _ALL_DATABASES in source.names):
            self._report_several_databases(drill, backup_id, is_inherited)
        for name, value in drill.text_maps.get("ASSERT_IN", {}).items():
            database = self._database(name, source, value.position)
            if _ALL_DATABASES in source.names or database in source.names:
                if isinstance(value.content, str):
                    asked.append(Assertion(value.content, database))
            elif not is_inherited:
                message = (
                    f"ASSERT_IN names a database that this backup does not have. It has {', '.join(source.names)}."
                )
                self._problems.error(value.position, message)
        return tuple(asked)

    def _database(self, name: str, source: DatabaseSource, position: Position) -> str:
        """Its name as the backup has it: that of SQLite is a path, which can be written in several ways."""
        if source.engine != "sqlite":
            return name
        try:
            path = str(PATH.check(name))
        except ValueError:
            return name
        return local_path("ASSERT_IN", path, position, self._environment, self._problems)

    def _report_no_database(self, drill: Record, source: Source) -> None:
        content = "what a program writes" if isinstance(source, CommandSource) else "files"
        for key in ("ASSERT", "ASSERT_IN"):
            if key in drill.positions:
                message = f"{key} asks a database, and this is a backup of {content}. Remove it here."
                self._problems.error(drill.position_of(key), message)

    def _report_several_databases(self, drill: Record, backup_id: str, is_inherited: bool) -> None:
        if is_inherited:
            message = (
                f"ASSERT asks one database, and {backup_id}, for which DEFAULTS holds too, has several. Give it a "
                "VERIFY of its own, with ASSERT_IN, which says which database is asked."
            )
        else:
            message = (
                "ASSERT asks one database, and this backup has several. Write ASSERT_IN, which says which database is "
                'asked, as in ASSERT_IN: {shop: "select count(*) > 100 from users"}.'
            )
        self._problems.error(drill.position_of("ASSERT"), message)


def intervals(record: Record, problems: Problems) -> tuple[str, ...]:
    """What ``INTERVALS`` of a map says."""
    found: list[str] = []
    for position, interval in record.texts("INTERVALS"):
        if interval in found:
            problems.error(position, "INTERVALS holds this expression twice. Remove one.")
        found.append(interval)
    return tuple(found)
