"""Which files belong to a backup, and what is known of each."""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import SourceError
from hosts.local import LocalHost
from model import FileSource, Member, MemberKind, Note, NoteKind
from sources.files import FileWalk
from tests.support.archives import MIB, walk
from tests.support.product_code import ROOT
from tests.support.skips import requires_program, requires_root
from tests.support.small_disk import small_disk
from tests.support.trees import make_files

CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# a comment\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


def names(members: list[Member], tree: Path) -> list[str]:
    """The paths below the tree; folders end in a slash."""
    prefix = f"{tree}/"[1:]
    return [
        os.fsdecode(member.path).removeprefix(prefix) + ("/" if member.kind is MemberKind.DIRECTORY else "")
        for member in members
        if os.fsdecode(member.path).startswith(prefix)
    ]


def name_of(path: Path) -> bytes:
    return os.fsencode(path)[1:]


def test_members_come_in_the_order_of_their_names_folder_by_folder(tree: Path) -> None:
    make_files(tree, "b/x", "b/a", "a", "c/", "b.txt", "é")
    members, notes = walk(tree)
    assert names(members, tree) == ["a", "b/", "b/a", "b/x", "b.txt", "c/", "é"]
    assert members[0].path == name_of(tree)
    assert notes == []


def test_what_is_known_of_a_member(tree: Path) -> None:
    path = tree / "file"
    path.write_bytes(b"12345")
    path.chmod(0o4751)
    os.utime(path, ns=(0, -1_500_000_001))
    (tree / "link").symlink_to("file")
    status = path.stat()
    members = {member.path: member for member in walk(tree)[0]}
    file, link = members[name_of(path)], members[name_of(tree / "link")]
    assert (file.kind, file.mode, file.size, file.modified_ns) == (MemberKind.FILE, 0o4751, 5, -1_500_000_001)
    assert (file.uid, file.gid) == (status.st_uid, status.st_gid)
    assert (file.user, file.group) == (LocalHost().user_name(status.st_uid), LocalHost().group_name(status.st_gid))
    assert (link.kind, link.link_target, link.content) == (MemberKind.SYMLINK, b"file", None)
    assert members[name_of(tree)].kind is MemberKind.DIRECTORY


@requires_root
def test_an_owner_without_a_name_has_none(tree: Path) -> None:
    make_files(tree, "file")
    os.chown(tree / "file", 4_000_000_000, 4_000_000_001)
    file = walk(tree)[0][1]
    assert (file.uid, file.gid, file.user, file.group) == (4_000_000_000, 4_000_000_001, "", "")


def test_names_are_bytes(tree: Path) -> None:
    odd = [b"\xff", b"a\nb", b"-rf", b"'\"$HOME`", b"\\", b"x" * 255]
    for name in odd:
        (tree / os.fsdecode(name)).touch()
    members, _ = walk(tree)
    assert {member.path for member in members[1:]} == {name_of(tree) + b"/" + name for name in odd}


# --- special files ---


@pytest.fixture
def never_opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Collects what is opened meanwhile."""
    opened: list[bytes] = []
    real_open = os.open

    def recording_open(path: bytes, *arguments: int, **keywords: int) -> int:
        opened.append(path)
        return real_open(path, *arguments, **keywords)

    monkeypatch.setattr("hosts.local.os.open", recording_open)
    yield opened
    assert opened == []


def test_special_files_are_said_and_never_opened(tree: Path, never_opened: list[bytes]) -> None:
    make_files(tree, "file")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
    members, notes = walk(tree)
    assert names(members, tree) == ["file"]
    assert notes == [
        Note(NoteKind.SPECIAL, name_of(tree / "fifo"), "it is a named pipe"),
        Note(NoteKind.SPECIAL, name_of(tree / "socket"), "it is a socket"),
    ]


@requires_root
def test_devices_are_said_and_never_opened(tree: Path, never_opened: list[bytes]) -> None:
    try:
        os.mknod(tree / "character", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mknod(tree / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 99))
    except PermissionError:
        pytest.skip("needs the right to make devices")
    members, notes = walk(tree)
    assert names(members, tree) == []
    assert [note.reason for note in notes] == ["it is a character device", "it is a block device"]


def test_a_path_that_is_a_special_file_itself_is_said(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    members, notes = walk(tree / "fifo")
    assert members == []
    assert [note.kind for note in notes] == [NoteKind.SPECIAL]


# --- what is left out ---


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["*.tmp"], ["a.log", "d/", "d/e/", "d/e/c", "d/f", "f"]),
        (["d/"], ["a.log", "b.tmp", "f"]),
        (["f/"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/e/x.tmp", "d/f", "f"]),
        (["/f"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/e/x.tmp", "d/f"]),
        (["f"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/e/x.tmp"]),
        (["d/f"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/e/x.tmp", "f"]),
        (["e/c"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/e/x.tmp", "d/f", "f"]),
        (["**/c"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/x.tmp", "d/f", "f"]),
        (["d/**"], ["a.log", "b.tmp", "d/", "f"]),
        (["d/**", "!d/f"], ["a.log", "b.tmp", "d/", "d/f", "f"]),
        (["d/**/x.tmp"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/f", "f"]),
        (["d/**/"], ["a.log", "b.tmp", "d/", "d/f", "f"]),
        (["*.tmp", "!x.tmp"], ["a.log", "d/", "d/e/", "d/e/c", "d/e/x.tmp", "d/f", "f"]),
        (["*", "!*.log"], ["a.log"]),
        (["*", "!d/", "!d/f"], ["d/", "d/f"]),
        (["*", "!*/", "!*.tmp"], ["b.tmp", "d/", "d/e/", "d/e/x.tmp"]),
        (["f", "!/d/"], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/e/x.tmp"]),
        (["d/**", "!d/e/"], ["a.log", "b.tmp", "d/", "d/e/", "f"]),
        (["/", "!/", "# f", "f/ "], ["a.log", "b.tmp", "d/", "d/e/", "d/e/c", "d/e/x.tmp", "d/f", "f"]),
        (["# f", "", "\\#", "[ab].*"], ["d/", "d/e/", "d/e/c", "d/e/x.tmp", "d/f", "f"]),
        (["?"], ["a.log", "b.tmp"]),
    ],
)
def test_exclude_understands_gitignore(tree: Path, patterns: list[str], kept: list[str]) -> None:
    make_files(tree, "a.log", "b.tmp", "d/e/c", "d/e/x.tmp", "d/f", "f")
    members, notes = walk(tree, exclude=tuple(patterns))
    assert names(members, tree) == kept
    assert notes == []


def test_patterns_hold_below_each_path_and_never_for_the_path_itself(tree: Path) -> None:
    make_files(tree, "cache/a", "cache/cache", "single.tmp")
    members, _ = walk(tree / "cache", tree / "single.tmp", exclude=("cache", "*.tmp"))
    assert names(members, tree) == ["cache/", "cache/a", "single.tmp"]


def test_a_pattern_matches_names_of_any_bytes(tree: Path) -> None:
    for name in (b"a\n", b"a\nb", b"\xffa", b"a"):
        (tree / os.fsdecode(name)).touch()
    assert names(walk(tree, exclude=("a",))[0], tree) == ["a\n", "a\nb", "\udcffa"]
    assert names(walk(tree, exclude=("a?b", "?a"))[0], tree) == ["a", "a\n"]


@requires_program("git")
@pytest.mark.parametrize("seed", range(4))
def test_exclude_keeps_what_git_would_keep(tree: Path, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    plant(tree, chosen, depth=2)
    git = ["git", f"--git-dir={tmp_path / 'git'}", f"--work-tree={tree}", "-c", "core.bare=false"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for _ in range(40):
        patterns = [random_pattern(chosen) for _ in range(chosen.randint(1, 4))]
        (tmp_path / "patterns").write_text("".join(f"{pattern}\n" for pattern in patterns))
        command = [*git, "ls-files", "--others", "-z", f"--exclude-from={tmp_path / 'patterns'}"]
        listed = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout.split("\0")
        members = walk(tree, exclude=tuple(patterns))[0]
        kept = names([member for member in members if member.kind is MemberKind.FILE], tree)
        assert sorted(kept) == sorted(filter(None, listed)), patterns


def plant(folder: Path, chosen: random.Random, depth: int) -> None:
    for name in ("a", "b", "a.c", "ab"):
        if depth and chosen.random() < 0.5:
            (folder / name).mkdir()
            plant(folder / name, chosen, depth - 1)
        else:
            (folder / name).touch()


def random_pattern(chosen: random.Random) -> str:
    parts = [chosen.choice(["a", "b", "a.c", "*", "a*", "?", "[ab]", "**", "*.c", "\\a"]) for _ in range(3)]
    text = "/".join(parts[: chosen.randint(1, 3)])
    return chosen.choice(["", "", "!"]) + chosen.choice(["", "/"]) + text + chosen.choice(["", "/"])


def test_exclude_caches_needs_the_signature(tree: Path) -> None:
    make_files(tree, "cache/data", "false/data", "link/data", "pipe/data")
    (tree / "cache/CACHEDIR.TAG").write_bytes(CACHE_TAG)
    (tree / "false/CACHEDIR.TAG").write_bytes(b"something else")
    (tree / "link/CACHEDIR.TAG").symlink_to("../cache/CACHEDIR.TAG")
    os.mkfifo(tree / "pipe/CACHEDIR.TAG")
    members, notes = walk(tree, exclude_caches=True)
    kept = ["cache/", "false/", "false/CACHEDIR.TAG", "false/data"]
    assert names(members, tree) == [*kept, "link/", "link/CACHEDIR.TAG", "link/data", "pipe/", "pipe/data"]
    assert [note for note in notes if note.kind is not NoteKind.SPECIAL] == [
        Note(NoteKind.LEFT_OUT, name_of(tree / "cache"), "it holds a CACHEDIR.TAG (EXCLUDE_CACHES)")
    ]
    assert "cache/data" in names(walk(tree)[0], tree)


def test_exclude_if_present(tree: Path) -> None:
    make_files(tree, "a/.nobackup", "a/data", "b/data", "c/no", "c/data")
    members, notes = walk(tree, exclude_if_present=(".nobackup", "no"))
    assert names(members, tree) == ["a/", "b/", "b/data", "c/"]
    assert [(note.kind, note.reason) for note in notes] == [
        (NoteKind.LEFT_OUT, "it holds .nobackup (EXCLUDE_IF_PRESENT)"),
        (NoteKind.LEFT_OUT, "it holds no (EXCLUDE_IF_PRESENT)"),
    ]


@requires_root
def test_one_file_system_keeps_the_mount_point_only(tree: Path) -> None:
    make_files(tree, "a/data")
    with small_disk(tree / "mounted", 1 << 20) as mounted:
        make_files(mounted, "data")
        members, notes = walk(tree, one_file_system=True)
        assert names(members, tree) == ["a/", "a/data", "mounted/"]
        assert notes == [Note(NoteKind.LEFT_OUT, name_of(mounted), "it is on another file system (ONE_FILE_SYSTEM)")]
        assert "mounted/data" in names(walk(tree)[0], tree)
        assert names(walk(mounted, one_file_system=True)[0], tree) == ["mounted/", "mounted/data"]


@requires_root
def test_pseudo_file_systems_are_not_entered_by_whatever_path(tree: Path) -> None:
    """As in a container's or a chroot's folder, also where it is reached through a link."""
    proc = tree / "releases/root/proc"
    make_files(tree, "releases/root/proc/", "releases/root/etc/hosts")
    (tree / "current").symlink_to("releases")
    mounted = subprocess.run(["mount", "-t", "proc", "proc", str(proc)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"needs a mounted proc: {mounted.stderr.strip()}")
    try:
        for path in (tree / "releases/root", tree / "current/root"):
            members, notes = walk(path)
            assert [member.path for member in members if b"proc" in member.path] == [name_of(path / "proc")]
            reason = "it is a view of the kernel, not stored data"
            assert notes == [Note(NoteKind.LEFT_OUT, name_of(path / "proc"), reason)]
    finally:
        subprocess.run(["umount", str(proc)], check=True)


def test_the_root_folder_is_a_path_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = (b"etc", b"proc", b"dev", b"sys")
    listed = LocalHost.list_directory

    def few_entries(self: LocalHost, path: bytes) -> list[bytes]:
        entries = sorted(listed(self, path))
        return [entry for entry in entries if entry in wanted] if path == b"/" else entries[:3]

    monkeypatch.setattr(LocalHost, "list_directory", few_entries)
    members, notes = walk("/")
    paths = {member.path for member in members}
    assert b"etc" in paths
    assert all(path and not path.startswith(b"/") and b"//" not in path for path in paths)
    assert [path for path in paths if path.startswith(b"proc/")] == []
    assert Note(NoteKind.LEFT_OUT, b"proc", "it is a view of the kernel, not stored data") in notes


# --- FILE_PATH ---


def test_overlapping_paths_put_a_file_in_once(tree: Path) -> None:
    make_files(tree, "a/b/c", "a/d")
    members, _ = walk(tree / "a/b", tree / "a", tree / "a/b/c", tree / "a/../a/", f"{tree}//a/d")
    paths = [member.path for member in members]
    assert sorted(set(paths)) == sorted(paths)
    assert sorted(names(members, tree)) == ["a/", "a/b/", "a/b/c", "a/d"]


def test_a_path_that_begins_with_two_slashes_is_no_other(tree: Path) -> None:
    make_files(tree, "a")
    members, _ = walk(f"/{tree}", f"//{tree}", tree)
    assert names(members, tree) == ["a"]
    assert not any(member.path.startswith(b"/") for member in members)


def test_a_path_that_is_a_link_is_kept_with_its_target(tree: Path) -> None:
    make_files(tree, "real/data")
    (tree / "link").symlink_to("real")
    members, _ = walk(tree / "link/")
    assert names(members, tree) == ["link", "real/", "real/data"]
    assert [member.kind for member in members] == [MemberKind.SYMLINK, MemberKind.DIRECTORY, MemberKind.FILE]
    members, _ = walk(tree / "link", tree)
    assert sorted(names(members, tree)) == ["link", "real/", "real/data"]


def test_a_single_file_is_a_path_too(tree: Path) -> None:
    make_files(tree, "a", "b")
    members, _ = walk(tree / "a")
    assert [member.path for member in members] == [name_of(tree / "a")]


def test_missing_paths_are_all_named(tree: Path) -> None:
    make_files(tree, "here")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "loop").symlink_to("loop")
    paths = tuple(str(tree / name) for name in ("here", "missing 1", "dangling", "here/below", "missing\n2", "loop"))
    noted: list[Note] = []
    with pytest.raises(SourceError) as raised:
        next(FileWalk(FileSource(paths), LocalHost(), noted.append).members())
    lines = str(raised.value).splitlines()
    assert lines[0] == "These paths of FILE_PATH cannot be read, so nothing was backed up:"
    assert lines[1:-1] == [
        f"  {tree}/missing 1: No such file or directory",
        f"  {tree}/dangling: No such file or directory",
        f"  {tree}/here/below: Not a directory",
        f"  {tree}/missing\\n2: No such file or directory",
        f"  {tree}/loop: Too many levels of symbolic links",
    ]


# --- what cannot be read ---

# Everything is imported first: the user may not be able to read the interpreter's own files.
PACK_AS_NOBODY = """
import encodings.idna, json, os, sys
from pathlib import Path
from tests.support.archives import pack, walk
from tests.support.trees import make_files
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
members, notes = walk(sys.argv[1])
packed = pack(members, Path(os.devnull))
print(json.dumps([[os.fsdecode(entry.member.path) for entry in packed.entries],
                  [[note.kind.value, os.fsdecode(note.path), note.reason] for note in notes + packed.notes]]))
"""


def test_an_ordinary_user_is_told_what_it_may_not_read() -> None:
    # pytest's own folders belong to root alone.
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        make_files(tree, "closed/inside", "locked", "locked but empty", "open", "listed/inside", "large")
        (tree / "locked but empty").write_bytes(b"")
        with (tree / "large").open("wb") as file:
            file.truncate(2 * MIB)
        tree.chmod(0o755)
        modes = {"closed": 0, "locked": 0, "locked but empty": 0, "large": 0, "listed": 0o444}
        for name, mode in modes.items():
            (tree / name).chmod(mode)
        command = [sys.executable, "-c", PACK_AS_NOBODY, str(tree)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        for name in ("closed", "listed"):
            (tree / name).chmod(0o700)
    assert done.returncode == 0, done.stderr
    packed, notes = json.loads(done.stdout)
    assert names_of_text(packed, tree) == ["closed", "listed", "open"]
    assert {(kind, reason) for kind, _, reason in notes} == {("unreadable", "Permission denied")}
    unreadable = names_of_text([path for _, path, _ in notes], tree)
    assert sorted(unreadable) == ["closed", "large", "listed/inside", "locked", "locked but empty"]


def names_of_text(paths: list[str], tree: Path) -> list[str]:
    return [path.removeprefix(f"{tree}/"[1:]) for path in paths if path != str(tree)[1:]]


class BrokenHost(LocalHost):
    """This machine, with faults of the file system at some names; ``fired`` is where they were met."""

    def __init__(self, faults: dict[tuple[str, bytes], int]) -> None:
        super().__init__()
        self._faults = faults
        self.fired: list[tuple[str, bytes]] = []

    def _meet(self, method: str, path: bytes) -> None:
        fault = (method, os.path.basename(path))  # noqa: PTH119 - a path of bytes
        if fault in self._faults:
            self.fired.append(fault)
            raise OSError(self._faults[fault], os.strerror(self._faults[fault]))

    def list_directory(self, path: bytes) -> list[bytes]:
        self._meet("list", path)
        return super().list_directory(path)

    def read_link(self, path: bytes) -> bytes:
        self._meet("link", path)
        return super().read_link(path)

    def extended_attributes(self, path: bytes) -> dict[str, bytes] | None:
        self._meet("attributes", path)
        return super().extended_attributes(path)


def test_one_broken_path_costs_only_itself(tree: Path) -> None:
    make_files(tree, "a/x", "b/y", "c", "d", "e/")
    (tree / "l").symlink_to("c")
    host = BrokenHost(
        {("list", b"a"): errno.EIO, ("attributes", b"c"): errno.EIO, ("link", b"l"): errno.ENOENT, ("list", b"e"): 2}
    )
    notes: list[Note] = []
    members = list(FileWalk(FileSource((str(tree),)), host, notes.append).members())
    assert sorted(host.fired) == [("attributes", b"c"), ("link", b"l"), ("list", b"a"), ("list", b"e")]
    assert names(members, tree) == ["a/", "b/", "b/y", "d", "e/"]
    assert [(note.kind, note.path.rpartition(b"/")[2]) for note in notes] == [
        (NoteKind.UNREADABLE, b"a"),
        (NoteKind.UNREADABLE, b"c"),
        (NoteKind.VANISHED, b"e"),
        (NoteKind.VANISHED, b"l"),
    ]


@pytest.mark.parametrize("exclude", [(), ("*.tmp",), ("mount",), ("mount/",)])
def test_a_mount_point_that_does_not_answer_is_said_unless_it_is_left_out(
    tree: Path, exclude: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_files(tree, "a", "mount/", "z")
    asked = []

    def lstat(self: LocalHost, path: bytes) -> os.stat_result:
        if path.endswith(b"/mount"):
            asked.append(path)
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return os.lstat(path)

    monkeypatch.setattr(LocalHost, "lstat", lstat)
    members, notes = walk(tree, exclude=exclude)
    assert len(asked) == 1
    assert names(members, tree) == ["a", "z"]
    said = [Note(NoteKind.UNREADABLE, name_of(tree / "mount"), "Transport endpoint is not connected")]
    assert notes == ([] if "mount" in str(exclude) else said)


# --- what a ZIP cannot carry ---


def test_hard_links_name_the_first_of_them(tree: Path) -> None:
    make_files(tree, "a", "d/x", "single")
    (tree / "b").hardlink_to(tree / "a")
    (tree / "d/c").hardlink_to(tree / "a")
    members = {names([member], tree)[0]: member for member in walk(tree)[0][1:]}
    assert {name: member.hard_link_to for name, member in members.items() if member.hard_link_to} == {
        "b": name_of(tree / "a"),
        "d/c": name_of(tree / "a"),
    }
    assert all(member.content is not None for name, member in members.items() if name in ("a", "b", "d/c"))


def test_extended_attributes_of_any_bytes(tree: Path) -> None:
    make_files(tree, "file", "d/")
    (tree / "link").symlink_to("file")
    try:
        os.setxattr(tree / "file", "user.empty", b"")
        os.setxattr(tree / "file", b"user.\xff", b"\0\xff")
        os.setxattr(tree / "d", "user.folder", b"yes")
    except OSError as error:
        pytest.skip(f"needs extended attributes: {error.strerror}")
    found = {name: member.extended_attributes for member in walk(tree)[0] for name in names([member], tree)}
    assert found == {"file": {"user.empty": b"", "user.\udcff": b"\0\xff"}, "d/": {"user.folder": b"yes"}, "link": None}


@requires_program("setfacl")
def test_acls_are_extended_attributes(tree: Path) -> None:
    make_files(tree, "file", "d/")
    for command in (["setfacl", "-m", "u:65534:r", "file"], ["setfacl", "-d", "-m", "g:65534:rx", "d"]):
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"needs POSIX ACLs: {done.stderr.strip()}")
    found = {name: member.extended_attributes for member in walk(tree)[0] for name in names([member], tree)}
    assert set(found["file"] or ()) == {"system.posix_acl_access"}
    assert set(found["d/"] or ()) == {"system.posix_acl_default"}


def test_extents_are_where_a_sparse_file_has_data(tree: Path) -> None:
    make_files(tree, "dense", "empty")
    (tree / "empty").write_bytes(b"")
    with (tree / "sparse").open("wb") as file:
        file.seek(MIB)
        file.write(b"x" * 100_000)
        file.truncate(3 * MIB)
    with (tree / "hole").open("wb") as file:
        file.truncate(MIB)
    found = {name: member for member in walk(tree)[0] for name in names([member], tree)}
    extents = found["sparse"].data_extents
    if extents is None:
        pytest.skip("needs a file system with sparse files")
    assert extents[0][0] <= MIB
    assert sum(extents[-1]) >= MIB + 100_000
    assert sum(length for _, length in extents) < 400_000
    assert found["sparse"].size == 3 * MIB
    assert found["hole"].data_extents == ()
    assert found["dense"].data_extents is None
    assert found["empty"].data_extents is None


# --- large ---


def test_ten_thousand_names_in_one_folder(tree: Path) -> None:
    for number in range(10_000):
        (tree / f"{number:05}").touch()
    members, notes = walk(tree)
    assert names(members, tree) == [f"{number:05}" for number in range(10_000)]
    assert notes == []


@pytest.fixture
def deep_tree(tree: Path) -> Iterator[Path]:
    """2,500 folders within each other, a path of 5,000 bytes and more, with a file in each hundredth."""
    descriptor = os.open(tree, os.O_RDONLY)
    for level in range(2500):
        os.mkdir("d", dir_fd=descriptor)
        if level % 100 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    yield tree
    subprocess.run(["rm", "-rf", str(tree)], check=True)  # shutil.rmtree() cannot go so deep


def test_a_deep_tree_is_walked_as_far_as_paths_go_and_the_rest_is_said(deep_tree: Path) -> None:
    """Linux takes no path of more than 4,095 bytes (PATH_MAX): whatever lies deeper makes the run partial."""
    members, notes = walk(deep_tree)
    longest = max(len(member.path) for member in members)
    assert 4090 <= longest <= 4095
    assert sum(member.kind is MemberKind.DIRECTORY for member in members) > 2000 - len(str(deep_tree)) // 2
    assert [(note.kind, note.reason) for note in notes] == [(NoteKind.UNREADABLE, "File name too long")]
    assert len(notes[0].path) >= longest
