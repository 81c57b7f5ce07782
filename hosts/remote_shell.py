"""How a program is started elsewhere: by a small POSIX ``sh`` that gets everything through its standard input.

Nothing but the constant LAUNCHER stands in an argv on the way. It is all that the login shell of an SSH user has to
understand, and that may be fish or csh: between single quotes it has no quote, backslash, ``!`` or line break. It reads
a script of a known number of lines (a shell reads lines byte by byte, so what follows is left to the program), and the
script, which only ``sh`` sees, sets the environment and the arguments, both quoted. So no value can be taken for a
command, most servers' refusal of ``SetEnv`` does not matter, and no secret is in any argv.

Without a terminal nobody tells a program that the connection has ended: sshd and Docker let it run. Where it is not
fed, the rest of the standard input serves for that: a watcher waits for its end, and then ends the process group, which
is the launcher's own, as sshd and runc make each command the leader of a session. Where it is fed, the program sees the
end of its input itself, and ``ending_input`` ends it from outside.

The launcher outlives what it started and waits for it. Otherwise the first process of a container would be told how
that ended, and where this is PostgreSQL, it takes what was ended by a signal for one of its own processes, and restarts
with all connections lost (CleanupBackend in postmaster.c).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from errors import HostError
from hosts.command import Command
from model import Secret

# `nl` is a line break: command substitution takes trailing ones off, hence the x.
_LAUNCHING_SCRIPT = (
    "nl=$(echo; echo x); nl=${nl%x}; script=; read -r lines && "
    'while [ "$lines" -gt 0 ]; do IFS= read -r line || exit 97; script=$script$line$nl; lines=$((lines-1)); done && '
    'eval "$script"'
)
LAUNCHER_ARGV = ("sh", "-c", _LAUNCHING_SCRIPT)
LAUNCHER = f"exec sh -c '{_LAUNCHING_SCRIPT}'"

# The mark tells what the start-up files of a login shell print apart from what the program prints.
_ANNOUNCED = """\
echo {mark} >&2
echo {mark} $$
"""

# A shell that waits for a program obeys a trap when that has ended, and what it starts does not inherit it.
_FED = (
    "trap 'exit 143' TERM\n"
    + _ANNOUNCED
    + """\
(exec "$@")
exit $?
"""
)

# The watcher must not hold the output open, and outlives SIGTERM to send SIGKILL.
_WATCHED = (
    """\
exec 3<&0 </dev/null
{{ trap "" HUP INT TERM PIPE; read -r ended; kill -s TERM -- "-$$"; sleep {seconds}; kill -s KILL -- "-$$"; }} \
<&3 >/dev/null 2>&1 &
watcher=$!
end_watcher() {{ kill -s KILL "$watcher"; wait "$watcher" 2>/dev/null; }}
trap 'end_watcher; exit 143' TERM
"""
    + _ANNOUNCED
    + """\
(exec "$@" 3<&-)
status=$?
end_watcher
exit "$status"
"""
)

# It looks again each second, as the number of a group that has ended may soon be that of another one. Where dash needs
# the `--`, busybox calls it wrong, goes on to the group, and fails all the same.
_ENDING = """\
trap "" HUP INT TERM PIPE
kill -s TERM -- "-$group"
waited=0
while kill -s 0 -- "-$group" || kill -s 0 "-$group"; do
    if [ "$waited" -eq {seconds} ]; then kill -s KILL -- "-$group"; break; fi
    sleep 1
    waited=$((waited+1))
done
"""

# For cleaning up after SIGTERM: pg_dump tells its server to stop.
_SECONDS_TO_END = 3

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def launching_input(command: Command, mark: str, *, feeds_input: bool, host: str) -> bytes:
    """What the launcher reads before the program's own input. Raises HostError for what no program can get."""
    for name in command.environment:
        if not _VARIABLE.fullmatch(name):
            raise HostError(f"{name!r} cannot be a name in the environment of the program {command} on {host}.")
    lines = [f"export {name}={_quoted(value, command, host)}" for name, value in command.environment.items()]
    lines.append("set -- " + " ".join(_quoted(argument, command, host) for argument in command.argv))
    lines.append((_FED if feeds_input else _WATCHED).format(mark=mark, seconds=_SECONDS_TO_END))
    return _input(lines)


def ending_input(group: int) -> bytes:
    """What the launcher reads to end a process group, that of a program that is fed."""
    return _input([f"exec </dev/null >/dev/null 2>&1; group={group}", _ENDING.format(seconds=_SECONDS_TO_END)])


def _input(lines: Sequence[str]) -> bytes:
    script = "\n".join(lines).rstrip("\n").encode("utf-8", "surrogateescape")
    return b"%d\n%b\n" % (script.count(b"\n") + 1, script)


def _quoted(value: str | Secret, command: Command, host: str) -> str:
    text = value.reveal() if isinstance(value, Secret) else value
    if "\0" in text:
        raise HostError(f"An argument of the program {command} on {host} holds a NUL, which no program can get.")
    return shlex.quote(text)
