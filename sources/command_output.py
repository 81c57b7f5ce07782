"""A program's standard output as a source: one member, and the program's exit status decides whether it is good."""

from __future__ import annotations

from collections.abc import Iterator

from errors import HostError, SourceError
from hosts.command import Command, CommandHost
from model import CommandSource, Member, StreamContent
from sources.programs import ProgramOutput, member_of


def command_members(source: CommandSource, host: CommandHost) -> Iterator[Member]:
    """The one member. Its stream raises SourceError where the program did not end well, or wrote nothing at all."""
    yield member_of(source.filename.encode(), _Output(source, host))


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
