"""Restoring into a folder that holds files already, and whose the files become: here and on hosts with each tar."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import HoldfastError
from hosts.command import Command
from model import Found, Member, MemberKind, Overwrite, Owners, Placement
from operations.copies.stored_copies import StoredCopy, read_entries
from operations.restoring.restore_place import Fate, fate_of
from operations.restoring.restore_there import restore_files_there
from tests.support.copies import make_copy, with_index
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.occupied_folder import PLACES, copy, place, source, top
from tests.support.remote_files import PreparedHost, make_script
from tests.support.skips import requires_program, requires_root
from tests.support.users import user_without_rights
from tests.support.whole_trees import restored

__all__ = ["copy", "source", "top"]

pytestmark = requires_program("busybox")


def replaced(top: Path) -> set[str]:
    """Which of the names that were there before have the content of the copy now."""
    names = {"older", "same", "newer", "fraction", "sub/inner", "mine"}
    found = {name for name in names if (top / name).read_text() == f"{name} of the copy"}
    assert all((top / name).read_text() == "there before" for name in names - found)
    return found | {"link" for _ in [0] if (top / "link").readlink() == Path("copy")}


@pytest.mark.parametrize("name", PLACES)
def test_never(name: str, copy: StoredCopy, top: Path, tmp_path: Path) -> None:
    report = place(tmp_path, name)(copy, tmp_path / "to", Placement(Overwrite.NEVER))
    assert replaced(top) == set()
    assert (top / "new").read_text() == "new of the copy"
    # Its other name is one that was there, with another content.
    assert (top / "zz linked").read_text() == "older of the copy"
    assert (top / "zz linked").stat().st_nlink == 1
    assert (top / "sub").stat().st_mode & 0o777 == 0o755
    assert (report.files, report.links, report.kept) == (2, 0, 6)
    (problem,) = report.problems
    assert problem.endswith("/blocked: a folder lies there, and a folder is never replaced")
    assert [path.name for path in (tmp_path / "to").iterdir()] == [top.relative_to(tmp_path / "to").parts[0]]


@pytest.mark.parametrize("name", PLACES)
def test_older(name: str, copy: StoredCopy, top: Path, tmp_path: Path) -> None:
    restore = place(tmp_path, name)
    report = restore(copy, tmp_path / "to", Placement(Overwrite.OLDER))
    # BusyBox keeps whole seconds, so within one nothing is older there.
    by_fraction = set() if name == "busybox" else {"fraction"}
    assert replaced(top) == {"older", "sub/inner", "link"} | by_fraction
    assert (top / "older").samefile(top / "zz linked")
    assert report.kept == 3 - len(by_fraction)
    assert (top / "sub").stat().st_mode & 0o777 == 0o755
    again = restore(copy, tmp_path / "to", Placement(Overwrite.OLDER))
    assert (again.files, again.links, again.size) == (0, 0, 0)
    assert again.kept == 9 - 1  # all but the one that is blocked


@pytest.mark.parametrize("name", PLACES)
def test_always(name: str, copy: StoredCopy, top: Path, tmp_path: Path) -> None:
    report = place(tmp_path, name)(copy, tmp_path / "to", Placement(Overwrite.ALWAYS))
    assert replaced(top) == {"older", "same", "newer", "fraction", "sub/inner", "link"}
    assert (top / "sub").stat().st_mode & 0o777 == 0o711
    assert report.kept == 0
    assert len(report.problems) == 1


@pytest.mark.parametrize("overwrite", list(Overwrite))
@pytest.mark.parametrize("name", PLACES)
def test_no_link_is_followed(name: str, overwrite: Overwrite, source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inner").write_text("outside")
    os.utime(outside / "inner", ns=(0, 0))
    top = restored(tmp_path / "to", source)
    top.mkdir(parents=True)
    (top / "sub").symlink_to(outside)
    (top / "older").symlink_to(outside / "inner")
    os.utime(top / "older", ns=(0, 0), follow_symlinks=False)
    report = place(tmp_path, name)(copy, tmp_path / "to", Placement(overwrite))
    assert [path.name for path in outside.iterdir()] == ["inner"]
    assert (outside / "inner").read_text() == "outside"
    assert (top / "older").is_symlink() is (overwrite is Overwrite.NEVER)
    assert any("/sub/inner: " in problem and "no link is followed" in problem for problem in report.problems)


def test_a_host_that_tells_no_times_is_refused(copy: StoredCopy, top: Path, tmp_path: Path) -> None:
    restore = place(tmp_path, "gnu")
    make_script(tmp_path / "programs of gnu" / "stat", "echo 'stat: unrecognized option: c' >&2; exit 1")
    with pytest.raises(HoldfastError, match=r"has no program stat that tells .* Choose --overwrite never or always\."):
        restore(copy, tmp_path / "to", Placement(Overwrite.OLDER))
    assert replaced(top) == set()
    assert not (top / "new").exists()
    assert [path.name for path in (tmp_path / "to").iterdir()] == [top.relative_to(tmp_path / "to").parts[0]]


def test_what_appears_in_the_meantime_stays(source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    """Between the look at what lies there and the names that the files get at the end."""
    top = restored(tmp_path / "to", source)
    top.mkdir(parents=True)

    def before(command: Command) -> None:
        if "--skip-old-files" in command.argv:
            (top / "new").write_text("just written")

    host = PreparedHost(before=before)
    placement = Placement(Overwrite.NEVER)
    restore_files_there(copy, host, str(tmp_path / "to"), (), placement, on_progress=lambda *_: None)
    assert (top / "new").read_text() == "just written"
    assert (top / "older").read_text() == "older of the copy"


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
def test_the_command(has_index: bool, source: Path, top: Path, tmp_path: Path) -> None:
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    if not has_index:
        installation.parts(".index.zst")[0].unlink()
    (top / "blocked").rmdir()
    finished = installation.restore(tmp_path / "to", "--overwrite", "older", str(source))
    assert finished.returncode == 0, finished.stderr
    assert "files were there already and stay" in finished.stdout
    assert replaced(top) >= {"older", "sub/inner"}
    assert (top / "newer").read_text() == "there before"
    (top / "newer").unlink()
    finished = installation.restore(tmp_path / "to", "--overwrite", "never", "--json")
    assert '"kept": 8' in finished.stdout
    assert (top / "newer").read_text() == "newer of the copy"
    refused = installation.restore(tmp_path / "to")
    assert refused.returncode == 1
    assert "say with --overwrite never, older or always" in refused.stderr
    for arguments in (["--overwrite"], ["--overwrite", "some", BACKUP_ID], ["--owner", "root"]):
        assert installation.restore(tmp_path / "other", *arguments).returncode == 2
    assert not (tmp_path / "other").exists()


# --- owners -------------------------------------------------------------------------------------------------------


@requires_root
@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(
    ("owners", "expected", "mode"),
    [(Owners.NAME, "by name", 0o6755), (Owners.NUMBER, (4321, 8765), 0o6755), (Owners.NONE, (0, 0), 0o755)],
)
def test_whose_the_files_become(
    name: str, owners: Owners, expected: object, mode: int, source: Path, tmp_path: Path
) -> None:
    """The copy comes from a machine on which the user has another number than here."""
    user = user_without_rights()
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    for path in (source / "new", source / "sub"):
        os.chown(path, 4321, 8765)
    os.chown(source / "link", 4321, 8765, follow_symlinks=False)
    (source / "new").chmod(0o6755)
    os.setxattr(source / "new", "security.capability", capability)
    os.setxattr(source / "new", "user.kept", b"1")
    copy = copy_with_names(tmp_path, source, {4321: user.pw_name})
    report = place(tmp_path, name)(copy, tmp_path / "to", Placement(owners=owners))
    assert report.problems == []
    top = restored(tmp_path / "to", source)
    if expected == "by name":
        expected = (user.pw_uid, 8765)
    found = [(status.st_uid, status.st_gid) for status in (os.lstat(top / each) for each in ("new", "sub"))]
    assert found == [expected, expected]
    if name != "busybox":  # it knows no owner of a link, and no extended attribute
        status = os.lstat(top / "link")
        assert (status.st_uid, status.st_gid) == expected
        attributes = set(os.listxattr(top / "new"))
        assert attributes == {"user.kept"} | ({"security.capability"} if owners is not Owners.NONE else set())
    assert (top / "new").stat().st_mode & 0o7777 == mode


def copy_with_names(tmp_path: Path, source: Path, names: dict[int, str]) -> StoredCopy:
    """A copy whose index has these names for the numbers of users."""
    copy = make_copy(tmp_path / "storage", source)
    entries = []
    for entry in read_entries(copy):
        member = replace(entry.member, user=names.get(entry.member.uid, entry.member.user))
        entries.append(replace(entry, member=member))
    return with_index(copy, tmp_path / "storage", tmp_path, entries)


# --- the rule -----------------------------------------------------------------------------------------------------

kinds = st.sampled_from(list(MemberKind))
times = st.integers(-3 * 10**9, 3 * 10**9)


@given(kind=kinds, is_folder=st.booleans(), overwrite=st.sampled_from(list(Overwrite)), of_copy=times, there=times)
def test_what_is_never_replaced(
    kind: MemberKind, is_folder: bool, overwrite: Overwrite, of_copy: int, there: int
) -> None:
    member = Member(b"x", kind, 0o644, modified_ns=of_copy)
    for step in (1, 10**9):
        fate = fate_of(member, Found(is_folder, there), overwrite, step)
        assert (fate is Fate.BLOCKED) is (is_folder is not (kind is MemberKind.DIRECTORY))
        if overwrite is Overwrite.NEVER or (overwrite is Overwrite.OLDER and there >= of_copy):
            assert fate in (Fate.STAYS, Fate.BLOCKED)
        if overwrite is Overwrite.OLDER and there + step <= of_copy and not is_folder:
            assert fate in (Fate.REPLACES, Fate.BLOCKED)
    assert fate_of(member, None, overwrite) is Fate.NEW
