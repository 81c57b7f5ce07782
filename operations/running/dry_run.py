"""What a run would read and where it would put it, without reading content or writing anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from archives.manifest import NoteList
from errors import HoldfastError
from model import Backup, MemberKind, Target
from operations.running.only import takes
from sources.factory import open_source
from sources.source import OutlinedMember
from storages.factory import open_storage


@dataclass(slots=True)
class DryRun:
    """``size`` is that of the content in bytes, unpacked; None where only reading would tell.

    ``paths`` are those of which only the path is known. ``largest`` are the ten largest files. ``left_out`` are the
    targets that have their copy already (``ONLY``).
    """

    backup: Backup
    files: int = 0
    folders: int = 0
    links: int = 0
    paths: int = 0
    size: int | None = 0
    largest: list[OutlinedMember] = field(default_factory=list)
    notes: NoteList = field(default_factory=NoteList)
    left_out: list[Target] = field(default_factory=list)


def dry_run(backup: Backup, own_folders: Iterable[Path], spool: Path, now: datetime) -> DryRun:
    """Look at the source, without what lies in Holdfast's ``own_folders``. Raises what a run would."""
    result = DryRun(backup)
    with open_source(backup, result.notes.add, own_folders, spool) as source:
        for member in source.outline():
            _count(member, result)
    result.largest = _largest(result.largest)
    result.left_out = [target for target in backup.targets if _is_left_out(backup, target, now)]
    return result


def _is_left_out(backup: Backup, target: Target, now: datetime) -> bool:
    if target.only is None:
        return False
    try:
        return not takes(target, backup.id, open_storage(target.storage), now)
    except HoldfastError as error:
        raise HoldfastError(f"{target}: {error}") from error


def _count(member: OutlinedMember, result: DryRun) -> None:
    if member.size is None:
        result.size = None
    elif result.size is not None:
        result.size += member.size
    if member.kind is None:
        result.paths += 1
    elif member.kind is MemberKind.DIRECTORY:
        result.folders += 1
    elif member.kind is MemberKind.SYMLINK:
        result.links += 1
    else:
        result.files += 1
        result.largest.append(member)
        if len(result.largest) > 1000:
            result.largest = _largest(result.largest)


def _largest(members: Iterable[OutlinedMember]) -> list[OutlinedMember]:
    return sorted(members, key=lambda member: member.size or 0, reverse=True)[:10]
