"""Files that change while they are read: nothing is made up, neighbours are intact, and it is said."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hosts.local import LocalContent, OpenLocalFile
from model import Compression, CompressionMethod, Note, NoteKind, OpenContent, SeekableContent
from tests.support.archives import MIB, HeldContent, Packed, file_member, held_member, pack, walk

SMALL = 10_000
LARGE = 3 * MIB + 5
BEFORE = b"before " * 1000
AFTER = random.Random(1).randbytes(2 * MIB)

VANISHED = "it vanished, or became something else, before it was read"


def original(size: int) -> bytes:
    return random.Random(size).randbytes(size)


class ChangedContent(SeekableContent):
    """A file to which something happens just before it is opened, or just before its block ``at_block`` is read."""

    def __init__(self, path: Path, change: Callable[[Path], object], at_block: int | None) -> None:
        self._path = path
        self._change = change
        self._lock = threading.Lock()
        self.at_block = at_block
        self.fired = 0

    def fire(self) -> None:
        with self._lock:
            if not self.fired:
                self._change(self._path)
            self.fired += 1

    def open(self, length: int) -> OpenContent:
        if self.at_block is None:
            self.fire()
        return OpenChangedContent(self, LocalContent(os.fsencode(self._path)).open(length))

    def read(self, length: int) -> tuple[bytes, str | None]:
        self.fire()
        return LocalContent(os.fsencode(self._path)).read(length)


class OpenChangedContent:
    def __init__(self, content: ChangedContent, opened: OpenLocalFile) -> None:
        self._content = content
        self._opened = opened

    def read_at(self, offset: int, length: int) -> bytes:
        if offset // MIB == self._content.at_block:
            self._content.fire()
        return self._opened.read_at(offset, length)

    def is_hole(self, offset: int, length: int) -> bool:
        return self._opened.is_hole(offset, length)

    def close(self) -> str | None:
        return self._opened.close()


class FaultyContent(HeldContent):
    """Content whose reading fails from one offset on, or whose closing does."""

    def __init__(self, data: bytes, fails_at: int | None) -> None:
        super().__init__(data)
        self._fails_at = fails_at
        self.fired = 0

    def read_at(self, offset: int, length: int) -> bytes:
        if self._fails_at is not None and offset >= self._fails_at:
            self.fail(errno.EIO)
        return super().read_at(offset, length)

    def read(self, length: int) -> tuple[bytes, str | None]:
        self.fail(errno.EIO)
        return super().read(length)

    def close(self) -> str | None:
        if self._fails_at is None:
            self.fail(errno.ESTALE)
        return super().close()

    def fail(self, number: int) -> None:
        self.fired += 1
        raise OSError(number, os.strerror(number))


def pack_with_neighbours(
    content: SeekableContent, size: int, folder: Path, method: CompressionMethod = CompressionMethod.DEFLATE
) -> Packed:
    """An archive of this content as ``changed`` between two others; all but its content is checked."""
    members = [held_member(b"before", BEFORE), file_member(b"changed", content, size), held_member(b"after", AFTER)]
    packed = pack(members, folder / "archive.zip", Compression(method, 1))
    with zipfile.ZipFile(packed.path) as archive:
        if method is not CompressionMethod.ZSTD:
            assert archive.testzip() is None
            assert archive.read("before") == BEFORE
            assert archive.read("after") == AFTER
        infos = {info.filename.encode(): info for info in archive.infolist()}
    assert list(infos) == [entry.member.path for entry in packed.entries]
    for entry in packed.entries:
        info = infos[entry.member.path]
        assert (entry.size, entry.packed_size, entry.crc32) == (info.file_size, info.compress_size, info.CRC)
        assert packed.progress.get(entry.member.path, 0) == entry.size
    program = "7z" if method is CompressionMethod.ZSTD else "unzip"
    if shutil.which(program):
        command = {"unzip": ["unzip", "-tq"], "7z": ["7z", "t"]}[program]
        tested = subprocess.run([*command, str(packed.path)], capture_output=True)
        assert tested.returncode == 0, tested.stdout
    return packed


def packed_content(packed: Packed) -> bytes | None:
    with zipfile.ZipFile(packed.path) as archive:
        return archive.read("changed") if "changed" in archive.namelist() else None


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"appended " * 1000)


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(1, 1))


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_fifo_with_a_writer(path: Path) -> None:
    replace_by_fifo(path)
    # Kept open by the test's process: reading would now give these bytes.
    os.write(os.open(path, os.O_RDWR | os.O_NONBLOCK), b"not to be read")


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("method", CompressionMethod)
def test_a_file_that_grew_before_it_was_read_is_kept_as_long_as_it_was(
    size: int, method: CompressionMethod, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(original(size))
    content = ChangedContent(path, grow, None)
    packed = pack_with_neighbours(content, size, tmp_path, method)
    assert content.fired == 1
    assert packed.notes == [Note(NoteKind.CHANGED, b"changed", "it grew by 9000 bytes while it was read")]
    assert packed.entry(b"changed").note == packed.notes[0].reason
    assert packed.entry(b"changed").size == size
    if method is not CompressionMethod.ZSTD:
        assert packed_content(packed) == original(size)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(("change", "left"), [(shrink, 0.5), (empty, 0)])
@pytest.mark.parametrize("method", CompressionMethod)
def test_a_file_that_shrank_before_it_was_read_is_not_padded(
    size: int, change: Callable[[Path], None], left: float, method: CompressionMethod, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(original(size))
    content = ChangedContent(path, change, None)
    packed = pack_with_neighbours(content, size, tmp_path, method)
    assert content.fired == 1
    kept = int(size * left)
    assert packed.notes == [Note(NoteKind.CHANGED, b"changed", f"it shrank by {size - kept} bytes while it was read")]
    assert packed.entry(b"changed").note == packed.notes[0].reason
    assert packed.entry(b"changed").size == kept
    if method is not CompressionMethod.ZSTD:
        assert packed_content(packed) == original(size)[:kept]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    "change", [Path.unlink, replace_by_fifo, replace_by_fifo_with_a_writer, replace_by_link, replace_by_folder]
)
def test_a_file_that_is_no_more_leaves_no_trace(size: int, change: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(original(size))
    content = ChangedContent(path, change, None)
    packed = pack_with_neighbours(content, size, tmp_path)
    assert content.fired == 1
    assert packed.notes == [Note(NoteKind.VANISHED, b"changed", VANISHED)]
    assert packed_content(packed) is None


def test_nothing_is_taken_out_of_a_fifo_that_stands_where_a_file_was(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    keeper = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    os.write(keeper, b"for somebody else")
    packed = pack([file_member(b"fifo", LocalContent(os.fsencode(path)), 100)], tmp_path / "archive.zip")
    assert [note.kind for note in packed.notes] == [NoteKind.VANISHED]
    assert os.read(keeper, 100) == b"for somebody else"
    os.close(keeper)


@pytest.mark.parametrize("block", [0, 1, 3])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (grow, "it grew by 9000 bytes while it was read"),
        (Path.unlink, None),
        (replace_by_fifo, None),
        (replace_by_link, None),
    ],
)
def test_a_large_file_that_is_open_is_read_to_its_end(
    change: Callable[[Path], None], reason: str | None, block: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(original(LARGE))
    content = ChangedContent(path, change, block)
    packed = pack_with_neighbours(content, LARGE, tmp_path)
    assert content.fired == 1
    assert packed_content(packed) == original(LARGE)
    assert packed.entry(b"changed").note == reason
    assert [(note.kind, note.reason) for note in packed.notes] == ([(NoteKind.CHANGED, reason)] if reason else [])


def test_a_large_file_that_shrinks_in_the_middle_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(original(LARGE))
    content = ChangedContent(path, lambda path: os.truncate(path, MIB + 100), 1)
    packed = pack_with_neighbours(content, LARGE, tmp_path)
    assert content.fired == 1
    assert packed_content(packed) == original(LARGE)[: MIB + 100]
    reason = f"it shrank by {LARGE - MIB - 100} bytes while it was read"
    assert packed.notes == [Note(NoteKind.CHANGED, b"changed", reason)]
    assert list(packed.entry(b"changed").blocks)[2:] == []


def test_a_large_file_that_is_written_to_is_said(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(original(LARGE))
    content = ChangedContent(path, overwrite, 2)
    packed = pack_with_neighbours(content, LARGE, tmp_path)
    assert content.fired == 1
    assert packed.notes == [Note(NoteKind.CHANGED, b"changed", "it was written to while it was read")]
    assert packed.entry(b"changed").size == LARGE


HOLD_A_LEASE = """
import fcntl, os, signal, sys
def give_up(*_):
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    print("given up", flush=True)
signal.signal(signal.SIGIO, give_up)
descriptor = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_file_on_which_another_program_holds_a_lease_is_waited_for(size: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(original(size))
    command = [sys.executable, "-c", HOLD_A_LEASE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "held\n":
            pytest.skip("needs a file system with leases")
        packed = pack([file_member(b"changed", LocalContent(os.fsencode(path)), size)], tmp_path / "archive.zip")
        said, _ = holder.communicate()
    assert said == "given up\n"
    assert packed.notes == []
    assert packed_content(packed) == original(size)


# --- what cannot be read ---


def test_a_small_file_that_cannot_be_read_leaves_no_trace(tmp_path: Path) -> None:
    content = FaultyContent(original(SMALL), 0)
    packed = pack_with_neighbours(content, SMALL, tmp_path)
    assert content.fired == 1
    assert packed.notes == [Note(NoteKind.UNREADABLE, b"changed", "Input/output error")]
    assert packed_content(packed) is None


@pytest.mark.parametrize("method", CompressionMethod)
@pytest.mark.parametrize("block", [0, 1, 3])
def test_a_large_file_is_kept_up_to_where_it_cannot_be_read(
    block: int, method: CompressionMethod, tmp_path: Path
) -> None:
    content = FaultyContent(original(LARGE), block * MIB)
    packed = pack_with_neighbours(content, LARGE, tmp_path, method)
    assert content.fired >= 1
    reason = f"it could be read only up to byte {block * MIB} (Input/output error)"
    assert packed.notes == [Note(NoteKind.UNREADABLE, b"changed", reason)]
    assert packed.entry(b"changed").note == reason
    assert packed.entry(b"changed").size == block * MIB
    if method is not CompressionMethod.ZSTD:
        assert packed_content(packed) == original(LARGE)[: block * MIB]


def test_a_file_of_which_nobody_knows_whether_it_changed_is_kept_and_said(tmp_path: Path) -> None:
    """On NFS, fstat(2) of an open file can answer ESTALE."""
    content = FaultyContent(original(LARGE), None)
    packed = pack_with_neighbours(content, LARGE, tmp_path)
    assert content.fired == 1
    assert packed.notes == [
        Note(NoteKind.UNREADABLE, b"changed", f"how it changed cannot be known ({os.strerror(errno.ESTALE)})")
    ]
    assert packed_content(packed) == original(LARGE)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_read_that_stops_early_is_gone_on_with(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """read(2) may give less than was asked for: FUSE and network file systems do."""
    path = tmp_path / "file"
    path.write_bytes(original(size))
    short_reads: list[int] = []
    read, pread = os.read, os.pread

    def short_read(descriptor: int, length: int) -> bytes:
        short_reads.append(length)
        return read(descriptor, min(length, 4000))

    def short_pread(descriptor: int, length: int, offset: int) -> bytes:
        short_reads.append(length)
        return pread(descriptor, min(length, 400_000), offset)

    with monkeypatch.context() as patched:
        patched.setattr("hosts.local.os.read", short_read)
        patched.setattr("hosts.local.os.pread", short_pread)
        packed = pack([file_member(b"changed", LocalContent(os.fsencode(path)), size)], tmp_path / "archive.zip")
    assert len(short_reads) > 2
    assert packed.notes == []
    assert packed_content(packed) == original(size)


# --- holes ---


def sparse_file(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(b"start")
        file.truncate(size)


def write_into_the_hole(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2 * MIB + 10)
        file.write(b"new data")


@pytest.mark.parametrize("change", [write_into_the_hole, shrink, empty])
def test_what_was_a_hole_when_it_was_listed_is_read_as_it_is_now(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "tree" / "changed"
    path.parent.mkdir()
    sparse_file(path, 4 * MIB)
    (member,) = walk(path)[0]
    if member.data_extents is None:
        pytest.skip("needs a file system with sparse files")
    member.path = b"changed"
    change(path)
    packed = pack([member], tmp_path / "archive.zip")
    assert packed_content(packed) == path.read_bytes()
    assert packed.entry(b"changed").size == path.stat().st_size


def test_a_sparse_file_is_packed_as_what_it_reads_as(tmp_path: Path) -> None:
    path = tmp_path / "tree" / "changed"
    path.parent.mkdir()
    with path.open("wb") as file:
        for offset in (0, 3 * MIB + 5, 9 * MIB - 1):
            file.seek(offset)
            file.write(b"data")
        file.truncate(20 * MIB + 7)
    members, _ = walk(path)
    members[0].path = b"changed"
    packed = pack(members, tmp_path / "archive.zip")
    assert packed.notes == []
    assert packed_content(packed) == path.read_bytes()
    assert packed.path.stat().st_size < 100_000
