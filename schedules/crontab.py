"""The crontab of the user who runs this: read it, and replace it once, only where something changed.

Works with the crontab(1) of Debian's cron and of cronie. Raises ScheduleError.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from errors import ScheduleError
from schedules.crontab_text import check_limits

# crontab(1) asks the user database, which may be on a network; it answers within milliseconds otherwise.
_TIMEOUT_SECONDS = 60

_INSTALL_COMMANDS = {
    "apt-get": "the package cron: `apt-get install cron`",
    "dnf": "the package cronie: `dnf install cronie`",
    "zypper": "the package cron: `zypper install cron`",
    "pacman": "the package cronie: `pacman -S cronie`",
    "apk": "the package cronie: `apk add cronie`",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A crontab as it was and as it is, or would be, afterwards."""

    before: bytes
    after: bytes

    @property
    def is_change(self) -> bool:
        return self.before != self.after


def read() -> bytes:
    """The crontab as it was installed, byte for byte; empty where the user has none."""
    result = _run_crontab("-l")
    if result.returncode == 0:
        return _exact(result.stdout)
    # Both Debian's cron and cronie exit with 1 for everything; only these words tell "none" from "cannot be read".
    if result.returncode == 1 and not result.stdout and b"no crontab for " in result.stderr:
        return b""
    raise ScheduleError(
        f"The crontab cannot be read: `crontab -l` ended with exit code {result.returncode}: {_said(result)} "
        "Nothing was changed."
    )


def plan(edit: Callable[[bytes], bytes]) -> Change:
    """What ``edit``, a pure function, would make of the crontab. Nothing is written."""
    before = read()
    after = edit(before)
    check_limits(before, after)
    return Change(before, after)


def apply(edit: Callable[[bytes], bytes]) -> Change:
    """Install what ``edit`` makes of the crontab. Nothing is written where that is no change, nor where the crontab
    is no longer the one that ``edit`` saw."""
    change = plan(edit)
    if not change.is_change:
        return change
    if read() != change.before:
        raise ScheduleError(
            "The crontab was changed by another program at this moment. Nothing was changed; try again."
        )
    result = _run_crontab("-", change.after)
    if result.returncode != 0:
        raise ScheduleError(
            f"cron refused the new crontab: {_said(result)} The old one is unchanged. A number is a line of what "
            "`main.py plan` shows; where it is not one of Holdfast's, correct it with `crontab -e`."
        )
    if read() != change.after:
        raise ScheduleError(
            "The crontab is not what was just written to it. Another program may have changed it at this moment: "
            "look at it with `crontab -l`, then run `main.py plan`."
        )
    return change


def _exact(listed: bytes) -> bytes:
    r"""The bytes of the crontab that ``crontab -l`` showed as ``listed``.

    Debian's (3.0pl1-162) shows a carriage return as ``\r`` and a backspace as ``\b``, just as it shows these characters
    where they were written so. Where they appear, ``crontab -e`` is asked too: it hands the true bytes to an editor,
    which is ``cat`` here, and leaves a crontab alone that its editor did not change.
    """
    if b"\\r" not in listed and b"\\b" not in listed:
        return listed
    result = _run_crontab("-e")
    exact = result.stdout
    if result.returncode == 0 and listed in (exact, exact.replace(b"\r", b"\\r").replace(b"\b", b"\\b")):
        return exact
    raise ScheduleError(
        r"The crontab holds \r or \b, which `crontab -l` shows for control characters too, and `crontab -e` does not "
        f"tell what stands there: {_said(result)} Nothing was changed."
    )


def _run_crontab(argument: str, text: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in ("LANGUAGE", "CRONTAB_NOHEADER")}
    environment |= {"LC_ALL": "C", "VISUAL": "cat", "EDITOR": "cat"}
    try:
        return subprocess.run(
            ["crontab", argument],
            input=b"" if text is None else text,
            capture_output=True,
            env=environment,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise ScheduleError(_no_cron()) from None
    except subprocess.TimeoutExpired:
        raise ScheduleError(f"`crontab {argument}` did not end within {_TIMEOUT_SECONDS} seconds.") from None
    except OSError as error:
        raise ScheduleError(f"`crontab {argument}` cannot be started: {error.strerror}.") from error


def _no_cron() -> str:
    known = (text for program, text in _INSTALL_COMMANDS.items() if shutil.which(program))
    install = next(known, "cron or cronie, as your system calls it")
    return (
        f"There is no crontab program on this machine, so nothing can be scheduled. Install {install} (as root). "
        "Until then, run the backups by hand: `backup.py --all`."
    )


def _said(result: subprocess.CompletedProcess[bytes]) -> str:
    lines = (result.stderr or result.stdout).decode("utf-8", "backslashreplace").strip()
    return lines or "it said nothing."
