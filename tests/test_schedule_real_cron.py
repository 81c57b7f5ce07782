"""Debian's own crontab and cron daemon, with a user made for the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schedules.crontab_text import LONGEST_COMMAND, MOST_LINES
from tests.support.configurations import file_backup, write
from tests.support.cron import CronUser, copy_of_holdfast, cron_daemon, cron_user, python_for, skip_without_cron

STAND_IN = """\
import json, os, sys
from pathlib import Path
seen = Path(__file__).parent / ("missed" if "--missed" in sys.argv else "scheduled")
document = {"arguments": sys.argv, "environment": dict(os.environ), "folder": os.getcwd(), "python": sys.executable}
seen.with_suffix(".new").write_text(json.dumps(document))
seen.with_suffix(".new").rename(seen)
"""

EVERY_BYTE = b"# " + bytes(set(range(256)) - {ord("\n")}) + b"\n"
FOREIGN = (
    b"# mine\r\n# \b \\r \\b\n\nMAILTO=\xff\n"
    b"  5 0 * * *\t\techo 50\\% %in\n#\n\t\n@yearly true # holdfast:/nowhere/config.yaml\n" + EVERY_BYTE
)


@pytest.fixture(scope="module")
def user() -> Iterator[CronUser]:
    skip_without_cron()
    with cron_user() as user:
        yield user


@pytest.fixture(scope="module")
def holdfast(user: CronUser) -> Path:
    """Where a path can be awkward, it is."""
    folder = copy_of_holdfast(user, user.home / "it's 100% \udcff", STAND_IN)
    write(folder, file_backup(NAME="dé jà", INTERVALS='"* * * * *"'))
    user.own(folder)
    return folder


@pytest.fixture(scope="module")
def python(user: CronUser) -> Path:
    return python_for(user)


def main(user: CronUser, python: Path, holdfast: Path, *arguments: str) -> str:
    result = user.run(python, holdfast / "main.py", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_the_limits_are_those_of_this_cron(user: CronUser) -> None:
    assert user.install(b"#\n" * MOST_LINES) == ""
    assert "too long" in user.install(b"#\n" * (MOST_LINES + 1))
    assert user.install(b"@daily " + b"x" * LONGEST_COMMAND + b"\n") == ""
    assert "too long" in user.install(b"@daily " + b"x" * (LONGEST_COMMAND + 1) + b"\n")


def test_sync_and_remove_leave_every_other_byte(user: CronUser, python: Path, holdfast: Path) -> None:
    assert user.install(FOREIGN) == ""
    assert "2 scheduled lines" in main(user, python, holdfast)
    installed = user.crontab
    assert installed is not None and installed.startswith(FOREIGN)
    assert main(user, python, holdfast) == ""
    assert user.crontab == installed
    assert main(user, python, holdfast, "plan", "--check", "--quiet") == ""
    main(user, python, holdfast, "remove")
    assert user.crontab == FOREIGN


@pytest.mark.slow
def test_cron_runs_a_line_that_sync_installed(user: CronUser, python: Path, holdfast: Path) -> None:
    main(user, python, holdfast)
    with cron_daemon() as cron:
        assert cron.wait_until((holdfast / "scheduled").exists)
    seen = json.loads((holdfast / "scheduled").read_text())
    script, config = str(holdfast / "backup.py"), str(holdfast / "config.yaml")
    assert seen["arguments"] == [script, "--config", config, "--scheduled", "shop/dé-jà"]
    assert seen["folder"] == seen["environment"]["HOME"] == str(user.home)
    assert Path(seen["python"]).resolve() == python.resolve()
