"""Charts of a value over time: the size of archives, the duration of runs, and the small ones in a row of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from markupsafe import Markup

from utils import format_count
from web.charts.svg import element, joined, number, path, picture, short_day

_WIDTH = 420
_HEIGHT = 170
_LEFT = 56
_RIGHT = 8
_TOP = 12
_BOTTOM = 24
_MOST_POINTS = 180
_ROWS = 30

# What is more than so many times as high as nearly all others would press them to a line at the bottom.
_OUTLIER = 4.0


@dataclass(frozen=True, slots=True)
class Point:
    """One run. Where ``value`` is None, a cross at the bottom stands for it, with ``words`` as its title."""

    moment: datetime
    value: float | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """How values are written, and what the steps of the axis are multiples of: 1, 2, 2.5 or 5
    times a power of ten of the largest of ``bases`` that fits."""

    words: Callable[[float], str]
    bases: tuple[float, ...] = (1.0,)


def chart(points: Sequence[Point], title: str, unit: Unit, zone: tzinfo, now: datetime) -> Markup:
    """An area with few labels, from the first of these points (oldest first) until now, and a table of its values.

    The axis is that of nearly all values: one that is far above is drawn as an arrow at its top.
    """
    values = [point.value for point in points if point.value is not None]
    if not values:
        return element("p", f"{title}: no run has one yet.", class_="empty")
    first = points[0].moment
    start = min(first, now - timedelta(days=1))
    top = _axis_top(values)
    place = _Place(start, max(now, points[-1].moment), top)
    line = _thinned([(place.x(p.moment), p.value) for p in points if p.value is not None])
    missing = [point for point in points if point.value is None]
    description = (
        f"{format_count(len(values), 'run')} since {short_day(first, zone)}: from {unit.words(min(values))} to "
        f"{unit.words(max(values))}, the last one {unit.words(values[-1])}"
    )
    if missing:
        description += f"; {format_count(len(missing), 'run')} without one"
    drawing = picture(
        _WIDTH,
        _HEIGHT,
        "chart",
        title,
        description,
        *_grid(top, unit, place),
        *_dates(place, zone),
        *_area(line, place),
        *(_cross(place.x(point.moment), point.words) for point in missing[-_MOST_POINTS:]),
    )
    table = _table(points[-_ROWS:], title, unit, zone)
    return element("figure", element("figcaption", title), drawing, table, class_="chart-figure")


def sparkline(values: Sequence[float], what: str, words: Callable[[float], str]) -> Markup:
    """The last values as a small line, the upper half of them at least. Nothing where there are fewer than two."""
    if len(values) < 2:
        return Markup("")
    top = max(values) or 1.0
    bottom = min(min(values) * 0.95, top / 2)
    step = 100 / (len(values) - 1)
    line = [(position * step, 22 - 20 * (value - bottom) / (top - bottom)) for position, value in enumerate(values)]
    description = f"From {words(min(values))} to {words(max(values))}, the last one {words(values[-1])}"
    area = [(0.0, 24.0), *line, (100.0, 24.0)]
    return picture(
        100,
        24,
        "spark",
        what,
        description,
        element("path", class_="area", d=path(area) + "z"),
        element("path", class_="line", d=path(line)),
        stretched=True,
    )


def bar(share: float, what: str) -> Markup:
    """A horizontal bar; ``share`` is from 0 to 1. The number stands beside it, so a screen reader skips the drawing."""
    width = 100 * min(max(share, 0.0), 1.0)
    filled = element("rect", class_="fill", width=max(width, 0.6), height=8)
    track = element("rect", class_="track", width=100, height=8)
    return element(
        "svg", track, filled, class_=f"bar {what}", viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true"
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """From a moment and a value to the drawing."""

    start: datetime
    end: datetime
    top: float

    def x(self, moment: datetime) -> float:
        share = (moment - self.start) / (self.end - self.start)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(value / self.top, 1.0)


def _table(points: Sequence[Point], title: str, unit: Unit, zone: tzinfo) -> Markup:
    """The newest values for whoever cannot see the drawing, or wants the numbers."""
    rows = [
        element(
            "tr",
            element("th", f"{point.moment.astimezone(zone):%Y-%m-%d %H:%M}", scope="row"),
            element("td", point.words if point.value is None else unit.words(point.value)),
        )
        for point in reversed(points)
    ]
    header = element("tr", element("th", "Began", scope="col"), element("th", title, scope="col"))
    table = element("table", element("caption", f"{title}, newest first", class_="hidden"), header, *rows)
    return element("details", element("summary", "Values"), element("div", table, class_="scroll"), class_="values")


def _axis_top(values: Sequence[float]) -> float:
    """What the axis must reach: the highest value, or nearly all where few are far above the others."""
    ordered = sorted(values)
    usual = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    highest = ordered[-1]
    wanted = usual * 1.25 if usual > 0 and highest > _OUTLIER * usual else highest
    return wanted * 1.08 if wanted > 0 else 1.0


def _steps(top: float, bases: Sequence[float]) -> list[float]:
    """Two to four round values below ``top``."""
    base = max((base for base in bases if base <= top / 2), default=bases[0])
    rough = top / 4 / base
    magnitude = 10 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    factor = next(each for each in (1, 2, 2.5, 5, 10) if each * magnitude >= rough)
    step = factor * magnitude * base
    return [step * count for count in range(1, int(top / step) + 1)]


def _grid(top: float, unit: Unit, place: _Place) -> list[Markup]:
    lines = [(0.0, "0")] + [(value, unit.words(value)) for value in _steps(top, unit.bases)]
    drawn = []
    for value, label in lines:
        y = place.y(value)
        drawn.append(element("path", class_="grid", d=f"M{_LEFT} {number(y)}H{_WIDTH - _RIGHT}"))
        drawn.append(element("text", label, x=_LEFT - 6, y=y + 4, text_anchor="end"))
    return drawn


def _dates(place: _Place, zone: tzinfo) -> list[Markup]:
    days = (place.end - place.start).days
    drawn = []
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        moment = (place.start + (place.end - place.start) * share).astimezone(zone)
        label = f"{moment.day} {moment:%b}" if days > 2 else f"{moment.day} {moment:%b %H:%M}"
        drawn.append(element("text", label, x=place.x(moment), y=_HEIGHT - 6, text_anchor=anchor))
    return drawn


def _area(line: Sequence[tuple[float, float]], place: _Place) -> list[Markup]:
    drawn = [(x, place.y(value)) for x, value in line]
    bottom = place.y(0)
    parts = []
    if len(drawn) > 1:
        closed = [(drawn[0][0], bottom), *drawn, (drawn[-1][0], bottom)]
        parts = [element("path", class_="area", d=path(closed) + "z"), element("path", class_="line", d=path(drawn))]
    above = [x for x, value in line if value > place.top]
    arrows = "".join(f"M{number(x - 4)} {_TOP + 1}l4 -7l4 7z" for x in above)
    if arrows:
        parts.append(element("path", element("title", "Far above the others"), class_="outlier", d=arrows))
    x, y = drawn[-1]
    return [*parts, element("circle", class_="last", cx=x, cy=y, r=3)]


def _cross(x: float, words: str) -> Markup:
    y = _HEIGHT - _BOTTOM
    return element("path", element("title", words), class_="missing", d=f"M{number(x - 3)} {y - 3}l6 6m0 -6l-6 6")


def _thinned(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """No more points than can be told apart: of those that stand close, the highest."""
    if len(line) <= _MOST_POINTS:
        return line
    width = (line[-1][0] - line[0][0]) / _MOST_POINTS or 1.0
    highest: dict[int, tuple[float, float]] = {}
    for x, value in line:
        column = int((x - line[0][0]) / width)
        if column not in highest or value > highest[column][1]:
            highest[column] = (x, value)
    return list(highest.values())


def legend(parts: Sequence[tuple[str, str]]) -> Markup:
    """What the colours mean: (class, words)."""
    items = (
        element(
            "li",
            element(
                "svg",
                element("rect", class_=f"day {kind}", width=11, height=11, rx=2),
                viewBox="0 0 11 11",
                class_="key",
                aria_hidden="true",
            ),
            words,
        )
        for kind, words in parts
    )
    return element("ul", joined(items), class_="legend")
