"""Restoring where something is short: rights, room on the disk, time, memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from hosts.local_tree import LocalTree
from model import INTO_NEW_FOLDER, Member, MemberKind
from operations.copies.stored_copies import read_entries
from tests.support.copies import REPLACING, make_copy, restore_copy, with_index
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.memory import run_measured
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.whole_trees import MIB, data_extents, restored

ORDINARY_USER = 65534
HUGE = 5_000_000_000


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_ordinary_user(action: Callable[[], object]) -> object:
    """What ``action`` returns, as JSON, in a process of an ordinary user: the interpreter may lie in root's home."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.setgroups([])
            os.setgid(ORDINARY_USER)
            os.setuid(ORDINARY_USER)
            os.write(writing, json.dumps(action(), default=sorted).encode())
        except BaseException as error:
            os.write(writing, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        text = answer.read()
    os.waitpid(process, 0)
    return json.loads(text)


@requires_root
def test_an_ordinary_user_gets_the_files_without_their_owners(open_folder: Path) -> None:
    source = open_folder / "source"
    (source / "folder").mkdir(parents=True)
    for name in ("a", "b"):
        (source / name).write_text(f"content of {name}")
        os.setxattr(source / name, "trusted.note", b"only root may set it")
        os.setxattr(source / name, "user.note", b"everyone may")
        os.chown(source / name, 12345, 12345)
    (source / "a").chmod(0o4755)
    (source / "b").chmod(0o444)
    (source / "link").symlink_to("a")
    os.link(source / "b", source / "c")
    (source / "folder").chmod(0o555)
    copy = make_copy(open_folder / "storage", source)
    for path in (open_folder / "storage").rglob("*"):
        os.chown(path, ORDINARY_USER, ORDINARY_USER)
    to = open_folder / "to"
    to.mkdir()
    for folder in (to, open_folder / "storage"):
        os.chown(folder, ORDINARY_USER, ORDINARY_USER)
    report = as_ordinary_user(lambda: asdict(restore_copy(copy, to)))
    assert isinstance(report, dict), report
    assert report["problems"] == []
    assert report["remarks"] == ["This user or file system cannot set these attributes: trusted.note."]
    top = restored(to, source)
    for path in (top, *top.rglob("*")):
        assert path.lstat().st_uid == ORDINARY_USER
    assert (top / "b").read_text() == "content of b"
    assert stat.S_IMODE((top / "b").stat().st_mode) == 0o444
    assert os.getxattr(top / "b", "user.note") == b"everyone may"
    assert (top / "b").samefile(top / "c")
    # A program that ran as another user must not run as whoever restored it.
    assert stat.S_IMODE((top / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((top / "folder").stat().st_mode) == 0o555


@requires_root
def test_a_folder_of_somebody_else_is_a_problem_and_no_end(open_folder: Path) -> None:
    source = open_folder / "source"
    (source / "closed").mkdir(parents=True)
    (source / "closed" / "file").write_text("content")
    (source / "other").write_text("content")
    copy = make_copy(open_folder / "storage", source)
    to = open_folder / "to"
    (restored(to, source) / "closed").mkdir(parents=True)
    for path in (open_folder / "storage", *(open_folder / "storage").rglob("*"), to, *to.rglob("*")):
        if path.name != "closed":
            os.chown(path, ORDINARY_USER, ORDINARY_USER)
    report = as_ordinary_user(lambda: asdict(restore_copy(copy, to, placement=REPLACING)))
    assert isinstance(report, dict), report
    assert any(text.endswith("closed/file: Permission denied") for text in report["problems"])
    assert (restored(to, source) / "other").read_text() == "content"


# --- a full disk, and signals ---


@pytest.fixture
def installation(tmp_path: Path) -> Holdfast:
    """With a copy of 40 MB: a file of 30 MB and a thousand small ones."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(30_000_000))
    for number in range(1000):
        (source / f"small{number}").write_bytes(os.urandom(10_000))
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    return installation


def whole_files_only(top: Path, source: Path) -> int:
    """How many files there are below ``top``, each of which must be the one that was backed up."""
    files = [path for path in top.rglob("*") if path.is_file()]
    for path in files:
        assert path.read_bytes() == (source / path.name).read_bytes(), path
    return len(files)


@requires_root
@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
@pytest.mark.parametrize("size", [6_000_000, 33_000_000], ids=["large file", "small files"])
def test_a_full_disk_is_named(size: int, has_index: bool, installation: Holdfast, tmp_path: Path) -> None:
    if not has_index:
        installation.parts(".index.zst")[0].unlink()
    with small_disk(tmp_path / "disk", size) as disk:
        finished = installation.restore(disk / "to")
        assert finished.returncode == 1
        assert f"The files cannot be put into {disk / 'to'}: No space left on device." in finished.stderr
        present = whole_files_only(restored(disk / "to", tmp_path / "source"), tmp_path / "source")
        assert (present > 0) is (size > 30_000_000)


def test_a_signal_leaves_whole_files_only(installation: Holdfast, tmp_path: Path) -> None:
    with (tmp_path / "source" / "huge").open("wb") as file:
        file.truncate(HUGE)
    installation.back_up()
    for number, exit_code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)):
        for attempt in range(10):
            to = tmp_path / f"{number.name}-{attempt}"
            top = restored(to, tmp_path / "source")
            process = installation.start("restore.py", "restore", BACKUP_ID, "--to", to)
            while not (top / "huge").exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            process.send_signal(number)
            _, errors = process.communicate()
            if not ((top / "huge").exists() and (top / "huge").stat().st_size == HUGE):
                break  # else the file was whole before the signal came
        assert process.returncode == exit_code
        assert errors == (
            f"Interrupted by {number.name}. What was restored until then lies in {to}, every file of it whole.\n"
        )
        assert not (top / "huge").exists()
        whole_files_only(top, tmp_path / "source")


# --- attributes that a file system refuses ---


def test_attributes_that_are_refused_are_said_and_the_content_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    tree = LocalTree(tmp_path, INTO_NEW_FOLDER)
    monkeypatch.setattr(tree, "_gives_owners", True)
    monkeypatch.setattr("os.fchown", refuse)
    descriptor = tree.create_file(b"file")
    os.write(descriptor, b"content")
    member = Member(b"file", MemberKind.FILE, 0o4755, uid=1, gid=1, extended_attributes={"no.such": b""})
    assert tree.set_attributes(descriptor, member) == ["owner", "no.such"]
    os.close(descriptor)
    tree.close()
    assert (tmp_path / "file").read_text() == "content"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o755


# --- memory ---


def peak_memory(installation: Holdfast, *arguments: str | Path) -> int:
    """The most memory, in KiB, that restore.py took for this, which must end well."""
    finished, peak = run_measured(installation, "restore.py", *arguments)
    assert finished.returncode == 0, finished.stderr
    return peak


@requires_root
@pytest.mark.slow
def test_a_hundred_thousand_files_take_little_memory(tmp_path: Path) -> None:
    """In memory: on a disk most of the time would go into making the files."""
    with small_disk(tmp_path / "disk", 1_000_000_000) as disk:
        source = disk / "source"
        for folder in range(100):
            (source / str(folder)).mkdir(parents=True)
            for number in range(1000):
                (source / str(folder) / str(number)).touch()
        installation = Holdfast(disk / "installation")
        installation.configure(source)
        installation.back_up()
        assert peak_memory(installation, "restore", BACKUP_ID, "--to", disk / "to") < 250_000
        assert sum(len(files) for _, _, files in os.walk(disk / "to")) == 100_000
        installation.parts(".index.zst")[0].unlink()
        assert peak_memory(installation, "show", BACKUP_ID) < 250_000


@pytest.mark.slow
def test_a_large_sparse_file_takes_little_memory_and_keeps_its_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    size = 10_000_000_000
    with (source / "sparse").open("wb") as file:
        for offset in (0, 5_000_000_123, size - 5):
            file.seek(offset)
            file.write(b"data.")
        file.flush()
        extents = data_extents(file.fileno(), size)
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    assert peak_memory(installation, "restore", BACKUP_ID, "--to", tmp_path / "to") < 250_000
    with (restored(tmp_path / "to", source) / "sparse").open("rb") as file:
        assert data_extents(file.fileno(), size) == extents
        assert os.fstat(file.fileno()).st_size == size
        for offset in (0, 5_000_000_123, size - 5):
            file.seek(offset)
            assert file.read(5) == b"data."


def test_a_hole_that_was_filled_after_it_was_listed_comes_back_filled(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "disk").write_bytes(os.urandom(3 * MIB))
    copy = make_copy(tmp_path / "storage", source)
    entries = list(read_entries(copy))
    entries[-1].member.data_extents = ((MIB, 4096),)
    copy = with_index(copy, tmp_path / "storage", tmp_path, entries)
    assert restore_copy(copy, tmp_path / "to").problems == []
    assert (restored(tmp_path / "to", source) / "disk").read_bytes() == (source / "disk").read_bytes()
