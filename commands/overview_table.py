"""The tables of the overview: as much of them as a line of the terminal holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from command_line import Coloured, table

if TYPE_CHECKING:
    from model import Run
    from operations.status.standing import Standing, TargetStanding

STYLES = {
    "failed": "red",
    "late": "red",
    "warning": "yellow",
    "running": "bold",
    "good": "green",
    "never run": "faint",
    "disabled": "faint",
    "orphaned": "faint",
}
"""Of the levels."""

_HEADER = ("BACKUP", "", "LAST RUN", "LAST GOOD", "LAST PROVEN", "NEXT RUN", "SIZE", "TREND")

# Which columns are shown, where a line is too short for all of them: times are short then, and these go one by one.
_LESS_IMPORTANT = ("TREND", "SIZE", "LAST RUN")

_Row = tuple[str, ...]


@dataclass(frozen=True)
class _Form:
    """How the cells are written: whole, or short for a line of a terminal that is too narrow."""

    time: Callable[[datetime], str]
    is_short: bool = False


def standing_table(standings: Sequence[Standing], now: datetime, width: int | None, *, with_targets: bool) -> str:
    """A row for each backup, and below it one for each target: for all of them ``with_targets``, else for those whose
    last good copy is not of the last good run."""
    rows = [_HEADER, *_rows(standings, _Form(_whole), with_targets=with_targets)]
    if width is None or _width(rows) <= width:
        return table(rows[0], rows[1:])
    short = _Form(lambda moment: _short(moment, now), is_short=True)
    rows = [_HEADER, *_rows(standings, short, with_targets=with_targets)]
    for name in _LESS_IMPORTANT:
        if _width(rows) > width:
            column = rows[0].index(name)
            rows = [row[:column] + row[column + 1 :] for row in rows]
    has_brackets = any(standing.checks.proven is None and standing.checks.verified for standing in standings)
    return table(rows[0], rows[1:]) + ("\n(In brackets: read back, not restored.)" if has_brackets else "")


def project_table(standings: Sequence[Standing]) -> str:
    """A row for each project, and one for all that is no longer configured."""
    from utils import format_size

    rows: list[_Row] = []
    for project, theirs in groupby(standings, lambda each: each.backup.project if each.backup is not None else None):
        group = list(theirs)
        noticed = sum(bool(standing.notices) for standing in group)
        newest = max((each.last_good.started for each in group if each.last_good is not None), default=None)
        size = sum(used.size for each in group for target in each.targets if (used := target.usage) is not None)
        rows.append(
            (
                project or "(orphaned)",
                f"{len(group):,}",
                f"{sum(each.level.value == 'good' for each in group):,}",
                Coloured(f"{noticed:,}", "red") if noticed else "0",
                _whole(newest) if newest is not None else "never",
                format_size(size) if size else "",
            )
        )
    return table(("PROJECT", "BACKUPS", "GOOD", "NEED YOU", "NEWEST GOOD", "STORED"), rows)


def _rows(standings: Sequence[Standing], form: _Form, *, with_targets: bool) -> Iterator[_Row]:
    for standing in standings:
        yield _backup_row(standing, form)
        good = standing.last_good
        is_apart = any(
            target.last_good is None or (good and target.last_good.id != good.id) for target in standing.targets
        )
        if with_targets or (is_apart and len(standing.targets) > 1 and good is not None):
            for target in standing.targets:
                yield _target_row(target, form.time)


def _backup_row(standing: Standing, form: _Form) -> _Row:
    from utils import format_size

    last, good, sizes = standing.last, standing.last_good, standing.sizes
    level, time = standing.level.value, form.time
    return (
        standing.backup_id,
        Coloured(level, STYLES[level]),
        _last_run(last, form) if last is not None else "never",
        time(good.started) if good else "never",
        _last_proven(standing, form),
        time(standing.next_run) if standing.next_run else "",
        format_size(sizes.archive) if sizes.archive is not None else "",
        str(sizes.trend) if sizes.trend is not None else "",
    )


def _target_row(standing: TargetStanding, time: Callable[[datetime], str]) -> _Row:
    from utils import format_count, format_size

    usage = standing.usage
    return (
        f"  {standing.name}",
        Coloured("late", STYLES["late"]) if standing.is_late else "",
        "",
        time(standing.last_good.started) if standing.last_good is not None else "never",
        "",
        f"{standing.target.only.value}ly" if standing.target.only is not None else "",
        format_size(usage.size) if usage is not None else "",
        format_count(usage.copies, "copy").replace("copys", "copies") if usage is not None else "",
    )


def _last_run(run: Run, form: _Form) -> str:
    """When it began and how it stands; where space is short, that it was good need not be said."""
    from model import RunStatus

    is_said = not (form.is_short and run.status is RunStatus.GOOD)
    return form.time(run.started) + (f" {run.status.value}" if is_said else "")


def _last_proven(standing: Standing, form: _Form) -> str:
    """When a copy was last restored for real and compared well; where none ever was, when one was read back."""
    from model import CheckOutcome

    proven, verified = standing.checks.proven, standing.checks.verified
    if proven is not None:
        return form.time(proven.started) + (" stale" if proven.outcome is CheckOutcome.STALE else "")
    if verified is None:
        return "never"
    read_back = form.time(verified.started)
    return f"({read_back})" if form.is_short else f"verified {read_back}"


def _width(rows: Sequence[_Row]) -> int:
    """How many characters the widest line of the table may have."""
    return sum(max(len(row[column]) for row in rows) for column in range(len(rows[0]))) + 2 * (len(rows[0]) - 1)


def _whole(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _short(moment: datetime, now: datetime) -> str:
    """``02:00`` today, ``Thu 02:00`` within six days, ``20 Nov`` within ten months, else ``2025-11``."""
    local, today = moment.astimezone(), now.astimezone().date()
    days = abs((local.date() - today).days)
    form = "%H:%M" if days == 0 else "%a %H:%M" if days < 7 else "%d %b" if days < 300 else "%Y-%m"
    return local.strftime(form)
