"""``~`` at the beginning of a path."""

from __future__ import annotations

import os
import pwd
from pathlib import PurePosixPath

from config.environment import Environment
from config.problems import Position, Problems
from config.records import Record


def expand_home(path: str, home: str | None) -> str:
    """``path`` with ``~`` or ``~user`` replaced. ``home`` is the variable HOME, which `env -i` does not have.

    Raises ValueError with the end of a sentence that begins with the key.
    """
    if not path.startswith("~"):
        return path
    user, _, rest = path[1:].partition("/")
    try:
        if user:
            folder = pwd.getpwnam(user).pw_dir
        else:
            folder = home or pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise ValueError("begins with `~`, but this user has no home folder on this machine") from None
    return str(PurePosixPath(folder, rest))


def local_path(key: str, path: str, position: Position, environment: Environment, problems: Problems) -> str:
    """A path on this machine with ``~`` replaced; where that cannot be, it is reported and the path stays."""
    try:
        return expand_home(path, environment.get("HOME"))
    except ValueError as error:
        problems.error(position, f"{key} {error}.")
        return path


def local_file(record: Record, key: str, environment: Environment, problems: Problems) -> str | None:
    """The path on this machine that a map has under ``key``, if it has one."""
    path = record.text(key)
    return local_path(key, path, record.position_of(key), environment, problems) if path else None
