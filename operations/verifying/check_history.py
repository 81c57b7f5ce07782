"""What the catalog knows of earlier checks, and the record of new ones.

That a copy is sound does not depend on the catalog: where it cannot be used, that is kept in ``problems``, and nothing
is raised.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from errors import CatalogError
from model import Backup, Check, CheckKind, CheckOutcome, Configuration
from operations.copies.stored_copies import Listing, StoredCopy
from operations.metrics_file import write_metrics
from operations.verifying.checking import CopyCheck
from operations.verifying.drill_report import DrillReport
from utils import redact

if TYPE_CHECKING:
    from catalog import Catalog

_LONGEST_MESSAGE = 50


class CheckHistory:
    """A context manager. The catalog is opened with the first question, and the metrics follow what was recorded."""

    def __init__(self, configuration: Configuration) -> None:
        self.problems: list[str] = []
        self._configuration = configuration
        self._catalog: Catalog | None = None
        self._has_recorded = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._catalog is not None:
            try:
                if self._has_recorded:
                    write_metrics(self._configuration, self._catalog)
            finally:
                self._catalog.close()

    def last_checked(self, backup_id: str) -> dict[tuple[str, str], datetime]:
        """For each target and copy, when it was last read through, whatever came of it. Empty where nobody knows."""
        try:
            catalog = self._opened()
            found = catalog.last_verified(backup_id)
            for check in catalog.last_checks([backup_id])[backup_id].damaged:
                place = (check.target, check.copy)
                found[place] = max(check.started, found.get(place, check.started))
            return found
        except CatalogError as error:
            self._note(error)
            return {}

    def _record(
        self,
        copy: StoredCopy,
        kind: CheckKind,
        outcome: CheckOutcome,
        started: datetime,
        ended: datetime,
        reasons: Iterable[str],
    ) -> None:
        """Record one check of a copy."""
        message = redact("\n".join(list(reasons)[:_LONGEST_MESSAGE]))
        target = str(copy.target)
        check = Check(
            uuid.uuid4().hex, copy.backup_id, kind, copy.keys.timestamp, target, started, ended, outcome, message
        )
        try:
            self._opened().record_check(check)
            self._has_recorded = True
        except CatalogError as error:
            self._note(error)

    def record_verification(self, check: CopyCheck) -> None:
        """Record that a copy was read back."""
        self._record(check.copy, CheckKind.VERIFY, check.outcome, check.started, check.ended, check.reasons)

    def record_drill(self, copy: StoredCopy, report: DrillReport, started: datetime, ended: datetime) -> None:
        """Record that a copy was restored for real, or was to be."""
        reasons = [*report.problems, *filter(None, (report.obstacle, report.stale))]
        self._record(copy, CheckKind.DRILL, report.outcome, started, ended, reasons)

    def forget_removed(self, backup: Backup, listing: Listing) -> None:
        """Forget the checks of copies that are no longer on their targets. For a listing of all of them only."""
        if listing.errors:
            return
        present: dict[str, set[str]] = {str(target): set() for target in backup.targets}
        for copy in listing.copies:
            present[str(copy.target)].add(copy.keys.timestamp)
        with suppress(CatalogError):
            for target, timestamps in present.items():
                self._opened().forget_checks(backup.id, target, timestamps)

    def _opened(self) -> Catalog:
        if self._catalog is None:
            from catalog import open_catalog

            self._catalog = open_catalog(self._configuration.state_directory, self._configuration.catalog_url)
        return self._catalog

    def _note(self, error: CatalogError) -> None:
        sentence = f"The check is not recorded. {error}"
        if sentence not in self.problems:
            self.problems.append(sentence)
