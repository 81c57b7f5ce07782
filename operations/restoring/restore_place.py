"""The contract of a place that members are put back into: a folder of this machine, or of another host."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from archives.entry import Entry
from archives.zip_reader import ZipReader
from model import Found, Member, MemberKind, Overwrite

A_FOLDER_LIES_THERE = "a folder lies there, and a folder is never replaced"
NO_FOLDER_THERE = "what should be its folder is a file or a link there, and no link is followed"


@dataclass(slots=True)
class Written:
    """What became of a member: the attributes that were refused, and why it is not, or not wholly, there.

    ``stays`` says that something was there already, and that it was left as it is.
    """

    entry: Entry
    refused_attributes: list[str] = field(default_factory=list)
    problem: str | None = None
    stays: bool = False


class Fate(enum.Enum):
    """What becomes of a member, given what lies in its place. ``BLOCKED``: by what is never replaced."""

    NEW = enum.auto()
    REPLACES = enum.auto()
    STAYS = enum.auto()
    BLOCKED = enum.auto()


def fate_of(member: Member, found: Found | None, overwrite: Overwrite | None, time_step_ns: int = 1) -> Fate:
    """``time_step_ns`` is what the times of that place are kept to: what differs by less is not older.

    A folder that was there already keeps its attributes, unless everything is replaced.
    """
    if found is None:
        return Fate.NEW
    is_folder = member.kind is MemberKind.DIRECTORY
    if found.is_folder is not is_folder:
        return Fate.BLOCKED
    if overwrite is Overwrite.ALWAYS:
        return Fate.REPLACES
    is_older = found.modified_ns // time_step_ns < member.modified_ns // time_step_ns
    return Fate.REPLACES if overwrite is Overwrite.OLDER and is_older and not is_folder else Fate.STAYS


OnWritten = Callable[[Written], None]


class Place(Protocol):
    """Tells of each member what became of it, by the ``on_written`` that it was made with.

    Every method raises StorageError and HostileArchiveError, and OSError, HostError or RestoreError where nothing more
    can be written; no file that is not whole has its real name then, nor after an interruption. The methods are called
    in this order, :meth:`write` a second time for what :meth:`link` yields.
    """

    def make_folder(self, entry: Entry) -> None:
        """For members that come later; it gets its attributes, and counts, in :meth:`finish`."""

    def write(self, entries: Iterable[Entry]) -> None:
        """Write these files, which an index describes. Taking the next entry may make folders."""

    def write_from_zip(self, entries: Iterable[Entry], reader: ZipReader) -> None:
        """The same where only the ZIP's own directory is known."""

    def link(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Make these hard links. Those that have to become files of their own come back."""

    def finish(self, symlinks: Sequence[Entry], folders: Sequence[Entry]) -> None:
        """Make the symbolic links, and give the folders, which come in the order of the archive, their attributes."""
