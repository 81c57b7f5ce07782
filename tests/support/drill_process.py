"""A drill as a process of its own: ``drill_process.py PLAN``, as ``tests.support.drills.start_drill`` calls it."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from errors import InterruptedRun
from interruption import end_cleanly_on_signals
from model import Assertion, Member, OnProgress
from operations.verifying.drill import drill_copy
from sources import scratch_server
from tests.support.copies import backup_of, find_copy


def _no_isolation(host: scratch_server.ScratchHost) -> tuple[str, ...]:
    """As where this user may make no namespaces."""
    return ()


# An ordinary user may not be able to read the interpreter's own files: what is imported later comes before that.
_IMPORTED_LATER = (
    *("zstandard", "encodings.idna", "archives.index", "archives.validation", "storages.local"),
    *("sources.postgres", "sources.postgres_restore", "sources.scratch_postgres"),
    *("sources.mariadb", "sources.mariadb_restore", "sources.scratch_mariadb"),
)


def _become(user: int) -> None:
    for name in _IMPORTED_LATER:
        importlib.import_module(name)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def _held_at(mark: str | None) -> OnProgress:
    """Goes on, or stops with the first file that is there, and says so with the file ``mark``."""

    def on_progress(_member: Member, _size: int) -> None:
        while mark is not None:
            Path(mark).touch()
            time.sleep(0.02)

    return on_progress


def main() -> int:
    plan = json.loads(sys.argv[1])
    copy = find_copy(backup_of(Path(plan["storage"])))
    if plan["user"] is not None:
        _become(plan["user"])
    if not plan["isolated"]:
        scratch_server._isolation = _no_isolation
    end_cleanly_on_signals()
    assertions = [Assertion(query) for query in plan["assertions"]]
    try:
        report = drill_copy(copy, Path(plan["base"]), _held_at(plan["held_at"]), assertions)
    except InterruptedRun as interruption:
        return interruption.exit_code
    sys.stdout.write(json.dumps({"outcome": report.outcome.value, "sentences": report.sentences()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
