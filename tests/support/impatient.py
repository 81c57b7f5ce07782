"""A program of Holdfast that waits less for others: ``python tests/support/impatient.py SCRIPT …``.

A host or a storage that does not answer is given up after seconds in place of minutes, so that a test can wait for it.
"""

from __future__ import annotations

import functools
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from hosts import factory
from ssh.connection import Deadlines, SshServer
from storages.workplace import Patience, Workplace

ANSWER_SECONDS = 1.5
_DEADLINES = Deadlines(quiet=0.5, answer=ANSWER_SECONDS)

if __name__ == "__main__":
    _, patience, *others = Workplace.__init__.__defaults__ or ()
    assert patience == Patience()
    few = Patience(attempts=3, first_wait=0.1, longest_wait=0.5)
    Workplace.__init__.__defaults__ = (None, few, *others)
    vars(factory)["SshServer"] = functools.partial(SshServer, deadlines=_DEADLINES)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
