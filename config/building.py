"""Records to the model: names to ids, storages to targets, and the checks that concern several keys at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from config.building_encryption import encryption
from config.building_hosts import Hosts
from config.building_notify import Tellings
from config.building_sources import Sources, program
from config.building_verify import Verifications, intervals
from config.environment import Environment
from config.names import identity, slug
from config.problems import Position, Problems
from config.records import Record
from config.scalars import calendar_span
from config.storage_definitions import Storages
from config.target_folders import TargetFolders
from model import Backup, Compression, CompressionMethod, Hooks, Keep, Period, Target

_UNNAMED = {"FILE_BACKUP": "files", "DB_BACKUP": "db", "COMMAND_BACKUP": "command"}


class _Levels(NamedTuple):
    lowest: int
    highest: int
    default: int


_LEVELS = {
    CompressionMethod.DEFLATE: _Levels(0, 3, Compression().level),
    CompressionMethod.ZSTD: _Levels(1, 19, 3),
    CompressionMethod.STORE: _Levels(0, 0, 0),
}


_PERIODS = {
    "HOURLY": Period.HOUR,
    "DAILY": Period.DAY,
    "WEEKLY": Period.WEEK,
    "MONTHLY": Period.MONTH,
    "YEARLY": Period.YEAR,
}


class _Taken(NamedTuple):
    """Who has an id already."""

    line: int
    project: Record
    kind: str
    is_named: bool


class Builder:
    """Makes backups. Where a record has errors its backup is incomplete: the caller drops it with all others."""

    def __init__(
        self, environment: Environment, storages: Storages, keep: Keep, problems: Problems, *, has_identity: bool
    ) -> None:
        """``keep`` is for the backups that have none of their own; ``has_identity`` is for :class:`Verifications`."""
        self._storages = storages
        self._keep_otherwise = keep
        self._problems = problems
        self._taken: dict[str, _Taken] = {}
        self._folders = TargetFolders(problems)
        self._hosts = Hosts(environment, problems)
        self._sources = Sources(environment, problems)
        self._tellings = Tellings(problems)
        self._verifications = Verifications(environment, problems, has_identity=has_identity)

    def backups(self, configuration: Record) -> tuple[Backup, ...]:
        """Every backup of the configuration."""
        projects = configuration.all_records("PROJECTS")
        if not projects:
            position = configuration.empty.get("PROJECTS", configuration.position_of("PROJECTS"))
            self._problems.warn(position, "There is nothing to do yet: PROJECTS is empty.")
        made = tuple(backup for project in projects for backup in self._project(project))
        self._folders.report_nested()
        return made

    def _project(self, project: Record) -> list[Backup]:
        name = self._slug(project)
        made = [self._backup(record, kind, project, name) for kind, record in _definitions(project)]
        if not made:
            message = (
                "There is nothing to do yet for this project: write a FILE_BACKUP, a DB_BACKUP or a COMMAND_BACKUP "
                "below its BACKUPS."
            )
            self._problems.warn(project.position, message)
        else:
            for kind, position in _empty_definitions(project):
                self._problems.warn(position, f"There is nothing to do yet for this {kind}: it is empty.")
        return made

    def _backup(self, record: Record, kind: str, project: Record, project_name: str | None) -> Backup:
        name = self._slug(record) if "NAME" in record.positions else _UNNAMED[kind]
        if name and project_name:
            self._take_id(f"{project_name}/{name}", record, project, kind)
        ssh = self._hosts.ssh(record.record("SSH"))
        docker = self._hosts.docker(record)
        backup_id = f"{project_name}/{name}"
        source = self._sources.source(record, kind, is_remote=ssh is not None or docker is not None)
        encrypted = encryption(record, self._problems)
        return Backup(
            id=backup_id,
            project=project.text("NAME") or "",
            name=record.text("NAME") or _UNNAMED[kind],
            source=source,
            intervals=intervals(record, self._problems),
            targets=self._targets(record, backup_id if name and project_name else None),
            ssh=ssh,
            docker=docker,
            compression=self._compression(record.record("COMPRESSION")),
            encryption=encrypted,
            keep=self._keep(record.record("KEEP")) or self._keep_otherwise,
            verify=self._verifications.plan(record, backup_id, source, encrypted),
            bandwidth=record.number("BANDWIDTH"),
            hooks=Hooks(*(program(record, key, self._problems) for key in ("BEFORE", "AFTER", "ON_FAILURE"))),
            stopped_containers=self._hosts.stopped_containers(record),
            timeout=record.number("TIMEOUT"),
            retries=record.number("RETRIES") or 0,
            channels=self._tellings.channels(record, project),
            ping=self._tellings.ping(record, project, backup_id),
            enabled=project.flag("ENABLED", True) and record.flag("ENABLED", True),
            line=record.position.line,
        )

    # --- names ---------------------------------------------------------------------------------------------------

    def _slug(self, record: Record) -> str | None:
        name = record.text("NAME")
        if name is None:
            return None
        try:
            return slug(name)
        except ValueError as error:
            self._problems.error(record.position_of("NAME"), f"NAME {error}.")
            return None

    def _take_id(self, backup_id: str, record: Record, project: Record, kind: str) -> None:
        is_named = "NAME" in record.positions
        before = self._taken.setdefault(identity(backup_id), _Taken(record.position.line, project, kind, is_named))
        if before.line == record.position.line and before.project is project:
            return
        if before.project is project and before.kind == kind and not is_named and not before.is_named:
            message = f"This project has another {kind} without NAME, in line {before.line}. Give each its NAME."
        else:
            message = f"The backup in line {before.line} has the id {backup_id} already. Give this one another NAME."
        self._problems.error(record.position_of("NAME"), message)

    # --- where to, how -------------------------------------------------------------------------------------------

    def _targets(self, record: Record, backup_id: str | None) -> tuple[Target, ...]:
        lines: dict[tuple[str, str], int] = {}
        targets: list[Target] = []
        entries = record.all_records("UPLOAD_TO")
        if entries and all("ONLY" in entry.positions for entry in entries):
            message = "Every target here has ONLY, so a run could have nowhere to go. Leave it out for one of them."
            self._problems.error(record.position_of("UPLOAD_TO"), message)
        for entry in entries:
            name = entry.text("STORAGE_NAME")
            storage = self._storages.find(name, entry.position_of("STORAGE_NAME")) if name is not None else None
            if storage is None:
                continue
            keep = self._keep(entry.record("KEEP"))
            only = _PERIODS.get(entry.text("ONLY") or "")
            target = Target(storage, entry.text("PATH") or "", entry.number("BANDWIDTH"), keep, only)
            place = (storage.name, target.path)
            if place in lines:
                message = f"UPLOAD_TO has this storage and path already, in line {lines[place]}. Remove one."
                self._problems.error(entry.position, message)
            lines[place] = entry.position.line
            targets.append(target)
            if backup_id is not None:
                self._folders.add(backup_id, target, entry.position)
        return tuple(targets)

    def _compression(self, record: Record | None) -> Compression:
        if record is None or ("METHOD" in record.positions and record.text("METHOD") is None):
            return Compression()
        method = CompressionMethod(record.text("METHOD") or CompressionMethod.DEFLATE)
        levels = _LEVELS[method]
        level = record.number("LEVEL")
        if level is None:
            return Compression(method, levels.default)
        if not levels.lowest <= level <= levels.highest:
            allowed = f"{levels.lowest} to {levels.highest}" if levels.highest else "left out"
            self._problems.error(record.position_of("LEVEL"), f"LEVEL must be {allowed} for {method}.")
        return Compression(method, level)

    def _keep(self, record: Record | None) -> Keep | None:
        if record is None:
            return None
        within = record.text("WITHIN")
        keep = Keep(
            last=record.number("LAST"),
            hourly=record.number("HOURLY"),
            daily=record.number("DAILY"),
            weekly=record.number("WEEKLY"),
            monthly=record.number("MONTHLY"),
            yearly=record.number("YEARLY"),
            within=calendar_span(within) if within is not None else None,
            min_count=record.number("MIN_COUNT"),
        )
        if keep.removes_nothing and set(record.positions) == {"MIN_COUNT"}:
            message = "MIN_COUNT alone removes nothing. Write beside it which copies stay, such as LAST or DAILY."
            self._problems.error(record.position_of("MIN_COUNT"), message)
        return keep


def _definitions(project: Record) -> Iterator[tuple[str, Record]]:
    for group in project.all_records("BACKUPS"):
        for kind in _UNNAMED:
            for record in group.all_records(kind):
                yield kind, record


def _empty_definitions(project: Record) -> Iterator[tuple[str, Position]]:
    for group in project.all_records("BACKUPS"):
        for kind in _UNNAMED:
            if kind in group.empty:
                yield kind, group.empty[kind]
            elif kind in group.positions and not group.all_records(kind):
                yield kind, group.positions[kind]
