"""The most memory that a command takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.holdfast import Holdfast

# Linux counts what a process had before exec(2) as its own (getrusage(2) says nothing of it), and a child of the tests
# begins as large as they are. A child of this little program does not.
_LAUNCHER = """
import resource, subprocess, sys
returncode = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as answer:
    answer.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(returncode)
"""


def run_measured(
    installation: Holdfast, program: str, *arguments: str | Path
) -> tuple[subprocess.CompletedProcess[str], int]:
    """How it ended, and its peak memory in KiB."""
    answer = installation.folder / "peak-memory"
    launcher: list[str | bytes | Path] = [sys.executable, "-c", _LAUNCHER, answer]
    finished = installation.run_command([*launcher, *installation.command(program, *arguments)])
    return finished, int(answer.read_text())
