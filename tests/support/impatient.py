"""A program of Holdfast that waits less for the hosts it reads: ``python tests/support/impatient.py SCRIPT …``.

A server that no longer answers is given up after seconds in place of minutes, so that a test can wait for that.
"""

from __future__ import annotations

import functools
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from hosts import factory
from ssh.connection import Deadlines, SshServer

ANSWER_SECONDS = 1.5
_DEADLINES = Deadlines(quiet=0.5, answer=ANSWER_SECONDS)

if __name__ == "__main__":
    vars(factory)["SshServer"] = functools.partial(SshServer, deadlines=_DEADLINES)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
