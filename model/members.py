"""What a source yields: members, their content, and notes of what could not be read."""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol


class MemberKind(enum.StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class OpenContent(Protocol):
    """A file that was opened for reading at any position, by several threads at once."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only where the file ends now. Raises OSError."""

    def is_hole(self, offset: int, length: int) -> bool:
        """Whether the file has nothing but a hole in this part now, so that its zeros need not be read."""

    def close(self) -> str | None:
        """Release it. The answer says how the file changed since it was listed (``"grew"`` …), or is None.

        Raises OSError where that cannot be known; it is released all the same.
        """


class SeekableContent:
    """Content that can be read at any position, so its blocks can be packed in parallel.

    ``can_be_sent`` says that it can be pickled, and read by another process of this machine. This is no abstract base
    class, because isinstance() of those takes a microsecond, and it is asked of each file of a run.
    """

    __slots__ = ()
    can_be_sent: ClassVar[bool] = False

    def open(self, length: int) -> OpenContent:
        """For its first ``length`` bytes. Raises OSError (FileNotFoundError where it has vanished)."""
        raise NotImplementedError

    def read(self, length: int) -> tuple[bytes, str | None]:
        """At once: its first ``length`` bytes, and how it changed meanwhile (see ``OpenContent.close``)."""
        raise NotImplementedError


class HeldContent(SeekableContent):
    """What is in memory already: of a member that is small enough to be packed at once."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, length: int) -> tuple[bytes, str | None]:
        return self.data[:length], None


class StreamContent:
    """Content of unknown length that can be read once, in order. A failed producer raises when it ends."""

    __slots__ = ()

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, in chunks of any size."""
        raise NotImplementedError


@dataclass(slots=True)
class Member:
    """One file, folder or link of a source, with all that is known of it. It knows nothing of ZIP.

    ``path`` is relative, separated by ``/``, without ``.`` or ``..``. ``mode`` is the permission bits (07777).
    ``size`` is the most that is read of ``content``: what is appended later waits for the next run. ``data_extents``
    are the ``(offset, length)`` that hold data where the file has holes, else None.
    ``hard_link_to`` is the path of an earlier member that is the same inode. Not frozen: a run makes a million of them.
    """

    path: bytes
    kind: MemberKind
    mode: int
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    modified_ns: int = 0
    size: int = 0
    content: SeekableContent | StreamContent | None = None
    link_target: bytes | None = None
    hard_link_to: bytes | None = None
    extended_attributes: Mapping[str, bytes] | None = None
    data_extents: tuple[tuple[int, int], ...] | None = None


OnProgress = Callable[[Member, int], None]
"""Told of each member and the number of its bytes that were packed, restored or checked since the last call."""


class NoteKind(enum.StrEnum):
    """What a run has to say of one path. Only ``UNREADABLE`` makes a run partial."""

    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    CHANGED = "changed"
    SPECIAL = "special"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say of one path of a source, named as a member is; ``reason`` reads on: ``"it is a socket"``."""

    kind: NoteKind
    path: bytes
    reason: str

    @classmethod
    def of_error(cls, path: bytes, error: OSError) -> Note:
        """For a path that was listed and could not be read. Vanishing is ordinary life in a live tree."""
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return cls(NoteKind.VANISHED, path, "it vanished, or became something else, before it was read")
        return cls(NoteKind.UNREADABLE, path, error.strerror or type(error).__name__)
