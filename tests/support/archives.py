"""Archives made as a run makes them: a tree of this machine through ``FileWalk`` and ``ZipWriter`` into a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from archives.entry import Entry
from archives.zip_writer import ZipWriter
from hosts.local import LocalHost
from model import Compression, FileSource, Member, MemberKind, Note, SeekableContent, StreamContent
from sources.files import FileWalk

MIB = 1 << 20
ZEROS = bytes(MIB)


@dataclass
class Packed:
    """An archive in a file, and what its writer told while it was made."""

    path: Path
    entries: list[Entry] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    progress: dict[bytes, int] = field(default_factory=dict)

    def entry(self, path: bytes) -> Entry:
        (found,) = [entry for entry in self.entries if entry.member.path == path]
        return found


def pack(members: Iterable[Member], path: Path, compression: Compression | None = None) -> Packed:
    """Write the archive of these members to ``path``."""
    packed = Packed(path)

    def on_progress(member: Member, size: int) -> None:
        packed.progress[member.path] = packed.progress.get(member.path, 0) + size

    writer = ZipWriter(
        members,
        compression or Compression(),
        on_entry=packed.entries.append,
        on_note=packed.notes.append,
        on_progress=on_progress,
    )
    with path.open("wb") as file:
        for chunk in writer.chunks():
            if len(chunk) == MIB and chunk == ZEROS:
                file.seek(MIB, os.SEEK_CUR)  # so that an archive of 4 GiB of zeros takes no room
            else:
                file.write(chunk)
    return packed


def pack_tree(root: Path, path: Path, compression: Compression | None = None) -> Packed:
    """Write the archive of the folder ``root``; its members are named from ``root`` on, ``b""`` being left out."""
    notes: list[Note] = []
    prefix = os.fsencode(root)[1:] + b"/"

    def members() -> Iterator[Member]:
        for member in FileWalk(FileSource((str(root),)), LocalHost(), notes.append).members():
            if member.path.startswith(prefix):
                member.path = member.path[len(prefix) :]
                yield member

    packed = pack(members(), path, compression)
    packed.notes[:0] = notes
    return packed


def walk(*paths: Path | str, **source: object) -> tuple[list[Member], list[Note]]:
    """The members and notes of a walk; ``source`` are the other fields of ``FileSource``."""
    notes: list[Note] = []
    file_source = FileSource(tuple(map(str, paths)), **source)  # type: ignore[arg-type]
    return list(FileWalk(file_source, LocalHost(), notes.append).members()), notes


class HeldContent(SeekableContent):
    """Content that is held in memory, as a file that never changes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, length: int = 0) -> HeldContent:
        return self

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def is_hole(self, offset: int, length: int) -> bool:
        return False

    def close(self) -> str | None:
        return None

    def read(self, length: int) -> tuple[bytes, str | None]:
        return self._data[:length], None


class ChunkContent(StreamContent):
    """A stream of these chunks, which then ends with ``error`` where one is given."""

    def __init__(self, chunks: Iterable[bytes], error: Exception | None = None) -> None:
        self._chunks = chunks
        self._error = error

    def chunks(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._error is not None:
            raise self._error


def file_member(path: bytes, content: SeekableContent | StreamContent, size: int = 0) -> Member:
    """A file with mode 0640 of 2001-09-09."""
    return Member(path, MemberKind.FILE, 0o640, modified_ns=1_000_000_000 * 10**9, size=size, content=content)


def held_member(path: bytes, data: bytes) -> Member:
    return file_member(path, HeldContent(data), len(data))


def snapshot(folder: Path) -> dict[bytes, tuple[str, int, bytes]]:
    """Every path below a folder with its kind, its mode (0 for a link) and its content or target."""
    base = os.fsencode(folder)
    found: dict[bytes, tuple[str, int, bytes]] = {}
    folders = [base]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                name = entry.path[len(base) + 1 :]
                if stat.S_ISLNK(status.st_mode):
                    found[name] = ("link", 0, os.readlink(entry.path))  # noqa: PTH115 - a path of bytes
                elif stat.S_ISDIR(status.st_mode):
                    found[name] = ("folder", stat.S_IMODE(status.st_mode), b"")
                    folders.append(entry.path)
                else:
                    with open(entry.path, "rb") as file:
                        found[name] = ("file", stat.S_IMODE(status.st_mode), file.read())
    return found
