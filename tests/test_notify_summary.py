"""A summary is readable for one backup and for a thousand: what needs somebody comes first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from catalog import LastChecks
from notifications.message import Level as MessageLevel
from notifications.messages import Commands
from operations.status.levels import Level
from operations.status.standing import Notice, NoticeKind, Standing
from operations.telling.summaries import summary
from tests.support.product_code import ROOT

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
COMMANDS = Commands(Path("python"), ROOT)


def standing(name: str, level: Level = Level.GOOD, *texts: str) -> Standing:
    notices = tuple(Notice(NoticeKind.FAILED, level, text, "Do something.") for text in texts)
    return Standing(f"shop/{name}", None, None, None, None, LastChecks(), notices=notices, level=level)


def told(*standings: Standing) -> tuple[str, list[str], MessageLevel]:
    message = summary(standings, "web1", NOW, UTC, COMMANDS)
    return message.title, message.body.splitlines(), message.level


def test_all_is_well() -> None:
    title, lines, level = told(standing("a"))
    assert (title, level) == ("Holdfast: all is well with 1 backup on web1", MessageLevel.SUCCESS)
    assert lines[0] == "1 backup on web1, Monday, 2026-11-23 07:00 UTC: 1 good."
    assert "NEEDS ATTENTION" not in lines


def test_the_worst_comes_first_with_what_to_do() -> None:
    title, lines, level = told(
        standing("good"), standing("late", Level.LATE, "It is\nlate."), standing("bad", Level.FAILED, "x" * 2000)
    )
    assert (title, level) == ("Holdfast: 2 of 3 backups need attention on web1", MessageLevel.FAILURE)
    assert lines[0].endswith(": 1 failed, 1 late, 1 good.")
    begin = lines.index("NEEDS ATTENTION")
    assert [line for line in lines[begin:] if line.startswith("  shop/")] == [
        "  shop/bad: failed",
        "  shop/late: late",
        "  shop/good: never proven",
    ]
    assert "    It is late." in lines
    assert "    Do something." in lines
    assert max(map(len, lines)) < 400


def test_a_thousand_backups_are_some_hundred_lines() -> None:
    bad = [standing(f"bad{number}", Level.WARNING, "Look.") for number in range(400)]
    _, lines, level = told(*(standing(f"good{number}") for number in range(600)), *bad)
    assert level is MessageLevel.WARNING
    assert lines[0].endswith(": 400 warning, 600 good.")
    assert "  … and 350 more" in lines
    assert "  … and 550 more" in lines
    assert len(lines) < 230


def test_nothing_is_configured() -> None:
    title, lines, level = told()
    assert (title, level) == ("Holdfast: there is no backup on web1", MessageLevel.WARNING)
    assert lines[0].endswith(": none.")
