"""What a run would read and where it would put it, without reading content or writing anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from archives.manifest import NoteList
from model import Backup, Member, MemberKind
from sources.factory import open_members


@dataclass(slots=True)
class DryRun:
    """``size`` is that of the files' content in bytes, unpacked. ``largest`` are the ten largest files."""

    backup: Backup
    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0
    largest: list[Member] = field(default_factory=list)
    notes: NoteList = field(default_factory=NoteList)


def dry_run(backup: Backup, own_folders: Iterable[Path]) -> DryRun:
    """Walk the source, without what lies in Holdfast's ``own_folders``. Raises what a run would."""
    result = DryRun(backup)
    for member in open_members(backup, result.notes.add, own_folders):
        if member.kind is MemberKind.FILE:
            result.files += 1
            result.size += member.size
            result.largest.append(member)
            if len(result.largest) > 1000:
                result.largest = _largest(result.largest)
        elif member.kind is MemberKind.DIRECTORY:
            result.folders += 1
        else:
            result.links += 1
    result.largest = _largest(result.largest)
    return result


def _largest(members: list[Member]) -> list[Member]:
    return sorted(members, key=lambda member: member.size, reverse=True)[:10]
