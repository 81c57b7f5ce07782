"""``backup.py --check``, and the overview on terminals of several widths: real processes with a real catalog."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from model import Archive, Copy, Run, RunStatus
from tests.support.holdfast import Holdfast
from tests.support.terminal import on_terminal
from utils import utc_now

DAY = timedelta(days=1)


def backup(name: str, **keys: object) -> dict[str, object]:
    targets = [{"STORAGE_NAME": "LOCAL", "PATH": path} for path in ("first", "second")]
    return {"NAME": name, "INTERVALS": "@hourly", "FILE_PATH": "/etc/hostname", "UPLOAD_TO": targets, **keys}


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    """``shop/good`` has run just now, ``shop/late-db`` not for two days; ``shop/new`` and ``shop/off`` never."""
    site = Holdfast(tmp_path / "holdfast")
    backups = [backup("good"), backup("late-db"), backup("new"), backup("off", ENABLED=False)]
    site.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": backups}]}]})
    catalog = open_catalog(site.state, None)
    now = utc_now()
    catalog.record_schedule({"shop/good": ("@hourly",), "shop/late-db": ("@hourly",)}, now - 9 * DAY)
    for number in range(40):
        catalog.record_found([run("shop/good", number), run("shop/late-db", number + 2)])
    catalog.close()
    return site


def run(backup_id: str, days_ago: int) -> Run:
    started = utc_now() - days_ago * DAY - timedelta(minutes=1)
    copies = tuple(Copy("LOCAL", f"{path}/{backup_id}/x.zip", RunStatus.GOOD) for path in ("first", "second"))
    size = 200_000_000 - days_ago * 1_000_000
    archive = Archive("x.zip", started, size // 3, "0" * 64, 7, size)
    ended = started + timedelta(seconds=30)
    return Run(f"{backup_id} {days_ago}", backup_id, started, None, ended, RunStatus.GOOD, "", archive, copies)


def test_check_names_what_is_late_and_exits_with_1(holdfast: Holdfast) -> None:
    ended = holdfast.run("backup.py", "--check")
    assert (ended.returncode, ended.stderr) == (1, "")
    first, *others = ended.stdout.splitlines()
    text, numbers = first.split(" | ")
    assert text == "WARNING - 1 of 3 backups is late, 1 of them without a good copy yet: shop/late-db"
    assert numbers == "late=1;0;;0;3 backups=3;;;0 failed=0;;;0 warning=0;;;0"
    (line,) = others
    assert line.startswith("shop/late-db: late. There is no good copy since ")
    assert line.endswith("No run has begun since then.")


def test_check_of_backups_that_are_in_time_is_ok(holdfast: Holdfast) -> None:
    ended = holdfast.run("backup.py", "--check", "shop/good", "shop/n*")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        "OK - none of 2 backups is late, 1 of them without a good copy yet | "
        "late=0;0;;0;2 backups=2;;;0 failed=0;;;0 warning=0;;;0\n"
    )


def test_check_as_json_and_without_a_word(holdfast: Holdfast) -> None:
    ended = holdfast.run("backup.py", "--check", "--json")
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["backups"]) == (1, 3)
    assert [(late["backup"], late["targets"]) for late in document["late"]] == [
        ("shop/late-db", ["LOCAL:first", "LOCAL:second"])
    ]
    quiet = holdfast.run("backup.py", "--check", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")


def test_check_says_what_it_cannot_do(holdfast: Holdfast) -> None:
    unknown = holdfast.run("backup.py", "--check", "shop/godo")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "Did you mean shop/good?" in unknown.stderr
    assert holdfast.run("backup.py", "--check", "--all").returncode == 2
    for suffix in ("", "-wal", "-shm"):
        (holdfast.state / f"catalog.db{suffix}").unlink(missing_ok=True)
    (holdfast.state / "catalog.db").mkdir()
    assert holdfast.run("backup.py", "--check").returncode == 1
    holdfast.config.write_text("PROJECTS: 7")
    assert holdfast.run("backup.py", "--check").returncode == 2


def overview(holdfast: Holdfast, columns: int | None, **variables: str) -> str:
    """What stands on a terminal of this width, with ``-v`` below; without one, what a pipe gets."""
    if columns is None:
        return holdfast.run("backup.py").stdout
    environment = {**holdfast.environment(), "COLUMNS": str(columns), "TERM": "xterm", **variables}
    environment.pop("NO_COLOR", None) if "NO_COLOR" not in variables else None
    command = [os.fsencode(argument) for argument in holdfast.command("backup.py")]
    code, shown = on_terminal(command, [], environment)
    assert code == 0
    return shown.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("columns", "header"),
    [
        (80, ["BACKUP", "LAST RUN", "LAST GOOD", "LAST PROVEN", "NEXT RUN", "SIZE"]),
        (200, ["BACKUP", "LAST RUN", "LAST GOOD", "LAST PROVEN", "NEXT RUN", "SIZE", "TREND"]),
    ],
)
def test_the_overview_fits_the_terminal(holdfast: Holdfast, columns: int, header: list[str]) -> None:
    shown = overview(holdfast, columns, NO_COLOR="1")
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0] == "1 of 4 backups needs you:"
    (found,) = [line for line in lines if line.startswith("BACKUP")]
    assert found.split() == " ".join(header).split()
    row = next(line for line in lines if line.startswith("shop/good "))
    assert "66.7 MB" in row
    assert ("%/month" in row) is (columns == 200)


def test_levels_are_coloured_on_a_terminal_and_columns_stay_in_line(holdfast: Holdfast) -> None:
    shown = overview(holdfast, 200)
    plain = overview(holdfast, 200, NO_COLOR="1")
    assert "\x1b[32mgood\x1b[0m" in shown
    assert shown.count("\x1b[31mlate\x1b[0m") == 2
    for code in ("1", "2", "31", "32", "33", "0"):
        shown = shown.replace(f"\x1b[{code}m", "")
    assert shown == plain


def test_many_backups_are_shown_by_project(holdfast: Holdfast) -> None:
    projects = [
        {"NAME": f"p{number}", "BACKUPS": [{"FILE_BACKUP": [backup(str(each)) for each in range(10)]}]}
        for number in range(6)
    ]
    holdfast.write({"PROJECTS": projects})
    catalog = open_catalog(holdfast.state, None)
    catalog.record_found([run("p1/0", 0), run("p1/1", 2)])
    catalog.close()
    shown = overview(holdfast, None)
    assert [line.split()[:4] for line in shown.splitlines() if line.startswith("p1 ")] == [["p1", "10", "1", "1"]]
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("p") and "/" in line.split()[0]] == [
        "p1/1:",
        "p1/1",
    ]
    assert "backup.py -v has a line for each backup" in shown
    everything = holdfast.run("backup.py", "-v").stdout
    assert sum(line.startswith("p") for line in everything.splitlines()) == 61
