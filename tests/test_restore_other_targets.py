"""A restore from a copy that is not whole: the same one on the next target is taken, and that is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import EXIT_FAILED, EXIT_GOOD
from tests.support.archives import snapshot
from tests.support.several_targets import SeveralTargets, flip_a_bit


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> SeveralTargets:
    site = SeveralTargets(tmp_path_factory.mktemp("backed up"))
    site.holdfast.back_up()
    return site


@pytest.fixture
def site(backed_up: SeveralTargets, tmp_path: Path) -> SeveralTargets:
    site = SeveralTargets(tmp_path)
    site.tree = backed_up.tree
    for folder in ("one", "two", "holdfast/state"):
        shutil.copytree(backed_up.folder / folder, tmp_path / folder)
    return site


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def make_unreadable(path: Path) -> None:
    """As a bad sector is to root, too."""
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("suffix", "harm"), [(".zip", Path.unlink), (".zip", cut), (".zip", make_unreadable), (".index.zst", Path.unlink)]
)
def test_what_is_missing_is_taken_from_the_next_target(
    site: SeveralTargets, tmp_path: Path, suffix: str, harm: Callable[[Path], None]
) -> None:
    harm(site.part("one", suffix))
    restored = site.holdfast.restore(tmp_path / "back")
    assert restored.returncode == EXIT_GOOD, restored.stderr
    assert "on ONE:kept is not whole, so shop/files@" in restored.stderr
    assert " on TWO:kept is taken: " in restored.stderr
    assert snapshot(tmp_path / "back" / site.tree.relative_to("/")) == snapshot(site.tree)


def test_damage_that_is_met_on_the_way_is_named_with_the_other_target(site: SeveralTargets, tmp_path: Path) -> None:
    archive = site.part("one", ".zip")
    data = bytearray(archive.read_bytes())
    for at in range(len(data) // 4, len(data) // 2, 7):
        data[at] ^= 1
    archive.write_bytes(data)
    restored = site.holdfast.restore(tmp_path / "back")
    assert restored.returncode == EXIT_FAILED
    assert "Not everything of shop/files@" in restored.stderr
    assert "The same copy lies on TWO too; --storage TWO takes it from there." in restored.stderr
    restored = site.holdfast.restore(tmp_path / "whole", "--storage", "TWO")
    assert (restored.returncode, restored.stderr) == (EXIT_GOOD, "")


def test_where_no_other_is_better_the_copy_stays_the_one_that_was_meant(site: SeveralTargets, tmp_path: Path) -> None:
    for name in ("one", "two"):
        site.part(name, ".index.zst").unlink()
    restored = site.holdfast.restore(tmp_path / "back")
    assert restored.returncode == EXIT_GOOD
    assert "So the archive's own directory was used" in restored.stderr
    assert "is taken" not in restored.stderr
    flip_a_bit(site.part("one", ".manifest.json"))
    restored = site.holdfast.restore(tmp_path / "again")
    assert restored.returncode == EXIT_GOOD
