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
from hosts.local_tree import NOT_EMPTY
from model import Found, Overwrite
from sources.programs import output_of
from sources.remote_look import decoded, found_there, in_argument_lists, time_step_ns
from sources.tar_program import ENVIRONMENT, PROBE, TarKind, new_infix, recognised
from utils import printable

# After tar's three answers, each with a NUL after it: whether hard links can be made there, the numbers of the user and
# its group, whether the folder was made, the time of the folder as stat tells it, and what killed restores have left.
# The arguments are the infix for the path of tar, the folder, the name of one of ours in it, and `new` where the folder
# has to be empty.
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
printf '%s\\0%s\\0%s\\0%s\\0%s\\0' "$links" "$(id -u) $(id -g)" "$made" "$(stat -c %.9Y "$1" 2>/dev/null)" "$found"
"""
)

# Pairs of a name of ours and the real one.
_MOVE = """
umask 077
cd "$1" || exit
how=$2
shift 2
while [ $# -gt 0 ]; do
    case $2 in */*) mkdir -p "./${2%/*}" || exit ;; esac
    mv "$how" "./$1" "./$2" || exit
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

    def __init__(self, host: CommandHost, folder: str, overwrite: Overwrite | None) -> None:
        """Raises RestoreError where the folder is not empty, unless ``overwrite`` says what becomes of what is there,
        and where the host cannot tell what is older."""
        self.host = host
        self._folder = folder
        self._overwrite = overwrite
        self._made = ""
        self.ours = f".holdfast-restore.{secrets.token_hex(3)}"
        self.refused_attributes: set[str] = set()
        arguments = (new_infix(), folder, self.ours, "overwrite" if overwrite is not None else "new")
        try:
            answer = output_of(host, Command(("sh", "-c", _PREPARE, "sh", *arguments), ENVIRONMENT))
            tar, marked, said, *answers = answer.decode("utf-8", "surrogateescape").split("\0")
            if answers[0] == "occupied":
                raise RestoreError(self._occupied(answers[1]))
            links, user, self._made, time, self.leftovers = answers[:5]
            self.has_hard_links = links == "links"
            self.user_number, self.group_number = map(int, user.split())
            self.tar = recognised(tar, marked, said, host.name).kind
            self.time_step_ns = time_step_ns(host, self.tar, time, self._overwrite)
        except BaseException:
            with suppress(HostError):
                self.close()
            raise

    @property
    def is_gnu(self) -> bool:
        """Whether tar understands pax headers."""
        return self.tar is not TarKind.BUSYBOX

    @property
    def is_root(self) -> bool:
        return self.user_number == 0

    def found(self, paths: Sequence[bytes]) -> dict[bytes, Found]:
        """As :func:`sources.remote_look.found_there`; with times where older files are to be replaced."""
        return found_there(self.host, self._folder, paths, with_times=self._overwrite is Overwrite.OLDER)

    def unpack(self, archive: Iterable[bytes], *, into_ours: bool = False, are_names: bool = False) -> None:
        """Unpack a tar archive in the folder; ``into_ours`` says that all of it comes into ``ours``, ``are_names`` that
        it gives their names to files and links, of which none may be taken away where ``overwrite`` is ``NEVER``.

        Raises RestoreError where tar could not make all of it, and what ``archive`` raises.
        """
        # Folders above those of the archive are nobody else's. In ours, which is closed to others, BusyBox of an
        # ordinary user takes the umask off the modes of files.
        umask = "0" if into_ours else "077"
        command = ("tar", "-x", "-f", "-", "-C", self._folder)
        options = _GNU_OPTIONS if self.is_gnu else _BUSYBOX_OPTIONS
        if are_names and self.is_gnu and self._overwrite is Overwrite.NEVER:
            options = (*options, "--skip-old-files")
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
        """Give files of ours their real names, on a file system without hard links. What lies there is replaced, unless
        ``overwrite`` is ``NEVER``."""
        how = "-n" if self._overwrite is Overwrite.NEVER else "-f"
        for some in in_argument_lists(argument for pair in pairs for argument in (pair.ours, pair.real)):
            output_of(self.host, Command(("sh", "-c", _MOVE, "sh", self._folder, how, *map(decoded, some))))

    def change_modes(self, modes: Iterable[tuple[int, bytes]]) -> None:
        """Set the modes of folders, in this order."""
        pairs = (argument for mode, path in modes for argument in (b"%o" % mode, path))
        for some in in_argument_lists(pairs):
            output_of(self.host, Command(("sh", "-c", _CHANGE_MODES, "sh", self._folder, *map(decoded, some))))

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
        return f"{self} is {NOT_EMPTY}{hint}"

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
            refused.append(decoded(found[1]) if found[1] else "extended attributes")
        self.refused_attributes.update(refused)
        if not refused and not _WITHOUT_CONSEQUENCE.search(line) and len(self.complaints) < _LINES_SHOWN:
            self.complaints.append(printable(line))
