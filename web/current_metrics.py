"""The metrics that ``/metrics`` answers with: made once for all who ask, and again when something changed."""

from __future__ import annotations

import threading

from catalog import Catalog
from operations.metrics import current_metrics, metrics
from utils import utc_now
from web.configured import Configured
from web.snapshot import Snapshot


class CurrentMetrics:
    """Safe in several threads."""

    def __init__(self, configured: Configured, catalog: Catalog, snapshot: Snapshot) -> None:
        self._configured = configured
        self._catalog = catalog
        self._snapshot = snapshot
        self._lock = threading.Lock()
        self._text = b""
        self._of: tuple[int, bool] | None = None

    def text(self) -> bytes:
        """In the format of Prometheus, at most a minute old. Raises CatalogError."""
        with self._lock:
            view = self._snapshot.view
            is_valid = self._configured.is_valid()
            if not view.is_whole:  # what is left out would look as if it were gone
                return current_metrics(view.configuration, self._catalog, utc_now(), is_config_valid=is_valid)
            if self._of != (view.version, is_valid):
                standings = [state.standing for state in view.states.values()]
                self._text = metrics(standings, is_config_valid=is_valid)
                self._of = (view.version, is_valid)
            return self._text
