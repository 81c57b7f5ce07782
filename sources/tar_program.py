"""How the ``tar`` of a host is called, and how its standard error comes to us beside its archive.

GNU tar does not stop where a file has become shorter, or cannot be read further: it says so and fills the file with
zeros. Only who hears it at that place in the stream can leave the zeros out. So its standard error goes into the same
pipe as the archive, where nothing mixes, as tar has one thread; and a message is found in it because tar begins each
with the path that it was called by. That is made up for each run, of slashes and dots: ``/usr/bin//.///./tar``. Where a
tar says only ``tar:`` (BusyBox, or GNU tar with musl), its messages are collected and follow the archive.

Users of the host can see that path while tar runs, and could write it into a file that is backed up. They would spoil
their own file or fail the run, but get nothing else into the backup: what comes is compared with the list of what was
asked for, only zeros are ever left out, and nothing may follow the exit status.
"""

from __future__ import annotations

import enum
import re
import secrets
from collections.abc import Iterable, Iterator

from errors import HostError
from hosts.command import Command
from sources.tar_header import BLOCK, TarFormatError
from sources.tar_stream import Ended, Said

ENVIRONMENT = {"LC_ALL": "C"}

# tar writes whole records, so a message comes only between two of them.
_RECORD = 512 * BLOCK

GNU_OPTIONS = (
    "--create",
    "--format=pax",
    "--pax-option=delete=atime,delete=ctime",
    "--xattrs",
    "--sparse",
    f"--blocking-factor={_RECORD // BLOCK}",
    "--absolute-names",
    "--no-recursion",
    "--quoting-style=escape",
)
_LISTED = ("--file=-", "--null", "--files-from=-")
_BUSYBOX_OPTIONS = ("-c", "-f", "-", "--no-recursion", "--")

_NOTHING = "/dev/null/none"

# $1 is what is put before the last slash of tar's path.
PROBE = f"""
tar=$(command -v tar) || tar=
marked=tar
case $tar in /*) marked=${{tar%/*}}$1${{tar##*/}} ;; esac
said=$("$marked" {" ".join(GNU_OPTIONS)} --file=/dev/null {_NOTHING} 2>&1)
printf '%s\\0%s\\0%s\\0' "$tar" "$marked" "$said"
"""
"""Prints three answers, each with a NUL after it, for :func:`recognised`."""

_MARK = "HOLDFAST_MARK"
_TOGETHER = '"$@" 2>&1; printf "%s %d\\n" "$1" "$?"'
_ONE_AFTER_THE_OTHER = f"""
exec 3>&1
said=$(tar "$@" 2>&1 >&3 3>&-)
status=$?
[ -z "$said" ] || printf '%s\\n' "$said" | while IFS= read -r line; do printf '%s: %s\\n' "${_MARK}" "$line"; done
printf '%s %d\\n' "${_MARK}" "$status"
"""


# What the collected messages of a tar without a mark begin with.
_PROGRAM = re.compile(rb"^[^ ]*tar: ")


_LONGEST_MESSAGE = 1 << 20
_MOST_HELD_BACK = 4 << 20


class TarKind(enum.Enum):
    GNU = "GNU tar that says its messages where they belong"
    GNU_WITHOUT_MARK = "GNU tar whose messages follow"
    BUSYBOX = "BusyBox"


class TarProgram:
    """The tar of one host. ``mark`` is what its messages begin with, which occurs nowhere else."""

    def __init__(self, kind: TarKind, mark: str) -> None:
        self.kind = kind
        self._mark = mark

    def command(self, *, links_as_files: bool) -> Command:
        """Reads names, each with a NUL after it, and writes what :meth:`output` understands.

        Without ``links_as_files`` the second and later names of a file are written as links to the first. Only GNU tar
        can do otherwise.
        """
        options = (*GNU_OPTIONS, *_LISTED, *(("--hard-dereference",) if links_as_files else ()))
        environment = {**ENVIRONMENT, _MARK: self._mark}
        if self.kind is TarKind.GNU:
            return Command(("sh", "-c", _TOGETHER, "sh", self._mark, *options), ENVIRONMENT, "tar")
        if self.kind is TarKind.GNU_WITHOUT_MARK:
            return Command(("sh", "-c", _ONE_AFTER_THE_OTHER, "sh", *options), environment, "tar")
        # Not every BusyBox has -T, and with it no name could hold a line break.
        argv = ("xargs", "-0", "sh", "-c", _ONE_AFTER_THE_OTHER, "sh", *_BUSYBOX_OPTIONS)
        return Command(argv, environment, "tar")

    def output(self, chunks: Iterable[bytes]) -> Iterator[bytes | Said | Ended]:
        """What the command wrote, taken apart."""
        mark = self._mark.encode("utf-8", "surrogateescape")
        return _apart_between_records(chunks, mark) if self.kind is TarKind.GNU else _apart(chunks, mark)


def new_infix() -> str:
    """What makes a path of tar unmistakable: 64 times chosen whether there is a dot between two slashes."""
    bits = secrets.randbits(64)
    return "/" + "".join("./" if bits >> number & 1 else "/" for number in range(64))


def recognised(tar: str, marked: str, said: str, host: str) -> TarProgram:
    """The program that answered PROBE. Raises HostError where there is none, or one that cannot be used."""
    if not tar:
        raise HostError(f"The program tar was not found on {host}. Install it there.")
    if said.startswith(f"{marked}: {_NOTHING}: "):
        return TarProgram(TarKind.GNU, marked)
    if f": {_NOTHING}: Cannot stat: " in said:
        return TarProgram(TarKind.GNU_WITHOUT_MARK, secrets.token_hex(20))
    if "BusyBox" in said:
        return TarProgram(TarKind.BUSYBOX, secrets.token_hex(20))
    raise HostError(
        f"The program tar on {host} is neither GNU tar (1.27 or later) nor that of BusyBox. Install GNU tar there, "
        "before the other in PATH. Others fill a file that becomes shorter while it is read with zeros, and are silent."
    )


def _apart_between_records(chunks: Iterable[bytes], mark: bytes) -> Iterator[bytes | Said | Ended]:
    """Only where messages can be is looked for them: a search through everything took a fifth of the time.

    The latest chunk is held back, as a tar that was killed may have written a part of a record before its exit status.
    """
    latest = rest = b""
    next_record = 0
    for chunk in chunks:
        rest = rest + chunk if rest else chunk
        while next_record < len(rest):
            if not mark.startswith(rest[next_record : next_record + len(mark)]):
                next_record += _RECORD
                continue
            end = rest.find(b"\n", next_record)
            if end < 0:
                break
            yield from _not_empty(latest, rest[:next_record])
            yield _message(rest[next_record + len(mark) : end])
            latest, rest, next_record = b"", rest[end + 1 :], 0
        known = min(next_record, len(rest))
        if len(rest) - known > _LONGEST_MESSAGE:
            raise TarFormatError("a message without an end")
        if known > 2 * len(mark) or len(latest) > _MOST_HELD_BACK:
            yield from _not_empty(latest)
            latest = b""
        latest += rest[:known]
        rest = rest[known:]
        next_record -= known
    yield from _apart((latest + rest,), mark)


def _not_empty(*pieces: bytes) -> Iterator[bytes]:
    return (piece for piece in pieces if piece)


def _apart(chunks: Iterable[bytes], mark: bytes) -> Iterator[bytes | Said | Ended]:
    rest = b""
    for chunk in chunks:
        rest = rest + chunk if rest else chunk
        while (start := rest.find(mark)) >= 0 and (end := rest.find(b"\n", start)) >= 0:
            if start:
                yield rest[:start]
            yield _message(rest[start + len(mark) : end])
            rest = rest[end + 1 :]
        safe = start if start >= 0 else _start_of_mark(rest, mark)
        if len(rest) - safe > _LONGEST_MESSAGE:
            raise TarFormatError("a message without an end")
        if safe:
            yield rest[:safe] if safe < len(rest) else rest
            rest = rest[safe:]
    if rest:
        yield rest


def _message(text: bytes) -> Said | Ended:
    if text.startswith(b" ") and text[1:].isdigit():
        return Ended(int(text[1:]))
    return Said(_PROGRAM.sub(b"", text.removeprefix(b": ")))


def _start_of_mark(data: bytes, mark: bytes) -> int:
    """Where the end of the data may be the beginning of a mark; else its length."""
    start = data.find(mark[:1], max(0, len(data) - len(mark) + 1))
    while start >= 0 and not mark.startswith(data[start:]):
        start = data.find(mark[:1], start + 1)
    return start if start >= 0 else len(data)
