"""A configuration as lines: what cron makes of them is what was meant."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from errors import ScheduleError
from model import Backup, Configuration, DrillPlan, FileSource, VerifyPlan
from schedules.crontab_environment import warnings
from schedules.crontab_lines import scheduled_lines

PYTHON = Path("/srv/holdfast/.venv/bin/python")
FOLDER = Path("/srv/holdfast")
CONFIG = Path("/srv/holdfast/config.yaml")


def backup(name: str, *intervals: str, enabled: bool = True, verify: VerifyPlan | None = None) -> Backup:
    return Backup(f"shop/{name}", "shop", name, FileSource(("/srv",)), intervals, (), enabled=enabled, verify=verify)


def configuration(*backups: Backup, path: Path = CONFIG) -> Configuration:
    return Configuration(path, backups, {}, path.parent / "state")


def arguments_that_cron_passes(line: bytes) -> list[str]:
    r"""The words of the command: cron turns ``\%`` into ``%``, its shell takes quotes and the comment away."""
    fields = 1 if line.startswith(b"@") else 5
    command = line.split(b" ", fields)[fields]
    return shlex.split(os.fsdecode(command.replace(b"\\%", b"%")), comments=True)


def test_the_lines_of_a_configuration() -> None:
    lines = scheduled_lines(
        configuration(backup("uploads", "0 2 * * *", "@weekly"), backup("db", "@daily")), PYTHON, FOLDER
    )
    command = b"/srv/holdfast/.venv/bin/python /srv/holdfast/backup.py --config /srv/holdfast/config.yaml"
    assert lines == [
        b"0 2 * * * " + command + b" --scheduled shop/uploads # holdfast:/srv/holdfast/config.yaml",
        b"@weekly " + command + b" --scheduled shop/uploads # holdfast:/srv/holdfast/config.yaml",
        b"@daily " + command + b" --scheduled shop/db # holdfast:/srv/holdfast/config.yaml",
        b"@reboot " + command + b" --missed # holdfast:/srv/holdfast/config.yaml",
    ]


BOTH = VerifyPlan(("0 5 * * 0", "@monthly"), drill=DrillPlan(("0 6 1 * *", "@yearly")))


def test_the_lines_of_verifications_and_drills_follow_those_of_their_backup() -> None:
    plans = {"a": BOTH, "b": VerifyPlan(("@weekly",)), "c": VerifyPlan(drill=DrillPlan(("@monthly",)))}
    backups = [backup(name, "@daily", verify=plan) for name, plan in plans.items()]
    lines = scheduled_lines(configuration(*backups), PYTHON, FOLDER, FOLDER / "my.env")
    run, verify = (
        f"/srv/holdfast/.venv/bin/python /srv/holdfast/{program} --config /srv/holdfast/config.yaml "
        f"--env-file /srv/holdfast/my.env {command}"
        for program, command in (("backup.py", ""), ("restore.py", "verify "))
    )
    ending = " # holdfast:/srv/holdfast/config.yaml"
    assert [line.decode() for line in lines] == [
        f"@daily {run}--scheduled shop/a{ending}",
        f"0 5 * * 0 {verify}--scheduled shop/a{ending}",
        f"@monthly {verify}--scheduled shop/a{ending}",
        f"0 6 1 * * {verify}--drill --scheduled shop/a{ending}",
        f"@yearly {verify}--drill --scheduled shop/a{ending}",
        f"@daily {run}--scheduled shop/b{ending}",
        f"@weekly {verify}--scheduled shop/b{ending}",
        f"@daily {run}--scheduled shop/c{ending}",
        f"@monthly {verify}--drill --scheduled shop/c{ending}",
        f"@reboot {run}--missed{ending}",
    ]


def test_disabled_backups_have_no_line() -> None:
    disabled = backup("a", "@daily", enabled=False, verify=BOTH)
    lines = scheduled_lines(configuration(disabled, backup("b", "@daily")), PYTHON, FOLDER)
    assert [line for line in lines if b"shop/a" in line] == []
    assert len(lines) == 2


def test_without_an_enabled_backup_there_is_no_line_at_all() -> None:
    assert scheduled_lines(configuration(backup("a", "@daily", enabled=False)), PYTHON, FOLDER) == []


@pytest.mark.parametrize("folder", ["my backups", "50%", "it's", "$HOME;`x`", "#1", "é", "\udcff", "-v", "a%%b 'c'"])
def test_any_path_arrives_as_it_is(folder: str) -> None:
    path = Path("/srv") / folder / "config.yaml"
    lines = scheduled_lines(
        configuration(backup("dé.jà", "@daily", verify=BOTH), path=path),
        Path("/srv") / folder / "python",
        Path("/srv") / folder,
        Path("/srv") / folder / ".env",
    )
    options = ["--config", str(path), "--env-file", f"/srv/{folder}/.env"]
    run = [f"/srv/{folder}/python", f"/srv/{folder}/backup.py", *options]
    verify = [f"/srv/{folder}/python", f"/srv/{folder}/restore.py", *options, "verify"]
    whose = ["--scheduled", "shop/dé.jà"]
    assert [arguments_that_cron_passes(line) for line in lines] == [
        [*run, *whose],
        *[[*verify, *whose]] * 2,
        *[[*verify, "--drill", *whose]] * 2,
        [*run, "--missed"],
    ]
    assert not any(b"%" in line.replace(b"\\%", b"") for line in lines)


@pytest.mark.parametrize("folder", ["a\nb", "a\rb", "a\\b", "a\x7fb", "a\tb"])
def test_a_path_that_cron_would_change_is_refused(folder: str) -> None:
    with pytest.raises(ScheduleError, match="control character or a backslash"):
        scheduled_lines(configuration(backup("a", "@daily"), path=Path("/srv") / folder / "c.yaml"), PYTHON, FOLDER)


def test_a_command_may_be_as_long_as_cron_takes_it_and_no_longer() -> None:
    def longest(length: int, verify: VerifyPlan | None = None) -> int:
        path = Path("/srv") / ("x" * length)
        lines = scheduled_lines(configuration(backup("a", "@daily", verify=verify), path=path), PYTHON, FOLDER)
        return max(len(line.partition(b"/")[2]) + 1 for line in lines)

    # Both the option and the marker hold the path, so a character more makes two bytes more.
    assert longest(446) == 997
    with pytest.raises(ScheduleError, match="999 bytes, and cron refuses more than 998"):
        longest(447)
    # `restore.py` and `verify --drill` are 16 characters more than `backup.py`.
    assert longest(438, BOTH) == 997
    with pytest.raises(ScheduleError, match="999 bytes, and cron refuses more than 998"):
        longest(439, BOTH)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("SHELL=/usr/bin/python3", "sets SHELL=/usr/bin/python3"),
        ("CRON_TZ = Asia/Tokyo", "cronie starts them by the clock of that zone"),
        ("TZ='Asia/Tokyo'", "sets TZ=Asia/Tokyo"),
        ('MAILTO=""', "no mail when a backup fails"),
        ("RANDOM_DELAY=30", "up to 30 minutes late"),
        ("PYTHONPATH=/opt/lib", "the backups may not start"),
    ],
)
def test_a_setting_above_our_lines_that_changes_them_is_said(setting: str, expected: str) -> None:
    line = scheduled_lines(configuration(backup("a", "@daily")), PYTHON, FOLDER)[0]
    above = b"# mine\n" + setting.encode() + b"\r\n" + line + b"\n"
    assert [expected in warning and "Line 2 " in warning for warning in warnings(above, CONFIG)] == [True]
    below = line + b"\n" + setting.encode() + b"\n"
    assert warnings(below, CONFIG) == []
    assert warnings(above, Path("/other/config.yaml")) == []


@pytest.mark.parametrize(
    "setting",
    [
        "SHELL=/bin/bash",
        "MAILTO=me",
        "PATH=/usr/bin",
        "# TZ=Asia/Tokyo",
        "* * * * * TZ=Asia/Tokyo job",
        "RANDOM_DELAY=0",
    ],
)
def test_a_setting_that_changes_nothing_is_not_said(setting: str) -> None:
    line = scheduled_lines(configuration(backup("a", "@daily")), PYTHON, FOLDER)[0]
    assert warnings(setting.encode() + b"\n" + line + b"\n", CONFIG) == []


def test_the_last_setting_of_a_name_counts() -> None:
    line = scheduled_lines(configuration(backup("a", "@daily")), PYTHON, FOLDER)[0]
    assert warnings(b"SHELL=/bin/csh\nSHELL=/bin/sh\n" + line + b"\n", CONFIG) == []
