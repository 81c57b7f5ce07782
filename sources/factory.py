"""The source that a backup's definition stands for, open on its host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hosts.factory import command_host
from model import Backup, CommandSource, DatabaseSource, Note
from sources.source import Source


@contextmanager
def open_source(
    backup: Backup, note: Callable[[Note], None], own_folders: Iterable[Path], spool: Path
) -> Iterator[Source]:
    """For as long as its host is needed: it is closed afterwards. Nothing is connected or read yet.

    ``own_folders`` are Holdfast's own on this machine and are left out; ``spool`` is one of them, for what cannot be
    streamed.
    """
    host = command_host(backup.ssh, backup.docker)
    try:
        if isinstance(backup.source, DatabaseSource):
            from sources.databases import Databases

            yield Databases(backup.source, host, note, spool)
        elif isinstance(backup.source, CommandSource):
            from sources.command_output import CommandOutput

            yield CommandOutput(backup.source, host)
        elif backup.is_remote:
            from sources.file_sources import RemoteFiles

            yield RemoteFiles(backup.source, host, note)
        else:
            from sources.file_sources import LocalFiles

            yield LocalFiles(backup.source, host, note, own_folders)
    finally:
        host.close()
