"""The source that a backup's definition stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from errors import NotAvailableError
from model import Backup, FileSource, Member, Note


def open_members(backup: Backup, note: Callable[[Note], None], own_folders: Iterable[Path]) -> Iterator[Member]:
    """What is to be packed, without what lies in Holdfast's ``own_folders``.

    Raises NotAvailableError for a kind that this version cannot read yet. Nothing is read before the first member is
    asked for; the iterator raises SourceError.
    """
    source = file_source(backup)
    from hosts.local import LocalHost
    from sources.files import FileWalk

    return FileWalk(source, LocalHost(), note, own_folders).members()


def file_source(backup: Backup) -> FileSource:
    """The files on this host that the backup reads; NotAvailableError where it is another kind or host."""
    if not isinstance(backup.source, FileSource):
        missing = "databases (DB_BACKUPS)"
    elif backup.ssh is not None:
        missing = "other hosts over SSH"
    elif backup.docker is not None:
        missing = "Docker containers"
    else:
        return backup.source
    raise NotAvailableError(
        f"{backup.id} was not backed up: this version of Holdfast cannot read {missing} yet. "
        "Its definition is valid; set ENABLED: false on it to silence this until a later version brings it."
    )


def describe(source: FileSource) -> dict[str, Any]:
    """The source in the words of config.yaml, for the manifest."""
    description: dict[str, Any] = {"FILE_PATH": list(source.paths)}
    if source.exclude:
        description["EXCLUDE"] = list(source.exclude)
    if source.exclude_if_present:
        description["EXCLUDE_IF_PRESENT"] = list(source.exclude_if_present)
    if source.exclude_caches:
        description["EXCLUDE_CACHES"] = True
    if source.one_file_system:
        description["ONE_FILE_SYSTEM"] = True
    return description
