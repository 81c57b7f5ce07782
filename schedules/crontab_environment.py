"""Settings of the user's crontab (``NAME=value`` lines) that change what our lines below them do. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from schedules.crontab_text import marker

# crontab(5): blanks around "=" and matching quotes around name and value are allowed.
_SETTING = re.compile(rb"""^[ \t]*(["']?)([^\s"'=#]+)\1[ \t]*=[ \t]*(["']?)(.*?)\3[ \t\r]*$""")

_SHELLS = {"sh", "dash", "bash", "ash", "zsh", "ksh", "ksh93", "mksh", "busybox", "fish"}
"""Shells that read our lines as they are meant: words in single quotes, and ``#`` for a comment."""


def warnings(crontab: bytes, owner: Path) -> list[str]:
    """A sentence for each setting above lines of this owner that changes when or how they run."""
    settings: dict[str, tuple[int, str]] = {}
    effective: dict[str, tuple[int, str]] = {}
    for number, text in enumerate(crontab.split(b"\n"), start=1):
        if setting := _SETTING.match(text):
            settings[setting[2].decode("ascii", "replace")] = (number, setting[4].decode("utf-8", "backslashreplace"))
        elif text.removesuffix(b"\r").endswith(marker(owner)) and not text.lstrip(b" \t").startswith(b"#"):
            effective |= settings
    return [
        f"Line {number} of the crontab sets {name}={value}, and lines of Holdfast stand below it: {meaning}"
        for name, (number, value) in effective.items()
        for meaning in _meanings(name, value)
    ]


def _meanings(name: str, value: str) -> Iterator[str]:
    if name == "SHELL" and value.rpartition("/")[2] not in _SHELLS:
        yield "they are read by this shell and may not run. Put that setting below them, or set SHELL=/bin/sh above."
    elif name == "CRON_TZ":
        yield (
            "cronie starts them by the clock of that zone (Debian's cron does not), "
            "while the next runs shown here are those of the machine's zone. Put that setting below them."
        )
    elif name == "TZ":
        yield (
            "backups run with that zone, while cron starts them by the machine's. "
            "A missed run may be seen at the wrong hour. Put that setting below them."
        )
    elif name == "RANDOM_DELAY" and value not in ("", "0"):
        yield f"cronie starts them up to {value} minutes late."
    elif name == "MAILTO" and not value:
        yield "cron sends no mail when a backup fails."
    elif name in ("PYTHONHOME", "PYTHONPATH"):
        yield "Python looks for its modules there, and the backups may not start. Put that setting below them."
