"""Whether something starts the lines of the crontab at all."""

from __future__ import annotations

from pathlib import Path

# The names by which the daemons of Debian, cronie, Alpine (BusyBox), fcron, bcron and dcron run.
_NAMES = {"cron", "crond", "fcron", "bcron-sched", "dcron", "systemd-cron"}


def is_cron_running(processes: Path = Path("/proc")) -> bool | None:
    """Whether a cron daemon runs on this machine; None where its processes cannot be seen."""
    names = set()
    for name_file in processes.glob("[0-9]*/comm"):
        try:
            names.add(name_file.read_text().strip())
        except OSError:  # it ended meanwhile
            continue
    return bool(names & _NAMES) if names else None
