"""The command lines of all processes, which every user of a machine can read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def command_lines() -> list[bytes]:
    """The arguments of each running process, separated by NUL as proc(5) has them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            lines.append(path.read_bytes())
    return lines


def processes_of(program: str) -> dict[int, bytes]:
    """The running processes whose first argument is this program, by their ids."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes()
            if line.split(b"\0")[0].rpartition(b"/")[2].decode(errors="replace") == program:
                found[int(path.parent.name)] = line
    return found
