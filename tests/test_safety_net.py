"""The net of tests/conftest.py holds: a test that forgets itself reaches nothing of the person who runs it."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from tests.conftest import NAMES_THAT_HOLDFAST_READS


def test_the_real_crontab_cannot_be_reached_by_name() -> None:
    answer = subprocess.run(["crontab", "-l"], capture_output=True, text=True)
    assert answer.returncode == 97
    assert "real crontab" in answer.stderr


def test_home_is_not_that_of_the_person() -> None:
    assert Path.home() != Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert Path.home() == Path(os.environ["HOME"])


def test_settings_of_the_person_are_gone() -> None:
    assert "LOCAL_STORAGE_ROOT" in NAMES_THAT_HOLDFAST_READS
    assert [name for name in NAMES_THAT_HOLDFAST_READS if name in os.environ] == []
