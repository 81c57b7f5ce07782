"""How a backup is shown: one word for it, and the reasons where somebody should look."""

from __future__ import annotations

import enum

from model import Check, CheckKind, CheckOutcome, Run, RunStatus
from operations.status.overview import Standing


class Level(enum.StrEnum):
    """``NEW`` has not run yet. ``DISABLED`` and ``ORPHANED`` do not run, and nobody waits for them."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    NEW = "new"
    DISABLED = "disabled"
    ORPHANED = "orphaned"


NEEDS_ATTENTION = (Level.BAD, Level.WARNING)

_LAST_RUN = {
    RunStatus.FAILED: "The last run failed",
    RunStatus.PARTIAL: "The last run could not read everything",
    RunStatus.INTERRUPTED: "The last run was interrupted",
}
_HOW_CHECKED = {
    CheckOutcome.FAILED: "failed",
    CheckOutcome.STALE: "found it too old",
    CheckOutcome.NOT_DONE: "could not be done",
}


def level(standing: Standing) -> Level:
    """The worst that is known of it."""
    if standing.backup is None:
        return Level.ORPHANED
    if not standing.backup.enabled:
        return Level.DISABLED
    if any(check.outcome is CheckOutcome.FAILED for check in standing.concerns) or _has_failed(standing.last):
        return Level.BAD
    if reasons(standing):
        return Level.WARNING
    return Level.NEW if standing.last_good is None else Level.GOOD


def reasons(standing: Standing) -> list[str]:
    """Why somebody should look, a sentence each, the worst first; nothing where all is well."""
    if standing.backup is None or not standing.backup.enabled:
        return []
    said = []
    last = standing.last
    if last is not None and last.status in _LAST_RUN:
        said.append(_sentence(_LAST_RUN[last.status], last.message))
    said.extend(about_check(check) for check in standing.concerns)
    return said


def about_check(check: Check) -> str:
    """What a check found, with the copy that it was of."""
    what = "drill" if check.kind is CheckKind.DRILL else "verification"
    how = _HOW_CHECKED.get(check.outcome, "passed")
    return _sentence(f"The {what} of the copy of {check.copy} on {check.target} {how}", check.message)


def _has_failed(run: Run | None) -> bool:
    return run is not None and run.status is RunStatus.FAILED


def _sentence(beginning: str, message: str) -> str:
    first_line = message.strip().partition("\n")[0]
    return f"{beginning}: {first_line}" if first_line else f"{beginning}."
