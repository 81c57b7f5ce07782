"""The words of Holdfast as frozen values: what a configuration says, what a source yields, what a run leaves behind.

No I/O and no import but the standard library and ``utils``. Times are timezone-aware ``datetime`` in UTC unless a
name says otherwise; sizes are bytes; paths of members are ``bytes``, because a file name on Linux is bytes.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Protocol

from utils import remember_secret


class Secret:
    """A text that must never be shown: ``str()``, ``repr()`` and formatting give ``****``.

    Making one also tells :func:`utils.redact` its text, so that it is taken out of log lines and error messages
    that quote what another program said.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        remember_secret(text)

    def reveal(self) -> str:
        """The text itself, for the one place that hands it to a program or a service."""
        return self._text

    def __repr__(self) -> str:
        return "****"

    def __str__(self) -> str:
        return "****"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))


# --- what a configuration says ----------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Target:
    """A storage and a path in it: ``""`` or ``a/b``. ``bandwidth`` is bytes/second. No ``keep``: that of the backup."""

    storage: StorageDefinition
    path: str
    bandwidth: int | None = None
    keep: Keep | None = None

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
    how long one try may take, in seconds; ``retries`` is how many more tries a failed run gets.
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
    keep: Keep = Keep()
    bandwidth: int | None = None
    hooks: Hooks = Hooks()
    stopped_containers: StoppedContainers | None = None
    timeout: int | None = None
    retries: int = 0
    enabled: bool = True
    line: int = 0

    def keep_on(self, target: Target) -> Keep:
        """Which copies stay on one of its targets."""
        return self.keep if target.keep is None else target.keep

    @property
    def is_remote(self) -> bool:
        """Whether it is read on another machine or in a container."""
        return self.ssh is not None or self.docker is not None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole, valid config.yaml. ``path`` and ``state_directory`` are absolute. ``backups`` has disabled ones too."""

    path: Path
    backups: tuple[Backup, ...]
    storages: Mapping[str, StorageDefinition]
    state_directory: Path
    catalog_url: Secret | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def own_folders(self) -> tuple[Path, ...]:
        """Where Holdfast keeps things of its own on this machine: its state, and the roots of LOCAL storages."""
        roots = [storage.settings["ROOT"] for storage in self.storages.values() if storage.type is StorageType.LOCAL]
        return (self.state_directory, *(Path(root) for root in roots if isinstance(root, str)))

    @property
    def enabled_backups(self) -> tuple[Backup, ...]:
        return tuple(backup for backup in self.backups if backup.enabled)


# --- what a source yields ---------------------------------------------------------------------------------------


class MemberKind(enum.StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class OpenContent(Protocol):
    """A file that was opened for reading at any position, by several threads at once."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only where the file ends now. Raises OSError."""

    def is_hole(self, offset: int, length: int) -> bool:
        """Whether the file has nothing but a hole in this part now, so that its zeros need not be read."""

    def close(self) -> str | None:
        """Release it. The answer says how the file changed since it was listed (``"grew"`` …), or is None.

        Raises OSError where that cannot be known; it is released all the same.
        """


class SeekableContent:
    """Content that can be read at any position, so its blocks can be packed in parallel.

    ``can_be_sent`` says that it can be pickled, and read by another process of this machine. This is no abstract base
    class, because isinstance() of those takes a microsecond, and it is asked of each file of a run.
    """

    __slots__ = ()
    can_be_sent: ClassVar[bool] = False

    def open(self, length: int) -> OpenContent:
        """For its first ``length`` bytes. Raises OSError (FileNotFoundError where it has vanished)."""
        raise NotImplementedError

    def read(self, length: int) -> tuple[bytes, str | None]:
        """At once: its first ``length`` bytes, and how it changed meanwhile (see ``OpenContent.close``)."""
        raise NotImplementedError


class HeldContent(SeekableContent):
    """What is in memory already: of a member that is small enough to be packed at once."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, length: int) -> tuple[bytes, str | None]:
        return self.data[:length], None


class StreamContent:
    """Content of unknown length that can be read once, in order. A failed producer raises when it ends."""

    __slots__ = ()

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, in chunks of any size."""
        raise NotImplementedError


@dataclass(slots=True)
class Member:
    """One file, folder or link of a source, with all that is known of it. It knows nothing of ZIP.

    ``path`` is relative, separated by ``/``, without ``.`` or ``..``. ``mode`` is the permission bits (07777).
    ``size`` is the most that is read of ``content``: what is appended later waits for the next run. ``data_extents``
    are the ``(offset, length)`` that hold data where the file has holes, else None.
    ``hard_link_to`` is the path of an earlier member that is the same inode. Not frozen: a run makes a million of them.
    """

    path: bytes
    kind: MemberKind
    mode: int
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    modified_ns: int = 0
    size: int = 0
    content: SeekableContent | StreamContent | None = None
    link_target: bytes | None = None
    hard_link_to: bytes | None = None
    extended_attributes: Mapping[str, bytes] | None = None
    data_extents: tuple[tuple[int, int], ...] | None = None


OnProgress = Callable[[Member, int], None]
"""Told of each member and the number of its bytes that were packed, restored or checked since the last call."""


class NoteKind(enum.StrEnum):
    """What a run has to say of one path. Only ``UNREADABLE`` makes a run partial."""

    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    CHANGED = "changed"
    SPECIAL = "special"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say of one path of a source, named as a member is; ``reason`` reads on: ``"it is a socket"``."""

    kind: NoteKind
    path: bytes
    reason: str

    @classmethod
    def of_error(cls, path: bytes, error: OSError) -> Note:
        """For a path that was listed and could not be read. Vanishing is ordinary life in a live tree."""
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return cls(NoteKind.VANISHED, path, "it vanished, or became something else, before it was read")
        return cls(NoteKind.UNREADABLE, path, error.strerror or type(error).__name__)


# --- what a run leaves behind -----------------------------------------------------------------------------------


class RunStatus(enum.StrEnum):
    """How a run stands. ``INTERRUPTED`` is a signal, a kill or a power cut: nothing of it counts.

    ``SKIPPED`` is a run whose BEFORE said "not this time".
    """

    RUNNING = "running"
    GOOD = "good"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it lies on a storage. ``sha256`` (hex) is None where the storage knows none."""

    key: str
    size: int
    modified: datetime
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """The one ZIP that a run makes, and the index beside it."""

    name: str
    started: datetime
    size: int
    sha256: str
    file_count: int
    content_size: int


@dataclass(frozen=True, slots=True)
class Copy:
    """An archive as it lies, or failed to lie, on one target. ``error`` is set where the status is not good."""

    storage: str
    key: str
    status: RunStatus
    size: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of one backup. ``slot`` is the scheduled time that it fulfils; None where a person started it."""

    id: str
    backup_id: str
    started: datetime
    slot: datetime | None = None
    ended: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    message: str = ""
    archive: Archive | None = None
    copies: tuple[Copy, ...] = ()
