"""The drawings of the dashboard, as the pages get them: what they show, and that they are well-formed and calm."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from model import RunStatus
from utils import format_size
from web.charts.calendar import CODE_OF_STATUS, DAYS, DayCode, Days, calendar, first_day, merged, summary, year
from web.charts.series import Point, Unit, chart, sparkline

TODAY = date(2026, 11, 26)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOSTILE = '"><script>alert(1)</script>'
CODES = st.binary(min_size=DAYS, max_size=DAYS).map(lambda data: bytes(each % len(DayCode) for each in data))


def days(codes: bytes, count: int = 1) -> Days:
    return Days(first_day(TODAY), codes, [count if code else 0 for code in codes])


def parsed(markup: str) -> ElementTree.Element:
    """Raises ParseError where it is not well-formed."""
    return ElementTree.fromstring(f"<div>{markup}</div>")


def test_a_calendar_begins_on_a_monday_and_holds_today() -> None:
    for number in range(14):
        today = TODAY + timedelta(days=number)
        first = first_day(today)
        assert first.weekday() == 0
        assert DAYS - 7 <= (today - first).days < DAYS


@given(CODES)
def test_each_day_with_a_run_until_today_is_a_link_and_no_other(codes: bytes) -> None:
    drawing = parsed(year(days(codes), TODAY, "shop", "project=shop"))
    links = [link.get("href") for link in drawing.iter("a")]
    shown = (TODAY - first_day(TODAY)).days + 1
    expected = [first_day(TODAY) + timedelta(days=each) for each, code in enumerate(codes[:shown]) if code]
    assert sorted(filter(None, links)) == [f"/days/{day}?project=shop" for day in expected]
    assert [link.find("title") is not None for link in drawing.iter("a")] == [True] * len(expected)
    for svg in drawing.iter("svg"):
        reachable = [link for link in svg.iter("a") if link.get("tabindex") == "0"]
        assert len(reachable) == min(1, len(list(svg.iter("a"))))


@given(st.lists(CODES, min_size=1, max_size=4))
def test_of_several_backups_the_worst_of_a_day_is_shown_and_all_runs_count(each_codes: list[bytes]) -> None:
    calendars = [days(codes, count=3) for codes in each_codes]
    found = merged(first_day(TODAY), calendars)
    for position in range(DAYS):
        of_day = [codes[position] for codes in each_codes]
        assert found.codes[position] == max(of_day)
        assert found.counts[position] == 3 * sum(code != 0 for code in of_day)


def test_what_is_worse_wins() -> None:
    worst_first = ("failed", "partial", "interrupted", "running", "good", "skipped")
    assert [CODE_OF_STATUS[RunStatus(word)] for word in worst_first] == [6, 5, 4, 3, 2, 1]


def test_what_went_wrong_is_told_by_more_than_colour() -> None:
    codes = bytearray(DAYS)
    codes[-10:-6] = bytes((DayCode.FAILED, DayCode.PARTIAL, DayCode.INTERRUPTED, DayCode.GOOD))
    drawing = parsed(calendar(days(bytes(codes)), TODAY, "shop"))
    (marks,) = [path for path in drawing.iter("path") if path.get("class") == "marks"]
    strokes = [re.sub(r"^[\d. ]+", "", each) for each in (marks.get("d") or "").split("M")[1:]]
    assert len(set(strokes)) == 3
    titles = [title.text for title in drawing.iter("title")]
    assert "20 Nov: failed, 1 run" in titles
    assert summary(days(bytes(codes))) == "1 day failed, 1 day partial, 1 day interrupted, 1 day good"


def points(*values: float | None) -> list[Point]:
    start = NOW - timedelta(days=len(values))
    return [Point(start + timedelta(days=each), value, f"run {each}") for each, value in enumerate(values)]


def labels(drawing: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in drawing.iter("text") if text.get("text-anchor") == "end"]


@given(st.lists(st.none() | st.floats(0, 1e15), min_size=1, max_size=400))
def test_a_chart_stays_in_its_frame_whatever_the_values(values: list[float | None]) -> None:
    drawing = parsed(chart(points(*values), "Size", Unit(format_size), UTC, NOW))
    for path in drawing.iter("path"):
        if path.get("class") in ("line", "area"):
            found = [tuple(map(float, pair)) for pair in re.findall(r"([\d.-]+) ([\d.-]+)", path.get("d") or "")]
            assert all(0 <= x <= 420 and 0 <= y <= 170 for x, y in found)
            assert len(found) <= 190
    assert len(labels(drawing)) <= 8
    crosses = [path for path in drawing.iter("path") if path.get("class") == "missing"]
    if any(value is not None for value in values):
        assert len(crosses) == min(sum(value is None for value in values), 180)


def test_one_run_far_above_all_others_does_not_press_them_down() -> None:
    drawing = parsed(chart(points(*[1e9] * 60, 9e11, *[1e9] * 60), "Size", Unit(format_size), UTC, NOW))
    assert [path.get("class") for path in drawing.iter("path")].count("outlier") == 1
    line = next(path.get("d") or "" for path in drawing.iter("path") if path.get("class") == "line")
    heights = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", line)]
    assert min(heights[:40]) < 60, "the usual values stand in the upper half"


def test_the_values_of_a_chart_can_be_read_without_seeing_it() -> None:
    drawing = parsed(chart(points(1e9, None, 3e9), "Size", Unit(format_size), UTC, NOW))
    svg = next(drawing.iter("svg"))
    assert svg.get("role") == "img"
    assert "from 1.00 GB to 3.00 GB, the last one 3.00 GB; 1 run without one" in (svg.get("aria-label") or "")
    cells = ["".join(cell.itertext()) for cell in drawing.iter("td")]
    assert cells == ["3.00 GB", "run 1", "1.00 GB"]


def test_nothing_to_show_is_said() -> None:
    assert "no run has one yet" in chart(points(None, None), "Size", Unit(format_size), UTC, NOW)
    assert sparkline([5.0], "Size", format_size) == ""


def test_names_are_text_and_nothing_has_a_style_of_its_own() -> None:
    codes = bytes([DayCode.FAILED]) * DAYS
    drawings = (
        calendar(days(codes), TODAY, HOSTILE, f"backup={HOSTILE}"),
        chart([Point(NOW, None, HOSTILE), Point(NOW, 5.0, HOSTILE)], HOSTILE, Unit(format_size), UTC, NOW),
        sparkline([1.0, 2.0], HOSTILE, format_size),
    )
    for drawing in drawings:
        assert not list(parsed(drawing).iter("script"))
        assert "style=" not in drawing
        assert "<script" not in drawing
