"""Which members come back, and what happens to what lies in the folder already."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import HoldfastError
from model import INTO_NEW_FOLDER, Member
from operations.copies.stored_copies import StoredCopy
from tests.support.copies import REPLACING, make_copy, restore_copy
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.whole_trees import restored


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name in ("a/b/one", "a/b/two", "a/bc/three", "a/b.txt", "-dash", "z/last"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    os.link(folder / "a/b/one", folder / "z/same")
    (folder / "link").symlink_to("a/b")
    return folder


@pytest.fixture
def copy(tmp_path: Path, source: Path) -> StoredCopy:
    return make_copy(tmp_path / "storage", source)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


@pytest.mark.parametrize("spelling", ["{}", "/{}", "{}/"])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["a/b/one"], {"a/b/one"}),
        (["a/b"], {"a/b/one", "a/b/two"}),
        (["a/bc", "z"], {"a/bc/three", "z/last", "z/same"}),
        (["a/b/one", "a/b"], {"a/b/one", "a/b/two"}),
        (["link"], {"link"}),
    ],
)
def test_only_what_is_asked_for_comes_back(
    spelling: str, wanted: list[str], found: set[str], source: Path, copy: StoredCopy, tmp_path: Path
) -> None:
    paths = [os.fsencode(spelling.format(str(source / name)[1:])) for name in wanted]
    report = restore_copy(copy, tmp_path / "to", *paths)
    assert report.problems == []
    assert files_below(restored(tmp_path / "to", source)) == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["a/*"], {"a/b/one", "a/b/two", "a/bc/three", "a/b.txt"}),
        (["a/*.txt"], {"a/b.txt"}),
        (["a/**/t*"], {"a/b/two", "a/bc/three"}),
        (["**/one", "z/[ls]a??"], {"a/b/one", "z/last", "z/same"}),
        (["a/b[!.]"], {"a/bc/three"}),
    ],
)
def test_a_pattern_stands_for_all_that_it_matches(
    wanted: list[str], found: set[str], source: Path, copy: StoredCopy, tmp_path: Path
) -> None:
    report = restore_copy(copy, tmp_path / "to", *(os.fsencode(source / name) for name in wanted))
    assert report.problems == []
    assert files_below(restored(tmp_path / "to", source)) == found


def test_a_name_with_special_characters_is_meant_before_what_it_could_stand_for(source: Path, tmp_path: Path) -> None:
    odd = os.fsencode(source) + b"/[ab]\xff*"
    for name in (b"/a\xff", b"/[ab]\xffx", b"/b\xffxy/inner"):
        path = Path(os.fsdecode(os.fsencode(source) + name))
        path.parent.mkdir(exist_ok=True)
        path.write_text("matched")
    matched = {os.fsdecode(name) for name in (b"a\xff", b"b\xffxy/inner")}
    copy = make_copy(tmp_path / "before", source)
    assert restore_copy(copy, tmp_path / "to", odd).problems == []
    assert files_below(restored(tmp_path / "to", source)) == matched
    Path(os.fsdecode(odd)).write_text("of just that name")
    copy = make_copy(tmp_path / "after", source)
    assert restore_copy(copy, tmp_path / "again", odd).problems == []
    assert files_below(restored(tmp_path / "again", source)) == {os.fsdecode(b"[ab]\xff*")}


def test_a_pattern_that_matches_nothing_is_named(copy: StoredCopy, tmp_path: Path) -> None:
    (problem,) = restore_copy(copy, tmp_path / "to", b"srv/**/*.log").problems
    assert "holds nothing at srv/**/*.log. restore.py show shop/files@20261120T030000Z lists" in problem


def test_the_root_is_everything(copy: StoredCopy, source: Path, tmp_path: Path) -> None:
    assert restore_copy(copy, tmp_path / "to", b"/").files == 7
    assert files_below(restored(tmp_path / "to", source)) == files_below(source)


def test_a_hard_link_whose_first_name_is_not_wanted_is_a_file(source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    restore_copy(copy, tmp_path / "to", os.fsencode(source / "z"))
    same = restored(tmp_path / "to", source) / "z/same"
    assert same.read_text() == "content of a/b/one"
    assert same.stat().st_nlink == 1


def test_a_hard_link_is_not_made_to_a_file_that_lay_there_before(
    source: Path, copy: StoredCopy, tmp_path: Path
) -> None:
    old = restored(tmp_path / "to", source) / "a/b/one"
    old.parent.mkdir(parents=True)
    old.write_text("another content")
    restore_copy(copy, tmp_path / "to", os.fsencode(source / "z"), placement=REPLACING)
    assert (restored(tmp_path / "to", source) / "z/same").read_text() == "content of a/b/one"
    assert old.read_text() == "another content"


def test_each_path_that_leads_to_nothing_is_named(source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    report = restore_copy(copy, tmp_path / "to", os.fsencode(source / "z"), b"no/such", b"a/b")
    (problem,) = report.problems
    assert "holds nothing at no/such, a/b. restore.py show shop/files@20261120T030000Z lists" in problem
    assert files_below(restored(tmp_path / "to", source)) == {"z/last", "z/same"}


def test_the_command_takes_paths_before_and_after_options(source: Path, tmp_path: Path) -> None:
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    (source / "-dash").unlink()
    for number, arguments in enumerate(([str(source / "z")], ["--overwrite", "always", str(source / "z"), "-q"])):
        to = tmp_path / f"to{number}"
        finished = installation.restore(to, *arguments)
        assert finished.returncode == 0, finished.stderr
        assert files_below(restored(to, source)) == {"z/last", "z/same"}
    finished = installation.restore(tmp_path / "to2", "--", str(source / "link"), "-x")
    assert finished.returncode == 1
    assert "holds nothing at -x." in finished.stderr
    assert files_below(restored(tmp_path / "to2", source)) == {"link"}
    finished = installation.restore(tmp_path / "to3", "z", "--no-such-option")
    assert finished.returncode == 2
    assert "unrecognized arguments: --no-such-option" in finished.stderr
    assert not (tmp_path / "to3").exists()
    shown = installation.run("restore.py", "show", BACKUP_ID, "--json", "z/no")
    assert shown.returncode == 1
    assert "holds nothing at z/no" in json.loads(shown.stdout)["error"]["message"]


def test_a_folder_with_something_in_it_is_refused(copy: StoredCopy, tmp_path: Path) -> None:
    to = tmp_path / "to"
    to.mkdir()
    (to / "mine").write_text("mine")
    with pytest.raises(HoldfastError, match="is not an empty folder, so nothing was restored into it"):
        restore_copy(copy, to)
    with pytest.raises(HoldfastError, match="is not an empty folder"):
        restore_copy(copy, to / "mine")
    assert files_below(to) == {"mine"}


def test_files_and_links_are_replaced_and_no_link_is_followed(source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("outside")
    top = restored(tmp_path / "to", source)
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/one").symlink_to(outside)
    (top / "a/b/two").write_text("a longer content than the one that comes")
    (top / "link").write_text("a file")
    (top / "z").mkdir()
    (top / "z/same").symlink_to(outside)
    (top / "mine").write_text("mine")
    report = restore_copy(copy, tmp_path / "to", placement=REPLACING)
    assert report.problems == []
    assert outside.read_text() == "outside"
    assert files_below(top) == {*files_below(source), "mine"}
    assert (top / "a/b/two").read_text() == "content of a/b/two"
    assert os.readlink(top / "link") == "a/b"  # noqa: PTH115 - compared as text
    assert (top / "z/same").samefile(top / "a/b/one")


Block = Callable[[Path, Path], object]


@pytest.mark.parametrize(
    ("block", "lost", "reason"),
    [
        (lambda top, _: (top / "a").write_text("file"), "a/b/one", "'a' is no folder there, but a file or a link"),
        (lambda top, other: (top / "a").symlink_to(other), "a/b/one", "'a' is no folder there, but a file or a link"),
        (lambda top, _: (top / "a/b/one").mkdir(parents=True), "a/b/one", "a folder lies there, and a folder is never"),
        (lambda top, _: (top / "link").mkdir(), "link", "a folder lies there, and a folder is never replaced"),
    ],
)
def test_what_lies_in_the_way_is_named(
    block: Block, lost: str, reason: str, source: Path, copy: StoredCopy, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    top = restored(tmp_path / "to", source)
    top.mkdir(parents=True)
    block(top, other)
    report = restore_copy(copy, tmp_path / "to", placement=REPLACING)
    problems = [
        problem
        for problem in report.problems
        if problem.startswith(f"{str(top / lost)[len(str(tmp_path / 'to')) + 1 :]}: ")
    ]
    assert [problem for problem in problems if reason in problem], report.problems
    assert list(other.iterdir()) == []
    assert (top / "z/last").read_text() == "content of z/last"


def test_the_folder_may_be_a_link(source: Path, copy: StoredCopy, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "to").symlink_to(tmp_path / "real")
    assert restore_copy(copy, tmp_path / "to").problems == []
    assert files_below(restored(tmp_path / "real", source)) == files_below(source)


def test_a_damaged_name_never_replaces_another(tmp_path: Path) -> None:
    from contextlib import closing

    from hosts.local_tree import LocalTree
    from model import MemberKind

    (tmp_path / "x.damaged").write_text("another file")
    long_name = b"n" * 255
    with closing(LocalTree(tmp_path, INTO_NEW_FOLDER)) as tree:
        for name, set_aside in ((b"x", b"x.1.damaged"), (long_name, b"n" * 247 + b".damaged")):
            os.close(tree.create_file(name))
            assert tree.set_aside(name) == set_aside
        with pytest.raises(FileExistsError, match="something else lies there already"):
            tree.make_symlink(Member(b"x.damaged", MemberKind.SYMLINK, 0o777, link_target=b"x"))
    assert (tmp_path / "x.damaged").read_text() == "another file"
