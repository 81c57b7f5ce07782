"""Files of another host: the same members as of this one, through each tar that a host may have."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from archives.entry import Entry
from archives.zip_writer import ZipWriter
from errors import HostError, SourceError
from hosts.command import Command
from hosts.ssh import SshCommandHost
from model import Compression, FileSource, Note, NoteKind
from sources.remote_files import members
from sources.remote_survey import survey
from sources.tar_program import TarKind
from ssh.connection import SshServer
from ssh.sign_in import Credentials
from tests.support.archives import MIB, walk
from tests.support.product_code import ROOT
from tests.support.remote_files import Known, PreparedHost, known, make_programs, make_script, read_remotely
from tests.support.skips import requires_program, requires_root
from tests.support.small_disk import small_disk
from tests.support.sshd import USER, Sshd, requires_sshd, running_sshd, sshd
from tests.support.trees import make_files
from tests.support.whole_trees import Node, generated_nodes, make_whole_tree

__all__ = ["sshd"]

TARS = [
    "gnu",
    "gnu without mark",
    pytest.param("busybox", marks=requires_program("busybox")),
]
KINDS = {"gnu": TarKind.GNU, "gnu without mark": TarKind.GNU_WITHOUT_MARK, "busybox": TarKind.BUSYBOX}


@pytest.fixture(params=TARS)
def tar(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(tar: str, tmp_path: Path) -> PreparedHost:
    return PreparedHost(make_programs(tmp_path / "programs", tar))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


def name_of(path: Path | str) -> bytes:
    return os.fsencode(path)[1:]


def as_far_as(tar: str, expected: dict[bytes, Known]) -> dict[bytes, Known]:
    """The members of the local walk, without what this tar cannot say."""
    says = _as_busybox_says if tar == "busybox" else _as_gnu_tar_says
    return {path: says(of) for path, of in expected.items()}


def _as_busybox_says(of: Known) -> Known:
    seconds = max(of.modified_ns // 10**9, 0) * 10**9
    return replace(of, modified_ns=seconds, extended_attributes=None, data_extents=None)


def _as_gnu_tar_says(of: Known) -> Known:
    """It takes no file of less than a block for a sparse one."""
    return replace(of, data_extents=None) if of.size < 512 else of


def assert_same_as_locally(host: PreparedHost, tar: str, *paths: Path | str, **source: object) -> None:
    expected_members, expected_notes = walk(*paths, **source)
    found, notes = read_remotely(host, *paths, **source)
    assert found == as_far_as(tar, known(expected_members))
    assert sorted(notes, key=repr) == sorted(expected_notes, key=repr)


def test_each_tar_is_known_for_what_it_is(host: PreparedHost, tar: str, tree: Path) -> None:
    assert survey(FileSource((str(tree),)), host).tar.kind is KINDS[tar]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nodes=generated_nodes)
def test_whatever_a_tree_holds_comes_as_from_this_machine(host: PreparedHost, tar: str, nodes: list[Node]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        make_whole_tree(nodes, root)
        assert_same_as_locally(host, tar, root)


def test_names_are_bytes_and_never_code(host: PreparedHost, tar: str, tree: Path) -> None:
    odd = [b"\xff", b"a\nb", b"\n", b"-rf", b"--to-command=x", b"'\"$HOME`id`", b"\\", b"a\\nb", b"a: b", b" ", b"*"]
    odd += [b"x" * 255, b"tar: x", b"$(touch gone)", b"@list", b"[a-z]?", b"\x01\x7f", "é".encode()]
    for name in odd:
        folder = os.fsencode(tree) + b"/" + name
        Path(os.fsdecode(folder)).mkdir()
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    assert_same_as_locally(host, tar, *sorted(tree.iterdir()))
    assert_same_as_locally(host, tar, tree)


# --- which paths ---


def test_missing_paths_are_all_named_before_the_first_member(host: PreparedHost, tree: Path) -> None:
    make_files(tree, "there")
    (tree / "dangling").symlink_to("nowhere")
    paths = (str(tree / "there"), str(tree / "none"), str(tree / "dangling"), str(tree / "there/below"))
    notes: list[Note] = []
    with pytest.raises(SourceError) as raised:
        next(members(FileSource(paths), host, notes.append))
    assert str(raised.value).splitlines()[0].startswith("These paths of FILE_PATH cannot be read on the prepared host")
    assert str(raised.value).splitlines()[1:-1] == [
        f"  {tree}/none: No such file or directory",
        f"  {tree}/dangling: No such file or directory",
        f"  {tree}/there/below: Not a directory",
    ]
    assert notes == []


def test_a_path_that_is_a_link_brings_its_target(host: PreparedHost, tar: str, tree: Path) -> None:
    make_files(tree, "target/file", "file", "new\n/inside")
    for name, target in (
        ("folder link", "target"),
        ("file link", "file"),
        ("odd link", "new\n"),
        ("again", "odd link"),
    ):
        (tree / name).symlink_to(target)
    assert_same_as_locally(host, tar, *(tree / name for name in ("folder link", "file link", "odd link", "again")))


def test_overlapping_paths_come_once(host: PreparedHost, tar: str, tree: Path) -> None:
    make_files(tree, "a/b/c", "a/x", "ab")
    assert_same_as_locally(host, tar, tree, tree / "a/b", f"{tree}//a/../a", tree / "a/x")


def test_a_path_that_is_a_special_file_itself_is_said(host: PreparedHost, tar: str, tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    assert_same_as_locally(host, tar, tree / "fifo")


def test_special_files_are_said_and_never_opened(host: PreparedHost, tar: str, tree: Path) -> None:
    make_files(tree, "file")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
        assert_same_as_locally(host, tar, tree)


# --- what is left out ---


@pytest.mark.parametrize(
    "patterns",
    [
        ["*.tmp"],
        ["d/"],
        ["f/"],
        ["/f"],
        ["d/f"],
        ["**/c"],
        ["d/**", "!d/f"],
        ["*", "!*/", "!*.log"],
        ["a?[bc]*"],
        ["\\!x", "new*line"],
    ],
)
@pytest.mark.parametrize("tar", [TARS[0], TARS[-1]], indirect=True)
def test_patterns_leave_out_what_they_leave_out_here(
    host: PreparedHost, tar: str, tree: Path, patterns: list[str]
) -> None:
    make_files(tree, "a.log", "b.tmp", "d/e/c", "d/e/x.tmp", "d/f", "f", "a.b c", "!x", "new\nline", "g/f/h", "cd/d/e")
    os.mkfifo(tree / "d/fifo")
    assert_same_as_locally(host, tar, tree, exclude=tuple(patterns))


def test_what_is_left_out_is_not_sent(host: PreparedHost, tree: Path) -> None:
    make_files(tree, "kept", "cache/")
    (tree / "cache/large").write_bytes(os.urandom(30 * MIB))
    found, _ = read_remotely(host, tree, exclude=("cache/",))
    assert set(found) == {name_of(tree), name_of(tree / "kept")}
    assert host.received < MIB


@pytest.mark.parametrize("tar", [TARS[0], TARS[-1]], indirect=True)
def test_folders_are_left_out_for_what_is_in_them(host: PreparedHost, tar: str, tree: Path) -> None:
    tag = "Signature: 8a477f597d28d172789f06886806bc55\n# a comment\n"
    make_files(
        tree, "cache/a", "cache/sub/b", "false/a", "empty/a", "linked/a", "marked/a", "marked/z/b", "odd/a", "plain"
    )
    (tree / "cache/CACHEDIR.TAG").write_text(tag)
    (tree / "false/CACHEDIR.TAG").write_text(tag[1:])
    (tree / "empty/CACHEDIR.TAG").touch()
    (tree / "linked/CACHEDIR.TAG").symlink_to("../cache/CACHEDIR.TAG")
    (tree / "marked/.no backup").mkdir()
    (tree / "odd/-name").touch()
    options = {"exclude_caches": True, "exclude_if_present": (".no backup", "-name")}
    assert_same_as_locally(host, tar, tree, **options)
    assert_same_as_locally(host, tar, tree / "cache", tree / "marked", **options)
    assert_same_as_locally(host, tar, tree, exclude_if_present=("CACHEDIR.TAG",))


@requires_root
@pytest.mark.parametrize("name", ["disk", "a [disk]*?\\"])
def test_another_file_system_is_left_out_where_asked_for(host: PreparedHost, tar: str, tree: Path, name: str) -> None:
    make_files(tree, "other/file")
    with small_disk(tree / name, 1 << 20):
        make_files(tree, f"{name}/inside")
        assert_same_as_locally(host, tar, tree, one_file_system=True)
        assert_same_as_locally(host, tar, tree)
        assert_same_as_locally(host, tar, tree / name, one_file_system=True)


@requires_root
def test_views_of_the_kernel_are_left_out(host: PreparedHost, tar: str, tree: Path) -> None:
    make_files(tree, "kernel/", "z")
    mounted = subprocess.run(["mount", "-t", "proc", "proc", tree / "kernel"], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"needs a mounted proc: {mounted.stderr.strip()}")
    try:
        assert_same_as_locally(host, tar, tree)
        assert_same_as_locally(host, tar, tree / "kernel/sys/kernel/ostype")
    finally:
        subprocess.run(["umount", tree / "kernel"], check=True)


# --- what cannot be read ---

AS_NOBODY = (shutil.which("setpriv") or "", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def open_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that other users may enter."""
    root = Path(tempfile.mkdtemp(prefix="holdfast-open-"))
    root.chmod(0o755)
    return root


@requires_root
@requires_program("setpriv")
def test_what_the_user_may_not_read_is_said(tar: str, open_tree: Path) -> None:
    try:
        make_files(open_tree, "a", "closed/inside", "listed/inside", "locked", "lo\ncked: 'it'", "back\\nslash", "z")
        for name, mode in {"closed": 0, "locked": 0, "lo\ncked: 'it'": 0, "back\\nslash": 0, "listed": 0o444}.items():
            (open_tree / name).chmod(mode)
        (open_tree / "large").write_bytes(bytes(2 * MIB))
        (open_tree / "large").chmod(0)
        host = PreparedHost(make_programs(open_tree / "programs", tar), AS_NOBODY)
        found, notes = read_remotely(host, open_tree, exclude=("programs",))
    finally:
        shutil.rmtree(open_tree)
    assert {path for path, of in found.items() if of.content is not None} == {
        name_of(open_tree / "a"),
        name_of(open_tree / "z"),
    }
    assert {note.kind for note in notes} == {NoteKind.UNREADABLE}
    expected = {"closed", "listed/inside", "locked", "back\\nslash", "large"}
    said = {os.fsdecode(note.path).removeprefix(f"{open_tree}/"[1:]): note.reason for note in notes}
    assert expected <= set(said)
    assert {said[name] for name in expected} <= {"Permission denied", "tar did not send it, and did not say why"}
    assert any(name.startswith("lo\ncked") for name in said)
    assert len(notes) == len(set(notes))


class AtTar:
    """Does something once, just before tar is started, when everything has been listed."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self.fired = 0

    def __call__(self, command: Command) -> None:
        if any("create" in argument or argument == "--no-recursion" for argument in command.argv[3:]):
            self.fired += 1
            if self.fired == 1:
                self._action()


def test_what_vanishes_costs_only_itself(tar: str, tree: Path, tmp_path: Path) -> None:
    make_files(tree, "a", "b/c", "d", "fifo soon", "folder soon", "z")

    def change() -> None:
        (tree / "a").unlink()
        shutil.rmtree(tree / "b")
        (tree / "fifo soon").unlink()
        os.mkfifo(tree / "fifo soon")
        (tree / "folder soon").unlink()
        make_files(tree, "folder soon/new")

    action = AtTar(change)
    host = PreparedHost(make_programs(tmp_path / "programs", tar), before=action)
    found, notes = read_remotely(host, tree)
    assert action.fired >= 1
    assert set(found) == {name_of(tree), *(name_of(tree / name) for name in ("d", "folder soon", "z"))}
    assert {(note.kind, note.path) for note in notes} == {
        (NoteKind.VANISHED, name_of(tree / "a")),
        (NoteKind.VANISHED, name_of(tree / "b")),
        (NoteKind.VANISHED, name_of(tree / "b/c")),
        (NoteKind.SPECIAL, name_of(tree / "fifo soon")),
    }


@pytest.mark.parametrize("change", ["shrinks", "grows"])
def test_a_file_that_changes_while_it_is_read(host: PreparedHost, tar: str, tree: Path, change: str) -> None:
    """It is 40 MiB, of which tar cannot be further than what fits into the pipes when the first chunk is here."""
    make_files(tree, "a/one", "z/two", "z/three")
    data = os.urandom(40 * MIB)
    (tree / "large").write_bytes(data)
    notes: list[Note] = []
    found = {}
    for member in members(FileSource((str(tree / "a"), str(tree / "large"), str(tree / "z"))), host, notes.append):
        if member.path == name_of(tree / "large"):
            assert member.size == 40 * MIB
            chunks = member.content.chunks()  # type: ignore[union-attr]
            first = next(chunks)
            os.truncate(tree / "large", (20 if change == "shrinks" else 50) * MIB)
            content = first + b"".join(chunks)
        else:
            found.update(known([member]))
    assert {path.rpartition(b"/")[2] for path in found} == {b"a", b"one", b"z", b"two", b"three"}
    about = [note for note in notes if note.path == name_of(tree / "large")]
    assert notes == about
    if change == "shrinks":
        cut = tar in ("gnu", "busybox")
        assert content[: 20 * MIB] == data[: 20 * MIB]
        assert content[20 * MIB :] == (b"" if cut else bytes(20 * MIB))
        assert [note.kind for note in about] == [NoteKind.CHANGED]
        if cut:
            assert about[0].reason == f"it shrank by {20 * MIB} bytes while it was read"
    else:
        assert content == data
        if tar.startswith("gnu"):
            assert about == [Note(NoteKind.CHANGED, name_of(tree / "large"), "it was written to while it was read")]


# --- what fails ---


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('{tar} "$@" | head -c 5000; kill -KILL $$', "ended with exit status 137"),
        ('{tar} "$@" | head -c 5000; echo no more >&2; exit 2', "ended with exit status 2"),
        ('{tar} "$@" | head -c 3000; exit 0', "ended with exit status 0"),
        ('{tar} "$@"; exit 3', "ended with exit status 3"),
        ('{tar} "$@"; echo more', "damaged"),
        ("exit 0", "is neither GNU tar"),
        ("echo this is no tar; exit 0", "tar on the prepared host"),
        ("kill -KILL $PPID", "the prepared host|SIGKILL|this machine"),
    ],
)
def test_a_tar_that_fails_fails_the_run(tmp_path: Path, tree: Path, script: str, message: str) -> None:
    make_files(tree, *(f"file {number}" for number in range(20)))
    (tmp_path / "programs").mkdir()
    make_script(tmp_path / "programs/tar", script.format(tar=shutil.which("tar")))
    host = PreparedHost(f"{tmp_path}/programs:{os.environ['PATH']}")
    with pytest.raises(HostError, match=message):
        read_remotely(host, tree)


@requires_program("bsdtar")
def test_a_tar_that_pads_in_silence_is_refused(tmp_path: Path, tree: Path) -> None:
    host = PreparedHost(make_programs(tmp_path / "programs", "bsdtar"))
    with pytest.raises(HostError, match=r"^The program tar on the prepared host is neither GNU tar"):
        read_remotely(host, tree)


@pytest.mark.parametrize("missing", ["tar", "find"])
def test_a_program_that_is_missing_is_named(tmp_path: Path, tree: Path, missing: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"sh", "tar", "find", "readlink"} - {missing}:
        (programs / name).symlink_to(shutil.which(name) or "")
    with pytest.raises(HostError, match=f"The program {missing} was not found on the prepared host"):
        read_remotely(PreparedHost(str(programs)), tree)


def test_leaving_in_the_middle_ends_everything(host: PreparedHost, tree: Path) -> None:
    make_files(tree, *(f"{number:0200}" for number in range(3000)))
    (tree / "large").write_bytes(bytes(30 * MIB))
    found = members(FileSource((str(tree),)), host, lambda _: None)
    assert next(found).path == name_of(tree)
    found.close()  # type: ignore[attr-defined]


# --- over SSH ---


@requires_sshd
def test_over_ssh_everything_is_the_same(sshd: Sshd, tree: Path) -> None:
    make_files(tree, "a", "d/b", "d/it's", "-rf", "new\nline", "excluded/x")
    (tree / "large").write_bytes(os.urandom(5 * MIB))
    (tree / "hard").hardlink_to(tree / "large")
    (tree / "link").symlink_to("a")
    os.mkfifo(tree / "fifo")
    with (tree / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    server = SshServer("127.0.0.1", Credentials(USER, sshd.user_key), sshd.port, known_hosts_file=sshd.known_hosts)
    with closing(SshCommandHost(server)) as host:
        expected_members, expected_notes = walk(tree, exclude=("excluded/", "sparse"))
        found, notes = read_remotely(host, tree, exclude=("excluded/", "sparse"))
        assert found == known(expected_members)
        assert notes == expected_notes
        (member,) = members(FileSource((f"{tree}/sparse",)), host, notes.append)
        assert (member.size, member.data_extents) == (1 << 30, ())


@requires_sshd
def test_a_connection_that_breaks_fails_the_run(tree: Path) -> None:
    (tree / "large").write_bytes(os.urandom(30 * MIB))
    with running_sshd() as sshd:
        server = SshServer("127.0.0.1", Credentials(USER, sshd.user_key), sshd.port, known_hosts_file=sshd.known_hosts)
        with closing(SshCommandHost(server)) as host:
            found = members(FileSource((f"{tree}/large",)), host, lambda _: None)
            chunks = next(found).content.chunks()  # type: ignore[union-attr]
            assert next(chunks)
            sshd.stop()
            with pytest.raises(HostError, match=host.name):
                list(chunks)
            found.close()  # type: ignore[attr-defined]


# --- large ---

WALK_AND_TELL = """
import sys
from hosts.local_command import LocalCommandHost
from model import FileSource
from sources.remote_files import members
count = sum(1 for _ in members(FileSource((sys.argv[1],)), LocalCommandHost(), print))
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(count, peak)
"""


def test_a_hundred_thousand_files_take_no_more_memory_than_a_thousand(tree: Path) -> None:
    peaks = []
    for folders, size in ((1, 1000), (100, 1000)):
        for number in range(folders):
            folder = tree / f"{folders} folders/{number}"
            folder.mkdir(parents=True)
            for name in range(size):
                os.close(os.open(f"{folder}/{name} {'x' * 60}", os.O_CREAT | os.O_WRONLY))
        command = [sys.executable, "-c", WALK_AND_TELL, str(tree / f"{folders} folders")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        count, peak = map(int, done.stdout.split())
        assert count == folders * size + folders + 1
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 16 << 10


def test_a_sparse_terabyte_is_packed_in_bounded_memory(tree: Path) -> None:
    """Here without its blocks being written anywhere: their sizes tell that all of them were packed."""
    with (tree / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(700 << 30)
        file.write(b"data")
    entries: list[Entry] = []
    found = members(FileSource((f"{tree}/sparse",)), PreparedHost(), lambda _: None)
    writer = ZipWriter(
        found, Compression(), on_entry=entries.append, on_note=lambda _: None, on_progress=lambda _, __: None
    )
    for _ in writer.chunks():
        pass
    assert entries[0].size == 1 << 40
    assert entries[0].member.data_extents is not None
    assert [offset for offset, _ in entries[0].member.data_extents] == [700 << 30]
    assert len(entries[0].blocks) == 1 << 20
