"""The calendar of runs: a column a week, a cell a day, the colour and the mark of a cell its worst outcome.

The text is put together from constants and numbers, not by ``element``: an overview shows thousands of cells.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from urllib.parse import quote

from markupsafe import Markup, escape

from model import RunStatus
from utils import format_count
from web.charts.svg import element, picture

WEEKS_OF_A_YEAR = 53
DAYS = WEEKS_OF_A_YEAR * 7
"""How many days a calendar holds: whole weeks from Monday, the last of them that of today."""

_PITCH = 13
_CELL = 11
_LEFT = 26
_TOP = 16


class DayCode(enum.IntEnum):
    """The worst of a day, in one byte. What is worse is greater."""

    NONE = 0
    SKIPPED = 1
    GOOD = 2
    RUNNING = 3
    INTERRUPTED = 4
    PARTIAL = 5
    FAILED = 6


CODE_OF_STATUS = {status: DayCode[status.name] for status in RunStatus}
_WORDS = {code: code.name.lower() if code else "no run" for code in DayCode}

# Colour is not the only sign: what went wrong carries a mark, drawn over its cell (relative to the corner of it).
_MARKS = {
    DayCode.FAILED: "m3 3l5 5m0 -5l-5 5",
    DayCode.PARTIAL: "m2.5 5.5h6",
    DayCode.INTERRUPTED: "m4 3v5m3 -5v5",
}


@dataclass(frozen=True, slots=True)
class Days:
    """The days from the Monday ``first`` on: ``codes`` and ``counts`` (of runs) have an entry for each."""

    first: date
    codes: bytes
    counts: Sequence[int]

    def last_weeks(self, weeks: int) -> Days:
        """Those at the end."""
        skipped = max(len(self.codes) - weeks * 7, 0)
        return Days(self.first + timedelta(days=skipped), self.codes[skipped:], self.counts[skipped:])

    def first_weeks(self, weeks: int) -> Days:
        """Those at the beginning."""
        return Days(self.first, self.codes[: weeks * 7], self.counts[: weeks * 7])


def first_day(today: date) -> date:
    """The Monday with which a calendar begins that ends in the week of ``today``."""
    return today - timedelta(days=today.weekday(), weeks=WEEKS_OF_A_YEAR - 1)


def merged(first: date, calendars: Sequence[Days]) -> Days:
    """Several calendars of the same days in one: the worst outcome and all runs of each day."""
    if not calendars:
        return Days(first, bytes(DAYS), [0] * DAYS)
    if len(calendars) == 1:
        return calendars[0]
    codes = bytes(map(max, *(each.codes for each in calendars)))
    return Days(first, codes, [sum(day) for day in zip(*(each.counts for each in calendars), strict=True)])


def calendar(days: Days, today: date, what: str, query: str = "", *, columns: int = 0) -> Markup:
    """The weeks as a drawing. Each day with a run is a link to ``/days/<date>`` and the query, such as ``backup=a/b``.

    It is as wide as so many ``columns``, or as its weeks. Only the newest of the links can be reached by the Tab key:
    the arrow keys go on from there (static/calendar.js).
    """
    weeks = (len(days.codes) + 6) // 7
    width = _LEFT + max(weeks, columns) * _PITCH
    suffix = f"?{quote(query, safe='=&/')}" if query else ""
    shown = min(len(days.codes), (today - days.first).days + 1)
    cells = _cells(days, shown, str(escape(suffix)))
    height = _TOP + 7 * _PITCH
    return element(
        "svg",
        element("title", f"Calendar of {what}"),
        _month_labels(days.first, weeks),
        _weekday_labels(),
        Markup(cells),  # noqa: S704 - escaped above, and numbers
        class_="calendar",
        viewBox=f"0 0 {width} {height}",
        role="group",
        aria_label=f"Calendar of {what}: {summary(days)}",
    )


def year(days: Days, today: date, what: str, query: str = "") -> Markup:
    """The whole year as two drawings: side by side where there is room, one below the other on a phone."""
    older = WEEKS_OF_A_YEAR // 2
    newer = WEEKS_OF_A_YEAR - older
    halves = (days.first_weeks(older), days.last_weeks(newer))
    drawn = (calendar(half, today, what, query, columns=newer) for half in halves)
    return element("div", *drawn, class_="calendar-year")


def strip(days: Days, today: date, what: str, count: int = 30) -> Markup:
    """The last days in one row, a drawing without links."""
    end = min((today - days.first).days + 1, len(days.codes))
    codes = days.codes[max(end - count, 0) : end]
    places: dict[int, list[str]] = {}
    for position, code in enumerate(codes):
        places.setdefault(code, []).append(f"M{position * 6} 0h5v16h-5z")
    bars = [element("path", class_=f"day {DayCode(code).name.lower()}", d="".join(d)) for code, d in places.items()]
    return picture(
        count * 6 - 1, 16, "strip", f"The last {count} days of {what}", summary(Days(today, codes, ())), *bars
    )


def summary(days: Days) -> str:
    """``212 days good, 2 failed``."""
    parts = []
    for code in sorted(DayCode, reverse=True):
        number = days.codes.count(code)
        if number and code is not DayCode.NONE:
            parts.append(f"{format_count(number, 'day')} {_WORDS[code]}")
    return ", ".join(parts) or "no run"


def _cells(days: Days, shown: int, suffix: str) -> str:
    """Cells and marks. Days without a run are one path, because nobody wants to open them."""
    empty: list[str] = []
    cells: list[str] = []
    marks: list[str] = []
    newest = max((position for position in range(shown) if days.codes[position]), default=-1)
    for position in range(shown):
        code = days.codes[position]
        x, y = _LEFT + position // 7 * _PITCH, _TOP + position % 7 * _PITCH
        if not code:
            empty.append(f"M{x} {y}h{_CELL}v{_CELL}h-{_CELL}z")
            continue
        mark = _MARKS.get(DayCode(code))
        if mark:
            marks.append(f"M{x} {y}{mark}")
        tab = "0" if position == newest else "-1"
        link, label = _names(days.first + timedelta(days=position))
        words = f"{label}: {_WORDS[DayCode(code)]}, {format_count(days.counts[position], 'run')}"
        cells.append(
            f'<a href="/days/{link}{suffix}" tabindex="{tab}"><title>{words}</title>'
            f'<rect class="day {DayCode(code).name.lower()}" x="{x}" y="{y}" width="11" height="11" rx="2"/></a>'
        )
    before = f'<path class="day none" d="{"".join(empty)}"/>' if empty else ""
    after = f'<path class="marks" d="{"".join(marks)}"/>' if marks else ""
    return before + "".join(cells) + after


@lru_cache(maxsize=2 * DAYS)
def _names(day: date) -> tuple[str, str]:
    """``2026-11-20`` and ``20 Nov``."""
    return day.isoformat(), f"{day.day} {day:%b}"


def _month_labels(first: date, weeks: int) -> Markup:
    labels = []
    last_column = -3
    for week in range(weeks):
        monday = first + timedelta(weeks=week)
        begins = [monday + timedelta(days=day) for day in range(7) if (monday + timedelta(days=day)).day == 1]
        if begins and week - last_column >= 3 and week < weeks - 1:
            last_column = week
            labels.append(element("text", f"{begins[0]:%b}", x=_LEFT + week * _PITCH, y=10, aria_hidden="true"))
    return Markup("").join(labels)


def _weekday_labels() -> Markup:
    return Markup("").join(
        element("text", name, x=0, y=_TOP + row * _PITCH + 9, aria_hidden="true")
        for row, name in ((0, "Mon"), (2, "Wed"), (4, "Fri"))
    )
