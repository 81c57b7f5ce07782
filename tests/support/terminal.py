"""A program on a terminal of its own, with what a person types."""

from __future__ import annotations

import os
import pty
from collections.abc import Mapping, Sequence
from contextlib import suppress


def on_terminal(
    command: Sequence[str | bytes | os.PathLike[str]], answers: Sequence[str], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Run it; each time that it asks (what it said ends with ``: ``), type the next answer. Exit code, and what stood
    on the terminal, without what is typed where it is not shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(command[0], [os.fsencode(argument) for argument in command], environment)
    waiting = list(answers)
    said = b""
    with suppress(OSError):  # with which Linux ends a terminal that nobody holds any more
        while data := os.read(terminal, 1024):
            said += data
            if said.endswith(b": ") and waiting:
                os.write(terminal, waiting.pop(0).encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    return code, said.decode()
