"""Files of another host as a source. It needs ``sh``, ``find`` and ``tar`` there, and writes nothing.

``find`` lists what there is, here it is decided what is wanted, and ``tar`` gets exactly that list and sends it. So
EXCLUDE means the same as on this machine, what is left out is never sent, and a path that does not come back is known:
tar's messages are asked only for the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import repeat

from errors import HostError
from hosts.command import CommandHost, RunningCommand
from hosts.outcome import ending_of_status
from model import FileSource, HeldContent, Member, MemberKind, Note, NoteKind, StreamContent
from sources.path_list import PathList
from sources.remote_listing import Selection
from sources.remote_survey import Survey, survey
from sources.tar_header import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    SYMLINK,
    TarEntry,
    TarFormatError,
)
from sources.tar_messages import Messages
from sources.tar_program import TarProgram
from sources.tar_stream import EarlyEndError, TarStream
from utils import printable

# Up to this size a file is held in memory, so that it can be packed together with others.
_LARGEST_HELD = 1 << 20

_SPECIAL_KINDS = {
    FIFO: "it is a named pipe",
    CHARACTER_DEVICE: "it is a character device",
    BLOCK_DEVICE: "it is a block device",
}


def members(
    source: FileSource, host: CommandHost, note: Callable[[Note], None], found: Survey | None = None
) -> Iterator[Member]:
    """Every member once, in the order in which the host lists them. ``found`` is a survey made already.

    The content of a member must be read before the next one is asked for, where it is a ``StreamContent``.
    Raises SourceError before the first member where a configured path is missing or cannot be reached, and HostError
    where the host or a program there fails.
    """
    note = _once(note)
    found = found or survey(source, host)
    wanted, first_links = _selected(found, source, host, note), PathList()
    while wanted:
        transfer = _Transfer(host, found.tar, wanted, first_links, note)
        with closing(transfer.members()) as transferred:
            yield from transferred
        # What is a link to a file that was sent has its content in the archive too, as everywhere else.
        wanted, first_links = transfer.again, transfer.again_first_links


def paths(source: FileSource, host: CommandHost, note: Callable[[Note], None]) -> PathList:
    """The paths of the members, from ``/`` on, without reading them. Raises what :func:`members` does."""
    return _selected(survey(source, host), source, host, _once(note))


def _selected(found: Survey, source: FileSource, host: CommandHost, note: Callable[[Note], None]) -> PathList:
    selection = Selection(source, host, note)
    for root in found.roots:
        selection.add(root, [other.path for other in found.roots])
    return selection.paths


def _once(note: Callable[[Note], None]) -> Callable[[Note], None]:
    """The same, but of a folder that neither find nor tar may open it is said once."""
    noted: set[Note] = set()

    def note_once(said: Note) -> None:
        if said not in noted:
            noted.add(said)
            note(said)

    return note_once


class _Transfer:
    """One call of tar. Afterwards ``again`` are the paths whose content has not come, and the first links of each."""

    def __init__(
        self,
        host: CommandHost,
        tar: TarProgram,
        wanted: PathList,
        first_links: PathList,
        note: Callable[[Note], None],
    ) -> None:
        self._host = host
        self._command = tar.command(links_as_files=len(first_links) > 0)
        self._output = tar.output
        self._wanted = wanted
        self._expected = iter(zip(wanted, first_links if first_links else repeat(b""), strict=False))
        self._note = note
        self._messages = Messages()
        self._missing: list[bytes] = []
        self._entry: TarEntry | None = None
        self._is_cut_off = False
        self._failed_status = 0
        self._has_noted = False
        self.again = PathList()
        self.again_first_links = PathList()

    def members(self) -> Generator[Member, None, None]:
        running = self._host.start(self._command, feeds_input=True)
        feeder = _Feeder(running, self._wanted)
        try:
            with running:
                feeder.start()
                stream = TarStream(self._output(running.chunks()), self._on_said, self._on_ended)
                while (entry := self._next_entry(stream)) is not None:
                    member = self._member(entry, stream)
                    if member is not None:
                        yield member
        except TarFormatError as error:
            raise self._damaged(error) from error
        finally:
            feeder.join()
        if feeder.error is not None:
            raise feeder.error
        self._finish()

    # --- entries become members ---

    def _next_entry(self, stream: TarStream) -> TarEntry | None:
        try:
            self._entry = stream.next_entry()
        except EarlyEndError as error:
            raise self._failure(error.ended.status) from error
        return self._entry

    def _member(self, entry: TarEntry, stream: TarStream) -> Member | None:
        entry.path = b"/" + entry.path.strip(b"/")
        first_link = self._find_expected(entry.path)
        if entry.type == HARD_LINK:
            self._ask_again(entry.path, first_link or b"/" + entry.link.lstrip(b"/"))
            return None
        if entry.type in _SPECIAL_KINDS:
            self._note(Note(NoteKind.SPECIAL, entry.path[1:], _SPECIAL_KINDS[entry.type]))
            return None
        member = Member(
            path=entry.path[1:],
            kind=MemberKind.FILE,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            user=entry.user,
            group=entry.group,
            modified_ns=entry.modified_ns,
            extended_attributes=entry.extended_attributes,
        )
        if entry.type == FOLDER:
            member.kind = MemberKind.DIRECTORY
        elif entry.type == SYMLINK:
            member.kind = MemberKind.SYMLINK
            member.link_target = entry.link
        elif entry.type == FILE:
            member.hard_link_to = first_link[1:] or None
            self._add_content(member, entry, stream)
        else:
            raise TarFormatError(f"{printable(entry.path)} is of the type {printable(entry.type)}")
        return member

    def _add_content(self, member: Member, entry: TarEntry, stream: TarStream) -> None:
        self._cut(entry)
        member.size = entry.size
        member.data_extents = entry.extents if entry.extents != ((0, entry.size),) else None
        if entry.size > _LARGEST_HELD:
            member.content = _StreamedContent(self._content(entry, stream))
            return
        data = stream.content_at_hand(entry)
        if data is None:
            data = b"".join(self._content(entry, stream))
        member.content = HeldContent(data)
        if len(data) < entry.size:
            member.size, member.data_extents = len(data), None

    def _content(self, entry: TarEntry, stream: TarStream) -> Iterator[bytes]:
        size = 0
        try:
            for chunk in stream.content(entry):
                size += len(chunk)
                yield chunk
        except TarFormatError as error:
            raise self._damaged(error) from error
        except EarlyEndError as error:
            # BusyBox ends where GNU tar fills up with zeros.
            note = self._messages.note_of_short_file(entry.path, entry.size, size)
            if note is None:
                raise self._failure(error.ended.status) from error
            self._note(note)
            stream.abandon_entry()
            self._is_cut_off = self._has_noted = True

    def _find_expected(self, path: bytes) -> bytes:
        """Go on to this path in the list of what was asked for; the answer is its first link, or ``b""``."""
        for expected, first_link in self._expected:
            if expected == path:
                self._is_cut_off = False
                return first_link
            self._pass_over(expected, first_link)
        raise TarFormatError(f"{printable(path)} was not asked for")

    def _pass_over(self, path: bytes, first_link: bytes) -> None:
        if self._is_cut_off:
            self._ask_again(path, first_link)
        else:
            self._missing.append(path)

    def _ask_again(self, path: bytes, first_link: bytes) -> None:
        self.again.add(path)
        self.again_first_links.add(first_link)

    # --- what tar says ---

    def _on_said(self, text: bytes) -> None:
        self._messages.add(text)
        if self._entry is not None:
            self._cut(self._entry)

    def _cut(self, entry: TarEntry) -> None:
        cut = self._messages.cut(entry.path, entry.size)
        if cut is not None:
            entry.limit = cut.limit
            self._note(cut.note)
            self._has_noted = True

    def _on_ended(self, status: int) -> None:
        self._entry = None
        if status > 2:
            raise self._failure(status)
        self._failed_status = max(self._failed_status, status)

    def _finish(self) -> None:
        """Say what has not come, and everything else that tar has said."""
        for path, first_link in self._expected:
            self._pass_over(path, first_link)
        notes = [self._messages.note_of_missing(path) for path in self._missing]
        notes += self._messages.remaining_notes()
        if self._failed_status and not (notes or self._has_noted):
            raise self._failure(self._failed_status)
        for note in notes:
            self._note(note)

    def _failure(self, status: int) -> HostError:
        said = self._messages.latest
        words = f":\n{printable(said)}" if said else ", and said nothing."
        return HostError(f"The program tar on {self._host.name} {ending_of_status(status)}{words}")

    def _damaged(self, error: TarFormatError) -> HostError:
        return HostError(f"What tar on {self._host.name} sent is damaged: {error}.")


class _Feeder:
    """Feeds a program with names while its output is read. ``error`` is set where that failed."""

    def __init__(self, running: RunningCommand, names: PathList) -> None:
        self._running = running
        self._names = names
        self._thread = threading.Thread(target=self._feed, name="names for tar", daemon=True)
        self.error: Exception | None = None
        self.start, self.join = self._thread.start, self._thread.join

    def _feed(self) -> None:
        try:
            self._running.feed(self._names.terminated())
        except Exception as error:  # of whatever kind where the program was ended meanwhile
            self.error = error


class _StreamedContent(StreamContent):
    """What comes while it is read."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def chunks(self) -> Iterator[bytes]:
        return self._chunks
