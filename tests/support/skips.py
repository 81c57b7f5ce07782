"""The reasons for which a test may be skipped, each with one wording, so that the end of a run can count them."""

from __future__ import annotations

import os
import shutil

import pytest

requires_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

requires_ordinary_user = pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user, and this is root")


def requires_program(*names: str) -> pytest.MarkDecorator:
    """Skip where one of these programs is not in PATH, as in ``@requires_program("7z", "unzip")``."""
    missing = [name for name in names if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs the program {', '.join(missing)}")
