"""A ZIP of some members of another archive: as zipfile and unzip read it, never ended where something is damaged."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives.entry import Entry
from archives.segments import Piece, Segment, UnpackedBlock, unpack_piece
from archives.zip_reader import ZipReader
from archives.zip_subset import ZipSubset
from errors import DamagedArchiveError
from model import Compression, CompressionMethod
from tests.support.archives import MIB, Packed, pack_tree

COMPRESSIONS = (
    Compression(),
    Compression(CompressionMethod.STORE, 0),
    Compression(CompressionMethod.ZSTD, 1),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "folder" / "empty").mkdir(parents=True)
    (root / "folder" / "small").write_text("small " * 1000)
    (root / "folder" / "nothing").write_bytes(b"")
    (root / "folder" / "one-block").write_bytes(os.urandom(MIB))
    (root / "folder" / "large").write_bytes(b"large " * (2 * MIB) + os.urandom(MIB + 7))
    (root / "folder" / "link").symlink_to("small")
    (root / "folder" / os.fsdecode(b"caf\xe9")).write_text("not UTF-8")
    (root / "other").write_text("left out")
    return root


def subset(packed: Packed, entries: list[Entry]) -> Iterator[bytes]:
    data = packed.path.read_bytes()

    def unpacked(segment: Segment) -> Iterator[tuple[Piece, bytes, Iterator[UnpackedBlock]]]:
        part = data[segment.offset : segment.offset + segment.length]
        for piece in segment.pieces:
            at = piece.offset - segment.offset
            yield piece, part[at : at + piece.packed_size], unpack_piece(piece, segment.offset, part)

    return ZipSubset().from_segments(entries, unpacked)


def in_folder(packed: Packed) -> list[Entry]:
    return [entry for entry in packed.entries if entry.member.path.startswith(b"folder")]


def content_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def expected(tree: Path) -> dict[str, bytes]:
    folder = tree / "folder"
    names = ("small", "nothing", "one-block", "large")
    files = {f"folder/{name}": (folder / name).read_bytes() for name in names}
    # zipfile shows bytes that are not UTF-8 in the code page 437.
    return {**files, "folder/": b"", "folder/empty/": b"", "folder/link": b"small", "folder/cafΘ": b"not UTF-8"}


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=lambda compression: compression.method.value)
def test_members_of_an_index(tree: Path, tmp_path: Path, compression: Compression) -> None:
    packed = pack_tree(tree, tmp_path / "whole.zip", compression)
    chunks = list(subset(packed, in_folder(packed)))
    assert content_of(b"".join(chunks)) == expected(tree)
    assert max(map(len, chunks)) < 5 * MIB
    (tmp_path / "part.zip").write_bytes(b"".join(chunks))
    tested = subprocess.run(["unzip", "-tqq", tmp_path / "part.zip"], capture_output=True, text=True)
    assert (tested.returncode, tested.stdout) == (0, "")


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=lambda compression: compression.method.value)
def test_members_of_the_zip_itself(tree: Path, tmp_path: Path, compression: Compression) -> None:
    packed = pack_tree(tree, tmp_path / "whole.zip", compression)
    data = packed.path.read_bytes()
    reader = ZipReader(lambda offset, length: iter([data[offset : offset + length]]), len(data))
    entries = [entry for entry in reader.entries() if entry.member.path.startswith(b"folder")]
    made = b"".join(ZipSubset().from_contents((entry, reader.content(entry)) for entry in entries))
    assert content_of(made) == expected(tree)


def test_what_was_packed_with_deflate_is_not_packed_again(tree: Path, tmp_path: Path) -> None:
    packed = pack_tree(tree, tmp_path / "whole.zip")
    large = packed.entry(b"folder/large")
    data = packed.path.read_bytes()[large.data_offset : large.data_offset + large.packed_size]
    assert data in b"".join(subset(packed, [large]))


@pytest.mark.parametrize("name", [b"folder/small", b"folder/large"])
def test_damage_ends_it_before_its_end(tree: Path, tmp_path: Path, name: bytes) -> None:
    packed = pack_tree(tree, tmp_path / "whole.zip", Compression(CompressionMethod.STORE, 0))
    entry = packed.entry(name)
    data = bytearray(packed.path.read_bytes())
    data[entry.data_offset + entry.packed_size // 2] ^= 1
    packed.path.write_bytes(data)
    made = bytearray()
    with pytest.raises(DamagedArchiveError):
        for chunk in subset(packed, in_folder(packed)):
            made += chunk
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(bytes(made)))


def test_nothing_is_an_empty_zip() -> None:
    assert content_of(b"".join(ZipSubset().from_segments([], lambda _: []))) == {}
