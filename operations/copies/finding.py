"""Which copies of a backup hold which version of a file: their indexes, read one after the other.

What is kept in memory is what was found, and the index of one copy as it is packed; never the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from archives.entry import Entry
from errors import HoldfastError
from model import MemberKind
from operations.copies.contents import Contents
from operations.copies.path_patterns import PathPattern, is_pattern
from operations.copies.stored_copies import StoredCopy

WhyRefused = Callable[[StoredCopy], str | None]
"""Says why a copy is not to be used; None where it is."""


class SearchPattern:
    """What is looked for. With a slash in it, a PATH of ``restore.py restore``: that path and what is below it, or a
    pattern of paths. Without one, a name at any level: a pattern of it, or else any part of it.
    """

    def __init__(self, text: bytes, *, ignore_case: bool = False) -> None:
        self._text = text.strip(b"/")
        self._is_path = b"/" in text
        self._part = None if self._is_path or is_pattern(text) else self._folded(self._text, ignore_case)
        self._pattern = PathPattern(self._text, ignore_case=ignore_case)
        self._ignore_case = ignore_case

    def matches(self, path: bytes) -> bool:
        """Whether it stands for the member with this path."""
        if self._is_path:
            return self._pattern.covers(path) or path == self._text or path.startswith(self._text + b"/")
        name = path.rpartition(b"/")[2]
        if self._part is not None:
            return self._part in self._folded(name, self._ignore_case)
        return name == self._text or self._pattern.matches(name)

    @staticmethod
    def _folded(name: bytes, ignore_case: bool) -> str:
        text = name.decode("utf-8", "surrogateescape")
        return text.casefold() if ignore_case else text


@dataclass(frozen=True, slots=True)
class Version:
    """What distinguishes two versions of a member."""

    kind: MemberKind
    size: int
    modified_ns: int
    crc32: int
    link_target: bytes | None

    @classmethod
    def of(cls, entry: Entry) -> Version:
        member = entry.member
        size = entry.size if member.kind is MemberKind.FILE else 0
        return cls(member.kind, size, member.modified_ns, entry.crc32, member.link_target)


@dataclass(slots=True)
class Span:
    """Copies in a row that hold the same version: their timestamps, and how many they are."""

    version: Version
    newest: str
    oldest: str
    copies: int
    _last_position: int

    def continues(self, version: Version, position: int) -> bool:
        return self._last_position == position - 1 and self.version == version

    def extend(self, timestamp: str, position: int) -> None:
        self.oldest, self._last_position = timestamp, position
        self.copies += 1


@dataclass(slots=True)
class Findings:
    """What was found in the copies of one backup. ``spans`` has the versions of each path, newest first.

    ``searched`` are the timestamps of the copies that could be searched, newest first; ``problems`` name the others.
    """

    backup_id: str
    spans: dict[bytes, list[Span]] = field(default_factory=dict)
    searched: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def newer_without(self, span: Span) -> int:
        """How many copies that were searched are newer than these."""
        return self.searched.index(span.newest)


def find_in_copies(
    backup_id: str,
    copies: Iterable[StoredCopy],
    pattern: SearchPattern,
    why_refused: WhyRefused,
    on_copy: Callable[[StoredCopy], None],
) -> Findings:
    """Look through copies, which are newest first. Of those of one time, the first that can be read is searched.

    One that cannot be is named in the answer. ``on_copy`` is told before each is read.
    """
    findings = Findings(backup_id)
    for timestamp, same in groupby(copies, key=lambda copy: copy.keys.timestamp):
        problems = []
        for copy in same:
            on_copy(copy)
            try:
                found = _found_in(copy, pattern, why_refused)
            except HoldfastError as error:
                problems.append(f"{copy} could not be searched: {str(error).rstrip('.')}.")
                continue
            _add(findings, timestamp, found)
            break
        else:
            findings.problems += problems
    return findings


def _found_in(copy: StoredCopy, pattern: SearchPattern, why_refused: WhyRefused) -> dict[bytes, Version]:
    if copy.manifest is None:
        raise HoldfastError(str(copy.error))
    refusal = why_refused(copy)
    if refusal is not None:
        raise HoldfastError(refusal)
    entries: Iterator[Entry] = Contents(copy).entries()
    return {entry.member.path: Version.of(entry) for entry in entries if pattern.matches(entry.member.path)}


def _add(findings: Findings, timestamp: str, found: dict[bytes, Version]) -> None:
    position = len(findings.searched)
    findings.searched.append(timestamp)
    for path, version in found.items():
        spans = findings.spans.setdefault(path, [])
        if spans and spans[-1].continues(version, position):
            spans[-1].extend(timestamp, position)
        else:
            spans.append(Span(version, timestamp, timestamp, 1, position))
