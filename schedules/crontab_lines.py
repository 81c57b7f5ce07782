"""A configuration as lines of a crontab. Pure.

A line is ``<interval> <python> <backup.py> --config <config> --scheduled <id> # holdfast:<config>``, one for each
interval of each enabled backup. One that reads copies back has ``<restore.py> --config <config> verify --scheduled
<id>`` instead, and one of a drill ``verify --drill --scheduled <id>``. One ``@reboot … --missed`` is for all backups.
Where anybody is told of one, so are ``--watch`` every five minutes and ``--scheduled --summary`` for each time of a
summary. No secret is in them, and every path is absolute, because cron starts them in the home folder with next to no
environment. ``--env-file`` stands in them only where they are made with one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from errors import ScheduleError
from model import Backup, Configuration
from schedules.crontab_text import LONGEST_COMMAND, marker

_BACKUP, _RESTORE = "backup.py", "restore.py"
_WATCH_INTERVAL = "*/5 * * * *"


def scheduled_lines(
    configuration: Configuration, python: Path, installation: Path, env_file: Path | None = None
) -> list[bytes]:
    """The lines that the crontab must have for this configuration, without newlines, in its order; [] where nothing
    is enabled. ``installation`` is the folder of backup.py and restore.py. Raises ScheduleError where a path cannot
    stand in a crontab.
    """
    backups = configuration.enabled_backups
    if not backups:
        return []
    options = b" --config " + _word(configuration.path)
    if env_file is not None:
        options += b" --env-file " + _word(env_file)
    starts = {
        script: _word(python) + b" " + _word(installation / script) + options + b" " for script in (_BACKUP, _RESTORE)
    }
    ending = marker(configuration.path)
    lines = [
        _line(interval, starts[script] + arguments + ending)
        for backup in backups
        for interval, script, arguments in _scheduled(backup)
    ]
    lines.append(_line("@reboot", starts[_BACKUP] + b"--missed" + ending))
    lines += [_line(interval, starts[_BACKUP] + arguments + ending) for interval, arguments in _telling(backups)]
    return lines


def summary_intervals(backups: Iterable[Backup]) -> list[str]:
    """When a summary is told, each interval once."""
    summaries = (channel.summary for backup in backups for channel in backup.channels)
    return list(dict.fromkeys(summary for summary in summaries if summary is not None))


def _telling(backups: Sequence[Backup]) -> Iterator[tuple[str, bytes]]:
    if any(backup.channels for backup in backups):
        yield _WATCH_INTERVAL, b"--watch"
    for interval in summary_intervals(backups):
        yield interval, b"--scheduled --summary"


def _scheduled(backup: Backup) -> Iterator[tuple[str, str, bytes]]:
    """The interval, the program and its arguments of each line of a backup."""
    whose = b"--scheduled " + _word(backup.id)
    for interval in backup.intervals:
        yield interval, _BACKUP, whose
    if backup.verify is None:
        return
    for interval in backup.verify.intervals:
        yield interval, _RESTORE, b"verify " + whose
    if backup.verify.drill is not None:
        for interval in backup.verify.drill.intervals:
            yield interval, _RESTORE, b"verify --drill " + whose


def _line(interval: str, command: bytes) -> bytes:
    if len(command) > LONGEST_COMMAND:
        raise ScheduleError(
            f"A scheduled line would hold a command of {len(command):,} bytes, and cron refuses more than "
            f"{LONGEST_COMMAND}: {os.fsdecode(command)} Move Holdfast or its configuration to a shorter path, "
            "or shorten the names. Nothing was changed."
        )
    return interval.encode("ascii") + b" " + command


def _word(word: Path | str) -> bytes:
    """One word for the shell that cron starts, with ``%`` escaped, which cron takes for a newline."""
    # Ids are text and always UTF-8: cron runs with the C locale, in which Python reads its arguments as UTF-8.
    raw = os.fsencode(word) if isinstance(word, Path) else word.encode()
    if any(byte < 0x20 or byte in b"\x7f\\" for byte in raw):
        raise ScheduleError(
            f"{word!s:.200} holds a control character or a backslash, which cron would change. Rename it. "
            "Nothing was changed."
        )
    return os.fsencode(shlex.quote(os.fsdecode(raw)).replace("%", "\\%"))
