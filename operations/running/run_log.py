"""The log of one run: a file that a person reads the morning after.

``<state>/logs/<project>/<backup>/<timestamp>.log``, mode 0600, with lines as ``operations.running.log_lines`` says.
Beside it lie those of verifications and drills, ``verify-<timestamp>.log`` and ``drill-<timestamp>.log``.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from model import CheckKind, LogFormat
from operations.running.log_lines import json_line, text_lines
from utils import format_count, format_timestamp, make_private_directory, parse_timestamp

# The newest logs of a backup that are kept, of each kind: seven weeks of a nightly one.
KEPT_LOGS = 50

# A million files that cannot be read are a million lines. Beyond this only errors are written, and the end of the log.
MAX_BYTES = 16 << 20
_LAST_RECORDS = 100

_logger = logging.getLogger(__name__)


@contextmanager
def run_log(
    state_directory: Path,
    backup_id: str,
    started: datetime,
    kind: CheckKind | None = None,
    *,
    log_format: LogFormat = LogFormat.TEXT,
    run_id: str = "",
) -> Iterator[logging.Logger]:
    """A logger that writes the log of the run of ``backup_id`` that began at ``started``, or of a check of its copies.

    Its lines hold no secret and no control character. Of this backup's logs of this kind, the newest 50 are kept, and
    none is much larger than 16 MiB. ``run_id`` is told in JSON only.
    No OSError comes out of it, be the disk full or the folder read-only, because a run that could be good must not
    fail for its log; a log that is incomplete is said once, as a warning of this module's own logger.
    """
    path = state_directory / "logs" / log_name(backup_id, started, kind)
    logger = logging.Logger(path.stem, logging.DEBUG)  # outside of the tree of loggers: it goes when the run does
    handler = _LineHandler(path, _formatted(log_format, backup_id, kind, run_id))
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()
        with suppress(OSError):
            _remove_old_logs(path.parent, _prefix(kind))


def log_name(backup_id: str, started: datetime, kind: CheckKind | None = None) -> str:
    """The path of such a log below ``<state>/logs``."""
    return f"{backup_id}/{_prefix(kind)}{format_timestamp(started)}.log"


def _prefix(kind: CheckKind | None) -> str:
    return f"{kind.value}-" if kind is not None else ""


def _formatted(
    log_format: LogFormat, backup_id: str, kind: CheckKind | None, run_id: str
) -> Callable[[logging.LogRecord], str]:
    if log_format is LogFormat.TEXT:
        return text_lines
    fields = {"kind": kind.value if kind is not None else "backup", "backup": backup_id}
    return partial(json_line, fields={**fields, "run": run_id} if run_id else fields)


class _LineHandler(logging.Handler):
    """Appends each record with a write(2) of its own, so that nothing is lost in a buffer when the process dies."""

    def __init__(self, path: Path, formatted: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._path = path
        self._formatted = formatted
        self._size = 0
        self._held: deque[logging.LogRecord] = deque(maxlen=_LAST_RECORDS)
        self._held_back = 0
        self._descriptor: int | None = None
        self._is_complete = True
        try:
            make_private_directory(path.parent)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._say_incomplete(error)

    def emit(self, record: logging.LogRecord) -> None:
        if self._size >= MAX_BYTES and record.levelno < logging.ERROR:
            self._held.append(record)
            self._held_back += 1
            return
        self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        if self._descriptor is None:
            return
        try:
            self._size += os.write(self._descriptor, self._formatted(record).encode())
        except OSError as error:
            self._say_incomplete(error)

    def _write_the_end(self) -> None:
        left_out = self._held_back - len(self._held)
        if left_out:
            text = f"the log is full: {format_count(left_out, 'line')} before the next one are left out"
            self._write(logging.makeLogRecord({"levelno": logging.WARNING, "levelname": "WARNING", "msg": text}))
        for record in self._held:
            self._write(record)
        self._held.clear()

    def close(self) -> None:
        if self._descriptor is not None:
            self._write_the_end()
            os.close(self._descriptor)
            self._descriptor = None
        super().close()

    def _say_incomplete(self, error: OSError) -> None:
        if self._is_complete:
            _logger.warning("The log %s is incomplete: %s. The run goes on.", self._path, error.strerror)
        self._is_complete = False


def _remove_old_logs(folder: Path, prefix: str) -> None:
    logs = sorted((path for path in folder.glob(f"{prefix}*.log") if _is_log(path, prefix)), reverse=True)
    for path in logs[KEPT_LOGS:]:
        path.unlink(missing_ok=True)


def is_own_log(path: Path) -> bool:
    """Whether the file is a log that :func:`run_log` wrote."""
    prefixes = ("", *(f"{kind.value}-" for kind in CheckKind))
    return path.suffix == ".log" and any(_is_log(path, prefix) for prefix in prefixes)


def _is_log(path: Path, prefix: str) -> bool:
    try:
        parse_timestamp(path.stem.removeprefix(prefix))
    except ValueError:
        return False
    return True
