"""A copy on S3 is looked into by ranged reads: its index once, and of the archive only what is downloaded."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

from operations.browsing.downloads import download_file, download_folder
from operations.browsing.opened_copies import OpenedCopies
from operations.copies.stored_copies import StoredCopy
from tests.support.copies import make_copy, path_of
from tests.support.s3_fixtures import Rig, moto, rig, rigs
from tests.support.trees import make_tree

__all__ = ["moto", "rig", "rigs"]


def on_s3(copy: StoredCopy, root: Path, rig: Rig) -> StoredCopy:
    storage = rig.storage()
    keys = replace(copy.keys, stem=rig.prefix + copy.keys.stem)
    for here, there in ((copy.keys.archive, keys.archive), (copy.keys.index, keys.index)):
        storage.put(there, [path_of(root, here).read_bytes()])
    return replace(copy, storage=storage, keys=keys)


def test_one_file_and_a_folder_come_from_s3(tmp_path: Path, rig: Rig) -> None:
    source = make_tree(tmp_path / "source", large_size=5_000_000)
    copy = on_s3(make_copy(tmp_path / "storage", source), tmp_path / "storage", rig)
    listing = OpenedCopies(tmp_path / "dashboard").open(copy, wait=60)
    large = download_file(copy, listing, (*listing.start, b"large"))
    assert large.size == 5_000_000
    assert b"".join(large.chunks) == (source / "large").read_bytes()
    folder = download_folder(copy, listing, (*listing.start, b"folder 3"))
    with zipfile.ZipFile(io.BytesIO(b"".join(folder.chunks))) as archive:
        found = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert found == {"": b"", **{path.name: path.read_bytes() for path in (source / "folder 3").iterdir()}}
