"""The audit log: who did what from the dashboard, and how it ended.

``<state>/logs/audit.log``, mode 0600, one JSON document a line::

    {"time": "2026-11-20T03:00:00Z", "who": "anna", "role": "operator", "via": "session", "address": "127.0.0.1",
     "action": "run", "object": "shop/db", "outcome": "started"}
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from operations.log_files import append_rotating
from utils import redact, utc_now
from web.security.principal import Principal

FILE_NAME = "audit.log"

# At this size (bytes) it is set aside as audit.log.1; so many of those are kept.
_LARGEST = 5_000_000
_KEPT = 5

_logger = logging.getLogger(__name__)


class Audit:
    """Appends lines. Safe in several threads and processes."""

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / "logs" / FILE_NAME

    def record(self, who: Principal, action: str, object: str = "", outcome: str = "done") -> None:  # noqa: A002
        """One line: ``action`` is a word (``run``, ``sign in``), ``object`` what it was done to (the id of a backup).

        A line that cannot be written is said in the program's own log, with what it would have told: a full disk must
        not keep anyone from restoring.
        """
        line = json.dumps(
            {
                "time": utc_now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                "who": who.name,
                "role": who.role.value if who.role else None,
                "via": who.via,
                "address": who.address,
                "action": action,
                "object": redact(object),
                "outcome": redact(outcome),
            }
        )
        try:
            append_rotating(self._path, f"{line}\n", max_bytes=_LARGEST, keep=_KEPT)
        except OSError as error:
            _logger.error("The audit log %s cannot be written: %s. Lost: %s", self._path, error.strerror, line)  # noqa: TRY400
