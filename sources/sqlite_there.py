"""SQLite databases on another machine or in a container, through the sqlite3 program there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from errors import HostError, RestoreError, SourceError
from hosts.command import Command, CommandHost
from sources.programs import ProgramOutput, output_of, output_of_fed

_FUNCTIONS = """
sqlite() { sqlite3 -batch -bail -init /dev/null "$@"; }
require_file() { [ -f "$1" ] || { echo "There is no file $1." >&2; exit 1; }; }
require_whole() {
    found=$(sqlite -readonly "$1" "PRAGMA integrity_check(5)") || exit
    [ "$found" = ok ] || { echo "SQLite finds it damaged (PRAGMA integrity_check): $found" >&2; exit 1; }
}
"""

_INSPECT = """
require_file "$1"
sqlite -readonly "$1" ".timeout 60000" "SELECT sqlite_version(); SELECT count(*) FROM sqlite_master" || exit
wc -c <"$1"
"""

# Within one transaction the copying is never begun again because of a writer. The copy has no name any more when its
# bytes are sent, so that nothing is left behind however that ends.
_COPY = """
require_file "$1"
umask 077
folder=$(mktemp -d "${TMPDIR:-/var/tmp}/holdfast-sqlite.XXXXXX") || exit
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cd "$folder" || exit
sqlite -readonly "$1" ".timeout 60000" "BEGIN; SELECT count(*) FROM sqlite_master" ".backup main copy" >said || {
    status=$?
    [ "$status" -gt 128 ] || echo "Its copy has to wait in $folder there: is enough space free?" >&2
    exit "$status"
}
require_whole copy
exec 3<copy
cd / && rm -rf "$folder"
trap - EXIT
exec cat <&3
"""

_EXISTS = """
if [ -e "$1" ] || [ -L "$1" ]; then echo exists; fi
"""

_LEFTOVERS = """
for found in "$(dirname "$1")"/.holdfast-restore.??????; do
    if [ -d "$found" ]; then printf '%s\\0' "$found"; fi
done
"""

_MAKE_FOLDER = """
if [ -e "$1" ] && [ "$2" != replace ]; then echo exists; exit; fi
mktemp -d "$(dirname "$1")/.holdfast-restore.XXXXXX"
"""

_RECEIVE = """
umask 077
exec cat >"$1/new"
"""

# Only what has arrived whole is published: an end of the input may as well be the end of a connection.
_PUBLISH = """
cd "$1" || exit
if [ "$(wc -c <new)" -ne "$2" ]; then echo "Not all of it arrived." >&2; exit 1; fi
require_whole new
if [ -e "$3" ]; then exec sqlite3 -batch -bail -init /dev/null "$3" ".timeout 60000" ".restore main new"; fi
exec ln new "$3"
"""


class There:
    """See ``sources.sqlite.Place``."""

    def __init__(self, host: CommandHost) -> None:
        self._host = host

    def inspect(self, path: str) -> tuple[int, str]:
        try:
            version, _, size = output_of(self._host, _script(_INSPECT, path)).split()
        except HostError as error:
            raise self._not_backed_up(path, error) from error
        return int(size), f"SQLite {version.decode()}"

    def copy(self, path: str) -> Iterator[bytes]:
        try:
            yield from ProgramOutput(self._host, _script(_COPY, path)).chunks()
        except HostError as error:
            raise self._not_backed_up(path, error) from error

    def exists(self, path: str) -> bool:
        return self._answer(_EXISTS, path) != b""

    def leftovers(self, path: str) -> list[str]:
        found = self._answer(_LEFTOVERS, path).split(b"\0")[:-1]
        return [leftover.decode("utf-8", "surrogateescape") for leftover in found]

    def _answer(self, script: str, path: str) -> bytes:
        try:
            return output_of(self._host, _script(script, path))
        except HostError as error:
            raise SourceError(f"SQLite databases on {self._host.name} cannot be looked for. {error}") from error

    def put_back(self, chunks: Iterable[bytes], path: str, *, replace: bool) -> None:
        try:
            made = output_of(self._host, _script(_MAKE_FOLDER, path, "replace" if replace else "new"))
            folder = made.decode("utf-8", "surrogateescape").removesuffix("\n")
            if folder == "exists":
                raise RestoreError(
                    f"There is a file {path} on {self._host.name} already, so nothing was restored. Give another path, "
                    "or let it be replaced with --replace."
                )
            try:
                size = _Size()
                output_of_fed(self._host, _script(_RECEIVE, folder), size.of(chunks))
                output_of(self._host, _script(_PUBLISH, folder, str(size.total), path))
            finally:
                with suppress(HostError):
                    output_of(self._host, Command(("rm", "-rf", folder)))
        except HostError as error:
            raise RestoreError(f"The SQLite database {path} was not restored. {error}") from error

    def _not_backed_up(self, path: str, error: HostError) -> SourceError:
        return SourceError(f"The SQLite database {path} on {self._host.name} was not backed up. {error}")


class _Size:
    """Counts bytes as they pass."""

    def __init__(self) -> None:
        self.total = 0

    def of(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.total += len(chunk)
            yield chunk


def _script(text: str, *arguments: str) -> Command:
    return Command(("sh", "-c", _FUNCTIONS + text, "sh", *arguments), program="sqlite3")
