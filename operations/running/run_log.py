"""The log of one run: a file that a person reads the morning after.

``<state>/logs/<project>/<backup>/<timestamp>.log``, mode 0600, one line for each event::

    2026-11-20T03:00:00Z INFO 30,925 files, 927 MB

Beside it lie those of verifications and drills, ``verify-<timestamp>.log`` and ``drill-<timestamp>.log``.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from model import CheckKind
from utils import format_timestamp, make_private_directory, parse_timestamp, printable, redact

# The newest logs of a backup that are kept, of each kind: seven weeks of a nightly one.
KEPT_LOGS = 50

_logger = logging.getLogger(__name__)


@contextmanager
def run_log(
    state_directory: Path, backup_id: str, started: datetime, kind: CheckKind | None = None
) -> Iterator[logging.Logger]:
    """A logger that writes the log of the run of ``backup_id`` that began at ``started``, or of a check of its copies.

    Its lines hold no secret and no control character. Of this backup's logs of this kind, the newest 50 are kept.
    No OSError comes out of it, be the disk full or the folder read-only, because a run that could be good must not
    fail for its log; a log that is incomplete is said once, as a warning of this module's own logger.
    """
    prefix = f"{kind.value}-" if kind is not None else ""
    path = state_directory / "logs" / backup_id / f"{prefix}{format_timestamp(started)}.log"
    logger = logging.Logger(path.stem, logging.DEBUG)  # outside of the tree of loggers: it goes when the run does
    handler = _LineHandler(path)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()
        with suppress(OSError):
            _remove_old_logs(path.parent, prefix)


class _LineHandler(logging.Handler):
    """Appends each record with a write(2) of its own, so that nothing is lost in a buffer when the process dies."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._descriptor: int | None = None
        self._is_complete = True
        try:
            make_private_directory(path.parent)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._say_incomplete(error)

    def emit(self, record: logging.LogRecord) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, _lines(record).encode())
        except OSError as error:
            self._say_incomplete(error)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()

    def _say_incomplete(self, error: OSError) -> None:
        if self._is_complete:
            _logger.warning("The log %s is incomplete: %s. The run goes on.", self._path, error.strerror)
        self._is_complete = False


def _lines(record: logging.LogRecord) -> str:
    """The record as lines: one for its message, and one for each line of its traceback."""
    start = f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ} {record.levelname} "
    texts = [redact(record.getMessage())]
    if record.exc_info:
        texts += redact("".join(traceback.format_exception(*record.exc_info))).splitlines()
    return "".join(f"{start}{printable(text.encode('utf-8', 'backslashreplace'))}\n" for text in texts)


def _remove_old_logs(folder: Path, prefix: str) -> None:
    logs = sorted((path for path in folder.glob(f"{prefix}*.log") if _is_log(path, prefix)), reverse=True)
    for path in logs[KEPT_LOGS:]:
        path.unlink(missing_ok=True)


def _is_log(path: Path, prefix: str) -> bool:
    try:
        parse_timestamp(path.stem.removeprefix(prefix))
    except ValueError:
        return False
    return True
