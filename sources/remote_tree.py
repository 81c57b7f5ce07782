"""A folder of another host that members are put into, by the ``sh`` and ``tar`` there.

Content comes into a folder of ours beside the real names, and gets these when it is whole: a tar that is cut off, or
killed, leaves half a file under whatever name it was told.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from errors import HostError, ProgramError, RestoreError
from hosts.command import Command, CommandHost, RunningCommand
from sources.programs import output_of
from sources.tar_program import ENVIRONMENT, PROBE, TarKind, new_infix, recognised
from utils import printable

# After tar's three answers, each with a NUL after it: whether hard links can be made there, the number of the user,
# whether the folder was made, and what killed restores have left. The arguments are the infix for the path of tar, the
# folder, the name of one of ours in it, and `new` where the folder has to be empty.
_PREPARE = (
    PROBE
    + """
shift
found=$(for name in "$1"/.holdfast-restore.??????; do [ -d "$name" ] && echo "$name"; done)
made=
if [ -e "$1" ] || [ -h "$1" ]; then
    if [ "$3" = new ]; then
        for name in "$1"/* "$1"/.[!.]* "$1"/..?*; do
            if [ ! -d "$1" ] || [ -e "$name" ] || [ -h "$name" ]; then printf 'occupied\\0%s\\0' "$found"; exit; fi
        done
    fi
else
    mkdir -p -- "$1" || exit
    made=made
fi
umask 077
mkdir "$1/$2" || exit
links=
: >"$1/$2/file" && ln "$1/$2/file" "$1/$2/link" 2>/dev/null && links=links
rm -f "$1/$2/file" "$1/$2/link"
printf '%s\\0%s\\0%s\\0%s\\0' "$links" "$(id -u)" "$made" "$found"
"""
)

# Prints the number of each path that cannot be made: `folder:` where no folder is, any other where one is.
_OBSTACLES = """
cd "$1" || exit
number=0
for path; do
    case $path in
    folder:*) path=./${path#folder:}
        if [ -h "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then echo "$number"; fi ;;
    other:*) path=./${path#other:}
        if [ -d "$path" ] && [ ! -h "$path" ]; then echo "$number"; fi ;;
    esac
    number=$((number+1))
done
"""

# Pairs of a name of ours and the real one.
_MOVE = """
umask 077
cd "$1" || exit
shift
while [ $# -gt 0 ]; do
    case $2 in */*) mkdir -p "./${2%/*}" || exit ;; esac
    mv -f "./$1" "./$2" || exit
    shift 2
done
"""

# Pairs of a mode and a path.
_CHANGE_MODES = """
cd "$1" || exit
shift
while [ $# -gt 0 ]; do
    chmod "$1" "./$2" || exit
    shift 2
done
"""

_REMOVE = """
rm -rf "$1/$2" || exit
if [ "$3" = made ]; then rmdir "$1" 2>/dev/null; fi
true
"""

_UNPACK = 'umask "$1"; shift; exec "$@" 2>&1'
_GNU_OPTIONS = (
    "--preserve-permissions",
    "--absolute-names",
    "--xattrs",
    "--xattrs-include=*",
    "--quoting-style=escape",
)
_BUSYBOX_OPTIONS = ("-p",)

# One argument list; Linux takes 128 KiB of one argument, and all of them together where the stack is small.
_LONGEST_ARGUMENTS = 96 << 10

# What GNU tar says of an attribute that it could not set, while the content is there.
_REFUSALS = {
    "owner": re.compile(rb": Cannot change ownership to "),
    "mode": re.compile(rb": Cannot change mode to "),
    "time": re.compile(rb": Cannot utime"),
}
_REFUSED_ATTRIBUTE = re.compile(rb"Cannot set '(.*?)' extended attribute|(XATTR support is not available)")
_WITHOUT_CONSEQUENCE = re.compile(
    rb"Exiting with failure status|time stamp .* in the future|implausibly old time stamp"
)
_LINES_SHOWN = 5


@dataclass(slots=True)
class Pair:
    """A path of ours, and the real one. Both are relative to the folder."""

    ours: bytes
    real: bytes


class RemoteTree:
    """Puts members below ``folder``, an absolute path. Whoever uses it closes it. Every method raises HostError.

    ``ours`` is the relative path of a folder in it that nobody else uses.
    """

    def __init__(self, host: CommandHost, folder: str, *, overwrite: bool) -> None:
        """Raises RestoreError where the folder is not empty, unless ``overwrite``."""
        self.host = host
        self._folder = folder
        self._made = ""
        self.ours = f".holdfast-restore.{secrets.token_hex(3)}"
        self.refused_attributes: set[str] = set()
        arguments = (new_infix(), folder, self.ours, "overwrite" if overwrite else "new")
        try:
            answer = output_of(host, Command(("sh", "-c", _PREPARE, "sh", *arguments), ENVIRONMENT))
            tar, marked, said, *answers = answer.decode("utf-8", "surrogateescape").split("\0")
            if answers[0] == "occupied":
                raise RestoreError(self._occupied(answers[1]))
            links, user, self._made, self.leftovers = answers[:4]
            self.has_hard_links, self.is_root = links == "links", user == "0"
            self.tar = recognised(tar, marked, said, host.name).kind
        except BaseException:
            with suppress(HostError):
                self.close()
            raise

    @property
    def is_gnu(self) -> bool:
        """Whether tar understands pax headers."""
        return self.tar is not TarKind.BUSYBOX

    def obstacles(self, folders: Sequence[bytes], others: Sequence[bytes]) -> set[bytes]:
        """Of these paths those in whose place something lies that has to stay: no folder, or one."""
        arguments = [b"folder:" + path for path in folders] + [b"other:" + path for path in others]
        found: set[bytes] = set()
        for some in _in_argument_lists(arguments):
            command = Command(("sh", "-c", _OBSTACLES, "sh", self._folder, *map(_decoded, some)))
            # The folder itself is the number 0.
            numbers = [int(number) - 1 for number in output_of(self.host, command).split()]
            found.update(some[number].partition(b":")[2] for number in numbers)
        return found

    def unpack(self, archive: Iterable[bytes], *, into_ours: bool = False) -> None:
        """Unpack a tar archive in the folder; ``into_ours`` says that all of it comes into ``ours``.

        Raises RestoreError where tar could not make all of it, and what ``archive`` raises.
        """
        # Folders above those of the archive are nobody else's. In ours, which is closed to others, BusyBox of an
        # ordinary user takes the umask off the modes of files.
        umask = "0" if into_ours else "077"
        command = ("tar", "-x", "-f", "-", "-C", self._folder)
        options = _GNU_OPTIONS if self.is_gnu else _BUSYBOX_OPTIONS
        full = Command(("sh", "-c", _UNPACK, "sh", umask, *command, *options), ENVIRONMENT, "tar")
        with self.host.start(full, feeds_input=True) as running:
            listener = _Listener(running)
            listener.start()
            try:
                running.feed(self._until_said(archive, listener))
            except HostError as error:
                listener.error = listener.error or error
            listener.join()
        self.refused_attributes |= listener.refused_attributes
        if isinstance(listener.error, ProgramError) and listener.error.exit_status is not None:
            if listener.complaints or not listener.refused_attributes:
                raise self._failed(listener.complaints or [str(listener.error)])
        elif listener.error is not None:
            raise listener.error

    def move(self, pairs: Iterable[Pair]) -> None:
        """Give files of ours their real names, on a file system without hard links. What lies there is replaced."""
        for some in _in_argument_lists(argument for pair in pairs for argument in (pair.ours, pair.real)):
            output_of(self.host, Command(("sh", "-c", _MOVE, "sh", self._folder, *map(_decoded, some))))

    def change_modes(self, modes: Iterable[tuple[int, bytes]]) -> None:
        """Set the modes of folders, in this order."""
        pairs = (argument for mode, path in modes for argument in (b"%o" % mode, path))
        for some in _in_argument_lists(pairs):
            output_of(self.host, Command(("sh", "-c", _CHANGE_MODES, "sh", self._folder, *map(_decoded, some))))

    @property
    def what_is_left(self) -> str:
        """What there is of ours as long as :meth:`close` has not removed it, for messages."""
        return f"{self._folder}/{self.ours} on {self.host.name}"

    def close(self) -> None:
        """Remove what is ours, and the folder where it was made for this and is empty."""
        output_of(self.host, Command(("sh", "-c", _REMOVE, "sh", self._folder, self.ours, self._made)))

    def __str__(self) -> str:
        return f"{self._folder} on {self.host.name}"

    def _occupied(self, leftovers: str) -> str:
        hint = f" A restore that was killed has left {leftovers} there: remove it." if leftovers else ""
        return (
            f"{self._folder} on {self.host.name} is not an empty folder, so nothing was restored into it.{hint} Give a "
            "new folder to --to, or let files that lie there be replaced with --overwrite."
        )

    def _until_said(self, archive: Iterable[bytes], listener: _Listener) -> Iterator[bytes]:
        """The archive, as long as tar says nothing that makes the rest vain: a disk may be full."""
        for chunk in archive:
            if listener.complaints:
                raise self._failed(listener.complaints)
            yield chunk

    def _failed(self, complaints: Sequence[str]) -> RestoreError:
        shown = "\n".join(complaints[:_LINES_SHOWN])
        if "Wrote only " in shown:  # GNU tar says the reason only when it writes again
            shown += "\nMost likely no space is left there."
        return RestoreError(
            f"The program tar on {self.host.name} could not put everything into {self._folder}:\n{shown}"
        )


class _Listener(threading.Thread):
    """Hears what tar says while it is fed. ``error`` is how it ended, where that was not well."""

    def __init__(self, running: RunningCommand) -> None:
        super().__init__(name="what tar says", daemon=True)
        self._running = running
        self.refused_attributes: set[str] = set()
        self.complaints: list[str] = []
        self.error: Exception | None = None

    def run(self) -> None:
        rest = b""
        try:
            for chunk in self._running.chunks():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._hear(line)
        except Exception as error:  # of whatever kind where the program was ended meanwhile
            self.error = error
        if rest:
            self._hear(rest)

    def _hear(self, line: bytes) -> None:
        refused = [name for name, words in _REFUSALS.items() if words.search(line)]
        if found := _REFUSED_ATTRIBUTE.search(line):
            refused.append(_decoded(found[1]) if found[1] else "extended attributes")
        self.refused_attributes.update(refused)
        if not refused and not _WITHOUT_CONSEQUENCE.search(line) and len(self.complaints) < _LINES_SHOWN:
            self.complaints.append(printable(line))


def _in_argument_lists(arguments: Iterable[bytes]) -> Iterator[list[bytes]]:
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


def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
