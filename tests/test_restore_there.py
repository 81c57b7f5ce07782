"""Files of a copy onto another host: all that its tar can carry, and never half a file under a real name."""

from __future__ import annotations

import os
import random
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from archives.blocks import BLOCK_SIZE
from errors import HoldfastError, HostError
from hosts.command import Command
from model import INTO_NEW_FOLDER, Placement
from operations.copies.stored_copies import StoredCopy, read_entries
from operations.restoring.restore import RestoreReport
from operations.restoring.restore_there import restore_files_there
from tests.support.archives import snapshot
from tests.support.copies import REPLACING, change_lines, make_copy, with_index, with_index_bytes
from tests.support.remote_files import BUSYBOX_PROGRAMS, PreparedHost, make_programs, make_script
from tests.support.skips import requires_program, requires_root
from tests.support.small_disk import small_disk
from tests.support.users import user_without_rights
from tests.support.whole_trees import Node, describe_tree, differences, generated_nodes, make_whole_tree, restored

pytestmark = requires_program("busybox", "bsdtar")

TARS = ("gnu", "gnu without mark", "busybox")
BUSYBOX_NEEDS = ("mkdir", "mv", "ln", "rm", "rmdir", "id", "chmod")
BEYOND_BUSYBOX = (": modified_ns was", ": extended_attributes was", ": data_extents was")
ODD_NAMES = ("a b", "-rf", 'it\'s "$HOME"; `id`', "line\nbreak", "größe 漢", os.fsdecode(b"\xff"))
LARGE_SIZE = 3 * BLOCK_SIZE + 1000


def host_with(folder: Path, tar: str = "gnu", before: Callable[[Command], None] = lambda _: None) -> PreparedHost:
    """This machine with such a tar, and with BusyBox with nothing but BusyBox."""
    path = make_programs(folder / f"programs of {tar}", tar)
    if tar == "busybox":
        for name in set(BUSYBOX_NEEDS) - set(BUSYBOX_PROGRAMS):
            (folder / f"programs of {tar}" / name).symlink_to(shutil.which("busybox") or "")
    return PreparedHost(path, before=before)


def restore(
    copy: StoredCopy, host: PreparedHost, to: Path, *paths: bytes, placement: Placement = INTO_NEW_FOLDER
) -> RestoreReport:
    return restore_files_there(copy, host, str(to), paths, placement, on_progress=lambda *_: None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_bytes(b"content of a file")
    (folder / "large").write_bytes(random.Random(1).randbytes(LARGE_SIZE))
    (folder / "folder").mkdir()
    (folder / "folder" / "inner").write_bytes(b"inner")
    os.link(folder / "folder" / "inner", folder / "same")
    (folder / "link").symlink_to("file")
    return folder


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> StoredCopy:
    return make_copy(tmp_path / "storage", source)


@requires_root
@given(nodes=generated_nodes)
@settings(max_examples=8)
def test_whatever_a_file_system_can_hold_comes_back(nodes: list[Node]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_whole_tree(nodes, folder / "source")
        copy = make_copy(folder / "storage", folder / "source")
        expected = describe_tree(folder / "source")
        for tar in ("gnu", "busybox"):
            report = restore(copy, host_with(folder, tar), folder / tar)
            assert report.problems == []
            found = describe_tree(restored(folder / tar, folder / "source"))
            beyond = (
                (": modified_ns was", ": extended_attributes was", ": data_extents was") if tar == "busybox" else ()
            )
            texts = differences(expected, found)
            texts = [text for text in texts if not any(part in text for part in beyond)]
            links = {repr(path) for path, each in expected.items() if stat.S_ISLNK(each.kind)}
            if tar == "busybox":
                texts = [text for text in texts if text.partition(": owner was")[0] not in links]
            assert texts == []
            assert [path.name for path in (folder / tar).iterdir()] == [folder.parts[1]]


@requires_root
def test_what_busybox_does_not_know_is_said(source: Path, tmp_path: Path) -> None:
    os.setxattr(source / "file", "user.a", b"b")
    with (source / "holes").open("wb") as file:
        file.truncate(BLOCK_SIZE)
    os.utime(source / "file", ns=(10**18 + 1, 10**18 + 1))
    copy = make_copy(tmp_path / "storage", source)
    assert restore(copy, host_with(tmp_path), tmp_path / "all").remarks == []
    (remark,) = restore(copy, host_with(tmp_path, "busybox"), tmp_path / "less").remarks
    for loss in ("extended attributes", "fractions of a second", "holes", "owners and times of symbolic links"):
        assert loss in remark
    assert int((restored(tmp_path / "less", source) / "file").stat().st_mtime) == 10**9


@pytest.mark.parametrize("tar", TARS)
def test_some_of_it(source: Path, copy: StoredCopy, tmp_path: Path, tar: str) -> None:
    inside = os.fsencode(source)[1:]
    report = restore(copy, host_with(tmp_path, tar), tmp_path / "to", inside + b"/same", inside + b"/no such")
    assert (report.files, report.size) == (1, 5)
    (problem,) = report.problems
    assert "holds nothing at" in problem
    assert list(snapshot(restored(tmp_path / "to", source))) == [b"same"]


def test_a_folder_that_is_not_empty_stays_as_it_is(copy: StoredCopy, tmp_path: Path) -> None:
    host = host_with(tmp_path)
    for name in ("file", ".hidden", "..odd", "-rf"):
        to = tmp_path / f"to {name}"
        to.mkdir()
        (to / name).touch()
        with pytest.raises(HoldfastError, match="is not an empty folder, so nothing was restored into it"):
            restore(copy, host, to)
        assert [path.name for path in to.iterdir()] == [name]
    (tmp_path / "file").touch()
    with pytest.raises(HoldfastError, match="is not an empty folder"):
        restore(copy, host, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert restore(copy, host, tmp_path / "empty").problems == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_is_never_more_than_a_path(copy: StoredCopy, source: Path, tmp_path: Path, name: str) -> None:
    for tar in TARS:
        to = tmp_path / tar / name / "deeper"
        assert restore(copy, host_with(tmp_path, tar), to).problems == []
        assert (restored(to, source) / "file").read_bytes() == b"content of a file"


@pytest.mark.parametrize("tar", TARS)
def test_over_what_is_there(source: Path, copy: StoredCopy, tmp_path: Path, tar: str) -> None:
    to, outside = tmp_path / "to", tmp_path / "outside"
    top = restored(to, source)
    top.mkdir(parents=True)
    outside.mkdir()
    (outside / "inner").write_bytes(b"old")
    (outside / "old").write_bytes(b"old")
    (top / "file").symlink_to(outside / "old")  # replaced, and not written through
    (top / "folder").symlink_to(outside)  # not followed
    (top / "large").mkdir()  # a folder is never replaced
    (top / "link").write_bytes(b"old")
    (top / "other").write_bytes(b"other")
    report = restore(copy, host_with(tmp_path, tar), to, placement=REPLACING)
    problems = {problem.partition(": ")[0].rpartition("/")[2]: problem for problem in report.problems}
    assert sorted(problems) == ["folder", "inner", "large"]
    assert "no link is followed" in problems["inner"]
    assert "a folder is never replaced" in problems["large"]
    assert snapshot(outside) == {b"inner": ("file", 0o644, b"old"), b"old": ("file", 0o644, b"old")}
    assert (top / "file").read_bytes() == b"content of a file"
    assert not (top / "file").is_symlink()
    assert (top / "link").readlink() == Path("file")
    assert (top / "other").read_bytes() == b"other"
    assert (top / "same").read_bytes() == b"inner"
    assert [path.name for path in to.iterdir()] == [tmp_path.parts[1]]


@pytest.mark.parametrize("tar", ["gnu", "busybox"])
@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
@pytest.mark.parametrize("name", ["file", "large"])
def test_a_damaged_member_is_named_and_not_there(
    source: Path, copy: StoredCopy, tmp_path: Path, tar: str, name: str, *, has_index: bool
) -> None:
    entry = next(entry for entry in read_entries(copy) if entry.member.path.endswith(f"/{name}".encode()))
    path = tmp_path / "storage" / copy.keys.archive
    archive = bytearray(path.read_bytes())
    archive[entry.data_offset + entry.packed_size * 2 // 3] ^= 0x10
    path.write_bytes(archive)
    if not has_index:
        (tmp_path / "storage" / copy.keys.index).unlink()
    report = restore(copy, host_with(tmp_path, tar), tmp_path / "to")
    (problem,) = report.problems
    assert f"/{name}: " in problem
    assert "nothing of it is kept there" in problem
    found = snapshot(restored(tmp_path / "to", source))
    expected = snapshot(source)
    del expected[name.encode()]
    assert found == expected
    assert len(list((tmp_path / "to").iterdir())) == 1


def test_a_hole_that_was_filled_before_it_was_read(source: Path, tmp_path: Path) -> None:
    """The list of holes is older than the content."""
    copy = make_copy(tmp_path / "storage", source)
    entries = []
    for entry in read_entries(copy):
        if entry.member.path.endswith(b"/large"):
            entry = replace(entry, member=replace(entry.member, data_extents=((0, 10), (5000, 100))))  # noqa: PLW2901
        entries.append(entry)
    copy = with_index(copy, tmp_path / "storage", tmp_path, entries)
    assert restore(copy, host_with(tmp_path), tmp_path / "to").problems == []
    assert (restored(tmp_path / "to", source) / "large").read_bytes() == (source / "large").read_bytes()


@pytest.mark.parametrize("tar", TARS)
@pytest.mark.parametrize("path", ["../victim", "/victim", "a/../../victim", "..", "a//b"])
@pytest.mark.parametrize("name", ["file", "folder", "link", "same"])
def test_no_name_leads_outside(source: Path, copy: StoredCopy, tmp_path: Path, name: str, path: str, tar: str) -> None:
    hostile = _changed(copy, tmp_path, name, path=path)
    before = snapshot(tmp_path)
    with pytest.raises(HoldfastError, match="could lead out of the folder"):
        restore(hostile, host_with(tmp_path, tar), tmp_path / "to")
    shutil.rmtree(tmp_path / f"programs of {tar}")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("tar", TARS)
@pytest.mark.parametrize("name", ["file", "folder"])
def test_nothing_is_put_through_a_link_of_the_archive(
    source: Path, copy: StoredCopy, tmp_path: Path, name: str, tar: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    inside = os.fsencode(source)[1:].decode()
    hostile = _changed(copy, tmp_path, "link", link_target=str(outside))
    hostile = _changed(hostile, tmp_path, name, path=f"{inside}/link/{name}")
    report = restore(hostile, host_with(tmp_path, tar), tmp_path / "to")
    assert any("/link: a folder lies there" in problem for problem in report.problems)
    assert list(outside.iterdir()) == []
    hostile = _changed(hostile, tmp_path, f"link/{name}", path=f"{inside}/link")
    (tmp_path / "again").mkdir()
    with suppress(HoldfastError):  # a folder and a link of one name: none of the tars makes both
        restore(hostile, host_with(tmp_path / "again", tar), tmp_path / "again" / "to")
    assert (list(outside.iterdir()), outside.stat().st_mode & 0o777) == ([], 0o700)


def _changed(copy: StoredCopy, folder: Path, name: str, **changes: str) -> StoredCopy:
    """The same copy, whose index says something else of the member whose path ends in ``name``."""

    def change(lines: list[dict[str, object]]) -> None:
        (line,) = [line for line in lines if str(line.get("path")).endswith(f"/{name}")]
        line.update(changes)

    index = (folder / "storage" / copy.keys.index).read_bytes()
    return with_index_bytes(copy, folder / "storage", change_lines(index, change))


# --- what a host may lack -----------------------------------------------------------------------------------------


def test_a_tar_that_cannot_be_used(copy: StoredCopy, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="neither GNU tar"):
        restore(copy, host_with(tmp_path, "bsdtar"), tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_file_system_without_hard_links(source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    host = host_with(tmp_path, "gnu without mark")
    make_script(tmp_path / "programs of gnu without mark" / "ln", "exit 1")
    assert restore(copy, host, tmp_path / "to").problems == []
    top = restored(tmp_path / "to", source)
    assert snapshot(top) == snapshot(source)
    assert (top / "same").stat().st_nlink == 1
    (top / "file").write_bytes(b"old")
    assert restore(copy, host, tmp_path / "to", placement=REPLACING).problems == []
    assert snapshot(top) == snapshot(source)


@requires_root
@pytest.mark.parametrize("tar", ["gnu", "busybox"])
def test_the_disk_is_full(copy: StoredCopy, tmp_path: Path, tar: str) -> None:
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        with pytest.raises(HoldfastError, match=r"[Nn]o space (is )?left"):
            restore(copy, host_with(tmp_path, tar), disk / "to")
        assert list(disk.iterdir()) == []


@requires_root
@pytest.mark.parametrize("tar", ["gnu", "busybox"])
def test_an_ordinary_user_gets_the_content_and_no_rights_of_others(source: Path, tmp_path: Path, tar: str) -> None:
    os.chown(source / "file", 12345, 12345)
    (source / "file").chmod(0o4755)
    (source / "folder").chmod(0o2750)
    copy = make_copy(tmp_path / "storage", source)
    user = user_without_rights()
    tmp_path.chmod(0o755)
    home = Path(tempfile.mkdtemp(prefix="holdfast-there-"))
    os.chown(home, user.pw_uid, user.pw_gid)
    try:
        host = host_with(tmp_path, tar)
        prefix = (shutil.which("setpriv") or "", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        as_user = PreparedHost(host._path, prefix)
        assert restore(copy, as_user, home / "to").problems == []
        status = (restored(home / "to", source) / "file").stat()
        assert (status.st_uid, status.st_mode & 0o7777) == (user.pw_uid, 0o755)
        assert (restored(home / "to", source) / "folder").stat().st_mode & 0o7777 == 0o2750
        (home / "closed").mkdir()
        os.chown(home / "closed", 0, 0)
        with pytest.raises(HostError, match="Permission denied"):
            restore(copy, as_user, home / "closed")
    finally:
        shutil.rmtree(home)
