"""Files and folders as the source of a backup: on this machine, and on others or in containers."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from errors import SourceError
from hosts.command import CommandHost
from hosts.local import LocalHost
from model import FileSource, Member, MemberKind, Note
from sources.files import FileWalk
from sources.remote_files import members, paths
from sources.remote_survey import Survey, survey
from sources.source import OutlinedMember


class LocalFiles:
    """See ``sources.source.Source``."""

    def __init__(
        self,
        source: FileSource,
        host: CommandHost,
        note: Callable[[Note], None],
        own_folders: Iterable[Path],
    ) -> None:
        self.host = host
        self._source = source
        self._walk = FileWalk(source, LocalHost(), note, own_folders)

    def preflight(self) -> int | None:
        return None

    def members(self) -> Generator[Member, None, None]:
        yield from self._walk.members()

    def outline(self) -> Iterator[OutlinedMember]:
        for member in self._walk.members():
            yield OutlinedMember(member.path, member.kind, member.size if member.kind is MemberKind.FILE else 0)

    def check(self) -> str:
        missing = [path for path in self._source.paths if not os.path.lexists(path)]
        closed = [path for path in self._source.paths if path not in missing and not _is_readable(path)]
        if missing:
            raise SourceError(f"There is no {', '.join(missing)}. Correct FILE_PATH.")
        if closed:
            raise SourceError(f"This user may not read {', '.join(closed)}.")
        return f"it can read {', '.join(self._source.paths)}"


class RemoteFiles:
    """See ``sources.source.Source``."""

    def __init__(self, source: FileSource, host: CommandHost, note: Callable[[Note], None]) -> None:
        self.host = host
        self._source = source
        self._note = note

    def preflight(self) -> int | None:
        self._survey  # noqa: B018 - it is asked for, so it is made
        return None

    def members(self) -> Generator[Member, None, None]:
        yield from members(self._source, self.host, self._note, self._survey)

    def outline(self) -> Iterator[OutlinedMember]:
        for path in paths(self._source, self.host, self._note):
            yield OutlinedMember(path, None, None)

    def check(self) -> str:
        self.preflight()
        return f"{self.host.name} answers, and has {', '.join(self._source.paths)}"

    @cached_property
    def _survey(self) -> Survey:
        return survey(self._source, self.host)


def _is_readable(text: str) -> bool:
    path = Path(text)
    return path.is_symlink() or os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
