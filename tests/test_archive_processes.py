"""Small files packed by processes of their own: the same archive, and no process or half archive that stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import zip_writer
from archives.index import encode_entry
from archives.pack_processes import PackProcesses
from errors import ArchiveError
from model import Compression, CompressionMethod, HeldContent, Member, MemberKind, NoteKind, SeekableContent
from tests.support.archives import pack, pack_tree, walk
from tests.support.product_code import ROOT

FILES = 3000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Enough small files for processes to be used from the first batch on, see ``at_once``."""
    root = tmp_path / "tree"
    for number in range(FILES):
        path = root / f"folder-{number % 7}" / f"file-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number % 500) + b"text " * (number % 1000))
    (root / "link").symlink_to("folder-1/file-1")
    return root


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[PackProcesses]:
    """Processes from the first batch on; the answer holds what was started."""
    started: list[PackProcesses] = []

    class Watched(PackProcesses):
        def __init__(self, compression: Compression, depth: int) -> None:
            super().__init__(compression, depth)
            started.append(self)

    monkeypatch.setattr(zip_writer, "_BATCHES_BEFORE_PROCESSES", 0)
    monkeypatch.setattr(zip_writer, "PackProcesses", Watched)
    return started


def process_ids(processes: PackProcesses) -> list[int]:
    return [worker._process.pid for worker in processes._workers]


def is_running(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until_ended(ids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(map(is_running, ids)):
        assert time.monotonic() < deadline, "a process that packs files stayed behind"
        time.sleep(0.02)


@pytest.mark.parametrize("method", list(CompressionMethod))
def test_the_archive_is_the_one_that_threads_make(
    tree: Path, tmp_path: Path, at_once: list[PackProcesses], method: CompressionMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_processes = pack_tree(tree, tmp_path / "processes.zip", Compression(method, 1))
    assert len(at_once) == 1
    monkeypatch.setattr(zip_writer, "_BATCHES_BEFORE_PROCESSES", 1 << 60)
    by_threads = pack_tree(tree, tmp_path / "threads.zip", Compression(method, 1))
    assert len(at_once) == 1
    assert by_processes.path.read_bytes() == by_threads.path.read_bytes()
    assert list(map(encode_entry, by_processes.entries)) == list(map(encode_entry, by_threads.entries))
    assert by_processes.progress == by_threads.progress
    wait_until_ended(process_ids(at_once[0]))


def test_what_is_held_here_goes_to_the_processes_too(tree: Path, tmp_path: Path, at_once: list[PackProcesses]) -> None:
    members, _ = walk(tree)
    from_disk = pack(members, tmp_path / "disk.zip")
    for member in members:
        if isinstance(member.content, SeekableContent):
            member.content = HeldContent(member.content.read(member.size)[0])
    held = pack(members, tmp_path / "held.zip")
    assert len(at_once) == 2
    assert held.path.read_bytes() == from_disk.path.read_bytes()


def test_files_that_vanish_and_grow_are_noted(tree: Path, tmp_path: Path, at_once: list[PackProcesses]) -> None:
    vanished, grown = tree / "folder-2" / "file-2", tree / "folder-3" / "file-3"

    members, _ = walk(tree)
    vanished.unlink()
    with grown.open("ab") as file:
        file.write(b"more")
    packed = pack(members, tmp_path / "a.zip")
    assert {(note.path, note.kind) for note in packed.notes} == {
        (os.fsencode(vanished)[1:], NoteKind.VANISHED),
        (os.fsencode(grown)[1:], NoteKind.CHANGED),
    }
    assert len(at_once) == 1
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == len(members) - 1


def test_a_worker_that_is_killed_ends_the_archive_with_an_error(
    tree: Path, tmp_path: Path, at_once: list[PackProcesses]
) -> None:
    members, _ = walk(tree)

    def killing() -> Iterator[Member]:
        for number, member in enumerate(members):
            if number == len(members) // 2:
                os.kill(process_ids(at_once[0])[0], signal.SIGKILL)
            yield member

    with pytest.raises(ArchiveError, match=r"ended before its time \(exit code -9\)"):
        pack(killing(), tmp_path / "a.zip")
    wait_until_ended(process_ids(at_once[0]))


def test_leaving_early_ends_the_workers(tree: Path, at_once: list[PackProcesses]) -> None:
    members, _ = walk(tree)
    writer = zip_writer.ZipWriter(
        members, Compression(), on_entry=lambda _: None, on_note=lambda _: None, on_progress=lambda *_: None
    )
    chunks = writer.chunks()
    next(chunks)
    assert all(map(is_running, process_ids(at_once[0])))
    chunks.close()
    wait_until_ended(process_ids(at_once[0]))


def test_workers_end_when_the_process_that_uses_them_is_killed() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from archives.pack_processes import PackProcesses\n"
        "from model import Compression\n"
        "import time\n"
        "workers = PackProcesses(Compression(), 2)._workers\n"
        "print(*[worker._process.pid for worker in workers], flush=True)\n"
        "time.sleep(60)\n"
    )
    user = subprocess.Popen([sys.executable, "-c", program, str(ROOT)], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    ids = [int(word) for word in user.stdout.readline().split()]
    assert ids
    assert all(map(is_running, ids))
    user.kill()
    user.wait()
    user.stdout.close()
    wait_until_ended(ids)


def test_the_longest_names_and_links_fit_a_slot(tmp_path: Path, at_once: list[PackProcesses]) -> None:
    members = []
    for number in range(400):
        path = (b"%04d" % number) + b"/" + b"/".join([b"n" * 250] * 16)
        members.append(Member(path, MemberKind.SYMLINK, 0o777, link_target=b"t" * 4095))
    packed = pack(members, tmp_path / "a.zip")
    assert len(packed.entries) == 400
    assert len(at_once) == 1
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.testzip() is None
