"""What lies in a folder of another host, looked at by its ``sh``, and by ``stat`` where times are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from errors import RestoreError
from hosts.command import Command, CommandHost
from model import Found, Overwrite
from sources.programs import output_of
from sources.tar_program import ENVIRONMENT, PROBE, TarKind, new_infix, recognised

# After tar's three answers, each with a NUL after it: whether the folder is there, and holds something; whether files
# can be made in it, or in the next above that is there; its time as stat tells it.
_LOOK = (
    PROBE
    + """
shift
state=missing
if [ -e "$1" ] || [ -h "$1" ]; then
    state=empty
    [ -d "$1" ] || state=other
    for name in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        if [ -e "$name" ] || [ -h "$name" ]; then state=occupied; break; fi
    done
fi
above=$1
while [ ! -e "$above" ] && [ -n "$above" ]; do above=${above%/*}; done
above=${above:-/}
writable=
[ -d "$above" ] && [ -w "$above" ] && [ -x "$above" ] && writable=writable
printf '%s\\0%s\\0%s\\0' "$state" "$writable" "$(stat -c %.9Y "$above" 2>/dev/null)"
"""
)

# Prints the number and the kind of each path at which something is; then, where the first argument after the folder is
# `times`, the time of each of these in seconds.
_FOUND = """
cd "$1" || exit
times=$2
shift 2
number=0
for path; do
    shift
    path=./$path
    kind=
    if [ -h "$path" ]; then kind=other
    elif [ -d "$path" ]; then kind=folder
    elif [ -e "$path" ]; then kind=other
    fi
    if [ -n "$kind" ]; then
        echo "$number $kind"
        [ -z "$times" ] || set -- "$@" "$path"
    fi
    number=$((number+1))
done
[ $# -eq 0 ] || stat -c %.9Y "$@"
"""

# One argument list; Linux takes 128 KiB of one argument, and all of them together where the stack is small.
_LONGEST_ARGUMENTS = 96 << 10

_TIME = re.compile(r"-?\d+(\.\d{9})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class FolderThere:
    """A folder of another host as a restore would find it. ``time_step_ns`` is to what times are kept there."""

    exists: bool
    is_folder: bool
    is_empty: bool
    is_writable: bool
    tells_times: bool
    time_step_ns: int


def look_at_folder(host: CommandHost, folder: str, overwrite: Overwrite | None) -> FolderThere:
    """Look at ``folder``, an absolute path, and make nothing.

    Raises HostError, also where no tar is there that can be used, and RestoreError as :func:`time_step_ns` does.
    """
    answer = output_of(host, Command(("sh", "-c", _LOOK, "sh", new_infix(), folder), ENVIRONMENT))
    tar, marked, said, state, writable, time, _ = answer.decode("utf-8", "surrogateescape").split("\0")
    kind = recognised(tar, marked, said, host.name).kind
    step = time_step_ns(host, kind, time, overwrite)
    is_folder = state in ("empty", "occupied")
    return FolderThere(state != "missing", is_folder, state != "occupied", writable == "writable", _tells(time), step)


def time_step_ns(host: CommandHost, tar: TarKind, time: str, overwrite: Overwrite | None) -> int:
    """To what the times of files are kept and told there: a billionth of a second, or a second.

    ``time`` is what stat said of the folder. Raises RestoreError where older files are to be replaced and it said none.
    """
    if overwrite is Overwrite.OLDER and not _tells(time):
        raise RestoreError(
            f"{host.name} has no program stat that tells when files were modified, as those of GNU and BusyBox do, so "
            "which are older cannot be known there, and nothing was restored. Choose --overwrite never or always."
        )
    return 1 if tar is not TarKind.BUSYBOX and "." in time else 10**9


def _tells(time: str) -> bool:
    return _TIME.fullmatch(time) is not None


def found_there(host: CommandHost, folder: str, paths: Sequence[bytes], *, with_times: bool) -> dict[bytes, Found]:
    """What lies at these paths of a folder, but for those at which there is nothing. Raises HostError."""
    found: dict[bytes, Found] = {}
    for some in in_argument_lists(paths):
        times = "times" if with_times else ""
        command = Command(("sh", "-c", _FOUND, "sh", folder, times, *map(decoded, some)), ENVIRONMENT)
        answer = output_of(host, command).decode("ascii").splitlines()
        kinds = [line.split() for line in answer if " " in line]
        seconds = [line for line in answer if " " not in line]
        for (number, kind), text in zip(kinds, seconds or ["0"] * len(kinds), strict=True):
            found[some[int(number)]] = Found(kind == "folder", _nanoseconds(text))
    return found


def in_argument_lists(arguments: Iterable[bytes]) -> Iterator[list[bytes]]:
    """An even number in each, so that pairs stay together."""
    some: list[bytes] = []
    length = 0
    for argument in arguments:
        some.append(argument)
        length += len(argument) + 1
        if length > _LONGEST_ARGUMENTS and len(some) % 2 == 0:
            yield some
            some, length = [], 0
    if some:
        yield some


def decoded(path: bytes) -> str:
    """As an argument of a program."""
    return path.decode("utf-8", "surrogateescape")


def _nanoseconds(text: str) -> int:
    """Of seconds with or without a fraction, as stat prints them."""
    return int(Decimal(text) * 10**9)
