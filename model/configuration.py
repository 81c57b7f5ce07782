"""What a configuration says: problems, storages, sources, backups."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model.secret import Secret
from model.telling import Channel, Ping


class Severity(enum.StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with, or worth saying about, the configuration. ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        kind = "" if self.severity is Severity.ERROR else "warning: "
        return f"{self.file}:{self.line}:{self.column}: {kind}{self.message}"


class StorageType(enum.StrEnum):
    LOCAL = "LOCAL"
    S3 = "S3"
    ONEDRIVE = "ONEDRIVE"
    SFTP = "SFTP"


@dataclass(frozen=True, slots=True)
class StorageDefinition:
    """A storage as configured. ``settings`` has the keys of config.yaml (``ROOT``, ``BUCKET`` …)."""

    name: str
    type: StorageType
    settings: Mapping[str, str | Secret] = field(default_factory=dict)


class Period(enum.StrEnum):
    """A part of the calendar. Weeks are those of ISO 8601: they begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Target:
    """A storage and a path in it: ``""`` or ``a/b``. ``bandwidth`` is bytes/second. No ``keep``: that of the backup.

    With ``only``, no more than one good copy is put there in each such period.
    """

    storage: StorageDefinition
    path: str
    bandwidth: int | None = None
    keep: Keep | None = None
    only: Period | None = None

    def __str__(self) -> str:
        return f"{self.storage.name}:{self.path}" if self.path else self.storage.name


@dataclass(frozen=True, slots=True)
class SshHost:
    """A server, as ``SSH`` says it. ``host_key`` is a fingerprint or a public key; ``jump`` is on the way to it."""

    username: str | None
    address: str
    port: int = 22
    key_file: str | None = None
    password: Secret | None = None
    key_passphrase: Secret | None = None
    host_key: str | None = None
    known_hosts_file: str | None = None
    jump: SshHost | None = None


@dataclass(frozen=True, slots=True)
class DockerContainer:
    """A container, by the first of these that is given: its name, Compose service, label, or a volume that it uses.

    ``label`` is ``name`` or ``name=value``. ``docker_host`` is the URL of Docker, where it is not the usual one; with
    an SSH host it is as seen from there.
    """

    container_name: str = ""
    compose_service: str | None = None
    compose_project: str | None = None
    label: str | None = None
    volume: str | None = None
    docker_host: str | None = None


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files and folders. ``paths`` are absolute; ``exclude`` are gitignore patterns, matched below each path."""

    paths: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    exclude_caches: bool = False
    exclude_if_present: tuple[str, ...] = ()
    one_file_system: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseSource:
    """Databases of one server. ``names`` is ``("*",)`` for all of them, and holds paths where the engine is files.

    ``settings`` has what only this engine knows, by the keys of config.yaml (``SSLMODE`` …).
    """

    engine: str
    names: tuple[str, ...]
    username: str | None = None
    password: Secret | None = None
    host: str | None = None
    port: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommandSource:
    """A program whose standard output is backed up under the name ``filename``. Secrets stand in ``environment``."""

    argv: tuple[str, ...]
    filename: str
    environment: Mapping[str, str | Secret] = field(default_factory=dict)


Source = FileSource | DatabaseSource | CommandSource


@dataclass(frozen=True, slots=True)
class Hooks:
    """Programs that are run on the host of a backup around a run. Each is an argv, or empty where there is none."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    on_failure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoppedContainers:
    """Containers that stand still while the source is read: all that any of these words fits.

    They are those of the machine of the backup: of its SSH host where it has one. ``labels`` are ``name`` or
    ``name=value``. ``docker_host`` is the URL of Docker as seen from there, where it is not the usual one.
    """

    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    compose_projects: tuple[str, ...] = ()
    docker_host: str | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """A question in SQL to a restored database, whose answer must be one value that is true.

    ``database`` is ``""`` where the copy holds only one.
    """

    query: str
    database: str = ""


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """When the newest good copy is restored for real, and what a restored database must answer then.

    ``folder`` is where it is restored on this machine; None is a folder in the state folder.
    """

    intervals: tuple[str, ...]
    assertions: tuple[Assertion, ...] = ()
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyPlan:
    """When copies are read back, and how many of those on each target each time, in percent; at least two are.

    ``intervals`` is empty where only drills are planned. ``heal`` says that what is found bad is made again.
    """

    intervals: tuple[str, ...] = ()
    sample: int = 10
    heal: bool = False
    drill: DrillPlan | None = None


@dataclass(frozen=True, slots=True)
class Encryption:
    """Who can open the copies of a backup: recipients of age (``age1…``, ``ssh-ed25519 …``), or a passphrase alone."""

    recipients: tuple[str, ...] = ()
    passphrase: Secret | None = None


class CompressionMethod(enum.StrEnum):
    DEFLATE = "deflate"
    ZSTD = "zstd"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Compression:
    """How members are packed. Levels: deflate 0 to 3 (ISA-L), zstd 1 to 19, store has none (0)."""

    method: CompressionMethod = CompressionMethod.DEFLATE
    level: int = 1


@dataclass(frozen=True, slots=True)
class CalendarSpan:
    """A length of time as people say it: a month is as long as the calendar has it, a day may have 23 hours."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def __str__(self) -> str:
        numbers = ((self.years, "y"), (self.months, "m"), (self.days, "d"), (self.hours, "h"))
        return "".join(f"{number}{unit}" for number, unit in numbers if number)


@dataclass(frozen=True, slots=True)
class Keep:
    """Which copies stay. ``None`` is a rule that was not given; ``min_count`` is no rule, but the fewest that stay."""

    last: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    within: CalendarSpan | None = None
    min_count: int | None = None

    @property
    def removes_nothing(self) -> bool:
        """Whether no rule says which copies are enough, so that all stay."""
        counts = (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        return self.within is None and all(count is None for count in counts)


@dataclass(frozen=True, slots=True)
class Backup:
    """One definition: a source, where it is read, when, and where the archive goes. ``id`` is ``project/name``.

    ``id`` is made of the names with everything but letters, digits, ``.``, ``_`` and ``-`` replaced by ``-``; it
    stands in the crontab, in object keys and in the catalog. ``line`` is where its definition begins. ``timeout`` is
    how long one try may take, in seconds; ``retries`` is how many more tries a failed run gets. ``channels`` and
    ``ping`` are told how it goes.
    """

    id: str
    project: str
    name: str
    source: Source
    intervals: tuple[str, ...]
    targets: tuple[Target, ...]
    ssh: SshHost | None = None
    docker: DockerContainer | None = None
    compression: Compression = Compression()
    encryption: Encryption | None = None
    keep: Keep = Keep()
    verify: VerifyPlan | None = None
    bandwidth: int | None = None
    hooks: Hooks = Hooks()
    stopped_containers: StoppedContainers | None = None
    timeout: int | None = None
    retries: int = 0
    channels: tuple[Channel, ...] = ()
    ping: Ping | None = None
    enabled: bool = True
    line: int = 0

    def keep_on(self, target: Target) -> Keep:
        """Which copies stay on one of its targets."""
        return self.keep if target.keep is None else target.keep

    @property
    def is_remote(self) -> bool:
        """Whether it is read on another machine or in a container."""
        return self.ssh is not None or self.docker is not None


class LogFormat(enum.StrEnum):
    """How the logs of runs and checks are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """Where the dashboard listens, and whom it believes.

    ``allowed_hosts`` are the names by which it may be called besides those of this machine's loopback;
    ``trusted_proxies`` the addresses and networks (``192.0.2.0/24``) whose ``X-Forwarded-…`` headers are believed.
    """

    host: str = "127.0.0.1"
    port: int = 8642
    allowed_hosts: tuple[str, ...] = ()
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    restore_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole, valid config.yaml. ``path`` and ``state_directory`` are absolute. ``backups`` has disabled ones too.

    ``trusted_keys`` sign manifests that are believed besides those of this machine; ``identity_file`` holds the private
    key that opens encrypted copies, where it is kept on this machine. ``metrics_file`` is where Prometheus finds how
    everything stands.
    """

    path: Path
    backups: tuple[Backup, ...]
    storages: Mapping[str, StorageDefinition]
    state_directory: Path
    catalog_url: Secret | None = None
    trusted_keys: tuple[str, ...] = ()
    identity_file: Path | None = None
    metrics_file: Path | None = None
    log_format: LogFormat = LogFormat.TEXT
    dashboard: DashboardSettings = DashboardSettings()
    warnings: tuple[Problem, ...] = ()

    @property
    def restore_folder(self) -> Path:
        """Below it lies whatever is restored from the dashboard."""
        return self.dashboard.restore_folder or self.state_directory / "restored"

    @property
    def own_folders(self) -> tuple[Path, ...]:
        """Where Holdfast keeps things of its own on this machine: its state, and the roots of LOCAL storages."""
        roots = [storage.settings["ROOT"] for storage in self.storages.values() if storage.type is StorageType.LOCAL]
        return (self.state_directory, *(Path(root) for root in roots if isinstance(root, str)))

    def find(self, backup_id: str) -> Backup | None:
        """The backup with this id; None where there is none."""
        return next((backup for backup in self.backups if backup.id == backup_id), None)

    @property
    def enabled_backups(self) -> tuple[Backup, ...]:
        return tuple(backup for backup in self.backups if backup.enabled)
