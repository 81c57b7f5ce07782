"""What was started from the dashboard: each job is a command of Holdfast in a process of its own.

It goes on when the dashboard ends, and a dashboard that starts later finds it. In ``<state>/jobs``, mode 0600::

    <id>.json   what was started, by whom, and how it ended
    <id>.log    its output, 128 kB at most; the lock on it is held while the job lives (see web/job_process.py)

Nothing here comes from the web but ids that are in the configuration, the times of copies, and paths, which follow
``--`` and are no options.
"""

from __future__ import annotations

import enum
import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from command_line import INSTALLATION
from errors import EXIT_ALREADY_RUNNING, EXIT_GOOD, EXIT_INTERRUPTED, EXIT_PARTIAL, EXIT_TERMINATED, HoldfastError
from model import Activity, ActivityKind, Backup, Target
from operations.activities import activities
from utils import format_size, make_private_directory, redact, utc_now
from web.configured import Configured
from web.security.problems import ConflictProblem, Problem

MOST_AT_ONCE = 8
_KEPT = 100
_LARGEST_OUTPUT = 262_144
_KILLED = 137
_NAME = re.compile(r"[0-9a-f]{32}")

# What systemd says to the dashboard, and to no other process.
_OF_THE_DASHBOARD = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")

_DOING = {
    ActivityKind.BACKUP: "is being backed up",
    ActivityKind.VERIFY: "is being verified",
    ActivityKind.DRILL: "is being drilled",
    ActivityKind.RESTORE: "is being restored",
}


class JobOutcome(enum.StrEnum):
    """``NOT_STARTED`` is one that met another process which was doing the same."""

    RUNNING = "running"
    GOOD = "good"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    NOT_STARTED = "not started"
    FAILED = "failed"


_OUTCOMES: Mapping[int | None, JobOutcome] = {
    None: JobOutcome.RUNNING,
    EXIT_GOOD: JobOutcome.GOOD,
    EXIT_PARTIAL: JobOutcome.PARTIAL,
    EXIT_INTERRUPTED: JobOutcome.CANCELLED,
    EXIT_TERMINATED: JobOutcome.CANCELLED,
    EXIT_ALREADY_RUNNING: JobOutcome.NOT_STARTED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """``process`` is that of the command, None until it is started. ``folder`` is where it restores, ``""`` otherwise.

    ``exit_code`` is None while it runs; 128 and the number of the signal, where one ended it.
    """

    id: str
    kind: ActivityKind
    backup_id: str
    who: str
    started: datetime
    copy: str = ""
    folder: str = ""
    process: int | None = None
    ended: datetime | None = None
    exit_code: int | None = None

    @property
    def outcome(self) -> JobOutcome:
        """How it ended, in a word."""
        return _OUTCOMES.get(self.exit_code, JobOutcome.FAILED)


class Jobs:
    """Starts them, and tells what became of them. Safe in several threads."""

    def __init__(self, configured: Configured, env_file: Path | None = None) -> None:
        self._configured = configured
        self._env_file = env_file
        self._state = configured.current().state_directory
        self._folder = self._state / "jobs"
        self._lock = threading.Lock()
        self._parents: list[subprocess.Popen[bytes]] = []

    # --- starting ------------------------------------------------------------------------------------------------

    def back_up(self, backup: Backup, who: str) -> Job:
        """Run it now. Raises Problem, as all of these, where the same is under way or too much is; HoldfastError."""
        job = _new_job(ActivityKind.BACKUP, backup, who)
        return self._start(job, ["backup.py", *self._options(), "--", backup.id])

    def verify(self, backup: Backup, who: str, timestamp: str | None, target: Target | None) -> Job:
        """Read a copy back: by default the newest good one, on each of its targets."""
        job = replace(_new_job(ActivityKind.VERIFY, backup, who), copy=timestamp or "")
        return self._start(job, ["restore.py", *self._options(), "verify", *_copy(backup, timestamp, target)])

    def drill(self, backup: Backup, who: str) -> Job:
        """Restore the newest good copy for real, compare it, and remove it again."""
        job = _new_job(ActivityKind.DRILL, backup, who)
        return self._start(job, ["restore.py", *self._options(), "verify", "--drill", *_copy(backup, None, None)])

    def restore(
        self, backup: Backup, who: str, timestamp: str, target: Target, paths: Sequence[str], folder_name: str
    ) -> Job:
        """Put these members, or all, into a new folder of this name; ``folder_name`` is one level, and was checked.

        Raises ConflictProblem where it is there already.
        """
        base = self._configured.current().dashboard.restore_folder or self._state / "restored"
        folder = base / folder_name
        job = replace(_new_job(ActivityKind.RESTORE, backup, who), copy=timestamp, folder=str(folder))
        command = ["restore.py", *self._options(), "restore", "--to", str(folder)]
        return self._start(job, [*command, *_copy(backup, timestamp, target), *paths])

    def _options(self) -> list[str]:
        options = ["--config", str(self._configured.current().path)]
        return options if self._env_file is None else [*options, "--env-file", str(self._env_file)]

    def _start(self, job: Job, command: Sequence[str]) -> Job:
        with self._lock:
            self._reap()
            self._require_free(job)
            try:
                self._launch(job, [sys.executable, str(INSTALLATION / command[0]), *command[1:]])
            except OSError as error:
                where = error.filename or self._folder
                raise HoldfastError(f"It cannot be started: {where}: {error.strerror}.") from error
            self._forget_old()
        return job

    def _require_free(self, job: Job) -> None:
        running = [each for each in self.all() if each.exit_code is None]
        if len(running) >= MOST_AT_ONCE:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{MOST_AT_ONCE} jobs run at this moment. Start it when one of them has ended.",
                {"Retry-After": "60"},
            )
        if job.kind is ActivityKind.RESTORE:
            return
        for activity in activities(self._state):
            if (activity.kind, activity.backup_id) == (job.kind, job.backup_id):
                raise ConflictProblem(f"{_described(activity)} Wait for it to end, or cancel it.")
        for each in running:
            if (each.kind, each.backup_id) == (job.kind, job.backup_id):
                raise ConflictProblem(
                    f"{each.who} started the same at {each.started:%H:%M:%S} UTC, and it has not ended yet."
                )

    def _launch(self, job: Job, command: Sequence[str]) -> None:
        make_private_directory(self._folder)
        if job.folder:
            self._claim(Path(job.folder))
        output = os.open(self._folder / f"{job.id}.log", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # The lock belongs to what was opened, so that it passes on to the process, which has it from its first
            # moment on.
            fcntl.flock(output, fcntl.LOCK_EX)
            document = json.dumps({**asdict(job), "started": job.started.isoformat()})
            path = self._folder / f"{job.id}.json"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(document)
            # -I and -S: nothing but the standard library is there for it, whatever the environment says.
            parent = [sys.executable, "-I", "-S", str(Path(__file__).with_name("job_process.py")), str(path), *command]
            self._parents.append(
                subprocess.Popen(
                    parent,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=_environment(os.environ),
                    cwd=_working_folder(),
                    start_new_session=True,
                )
            )
        except BaseException:
            self._remove(job.id)
            if job.folder:
                Path(job.folder).rmdir()
            raise
        finally:
            os.close(output)

    def _claim(self, folder: Path) -> None:
        """Nobody else restores into it from now on. Raises ConflictProblem, OSError."""
        make_private_directory(folder.parent)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            raise ConflictProblem(
                f"{folder} is there already, and nothing is overwritten. Choose another name."
            ) from None

    def _reap(self) -> None:
        self._parents = [parent for parent in self._parents if parent.poll() is None]

    # --- looking -------------------------------------------------------------------------------------------------

    def all(self) -> list[Job]:
        """Those that are known, newest first."""
        try:
            names = [path.stem for path in self._folder.glob("*.json")]
        except OSError:
            return []
        found = [job for name in names if (job := self.find(name)) is not None]
        return sorted(found, key=lambda job: (job.started, job.id), reverse=True)

    def find(self, job_id: str) -> Job | None:
        """None where nothing is known of it."""
        if not _NAME.fullmatch(job_id):
            return None
        job = self._read(job_id)
        if job is None or job.exit_code is not None or self._is_alive(job_id):
            return job
        job = self._read(job_id)  # it may just have ended
        if job is None or job.exit_code is not None:
            return job
        return replace(job, exit_code=_KILLED, ended=self._last_sign(job))

    def _last_sign(self, job: Job) -> datetime:
        try:
            modified = (self._folder / f"{job.id}.log").stat().st_mtime
        except OSError:
            return job.started
        return max(datetime.fromtimestamp(modified, UTC), job.started)

    def output(self, job: Job) -> str:
        """What it wrote, redacted."""
        try:
            with (self._folder / f"{job.id}.log").open("rb") as file:
                text = file.read(_LARGEST_OUTPUT).decode("utf-8", "replace")
        except OSError:
            return ""
        return redact("".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text))

    def activity_of(self, job: Job) -> Activity | None:
        """What it does now, once it has begun."""
        if job.exit_code is not None or job.process is None:
            return None
        return next((each for each in activities(self._state) if each.process == job.process), None)

    def _read(self, job_id: str) -> Job | None:
        try:
            fields: dict[str, Any] = json.loads((self._folder / f"{job_id}.json").read_bytes())
            started, ended = datetime.fromisoformat(fields["started"]), fields["ended"]
            fields |= {
                "kind": ActivityKind(fields["kind"]),
                "started": started,
                "ended": datetime.fromisoformat(ended) if ended is not None else None,
            }
            return Job(**fields)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _is_alive(self, job_id: str) -> bool:
        try:
            file = (self._folder / f"{job_id}.log").open("rb")
        except OSError:
            return False
        with closing(file):
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:
                return False
        return False

    def _forget_old(self) -> None:
        for job in self.all()[_KEPT:]:
            if job.exit_code is not None:
                self._remove(job.id)

    def _remove(self, job_id: str) -> None:
        for suffix in ("json", "log", "unfinished"):
            with suppress(OSError):
                (self._folder / f"{job_id}.{suffix}").unlink(missing_ok=True)


def _new_job(kind: ActivityKind, backup: Backup, who: str) -> Job:
    return Job(uuid.uuid4().hex, kind, backup.id, who, utc_now())


def _copy(backup: Backup, timestamp: str | None, target: Target | None) -> list[str]:
    options = ["--storage", target.storage.name] if target is not None else []
    return [*options, "--", f"{backup.id}@{timestamp}" if timestamp else backup.id]


def _described(activity: Activity) -> str:
    done = f", {format_size(activity.size)} so far" if activity.size else ""
    return f"{activity.backup_id} {_DOING[activity.kind]} since {activity.started:%H:%M:%S} UTC{done}."


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in _OF_THE_DASHBOARD}


def _working_folder() -> str:
    """As cron has it: relative paths in programs of the configuration mean the same."""
    home = os.environ.get("HOME", "")
    return home if home.startswith("/") and os.access(home, os.X_OK) else "/"
