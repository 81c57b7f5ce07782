"""A folder of another host as the place of a restore: files come there as a stream of tar.

Content is checked before it is sent where a file is small; a large one that turns out to be damaged stays behind. What
came whole gets its real name in a second archive, of hard links: so there is no file that looks whole and is not, at
whatever moment the connection breaks or the machine loses its power.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain

from archives.entry import Entry
from archives.zip_reader import ReadRange, ZipReader
from errors import HoldfastError, HostError, InterruptedRun, RestoreError
from hosts.command import CommandHost
from hosts.factory import command_host
from hosts.local_tree import attributes_for_another_owner, mode_for_another_owner, split_path
from model import INTO_NEW_FOLDER, Backup, Member, MemberKind, OnProgress, Owners, Placement
from operations.copies.stored_copies import StoredCopy
from operations.restoring.member_content import Part, parts_from_zip, parts_in_order
from operations.restoring.restore import OnExpected, Restoration, RestoreReport
from operations.restoring.restore_content import ranges_of
from operations.restoring.restore_look import RemoteLook
from operations.restoring.restore_place import Fate, OnWritten, Written
from sources.path_list import PathList
from sources.remote_tree import Pair, RemoteTree
from sources.tar_writer import END, TarWriter, padding
from utils import joined

_CHUNK = 256 << 10

_NOT_RESTORED = b""


@contextmanager
def opened_host(backup: Backup) -> Iterator[CommandHost]:
    """The host that a backup reads. Nothing is connected yet."""
    with closing(command_host(backup.ssh, backup.docker)) as host:
        yield host


def restore_files_there(
    copy: StoredCopy,
    host: CommandHost,
    folder: str,
    paths: Sequence[bytes],
    placement: Placement = INTO_NEW_FOLDER,
    *,
    on_progress: OnProgress,
    on_expected: OnExpected | None = None,
) -> RestoreReport:
    """As ``restore_files``, into a folder of another host, whose path is absolute. It needs sh and tar there."""
    restoration = Restoration(copy, paths, on_progress, on_expected)
    with _opened(RemoteTree(host, folder, placement.overwrite)) as tree:
        places: list[RemotePlace] = []

        def open_place(on_written: OnWritten) -> RemotePlace:
            places.append(RemotePlace(copy.read, tree, on_written, placement))
            return places[0]

        restoration.run(open_place)
        restoration.report.remarks += places[0].remarks()
    return restoration.report


@contextmanager
def _opened(tree: RemoteTree) -> Iterator[RemoteTree]:
    try:
        yield tree
    except BaseException as error:
        try:
            tree.close()
        except HostError:
            left = f"What had come of it until then is left in {tree.what_is_left}: remove it."
            if isinstance(error, HoldfastError):
                raise RestoreError(f"{error} {left}") from error
            if isinstance(error, InterruptedRun):
                error.add_note(left)
        raise
    tree.close()


class RemotePlace:
    """See ``operations.restoring.restore_place.Place``."""

    def __init__(self, read: ReadRange, tree: RemoteTree, on_written: OnWritten, placement: Placement) -> None:
        self._read = read
        self._tree = tree
        self._on_written = on_written
        self._look = RemoteLook(
            tree.found if placement.overwrite is not None else None, placement.overwrite, tree.time_step_ns
        )
        self._owners = placement.owners
        self._tar = TarWriter(with_pax=tree.is_gnu)
        self._came = PathList()  # by number the real path, or _NOT_RESTORED
        self._links: list[tuple[bytes, int]] = []
        self._changed: list[Entry] = []
        self._lost: set[str] = set()

    def make_folder(self, entry: Entry) -> None:
        split_path(entry.member.path)

    def write(self, entries: Iterable[Entry]) -> None:
        self._send(parts_in_order(self._read, self._possible(entries)))
        changed, self._changed = self._changed, []
        if changed:
            self._send(parts_in_order(self._read, changed))

    def write_from_zip(self, entries: Iterable[Entry], reader: ZipReader) -> None:
        self._send(parts_from_zip(self._possible(entries), reader))

    def link(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        targets = {entry.member.hard_link_to for entry in entries}
        numbers = {path: number for number, path in enumerate(self._came) if path in targets}
        linked = []
        for entry in entries:
            if entry.member.hard_link_to in numbers and self._tree.has_hard_links:
                linked.append(entry)
            else:
                yield entry
        for entry in self._possible(linked):
            self._links.append((entry.member.path, numbers[entry.member.hard_link_to or b""]))
            self._on_written(Written(entry))

    def finish(self, symlinks: Sequence[Entry], folders: Sequence[Entry]) -> None:
        # Folders come first: a link in the place of one of them, or of one above, would lead what follows elsewhere.
        made_folders = list(self._possible(folders))
        made_links = list(self._unopposed(self._possible(symlinks)))
        if self._tree.has_hard_links:
            self._tree.unpack(joined(self._names(), _CHUNK), are_names=True)
        else:
            self._tree.move(Pair(self._name(number), path) for number, path in enumerate(self._came) if path)
        # BusyBox makes links at the end, whatever their place, and so would change the times of folders.
        self._tree.unpack(joined(self._symlinks(made_links), _CHUNK), are_names=True)
        self._tree.unpack(joined(self._attributes(made_folders), _CHUNK))
        if not (self._tree.is_gnu or self._tree.is_root):
            # BusyBox gives modes only as root; ours are whole but for those.
            modes = [(self._as_is_possible(entry.member).mode, entry.member.path) for entry in reversed(made_folders)]
            self._tree.change_modes(modes)
        for entry in made_links + made_folders:
            self._on_written(Written(entry))

    def remarks(self) -> list[str]:
        """What else is worth knowing."""
        found = []
        if self._tree.refused_attributes:
            names = ", ".join(sorted(self._tree.refused_attributes))
            found.append(f"The user or the file system of {self._tree} cannot set these attributes: {names}.")
        if self._lost:
            found.append(
                f"The tar on {self._tree.host.name} is BusyBox's, which does not know these: "
                f"{', '.join(sorted(self._lost))}. They were left out."
            )
        if self._tree.leftovers:
            found.append(
                f"A restore that was killed has left {self._tree.leftovers} on {self._tree.host.name}, unless another "
                "one is under way now: remove it."
            )
        return found

    # --- what can be made ---

    def _possible(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Those that are to be made; the others are told."""
        for looked in self._look.at(entries):
            if looked.problem is not None:
                self._on_written(Written(looked.entry, problem=looked.problem))
            elif looked.fate is Fate.STAYS:
                self._on_written(Written(looked.entry, stays=True))
            else:
                yield looked.entry

    def _unopposed(self, symlinks: Iterable[Entry]) -> Iterator[Entry]:
        """Those whose name no file of this restore has."""
        listed = list(symlinks)
        paths = {entry.member.path for entry in listed}
        taken = {path for path in self._came if path in paths} | {path for path, _ in self._links if path in paths}
        for entry in listed:
            if entry.member.path in taken:
                self._on_written(Written(entry, problem="something else lies there already"))
            else:
                yield entry

    # --- archives ---

    def _send(self, parts: Iterable[Part]) -> None:
        """Content into files of ours."""
        parts = iter(parts)
        first = next(parts, None)
        if first is not None:
            self._tree.unpack(joined(self._contents(chain([first], parts)), _CHUNK), into_ours=True)

    def _contents(self, parts: Iterable[Part]) -> Iterator[bytes]:
        file: _SentFile | None = None
        for part in parts:
            if file is None:
                if part.error is not None:  # nothing of it was sent
                    self._on_written(Written(part.entry, problem=_damage(part.error)))
                    continue
                file = self._new_file(part.entry)
                yield file.header
            for chunk in part.chunks:
                yield file.data_of(chunk)
            if part.error is not None or part.is_last:
                yield from file.rest()
                self._complete(file, part.error)
                file = None
        yield END

    def _new_file(self, entry: Entry) -> _SentFile:
        member = self._as_is_possible(entry.member)
        is_sparse = self._tree.is_gnu and member.data_extents is not None
        return _SentFile(self._tar, entry, member, self._name(len(self._came)), is_sparse=is_sparse)

    def _complete(self, file: _SentFile, error: HoldfastError | None) -> None:
        entry = file.entry
        if error is not None:
            self._came.add(_NOT_RESTORED)
            self._on_written(Written(entry, problem=_damage(error)))
        elif file.has_data_in_holes:
            self._came.add(_NOT_RESTORED)
            self._changed.append(_without_holes(entry))
        else:
            self._came.add(entry.member.path)
            self._on_written(Written(entry))

    def _names(self) -> Iterator[bytes]:
        for number, path in enumerate(self._came):
            if path:
                yield self._tar.hard_link(path, self._name(number))
        for path, number in self._links:
            yield self._tar.hard_link(path, self._name(number))
        yield END

    def _symlinks(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        for entry in entries:
            yield self._tar.symlink(self._as_is_possible(entry.member))
        yield END

    def _attributes(self, folders: Sequence[Entry]) -> Iterator[bytes]:
        """Those of folders come last, from the deepest up, because each name that is made in one changes its time."""
        for entry in reversed(folders):
            yield self._tar.folder(self._as_is_possible(entry.member))
        yield END

    def _name(self, number: int) -> bytes:
        return f"{self._tree.ours}/{number:x}".encode("utf-8", "surrogateescape")

    def _as_is_possible(self, member: Member) -> Member:
        if not self._tree.is_gnu:
            losses = {
                "extended attributes": bool(member.extended_attributes),
                "fractions of a second in times": member.modified_ns % 10**9 != 0,
                "holes in sparse files": member.data_extents is not None,
                "owners and times of symbolic links": member.kind is MemberKind.SYMLINK,
            }
            self._lost.update(name for name, is_lost in losses.items() if is_lost)
        return self._with_owner(member)

    def _with_owner(self, member: Member) -> Member:
        """With the owner that the tar there is to give it; only that of root gives any."""
        if self._owners is Owners.NONE:
            attributes = attributes_for_another_owner(member.extended_attributes or {})
            tree = self._tree
            ours = replace(member, uid=tree.user_number, gid=tree.group_number, user="", group="")
            return replace(ours, mode=mode_for_another_owner(member), extended_attributes=attributes)
        if not self._tree.is_root:
            return replace(member, mode=mode_for_another_owner(member))
        return replace(member, user="", group="") if self._owners is Owners.NUMBER else member


class _SentFile:
    """The entry of one file, whose content comes in order."""

    def __init__(self, tar: TarWriter, entry: Entry, member: Member, name: bytes, *, is_sparse: bool) -> None:
        self.entry = entry
        self.has_data_in_holes = False
        self._member = replace(member, data_extents=None)
        self._position = 0
        self._sent = 0
        if is_sparse:
            # Made anew from ranges, they are in order, whatever an index says.
            extents = [(start, end - start) for start, end, hole in ranges_of(member, 0, entry.size) if not hole]
            self._member.data_extents = tuple(extents)
            self._expected = sum(length for _, length in extents)
            self.header = tar.sparse_file(member, name, entry.size, extents)
        else:
            self._expected = entry.size
            self.header = tar.file(member, name, entry.size)

    def data_of(self, chunk: bytes) -> bytes:
        """What is sent of the content that comes next: all but its holes."""
        start, self._position = self._position, self._position + len(chunk)
        if self._member.data_extents is None:
            self._sent += len(chunk)
            return chunk
        parts = []
        for first, end, is_hole in ranges_of(self._member, start, self._position):
            part = chunk[first - start : end - start]
            if not is_hole:
                parts.append(part)
            elif part != bytes(len(part)):  # it was filled between its listing and its reading
                self.has_data_in_holes = True
        data = b"".join(parts)
        self._sent += len(data)
        return data

    def rest(self) -> Iterator[bytes]:
        """The end of the entry; for one that is damaged with zeros in place of its content."""
        missing = self._expected - self._sent
        while missing > 0:
            yield bytes(min(missing, _CHUNK))
            missing -= _CHUNK
        yield padding(self._expected)


def _without_holes(entry: Entry) -> Entry:
    return replace(entry, member=replace(entry.member, data_extents=None))


def _damage(error: HoldfastError) -> str:
    return f"{error}; nothing of it is kept there, but a restore into a folder of this machine keeps what can be read"
