"""What the real ``restic forget`` keeps of a history, and golden files of it.

``python -m tests.support.restic_forget`` asks the installed restic again and writes ``restic_forget.json``.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from model import CalendarSpan, Keep

GOLDEN_FILE = Path(__file__).with_suffix(".json")
ZONE = ZoneInfo("Europe/Berlin")

POLICIES = (
    Keep(last=1),
    Keep(last=4),
    Keep(last=1000),
    Keep(hourly=5),
    Keep(daily=3),
    Keep(weekly=3),
    Keep(monthly=3),
    Keep(yearly=2),
    Keep(daily=7, weekly=4, monthly=6, yearly=3),
    Keep(last=2, hourly=4, daily=3),
    Keep(within=CalendarSpan(hours=30)),
    Keep(within=CalendarSpan(days=7)),
    Keep(within=CalendarSpan(months=1)),
    Keep(within=CalendarSpan(years=1, months=2, days=3, hours=4)),
    Keep(within=CalendarSpan(days=2), weekly=2, yearly=5),
)


def histories() -> dict[str, list[datetime]]:
    """Times in UTC, the newest first."""
    chosen = random.Random(2026)

    def irregular(count: int, hours: Sequence[float]) -> list[datetime]:
        moment, times = datetime(2026, 3, 31, 21, 45, 7, tzinfo=UTC), []
        for _ in range(count):
            times.append(moment)
            moment -= timedelta(seconds=round(3600 * chosen.choice(hours)))
        return times

    def every(step: timedelta, newest: datetime, count: int) -> list[datetime]:
        return [newest - number * step for number in range(count)]

    return {
        "hours when the clock is set back": every(timedelta(minutes=30), datetime(2025, 10, 26, 4, 10, tzinfo=UTC), 14),
        "hours when the clock is set forward": every(
            timedelta(minutes=30), datetime(2025, 3, 30, 4, 10, tzinfo=UTC), 14
        ),
        "days around the turn of the year": every(timedelta(hours=16), datetime(2026, 1, 9, 22, 30, tzinfo=UTC), 24),
        "weeks over years": every(timedelta(days=20, hours=7), datetime(2026, 3, 31, 22, 30, tzinfo=UTC), 28),
        "irregular": irregular(30, (0.2, 1, 5, 23, 24.5, 60, 200, 900)),
    }


class Restic:
    """A repository in ``folder``; each history is a tag."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("init", "--quiet")

    def add(self, history: str, times: Sequence[datetime]) -> None:
        (self._folder / "file").write_text(history)
        for moment in times:
            local = moment.astimezone(ZONE)
            # A zone of this offset alone: restic's --time cannot say which of two equal local times is meant.
            hours = (local.utcoffset() or timedelta()) // timedelta(hours=1)
            arguments = ["--quiet", "--host", "h", "--tag", history, "--time", f"{local:%Y-%m-%d %H:%M:%S}"]
            self._run("backup", *arguments, str(self._folder / "file"), zone=f"Etc/GMT{-hours:+d}")

    def kept(self, history: str, keep: Keep) -> list[datetime]:
        """What it keeps, the newest first."""
        words = {name: value for name, value in asdict(keep).items() if value is not None}
        if keep.within is not None:
            words["within"] = str(keep.within)
        options = [text for word, value in words.items() for text in (f"--keep-{word}", str(value))]
        output = self._run("forget", "--dry-run", "--json", "--group-by", "", "--tag", history, *options)
        (group,) = json.loads(output)
        times = [datetime.fromisoformat(snapshot["time"]).astimezone(UTC) for snapshot in group["keep"] or []]
        return sorted(times, reverse=True)

    def _run(self, command: str, *arguments: str, zone: str = ZONE.key) -> str:
        environment = {"PATH": os.environ["PATH"], "TZ": zone, "RESTIC_PASSWORD": "x"}
        program = ["restic", "--no-cache", "--repo", str(self._folder / "repository"), command, *arguments]
        return subprocess.run(program, env=environment, check=True, capture_output=True, text=True).stdout


def keeps_oldest() -> bool:
    """Whether the installed restic has the rule of its version 0.17: what is older than all periods stays."""
    text = subprocess.run(["restic", "help", "forget"], check=True, capture_output=True, text=True).stdout
    return "oldest" in text


def keep_document(keep: Keep) -> dict[str, Any]:
    return {name: value for name, value in asdict(keep).items() if value is not None}


def keep_of(document: Mapping[str, Any]) -> Keep:
    words = dict(document)
    if "within" in words:
        words["within"] = CalendarSpan(**words["within"])
    return Keep(**words)


def main() -> None:
    version = subprocess.run(["restic", "version"], check=True, capture_output=True, text=True).stdout.strip()
    golden: dict[str, Any] = {"made_by": version, "zone": ZONE.key, "histories": []}
    with tempfile.TemporaryDirectory() as folder:
        restic = Restic(Path(folder))
        for name, times in histories().items():
            restic.add(name, times)
            decisions = [
                {"keep": keep_document(keep), "kept": [times.index(moment) for moment in restic.kept(name, keep)]}
                for keep in POLICIES
            ]
            document = {"name": name, "times": [moment.isoformat() for moment in times], "decisions": decisions}
            golden["histories"].append(document)
    # Numbers in one line: there are a thousand of them.
    text = re.sub(r"\[[\d,\s]+\]", lambda found: " ".join(found[0].split()), json.dumps(golden, indent=1))
    GOLDEN_FILE.write_text(text + "\n")


if __name__ == "__main__":
    main()
