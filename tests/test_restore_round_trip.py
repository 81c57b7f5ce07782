"""What was backed up comes back equal in everything: generated trees, and a real one."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from model import Compression, CompressionMethod
from tests.support.copies import make_copy, restore_copy, verify
from tests.support.holdfast import Holdfast
from tests.support.skips import requires_program, requires_root
from tests.support.whole_trees import (
    IS_ROOT,
    Node,
    describe_tree,
    differences,
    generated_nodes,
    make_whole_tree,
    restored,
)

COMPRESSIONS = {
    "deflate": Compression(),
    "zstd": Compression(CompressionMethod.ZSTD, 3),
    "store": Compression(CompressionMethod.STORE, 0),
}


@pytest.mark.parametrize("method", COMPRESSIONS)
@settings(max_examples=25)
@given(nodes=generated_nodes)
def test_a_generated_tree_comes_back_equal(method: str, nodes: list[Node]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_whole_tree(nodes, folder / "source")
        before = describe_tree(folder / "source")
        copy = make_copy(folder / "storage", folder / "source", compression=COMPRESSIONS[method])
        report = restore_copy(copy, folder / "to")
        assert (report.problems, report.remarks) == ([], [])
        assert differences(before, describe_tree(restored(folder / "to", folder / "source"))) == []
        checked = verify(copy)
        assert (checked.problems, checked.members) == ([], report.files + report.folders + report.links)


def test_a_real_tree_comes_back_equal(tmp_path: Path) -> None:
    source = Path("/usr/share/doc")
    before = describe_tree(source)
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    finished = installation.restore(tmp_path / "to")
    assert finished.returncode == 0, finished.stderr
    after = describe_tree(restored(tmp_path / "to", source))
    if not IS_ROOT:
        owner = (os.geteuid(), os.getegid())
        assert {described.owner for described in after.values()} == {owner}
    found = [text for text in differences(before, after) if IS_ROOT or ": owner was" not in text]
    assert found == []
    assert len(after) > 100


@requires_program("setfacl", "getfacl")
def test_access_lists_come_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_text("content")
    for arguments in (["-m", "u:12345:r,g:54321:rw,m::rw"], ["-d", "-m", "u:12345:rwx"]):
        target = source / "folder" / ("file" if arguments[0] == "-m" else "")
        done = subprocess.run(["setfacl", *arguments, str(target)], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"needs a file system with access lists: {done.stderr.strip()}")
    before = describe_tree(source)
    assert "system.posix_acl_access" in dict(before[b"folder/file"].extended_attributes)
    copy = make_copy(tmp_path / "storage", source)
    assert restore_copy(copy, tmp_path / "to").problems == []
    assert differences(before, describe_tree(restored(tmp_path / "to", source))) == []


@requires_root
def test_attributes_of_a_symbolic_link_come_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "link").symlink_to("nowhere")
    try:
        os.setxattr(source / "link", "trusted.note", b"of the link", follow_symlinks=False)
    except OSError as error:
        pytest.skip(f"needs a file system with trusted attributes: {error}")
    before = describe_tree(source)
    restore_copy(make_copy(tmp_path / "storage", source), tmp_path / "to")
    assert differences(before, describe_tree(restored(tmp_path / "to", source))) == []
