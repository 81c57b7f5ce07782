"""A copy, a folder that holds older and newer files of the same names, and the ways to restore into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model import Placement
from operations.copies.stored_copies import StoredCopy
from operations.restoring.restore import RestoreReport
from operations.restoring.restore_there import restore_files_there
from tests.support.copies import make_copy, restore_copy
from tests.support.remote_files import BUSYBOX_PROGRAMS, PreparedHost, make_programs
from tests.support.whole_trees import restored

PLACES = ("here", "gnu", "busybox")
T = 1_700_000_000 * 10**9
"""When each file of the copy was modified; half a second later for `fraction`."""

Restore = Callable[..., RestoreReport]


def prepared_host(tmp_path: Path, name: str) -> PreparedHost:
    """A host with this tar."""
    folder = tmp_path / f"programs of {name}"
    if folder.exists():
        return PreparedHost(str(folder) if name == "busybox" else f"{folder}:{os.environ['PATH']}")
    path = make_programs(folder, name)
    if name == "busybox":
        for program in {"mkdir", "mv", "ln", "rm", "rmdir", "id", "chmod", "stat"} - set(BUSYBOX_PROGRAMS):
            (folder / program).symlink_to(shutil.which("busybox") or "")
    return PreparedHost(path)


def place(tmp_path: Path, name: str) -> Restore:
    """A restore into a folder of this machine, or by the tar of a host."""
    if name == "here":
        return lambda copy, to, placement, *paths: restore_copy(copy, to, *paths, placement=placement)
    host = prepared_host(tmp_path, name)

    def restore(copy: StoredCopy, to: Path, placement: Placement, *paths: bytes) -> RestoreReport:
        return restore_files_there(copy, host, str(to), paths, placement, on_progress=lambda *_: None)

    return restore


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    for name in ("new", "older", "same", "newer", "fraction", "sub/inner", "blocked"):
        (folder / name).write_text(f"{name} of the copy")
        os.utime(folder / name, ns=(T, T + 10**9 // 2 * (name == "fraction")))
    os.link(folder / "older", folder / "zz linked")
    (folder / "link").symlink_to("copy")
    os.utime(folder / "link", ns=(T, T), follow_symlinks=False)
    (folder / "sub").chmod(0o711)
    return folder


@pytest.fixture
def copy(tmp_path: Path, source: Path) -> StoredCopy:
    return make_copy(tmp_path / "storage", source)


@pytest.fixture
def top(tmp_path: Path, source: Path) -> Path:
    """What lies in DIR before: another content of each file, with its time before, at or after that of the copy's."""
    top = restored(tmp_path / "to", source)
    (top / "sub").mkdir(parents=True)
    (top / "sub").chmod(0o755)
    (top / "blocked").mkdir()
    for name, moved in (("older", -1), ("same", 0), ("newer", 1), ("sub/inner", -60), ("mine", 0)):
        (top / name).write_text("there before")
        os.utime(top / name, ns=(T, T + moved * 10**9))
    (top / "fraction").write_text("there before")
    os.utime(top / "fraction", ns=(T, T + 10**8))
    (top / "link").symlink_to("before")
    os.utime(top / "link", ns=(T, T - 10**9), follow_symlinks=False)
    return top
