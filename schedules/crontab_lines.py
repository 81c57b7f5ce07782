"""A configuration as lines of a crontab. Pure.

A line is ``<interval> <python> <backup.py> --config <config> --scheduled <id> # holdfast:<config>``, one for each
interval of each enabled backup, and one ``@reboot … --missed`` for all of them. No secret is in it, and every path is
absolute, because cron starts it in the home folder with next to no environment. ``--env-file`` stands in it only
where the lines are made with one.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from errors import ScheduleError
from model import Configuration
from schedules.crontab_text import LONGEST_COMMAND, marker


def scheduled_lines(
    configuration: Configuration, python: Path, backup_script: Path, env_file: Path | None = None
) -> list[bytes]:
    """The lines that the crontab must have for this configuration, without newlines, in its order; [] where nothing
    is enabled. Raises ScheduleError where a path cannot stand in a crontab.
    """
    backups = configuration.enabled_backups
    if not backups:
        return []
    command = _word(python) + b" " + _word(backup_script) + b" --config " + _word(configuration.path)
    if env_file is not None:
        command += b" --env-file " + _word(env_file)
    ending = marker(configuration.path)
    lines = [
        _line(interval, command + b" --scheduled " + _word(backup.id) + ending)
        for backup in backups
        for interval in backup.intervals
    ]
    return [*lines, _line("@reboot", command + b" --missed" + ending)]


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
