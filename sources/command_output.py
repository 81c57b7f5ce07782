"""A program's standard output as a source: one member, and the program's exit status decides whether it is good."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from errors import HostError, SourceError
from hosts.command import Command, CommandHost
from model import CommandSource, Member, MemberKind, StreamContent
from sources.programs import ProgramOutput, member_of, output_of
from sources.source import OutlinedMember

_FIND_PROGRAM = 'command -v "$1" >/dev/null || { echo "it is not there, or may not be run" >&2; exit 1; }'


class CommandOutput:
    """See ``sources.source.Source``. Its stream raises SourceError where the program wrote nothing at all, too."""

    def __init__(self, source: CommandSource, host: CommandHost) -> None:
        self.host = host
        self._source = source

    def preflight(self) -> int | None:
        return None

    def members(self) -> Generator[Member, None, None]:
        yield member_of(self._path, _Output(self._source, self.host))

    def outline(self) -> Iterator[OutlinedMember]:
        yield OutlinedMember(self._path, MemberKind.FILE, None)

    def check(self) -> str:
        program = self._source.argv[0]
        try:
            output_of(self.host, Command(("sh", "-c", _FIND_PROGRAM, "sh", program), self._source.environment))
        except HostError as error:
            raise SourceError(f"The program {program} cannot be run. {error}") from error
        return f"{self.host.name} answers, and has {program}"

    @property
    def _path(self) -> bytes:
        return self._source.filename.encode()


class _Output(StreamContent):
    __slots__ = ("_host", "_source")

    def __init__(self, source: CommandSource, host: CommandHost) -> None:
        self._source = source
        self._host = host

    def chunks(self) -> Iterator[bytes]:
        wrote_something = False
        try:
            for chunk in ProgramOutput(self._host, Command(self._source.argv, self._source.environment)).chunks():
                wrote_something = wrote_something or bool(chunk)
                yield chunk
        except HostError as error:
            raise SourceError(f"{self._source.filename} was not made. {error}") from error
        if not wrote_something:
            raise SourceError(
                f"{self._source.filename} was not made: the program {self._source.argv[0]} on {self._host.name} ended "
                "well, but wrote nothing to its standard output."
            )
