"""The safety net under every test: nothing of the person who runs them can be reached.

Before the first test is even imported, HOME and the XDG folders point into a temporary folder, PATH begins with a
``crontab`` that refuses, and the environment names that Holdfast reads are gone.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import utils

REFUSING_CRONTAB = """\
#!/bin/sh
echo "A test reached for the real crontab. It must use the crontab fixture of tests/support/crontab.py." >&2
exit 97
"""

# A person's own settings must neither change a test nor be used by one.
ENV_SAMPLE = Path(__file__).resolve().parent.parent / "env.sample"
NAMES_THAT_HOLDFAST_READS = re.findall(r"^([A-Z0-9_]+)=", ENV_SAMPLE.read_text(encoding="utf-8"), re.MULTILINE)

safe_home = pytest.StashKey[Path]()

# No deadline: on a busy machine a slow example is not a wrong one. Where CI is set, every run tries the same examples.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than ten seconds; begun first, so that it ends no run alone")
    config.stash[safe_home] = enter_safe_home()


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[safe_home], ignore_errors=True)


def enter_safe_home() -> Path:
    """Point the environment of this process, and so of all its children, into a new folder. Returns the folder."""
    home = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
    home.chmod(0o755)  # a test may go on as another user, and must still find the crontab that refuses
    programs = home / "programs"
    programs.mkdir()
    crontab = programs / "crontab"
    crontab.write_text(REFUSING_CRONTAB)
    crontab.chmod(0o755)
    for name in NAMES_THAT_HOLDFAST_READS:
        os.environ.pop(name, None)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ["HOME"] = str(home)
    for name, folder in (
        ("CONFIG", ".config"),
        ("DATA", ".local/share"),
        ("STATE", ".local/state"),
        ("CACHE", ".cache"),
    ):
        os.environ[f"XDG_{name}_HOME"] = str(home / folder)
    return home


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """What one test calls a secret (":" in one of them) must not be taken out of the output of the next."""
    before = set(utils._secrets)
    yield
    utils._secrets.intersection_update(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason for which tests were skipped."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        terminalreporter.section(f"{reasons.total()} skipped")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:5}  {reason}")
