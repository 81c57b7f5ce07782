"""The metrics that ``/metrics`` answers with: computed once for all who ask, and again when something was recorded."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from catalog import Catalog
from model import Configuration, Severity
from utils import utc_now
from web.configured import Configured

# What is late, and what is next, changes with the clock alone.
_LONGEST_KEPT = timedelta(seconds=30)


class CurrentMetrics:
    """Safe in several threads."""

    def __init__(self, configured: Configured, catalog: Catalog) -> None:
        self._configured = configured
        self._catalog = catalog
        self._lock = threading.Lock()
        self._text = b""
        self._of: tuple[Configuration, bool, dict[str, int]] | None = None
        self._made: datetime | None = None

    def text(self) -> bytes:
        """In the format of Prometheus. Raises CatalogError."""
        from operations.metrics import current_metrics

        with self._lock:
            now = utc_now()
            configuration = self._configured.current()
            is_valid = all(problem.severity is not Severity.ERROR for problem in self._configured.problems())
            of = (configuration, is_valid, self._catalog.revisions())
            is_old = self._made is None or not timedelta() <= now - self._made < _LONGEST_KEPT
            if is_old or self._of != of:
                self._text = current_metrics(configuration, self._catalog, now, is_config_valid=is_valid)
                self._of, self._made = of, now
            return self._text
