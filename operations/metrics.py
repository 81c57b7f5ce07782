"""How everything stands, in the text format of Prometheus
(https://prometheus.io/docs/instrumenting/exposition_formats/). Pure.

Each series has the labels ``backup`` and ``project``, those of targets ``target`` too, so there are as many as the
configuration says, and no name of a file and no message is among them. Backups that are no longer configured are left
out. A time is in seconds since 1970, and 0 where it never came, so that an alert on its age fires then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from catalog import Catalog
from model import Backup, CheckKind, CheckOutcome, Configuration, Run, RunPoint, RunStatus
from operations.metrics_file import CONFIG_VALID
from operations.status.levels import Level
from operations.status.overview import overview
from operations.status.standing import Standing, TargetStanding
from utils import HOLDFAST_VERSION, redact

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.metrics_core import GaugeMetricFamily


_NEVER = "never"
_STATUSES = (*(status.value for status in RunStatus), _NEVER)
_LEVELS = tuple(level for level in Level if level is not Level.ORPHANED)
_COPY_STATUSES = (RunStatus.GOOD, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.SKIPPED)


class _OfBackup(NamedTuple):
    """A gauge with one value for each backup; no series where ``value`` is None."""

    name: str
    help: str
    value: Callable[[Standing], float | None]


class _OfTarget(NamedTuple):
    """A gauge with one value for each target of each backup; no series where ``value`` is None."""

    name: str
    help: str
    value: Callable[[TargetStanding], float | None]


def current_metrics(
    configuration: Configuration, catalog: Catalog, now: datetime, *, is_config_valid: bool = True
) -> bytes:
    """The metrics of what the catalog says now. Raises CatalogError."""
    return metrics(overview(configuration, catalog, now), is_config_valid=is_config_valid)


def metrics(standings: Sequence[Standing], *, is_config_valid: bool = True) -> bytes:
    """All metrics of these backups."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Families(Collector):
        def collect(self) -> Iterable[Metric]:
            return _families(standings, is_config_valid)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families())
    return generate_latest(registry)


def _families(standings: Sequence[Standing], is_config_valid: bool) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    yield GaugeMetricFamily(CONFIG_VALID, "Whether config.yaml could be read and has no error.", float(is_config_valid))
    version = GaugeMetricFamily("holdfast_build_info", "The version of Holdfast; always 1.", labels=["version"])
    version.add_metric([HOLDFAST_VERSION], 1)
    yield version
    shown = lru_cache(maxsize=None)(redact)
    configured = [(each, [each.backup_id, shown(each.backup.project)]) for each in standings if each.backup is not None]
    labels = ["backup", "project"]
    for gauge in _OF_BACKUPS:
        family = GaugeMetricFamily(gauge.name, gauge.help, labels=labels)
        _add(family, ((whose, gauge.value(standing)) for standing, whose in configured))
        yield family
    yield _statuses(configured)
    yield _levels(configured)
    yield from _checks(configured)
    places = [
        (standing, target, [*whose, shown(target.name)])
        for standing, whose in configured
        for target in standing.targets
    ]
    for of_target in _OF_TARGETS:
        family = GaugeMetricFamily(of_target.name, of_target.help, labels=[*labels, "target"])
        _add(family, ((whose, of_target.value(target)) for _, target, whose in places))
        yield family
    yield _copy_statuses(places)


def _add(family: GaugeMetricFamily, values: Iterable[tuple[list[str], float | None]]) -> None:
    for whose, value in values:
        if value is not None:
            family.add_metric(whose, value)


def _statuses(configured: Iterable[tuple[Standing, list[str]]]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    text = "How the last run stands: 1 for its status, 0 for the others."
    family = GaugeMetricFamily("holdfast_backup_status", text, labels=["backup", "project", "status"])
    for standing, whose in configured:
        status = standing.last.status.value if standing.last is not None else _NEVER
        for name in _STATUSES:
            family.add_metric([*whose, name], float(name == status))
    return family


def _levels(configured: Iterable[tuple[Standing, list[str]]]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    text = "How the backup stands on the whole: 1 for its level, 0 for the others."
    family = GaugeMetricFamily("holdfast_backup_level", text, labels=["backup", "project", "level"])
    for standing, whose in configured:
        for level in _LEVELS:
            family.add_metric([*whose, level.name.lower()], float(level is standing.level))
    return family


def _checks(configured: Sequence[tuple[Standing, list[str]]]) -> Iterator[Metric]:
    """The newest verification and drill of each backup that has had one, however it ended."""
    from prometheus_client.metrics_core import GaugeMetricFamily

    labels = ["backup", "project", "check"]
    text = "When the last check of this kind began: verify (a copy was read back) or drill (one was restored)."
    times = GaugeMetricFamily("holdfast_backup_last_check_timestamp_seconds", text, labels=labels)
    text = "Whether the last check of this kind passed. One that could not be done, or was stale, did not."
    outcomes = GaugeMetricFamily("holdfast_backup_last_check_passed", text, labels=labels)
    for standing, whose in configured:
        for kind in CheckKind:
            check = standing.checks.last.get(kind)
            if check is not None:
                times.add_metric([*whose, kind.value], check.started.timestamp())
                outcomes.add_metric([*whose, kind.value], float(check.outcome is CheckOutcome.PASSED))
    yield times
    yield outcomes


def _copy_statuses(places: Iterable[tuple[Standing, TargetStanding, list[str]]]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    text = (
        "How the last run that made an archive ended on this target: 1 for its status, 0 for the others. skipped: it "
        "took none because of ONLY."
    )
    family = GaugeMetricFamily("holdfast_target_status", text, labels=["backup", "project", "target", "status"])
    for standing, target, whose in places:
        run = standing.last if standing.last is not None and standing.last.copies else standing.last_good
        statuses = {copy.storage: copy.status for copy in run.copies} if run is not None else {}
        status = statuses.get(target.name)
        for each in _COPY_STATUSES if status is not None else ():
            family.add_metric([*whose, each.value], float(each is status))
    return family


# --- the values -------------------------------------------------------------------------------------------------


def _backup(standing: Standing) -> Backup:
    if standing.backup is None:
        raise ValueError(f"{standing.backup_id} is not configured")
    return standing.backup


def _started(run: Run | RunPoint | None) -> float:
    return run.started.timestamp() if run is not None else 0.0


def _duration(run: Run | None) -> float | None:
    return run.duration.total_seconds() if run is not None and run.duration is not None else None


def _of_archive(name: str) -> Callable[[Standing], float | None]:
    """A number that the archive of the last good run has."""

    def value(standing: Standing) -> float | None:
        archive = standing.last_good.archive if standing.last_good is not None else None
        return float(getattr(archive, name)) if archive is not None else None

    return value


def _deadline(standing: Standing) -> float | None:
    """It can be compared with the clock of whoever reads it, also where nothing has written anything since."""
    moment = standing.late_since or standing.deadline
    return moment.timestamp() if moment is not None else None


_OF_BACKUPS = (
    _OfBackup(
        "holdfast_backup_enabled",
        "Whether the backup is enabled. One that is not never runs by itself.",
        lambda standing: float(_backup(standing).enabled),
    ),
    _OfBackup(
        "holdfast_backup_last_run_timestamp_seconds",
        "When the last run began, however it ended; 0: there was none.",
        lambda standing: _started(standing.last),
    ),
    _OfBackup(
        "holdfast_backup_last_run_duration_seconds",
        "How long the last run took; none while it is under way.",
        lambda standing: _duration(standing.last),
    ),
    _OfBackup(
        "holdfast_backup_last_good_timestamp_seconds",
        "When the last good run began: what it saved is as of then; 0: there was none.",
        lambda standing: _started(standing.last_good),
    ),
    _OfBackup(
        "holdfast_backup_last_good_duration_seconds",
        "How long the last good run took.",
        lambda standing: _duration(standing.last_good),
    ),
    _OfBackup(
        "holdfast_backup_last_good_archive_bytes",
        "The size of the archive of the last good run.",
        _of_archive("size"),
    ),
    _OfBackup(
        "holdfast_backup_last_good_content_bytes",
        "The size of what the archive of the last good run holds, unpacked.",
        _of_archive("content_size"),
    ),
    _OfBackup(
        "holdfast_backup_last_good_files",
        "How many files the archive of the last good run holds.",
        _of_archive("file_count"),
    ),
    _OfBackup(
        "holdfast_backup_last_verified_timestamp_seconds",
        "When a copy was last read back and found sound; 0: never.",
        lambda standing: check.started.timestamp() if (check := standing.checks.verified) is not None else 0.0,
    ),
    _OfBackup(
        "holdfast_backup_last_proven_timestamp_seconds",
        "When a copy was last restored for real by a drill, and was right; 0: never.",
        lambda standing: check.started.timestamp() if (check := standing.checks.proven) is not None else 0.0,
    ),
    _OfBackup(
        "holdfast_backup_damaged_copies",
        "How many copies were found damaged, and not found sound since.",
        lambda standing: float(len(standing.checks.damaged)),
    ),
    _OfBackup(
        "holdfast_backup_next_run_timestamp_seconds",
        "When it runs next by its intervals; none where it is disabled.",
        lambda standing: standing.next_run.timestamp() if standing.next_run is not None else None,
    ),
    _OfBackup(
        "holdfast_backup_late",
        "Whether a good copy of a run that was due is missing on a target, as of when this was written.",
        lambda standing: float(bool(standing.late)),
    ),
    _OfBackup(
        "holdfast_backup_deadline_timestamp_seconds",
        "When it is late, or since when it is; none where it is disabled, or never due.",
        _deadline,
    ),
)

_OF_TARGETS = (
    _OfTarget(
        "holdfast_target_last_good_timestamp_seconds",
        "When the run of the newest good copy on this target began; 0: there is none.",
        lambda target: _started(target.last_good),
    ),
    _OfTarget(
        "holdfast_target_copies",
        "How many copies lie on this target, as measured after the last run.",
        lambda target: float(target.usage.copies) if target.usage is not None else None,
    ),
    _OfTarget(
        "holdfast_target_used_bytes",
        "How much they use there, with all that lies beside them, as measured after the last run.",
        lambda target: float(target.usage.size) if target.usage is not None else None,
    ),
    _OfTarget(
        "holdfast_target_late",
        "Whether a good copy of a run that was due is missing on this target, as of when this was written.",
        lambda target: float(target.is_late),
    ),
)
