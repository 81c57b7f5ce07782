"""The index beside an archive: what is written is read again, damage is said, and it agrees with the ZIP."""

from __future__ import annotations

import json
import random
import tracemalloc
import zipfile
from array import array
from collections.abc import Iterable
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from archives.blocks import BLOCK_SIZE, crc32, unpack_block
from archives.entry import Entry
from archives.index import IndexWriter, read_index
from errors import ArchiveError, DamagedArchiveError
from model import Compression, CompressionMethod, Member, MemberKind
from tests.support.archives import MIB, ChunkContent, file_member, pack, pack_tree
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk

sizes = st.integers(0, 1 << 62)
path_parts = st.binary(min_size=1, max_size=20).filter(lambda part: not {0, 0x2F} & set(part))
paths = st.lists(path_parts, min_size=1, max_size=4).map(b"/".join)
# os.listxattr() gives names that are not UTF-8 with lone surrogates.
attribute_names = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20) | st.just("user.\udcff")

members = st.builds(
    Member,
    path=paths,
    kind=st.sampled_from(MemberKind),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 0xFFFFFFFF),
    gid=st.integers(0, 0xFFFFFFFF),
    user=st.text(max_size=10),
    group=st.text(max_size=10),
    modified_ns=st.integers(-(1 << 80), 1 << 80),
    size=sizes,
    link_target=st.none() | st.binary(max_size=40),
    hard_link_to=st.none() | paths,
    extended_attributes=st.none() | st.dictionaries(attribute_names, st.binary(max_size=40), min_size=1, max_size=3),
    data_extents=st.none() | st.lists(st.tuples(sizes, sizes), max_size=4).map(tuple),
)
entries = st.builds(
    Entry,
    member=members,
    method=st.sampled_from([0, 8, 93]),
    packed_size=sizes,
    crc32=st.integers(0, 0xFFFFFFFF),
    offset=sizes,
    header_size=st.integers(30, 1 << 20),
    blocks=st.lists(st.integers(0, 0xFFFFFFFF), max_size=5).map(lambda numbers: array("I", numbers)),
    note=st.none() | st.text(max_size=30),
)


def encoded(found: Iterable[Entry], folder: Path) -> bytes:
    writer = IndexWriter(folder)
    try:
        for entry in found:
            writer.add(entry)
        return b"".join(writer.chunks())
    finally:
        writer.close()


def entry_that_packs_badly(number: int) -> Entry:
    noise = random.Random(number).randbytes(1000)
    return Entry(Member(b"%d" % number, MemberKind.SYMLINK, 0o777, link_target=noise), 0)


def compressed(*lines: object) -> bytes:
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    return zstandard.ZstdCompressor().compress(text.encode())


@given(found=st.lists(entries, max_size=8), cut=st.integers(1, 200))
def test_what_was_written_is_read_again(found: list[Entry], cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    for entry in found:
        entry.size = entry.member.size
    data = encoded(found, tmp_path_factory.getbasetemp())
    chunks = [data[start : start + cut] for start in range(0, len(data), cut)]
    assert list(read_index(chunks)) == found


def test_every_line_is_json_in_ascii_and_names_its_member(tmp_path: Path) -> None:
    member = Member(b"a/\xff\n.txt", MemberKind.FILE, 0o600, data_extents=((0, 5),))
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(encoded([Entry(member, 0)], tmp_path))
    header, line = (json.loads(line) for line in lines.decode("ascii").splitlines())
    assert header == {"format": "holdfast-index", "version": 1}
    assert line["path"] == "a/\\xff\n.txt"
    assert line["path_base64"] == "YS//Ci50eHQ="


def test_a_large_index_goes_to_the_spool_and_leaves_nothing(tmp_path: Path) -> None:
    writer = IndexWriter(tmp_path)
    tracemalloc.start()
    try:
        for number in range(20_000):
            writer.add(entry_that_packs_badly(number))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = sum(map(len, writer.chunks()))
    writer.close()
    assert size > 18 << 20
    assert peak < 2 * (16 << 20) + size // 4
    assert list(tmp_path.iterdir()) == []


@requires_root
def test_a_full_spool_is_an_error_that_names_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "spool", 1 << 20) as spool:
        writer = IndexWriter(spool)
        with pytest.raises(ArchiveError, match=f"cannot be kept in {spool}: No space left"):
            for number in range(20_000):
                writer.add(entry_that_packs_badly(number))
        writer.close()


# --- damage ---


def assert_damaged_or_entries(data: bytes) -> None:
    try:
        found = list(read_index([data]))
    except DamagedArchiveError:
        return
    assert all(isinstance(entry, Entry) for entry in found)


@given(data=st.binary(max_size=300))
@example(data=b"")
def test_any_bytes_are_an_index_or_damaged(data: bytes) -> None:
    assert_damaged_or_entries(data)


@given(found=st.lists(entries, min_size=1, max_size=4), at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_index_or_damage(
    found: list[Entry], at: float, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(encoded(found, tmp_path_factory.getbasetemp()))
    data[int(at * len(data))] ^= 1 << bit
    assert_damaged_or_entries(bytes(data))


@given(found=st.lists(entries, max_size=4), kept=st.floats(0, 1, exclude_max=True))
def test_a_part_of_an_index_is_damaged(
    found: list[Entry], kept: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = encoded(found, tmp_path_factory.getbasetemp())
    with pytest.raises(DamagedArchiveError):
        list(read_index([data[: int(kept * len(data))]]))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
HEADER = {"format": "holdfast-index", "version": 1}
GOOD_LINE = {
    "path": "a",
    "kind": "file",
    "size": 1,
    "mode": "0644",
    "uid": 0,
    "gid": 0,
    "user": "",
    "group": "",
    "modified_ns": 0,
    "crc32": "00000000",
    "method": 0,
    "offset": 0,
    "header_size": 30,
    "packed_size": 1,
    "blocks": [1],
    "path_base64": "YQ==",
    "extended_attributes": {"user.a": "YQ=="},
    "data_extents": [[0, 1]],
}


@given(key=st.sampled_from(sorted(GOOD_LINE)), value=json_values)
@example(key="size", value=float("inf"))
@example(key="offset", value=-1)
@example(key="blocks", value=[1 << 32])
@example(key="blocks", value="é")
@example(key="path_base64", value="\udcff")
@example(key="data_extents", value=[[1]])
def test_a_field_of_any_value_is_taken_or_damaged(key: str, value: object) -> None:
    assert_damaged_or_entries(compressed(HEADER, {**GOOD_LINE, key: value}))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "middle of a line|does not begin"),
        (({"format": "other"},), "does not begin as an index of Holdfast does"),
        (([],), "does not begin as an index of Holdfast does"),
        (({**HEADER, "version": 2},), "format version 2, and this Holdfast reads version 1"),
        ((HEADER, "[" * 100_000 + "\n"), "RecursionError"),
        ((HEADER, GOOD_LINE, json.dumps(GOOD_LINE)), "middle of a line"),
        ((HEADER, {**GOOD_LINE, "size": -1}), "negative"),
        ((HEADER, 5), "damaged"),
    ],
)
def test_what_is_no_index_is_named(lines: tuple[object, ...], message: str) -> None:
    with pytest.raises(DamagedArchiveError, match=message):
        list(read_index([compressed(*lines)]))


def test_a_line_without_end_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zstandard packs a gigabyte of spaces into some 30 kB, which a reader must not take for one line."""
    monkeypatch.setattr("archives.index._LONGEST_LINE", 4 << 20)
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    bomb = compressor.compress(json.dumps(HEADER).encode() + b"\n")
    bomb += b"".join(compressor.compress(b" " * MIB) for _ in range(1024)) + compressor.flush()
    tracemalloc.start()
    try:
        with pytest.raises(DamagedArchiveError, match="longer than any honest one"):
            list(read_index([bomb]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(bomb) < 1 << 18
    assert peak < 100 * MIB


# --- the index of a real archive ---


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    (root / "empty folder").mkdir()
    (root / "link").symlink_to("text")
    (root / "empty").touch()
    (root / "text").write_bytes(b"many words " * 1000)
    (root / "random").write_bytes(random.Random(1).randbytes(5000))
    (root / "large text").write_bytes(b"0123456789" * (3 * MIB // 10))
    (root / "large random").write_bytes(random.Random(2).randbytes(2 * MIB + 1))
    with (root / "sparse").open("wb") as file:
        file.seek(4 * MIB)
        file.write(b"end")
    return root


@pytest.mark.parametrize("method", CompressionMethod)
def test_the_index_says_where_every_byte_of_the_archive_lies(
    tree: Path, method: CompressionMethod, tmp_path: Path
) -> None:
    packed = pack_tree(tree, tmp_path / "a.zip", Compression(method, 1))
    found = list(read_index([encoded(packed.entries, tmp_path)]))
    assert len(found) == 8
    data = packed.path.read_bytes()
    with zipfile.ZipFile(packed.path) as archive:
        by_name = {info.filename.rstrip("/"): info for info in archive.infolist()}
    assert len(by_name) == len(found)
    for entry in found:
        info = by_name[entry.member.path.decode()]
        assert (entry.offset, entry.size, entry.packed_size, entry.crc32, entry.method) == (
            info.header_offset,
            info.file_size,
            info.compress_size,
            info.CRC,
            info.compress_type,
        )
        lengths = data[entry.offset + 26 : entry.offset + 30]
        assert entry.header_size == 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        content = b"".join(unpacked_blocks(entry, data))
        assert crc32(content) == entry.crc32
        if entry.member.kind is MemberKind.FILE:
            assert content == (tree / entry.member.path.decode()).read_bytes()


def unpacked_blocks(entry: Entry, data: bytes) -> Iterable[bytes]:
    if not len(entry.blocks):
        yield unpack_block(entry.method, data[entry.offset + entry.header_size :][: entry.packed_size], entry.size)
        return
    position = entry.offset + entry.header_size
    for number, packed_size in enumerate(entry.blocks):
        size = min(BLOCK_SIZE, entry.size - number * BLOCK_SIZE)
        yield unpack_block(entry.method, data[position : position + packed_size], size)
        position += packed_size


def test_members_follow_each_other_without_gaps(tree: Path, tmp_path: Path) -> None:
    members = [file_member(b"stream", ChunkContent([b"x" * MIB, b"y"]))]
    packed = pack_tree(tree, tmp_path / "a.zip")
    streamed = pack(members, tmp_path / "b.zip")
    for archive in (packed, streamed):
        position = 0
        for entry in archive.entries:
            assert entry.offset == position
            descriptor = (24 if entry.zip64 else 16) if entry.needs_descriptor else 0
            position += entry.header_size + entry.packed_size + descriptor
        assert archive.path.read_bytes()[position:].startswith(b"PK\x01\x02")
