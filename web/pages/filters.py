"""How values are written in templates: times in the server's zone, sizes, addresses, words."""

from __future__ import annotations

from datetime import date, datetime
from urllib.parse import quote

from markupsafe import Markup

from model import Activity, ActivityKind
from schedules.times import local_zone
from utils import first_statement, format_count, format_duration, format_size, parse_timestamp, utc_now

_GOOD, _WARNING, _BAD = ("good", "good"), ("warn", "warning"), ("bad", "bad")
_BADGES = {
    **dict.fromkeys(("good", "passed", "valid"), _GOOD),
    **dict.fromkeys(("warning", "warnings", "partial", "stale", "could not be done"), _WARNING),
    **dict.fromkeys(("bad", "failed", "error", "errors"), _BAD),
    **dict.fromkeys(("interrupted", "cancelled", "not started"), ("warn", "pause")),
    "late": ("bad", "new"),
    "running": ("live", "running"),
    "never run": ("", "new"),
}
_KINDS = {
    ActivityKind.BACKUP: "backing up",
    ActivityKind.VERIFY: "verifying",
    ActivityKind.DRILL: "drill",
    ActivityKind.RESTORE: "restoring",
}


def badge_of(word: str) -> tuple[str, str]:
    """The class and the symbol of a badge."""
    return _BADGES.get(word, ("", "off"))


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def short_time(moment: datetime) -> str:
    """``20 Nov 03:00``, with the year where it is another one."""
    local = moment.astimezone(local_zone())
    year = f" {local.year}" if local.year != utc_now().astimezone(local_zone()).year else ""
    return f"{local.day} {local:%b}{year} {local:%H:%M}"


def copy_time(timestamp: str) -> str:
    """``Copy of 20 Nov 03:00``, of ``20261120T030000Z``."""
    try:
        return f"Copy of {short_time(parse_timestamp(timestamp))}"
    except ValueError:
        return f"Copy {timestamp}"


def long_time(moment: datetime) -> str:
    """``Friday 20 November 2026, 03:00:12``."""
    local = moment.astimezone(local_zone())
    return f"{local:%A} {local.day} {local:%B %Y, %H:%M:%S}"


def clock(moment: datetime) -> str:
    """``03:00:12``."""
    return f"{moment.astimezone(local_zone()):%H:%M:%S}"


def clock_minutes(moment: datetime) -> str:
    """``03:00``."""
    return f"{moment.astimezone(local_zone()):%H:%M}"


def long_day(day: date) -> str:
    """``Friday 20 November 2026``."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def backup_path(backup_id: str) -> str:
    """The address of its page."""
    return f"/backups/{quote(backup_id)}"


def percent_of(part: int, whole: int) -> str:
    """``74 %``; of what is there at all never 0."""
    percent = round(100 * part / whole) if whole else 0
    return "under 1 %" if part and not percent else f"{percent} %"


def with_code(text: str) -> Markup:
    """What stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part for position, part in enumerate(parts)
    )


def share(activity: Activity) -> int | None:
    """How much of it is done, in percent; None where nobody can tell."""
    done, expected = _progress(activity)
    return min(100 * done // expected, 100) if expected else None


def activity_words(activity: Activity) -> str:
    """``1,204 files · 230 MB of 1.20 GB``. static/live.js writes the same."""
    if activity.waiting_until is not None:
        return f"Waits for its next try at {clock_minutes(activity.waiting_until)}"
    done, expected = _progress(activity)
    of = f" of {'' if activity.uploads else 'about '}{format_size(expected)}" if expected else ""
    if activity.uploads:
        return f"Sending {format_size(done)}{of}"
    return f"{format_count(activity.files, 'file')} · {format_size(done)}{of}"


def zone_name() -> str:
    """``Europe/Berlin``, or ``CET``."""
    return str(getattr(local_zone(), "key", "") or utc_now().astimezone(local_zone()).tzname())


def _progress(activity: Activity) -> tuple[int, int | None]:
    if activity.uploads:
        return sum(each.sent for each in activity.uploads), sum(each.size for each in activity.uploads)
    return activity.size, activity.expected_size


FILTERS = {
    "iso": iso,
    "short_time": short_time,
    "copy_time": copy_time,
    "long_time": long_time,
    "long_day": long_day,
    "clock": clock,
    "clock_minutes": clock_minutes,
    "backup_path": backup_path,
    "first_statement": first_statement,
    "with_code": with_code,
    "percent_of": percent_of,
    "share": share,
    "activity_words": activity_words,
    "activity_kind": lambda kind: _KINDS[kind],
    "size": format_size,
    "duration": format_duration,
    "grouped": lambda number: f"{number:,}",
    "count": format_count,
}
