"""Runs, checks and standings as JSON documents, for ``--json``. Times are ISO 8601, sizes bytes, durations seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from model import Check, Run
from operations.status.deadlines import Late
from operations.status.sizes import Sizes
from operations.status.standing import Notice, Standing, TargetStanding


def run_document(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "id": run.id,
        "backup": run.backup_id,
        "status": run.status.value,
        "started": run.started.isoformat(),
        "ended": _time(run.ended),
        "slot": _time(run.slot),
        "message": run.message,
        "archive": run.archive.name if run.archive else None,
        "files": run.archive.file_count if run.archive else None,
        "content_size": run.archive.content_size if run.archive else None,
        "archive_size": run.archive.size if run.archive else None,
        "sha256": run.archive.sha256 if run.archive else None,
        "copies": [
            {"storage": copy.storage, "key": copy.key, "status": copy.status.value, "error": copy.error}
            for copy in run.copies
        ],
    }


def standing_document(standing: Standing) -> dict[str, Any]:
    backup = standing.backup
    usual = standing.usual_duration
    return {
        "backup": standing.backup_id,
        "project": backup.project if backup is not None else None,
        "configured": backup is not None,
        "enabled": backup is not None and backup.enabled,
        "scheduled": standing.is_scheduled,
        "level": standing.level.value,
        "last": run_document(standing.last),
        "last_good": run_document(standing.last_good),
        "last_proven": check_document(standing.checks.proven),
        "last_verified": check_document(standing.checks.verified),
        "last_checks": {kind.value: check_document(check) for kind, check in standing.checks.last.items()},
        "damaged": [check_document(check) for check in standing.checks.damaged],
        "next_run": _time(standing.next_run),
        "usual_duration": usual.total_seconds() if usual is not None else None,
        "deadline": _time(standing.deadline),
        "late_since": _time(standing.late_since),
        "late": [late_document(late) for late in standing.late],
        "targets": [target_document(target) for target in standing.targets],
        "size": size_document(standing.sizes),
        "notices": [notice_document(notice) for notice in standing.notices],
    }


def check_document(check: Check | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "id": check.id,
        "kind": check.kind.value,
        "copy": check.copy,
        "target": check.target,
        "started": check.started.isoformat(),
        "ended": check.ended.isoformat(),
        "outcome": check.outcome.value,
        "message": check.message,
    }


def late_document(late: Late) -> dict[str, Any]:
    """``slot`` is when a good copy was due, ``since`` when its deadline passed."""
    return {
        "targets": list(late.targets),
        "slot": late.slot.isoformat(),
        "since": late.since.isoformat(),
        "last_good": _time(late.last_good),
        "reason": late.reason,
    }


def target_document(standing: TargetStanding) -> dict[str, Any]:
    """``last_good`` is when the run of the newest good copy there began; ``copies`` and ``size`` are all that lies
    there, as it was ``measured``."""
    usage = standing.usage
    return {
        "target": standing.name,
        "only": standing.target.only.value if standing.target.only is not None else None,
        "last_good": standing.last_good.started.isoformat() if standing.last_good is not None else None,
        "late": standing.is_late,
        "copies": usage.copies if usage is not None else None,
        "size": usage.size if usage is not None else None,
        "measured": _time(usage.measured) if usage is not None else None,
    }


def size_document(sizes: Sizes) -> dict[str, Any]:
    """``growth`` is that of ``content`` in so many ``growth_days``: 0.04 is 4 %."""
    trend = sizes.trend
    return {
        "content": sizes.content,
        "archive": sizes.archive,
        "usual_content": sizes.usual_content,
        "growth": round(trend.growth, 4) if trend is not None else None,
        "growth_days": trend.period.days if trend is not None else None,
        "anomaly": sizes.anomaly,
    }


def notice_document(notice: Notice) -> dict[str, Any]:
    return {
        "kind": notice.kind.value,
        "level": notice.level.value,
        "text": notice.text,
        "advice": notice.advice,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
