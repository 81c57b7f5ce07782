"""What lies in the place of members, and so what becomes of each: for a restore, and for a person before one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from archives.entry import Entry
from hosts.local_tree import LocalTree, split_path
from model import Found, Member, MemberKind, Overwrite
from operations.restoring.restore_content import FATAL_ERRORS
from operations.restoring.restore_place import A_FOLDER_LIES_THERE, NO_FOLDER_THERE, Fate, fate_of

# How many files of another host are asked for at once.
_LOOKED_AT_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Looked:
    """A member, and what becomes of it. ``problem`` says why it cannot be made, where it is ``BLOCKED``."""

    entry: Entry
    fate: Fate
    found: Found | None = None
    problem: str | None = None


class Look(Protocol):
    """Raises HostileArchiveError where a name leads outside, and HostError."""

    def at(self, entries: Iterable[Entry]) -> Iterator[Looked]:
        """The same members in the same order."""


class LocalLook:
    """At a folder of this machine; without a ``tree`` it is not there yet. Raises OSError too."""

    def __init__(self, tree: LocalTree | None, overwrite: Overwrite | None) -> None:
        self._tree = tree
        self._overwrite = overwrite

    def at(self, entries: Iterable[Entry]) -> Iterator[Looked]:
        """See :class:`Look`."""
        for entry in entries:
            split_path(entry.member.path)
            try:
                found = self._tree.found_at(entry.member.path) if self._tree is not None else None
            except OSError as error:
                if error.errno in FATAL_ERRORS:
                    raise
                yield Looked(entry, Fate.BLOCKED, problem=error.strerror)
            else:
                yield _looked(entry, found, fate_of(entry.member, found, self._overwrite))


class RemoteLook:
    """At a folder of another host, through ``found``; where that is None, there is nothing in it."""

    def __init__(
        self,
        found: Callable[[Sequence[bytes]], Mapping[bytes, Found]] | None,
        overwrite: Overwrite | None,
        time_step_ns: int,
    ) -> None:
        self._found = found
        self._overwrite = overwrite
        self._time_step_ns = time_step_ns
        self._folders: set[bytes] = set()
        self._closed_folders: set[bytes] = set()

    def at(self, entries: Iterable[Entry]) -> Iterator[Looked]:
        """See :class:`Look`. The folders above the members are noted: what is no folder must not be one of them."""
        some: list[Entry] = []
        for entry in entries:
            split_path(entry.member.path)
            some.append(entry)
            if len(some) == _LOOKED_AT_TOGETHER or self._found is None:
                yield from self._at_some(some)
                some = []
        yield from self._at_some(some)

    def _at_some(self, entries: Sequence[Entry]) -> Iterator[Looked]:
        new_folders: dict[bytes, None] = {}
        for entry in entries:
            path = entry.member.path + b"/" if entry.member.kind is MemberKind.DIRECTORY else entry.member.path
            while (path := path.rpartition(b"/")[0]) and path not in self._folders:
                new_folders[path] = None
                self._folders.add(path)
        found: Mapping[bytes, Found] = {}
        if self._found is not None and entries:
            found = self._found(list(dict.fromkeys([*new_folders, *(entry.member.path for entry in entries)])))
            self._closed_folders |= {path for path in new_folders if path in found and not found[path].is_folder}
        for entry in entries:
            lies_there = found.get(entry.member.path)
            fate = fate_of(entry.member, lies_there, self._overwrite, self._time_step_ns)
            if entry.member.kind is not MemberKind.DIRECTORY and entry.member.path in self._folders:
                fate = Fate.BLOCKED
            if self._is_below_closed(entry.member):
                yield Looked(entry, Fate.BLOCKED, problem=NO_FOLDER_THERE)
            else:
                yield _looked(entry, lies_there, fate)

    def _is_below_closed(self, member: Member) -> bool:
        path = member.path + b"/" if member.kind is MemberKind.DIRECTORY else member.path
        while self._closed_folders and (path := path.rpartition(b"/")[0]):
            if path in self._closed_folders:
                return True
        return False


def _looked(entry: Entry, found: Found | None, fate: Fate) -> Looked:
    is_folder = entry.member.kind is MemberKind.DIRECTORY
    obstacle = NO_FOLDER_THERE if is_folder else A_FOLDER_LIES_THERE
    return Looked(entry, fate, found, obstacle if fate is Fate.BLOCKED else None)
