"""What processes of ours are doing now: each tells it in a file of its own, ``<state>/running/<id>.json``.

The file is a few hundred bytes of JSON with mode 0600, replaced as a whole at most four times a second by a thread of
its own, so that neither a slow disk nor a full one holds up the work. It goes when the work ends. What a killed
process leaves is known by its process, which is gone, and is removed by whoever looks.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from errors import HoldfastError
from model import Activity, ActivityKind, Member, Run, Target, UploadProgress
from operations.running.run_log import log_name
from utils import make_private_directory, printable, redact, utc_now

_FOLDER = "running"
_LARGEST_FILE = 1 << 20
_LONGEST_PATH = 500

_WRITE_SECONDS = 0.25
_LEAST_WRITE_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0

# A process that cannot be looked at from here (it is in another container, or on another machine that shares the state
# folder) writes at least every five seconds while it lives.
_SILENT = timedelta(seconds=60)

_NAME = re.compile(r"([0-9a-f]{32})\.json")
_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.unfinished")


# --- telling ----------------------------------------------------------------------------------------------------


class Publication:
    """An ``operations.observer.Observer`` that tells every other process; a context manager.

    A backup is published from :meth:`begin` on, under the id of its run; anything else at once. ``expected_size`` is
    in bytes; ``log`` is the path of its log below ``<state>/logs``. Nothing is raised: where the file cannot be
    written, nobody knows, and the work goes on.
    """

    def __init__(
        self,
        state_directory: Path,
        kind: ActivityKind,
        backup_id: str,
        expected_size: int | None = None,
        log: str = "",
    ) -> None:
        self._state = state_directory
        self._started = started_at(os.getpid())
        now = utc_now()
        self._activity = Activity(
            uuid.uuid4().hex,
            kind,
            backup_id,
            now,
            os.getpid(),
            self._started or 0,
            now,
            expected_size=expected_size,
            log=log,
            place=_place(),
        )
        self._lock = threading.Lock()
        self._files = 0
        self._size = 0
        self._member: Member | None = None
        self._uploads: dict[str, UploadProgress] = {}
        self._writer: _Writer | None = None

    def __enter__(self) -> Self:
        if self._activity.kind is not ActivityKind.BACKUP:
            self._publish()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def begin(self, run: Run) -> None:
        """This run begins; one that this process had before has ended."""
        self._end()
        with self._lock:
            log = log_name(run.backup_id, run.started)
            self._activity = replace(self._activity, id=run.id, started=run.started, log=log, waiting_until=None)
            self._files, self._size, self._member, self._uploads = 0, 0, None, {}
        self._publish()

    def wait(self, until: datetime) -> None:
        """Nothing is done before the next try, at this time."""
        with self._lock:
            self._activity = replace(self._activity, waiting_until=until)

    def expect(self, size: int) -> None:
        with self._lock:
            self._activity = replace(self._activity, expected_size=size)

    def advance(self, member: Member, size: int) -> None:
        # Without the lock: this is called for each file of a million, and a count that is one short does no harm.
        self._size += size
        if member is not self._member:
            self._files += 1
            self._member = member

    def upload(self, target: Target, sent: int, size: int) -> None:
        with self._lock:
            self._uploads[str(target)] = UploadProgress(str(target), sent, size)

    def current(self) -> Activity:
        """As it stands now."""
        with self._lock:
            path = printable(self._member.path) if self._member is not None else ""
            return replace(
                self._activity,
                updated=utc_now(),
                files=self._files,
                size=self._size,
                path=redact(path[:_LONGEST_PATH]),
                uploads=tuple(self._uploads.values()),
            )

    def _publish(self) -> None:
        # Without a state folder (a restore on another machine, say) none is made for this. Without /proc a process
        # could not be told from a later one of the same number.
        if self._started is None or not self._state.is_dir():
            return
        self._writer = _Writer(self._state, self)
        try:
            self._writer.start()
        except BaseException:  # a signal: the block is never entered, so that nobody leaves it
            self._end()
            raise

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.end()
            self._writer = None


class _Writer:
    """Keeps the file of one publication, in a thread of its own."""

    def __init__(self, state_directory: Path, publication: Publication) -> None:
        self._folder = state_directory / _FOLDER
        self._publication = publication
        self._path = self._folder / f"{publication.current().id}.json"
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="activity", daemon=True)

    def start(self) -> None:
        with suppress(OSError):
            make_private_directory(self._folder)
            for _ in _files(self._folder):  # what killed processes left goes, also where no dashboard ever looks
                pass
        self._write()
        with suppress(RuntimeError):  # "can't start new thread": then what was written stays as it is
            self._thread.start()

    def end(self) -> None:
        """Remove the file. A disk that does not answer is not waited for."""
        self._has_ended.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE_SECONDS)
        _remove(self._path)

    def _run(self) -> None:
        written = self._publication.current()
        written_at = time.monotonic()
        while not self._has_ended.wait(_WRITE_SECONDS):
            current = self._publication.current()
            is_new = current != replace(written, updated=current.updated)
            if is_new or time.monotonic() >= written_at + _LEAST_WRITE_SECONDS:
                self._write()
                written, written_at = current, time.monotonic()
        _remove(self._path)

    def _write(self) -> None:
        """Whoever reads meets a whole file, or none. Nothing is flushed to the disk: after a crash nobody needs it."""
        activity = self._publication.current()
        unfinished = self._folder / f".{activity.id}.unfinished"
        data = json.dumps(document(activity)).encode()
        with suppress(OSError):
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                is_whole = os.write(descriptor, data) == len(data)
            except OSError:
                is_whole = False
            finally:
                os.close(descriptor)
            if is_whole and not self._has_ended.is_set():
                unfinished.replace(self._path)
            else:
                unfinished.unlink()


def document(activity: Activity) -> dict[str, Any]:
    """An activity as JSON has it: times in ISO 8601, sizes in bytes."""
    moments = {"started": activity.started.isoformat(), "updated": activity.updated.isoformat()}
    waiting = activity.waiting_until.isoformat() if activity.waiting_until is not None else None
    return {**asdict(activity), **moments, "waiting_until": waiting}


# --- looking ----------------------------------------------------------------------------------------------------


def activities(state_directory: Path) -> list[Activity]:
    """What is under way, what began first at the head; files of processes that are gone are removed. Raises nothing."""
    try:
        found = list(_files(state_directory / _FOLDER))
    except OSError:
        return []
    return sorted(found, key=lambda activity: (activity.started, activity.id))


def cancel(activity: Activity) -> bool:
    """Ask its process to end, as a person does with Ctrl-C; it puts everything right on its way out, which is not
    waited for. False where it has ended already.

    Another process that has its number by now is never hit. Raises HoldfastError where this user may not, or the
    process is not to be seen from here.
    """
    if activity.place != _place():
        raise HoldfastError(
            f"The process {activity.process} runs in another container, or on another machine that shares the state "
            "folder. End it there."
        )
    try:
        descriptor = os.pidfd_open(activity.process)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise HoldfastError(f"The process {activity.process} cannot be reached: {error.strerror}.") from error
    try:
        # What was opened is this process for ever, so that it is looked at only now.
        if started_at(activity.process) != activity.process_started:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise HoldfastError(
            f"The process {activity.process} belongs to another user, and only that user or root can end it."
        ) from error
    finally:
        os.close(descriptor)
    return True


def started_at(process: int) -> int | None:
    """When a process began, in the ticks of field 22 of proc(5)'s ``stat``; None where it is gone, or a zombie."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    # The name of the program is in parentheses, and may hold spaces and parentheses itself.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _files(folder: Path) -> Iterator[Activity]:
    """The living ones; what the dead left is removed. Raises OSError where the folder cannot be read."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        path = folder / name
        if _UNFINISHED.fullmatch(name):
            if not (folder / f"{name[1:33]}.json").exists():
                _remove_if_old(path)
        elif _NAME.fullmatch(name):
            try:
                activity = _read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, TypeError, KeyError):
                _remove_if_old(path)
                continue
            if _is_alive(activity):
                yield activity
            else:
                _remove(path)


def _read(path: Path) -> Activity:
    """Raises OSError, ValueError, TypeError, KeyError."""
    with path.open("rb") as file:
        fields = json.loads(file.read(_LARGEST_FILE))
    moments = {name: datetime.fromisoformat(fields[name]) for name in ("started", "updated")}
    waiting = fields["waiting_until"]
    fields |= {
        **moments,
        "kind": ActivityKind(fields["kind"]),
        "uploads": tuple(UploadProgress(**each) for each in fields["uploads"]),
        "waiting_until": datetime.fromisoformat(waiting) if waiting is not None else None,
    }
    return Activity(**fields)


def _is_alive(activity: Activity) -> bool:
    if activity.place == _place():
        return started_at(activity.process) == activity.process_started
    return utc_now() - activity.updated < _SILENT


@cache
def _place() -> str:
    """Where numbers of processes mean the same: this boot of this machine, and this container in it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _remove_if_old(path: Path) -> None:
    """One that was just made may be of a process that is about to finish it."""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > _SILENT.total_seconds():
            path.unlink()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
