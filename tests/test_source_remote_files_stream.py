"""The tar stream itself: what the formats say, and everything that no tar writes."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import Note, NoteKind
from sources.path_list import PathList
from sources.tar_header import BLOCK, FILE, PAX, TarEntry, TarFormatError
from sources.tar_messages import Messages
from sources.tar_program import GNU_OPTIONS, TarKind, TarProgram, new_infix
from sources.tar_stream import EarlyEndError, Ended, Said, TarStream

END = bytes(2 * BLOCK)
RECORD = 512 * BLOCK


def header(name: bytes = b"file", size: bytes = b"0000005\0", kind: bytes = b"0", **fields: bytes) -> bytes:
    """A ustar header block with a right sum. Further fields: ``mtime``, ``uid``, ``mode``, ``link``, ``prefix``."""
    block = bytearray(BLOCK)
    places = {"mode": 100, "uid": 108, "gid": 116, "mtime": 136, "link": 157, "prefix": 345}
    for position, value in ((0, name), (124, size), (156, kind), (257, b"ustar\00000")):
        block[position : position + len(value)] = value
    for field, value in fields.items():
        block[places[field] : places[field] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def pax(records: dict[bytes, bytes]) -> bytes:
    data = b""
    for key, value in records.items():
        length = len(key) + len(value) + 3
        while length != len(b"%d" % length) + len(key) + len(value) + 3:
            length = len(b"%d" % length) + len(key) + len(value) + 3
        data += b"%d %b=%b\n" % (length, key, value)
    return header(b"pax", b"%o\0" % len(data), PAX) + padded(data)


def read(
    pieces: Iterable[bytes | Said | Ended], on_said: Callable[[bytes], None] = lambda _: None
) -> list[tuple[TarEntry, bytes]]:
    stream = TarStream(pieces, on_said, lambda _: None)
    found = []
    while (entry := stream.next_entry()) is not None:
        found.append((entry, b"".join(stream.content(entry))))
    return found


def read_one(*parts: bytes) -> tuple[TarEntry, bytes]:
    (found,) = read([b"".join(parts), Ended(0)])
    return found


# --- what there is ---


def test_a_plain_file() -> None:
    entry, content = read_one(header(b"a/b", mode=b"0004755\0", uid=b"17 ", mtime=b"12\0"), padded(b"12345"), END)
    assert (entry.path, entry.type, entry.mode, entry.uid, entry.modified_ns) == (b"a/b", FILE, 0o4755, 15, 10 * 10**9)
    assert content == b"12345"


def test_names_in_two_parts_and_long_ones_of_gnu() -> None:
    assert read_one(header(b"b", prefix=b"a/c"), padded(b"12345"), END)[0].path == b"a/c/b"
    long = b"x/" * 200 + b"y"
    name = header(b"././@LongLink", b"%o\0" % (len(long) + 1), b"L") + padded(long + b"\0")
    link = header(b"././@LongLink", b"%o\0" % (len(long) + 2), b"K") + padded(b"l" + long + b"\0")
    entry, _ = read_one(link, name, header(kind=b"2"), END)
    assert (entry.path, entry.link) == (long, b"l" + long)


def test_numbers_in_base_256() -> None:
    large = (1 << 35).to_bytes(12, "big")
    before_1970 = (-5).to_bytes(12, "big", signed=True)
    block = header(
        b"f", bytes([large[0] | 0x80]) + large[1:], kind=b"0", mtime=before_1970, uid=b"\x80\0\0\0\xee\x6b\x28\0"
    )
    stream = TarStream([block], lambda _: None, lambda _: None)
    entry = stream.next_entry()
    assert entry is not None
    assert (entry.size, entry.modified_ns, entry.uid) == (1 << 35, -5 * 10**9, 4_000_000_000)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"1.5", 1_500_000_000),
        (b"-1.500000001", -1_500_000_001),
        (b"0", 0),
        (b"1795235709.713137836", 1795235709713137836),
    ],
)
def test_times_of_pax_headers(text: bytes, nanoseconds: int) -> None:
    entry, _ = read_one(pax({b"mtime": text}), header(), padded(b"12345"), END)
    assert entry.modified_ns == nanoseconds


def test_everything_of_a_pax_header() -> None:
    records = {
        b"path": b"\xff\nname",
        b"size": b"3",
        b"uid": b"4000000000",
        b"gid": b"4000000001",
        b"uname": "jürgen".encode(),
        b"gname": b"\xff",
        b"SCHILY.xattr.user.a%3Db%25": b"\0=\n",
        b"unknown": b"x",
    }
    entry, content = read_one(pax(records), header(), padded(b"abc"), END)
    assert (entry.path, entry.uid, entry.gid, entry.user, entry.group) == (
        b"\xff\nname",
        4_000_000_000,
        4_000_000_001,
        "jürgen",
        "\udcff",
    )
    assert entry.extended_attributes == {"user.a=b%": b"\0=\n"}
    assert content == b"abc"


def sparse(extents: bytes, data: bytes, size: bytes) -> bytes:
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"real name",
        b"GNU.sparse.realsize": size,
    }
    stored = padded(extents) + data
    return pax(records) + header(b"other", b"%o\0" % len(stored)) + padded(stored)


def test_a_sparse_file() -> None:
    entry, content = read_one(sparse(b"3\n10\n2\n20\n3\n30\n0\n", b"abcde", b"30"), END)
    assert (entry.path, entry.size, entry.extents) == (b"real name", 30, ((10, 2), (20, 3)))
    assert content == bytes(10) + b"ab" + bytes(8) + b"cde" + bytes(7)


def test_a_map_of_many_blocks(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        for number in range(300):
            file.seek(number * 10_000_000)
            file.write(b"%d" % number)
    made = subprocess.run(
        ["tar", "--create", "--format=pax", "--sparse", "--file=-", "sparse"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    stream = TarStream([made.stdout, Ended(0)], lambda _: None, lambda _: None)
    entry = stream.next_entry()
    assert entry is not None
    assert entry.extents is not None
    assert len(entry.extents) == 300
    assert stream.next_entry() is None


def test_holes_of_a_terabyte_are_the_same_zeros_again_and_again() -> None:
    stream = TarStream(
        [sparse(b"1\n5000\n1\n", b"x", b"1099511627776") + END, Ended(0)], lambda _: None, lambda _: None
    )
    entry = stream.next_entry()
    assert entry is not None
    total, objects = 0, set()
    for chunk in stream.content(entry):
        total += len(chunk)
        objects.add(id(chunk))
    assert total == 1 << 40
    assert len(objects) < 10
    assert stream.next_entry() is None


# --- what tar says in the middle ---


def test_zeros_that_tar_put_in_place_of_what_it_could_not_read_are_left_out() -> None:
    stream = TarStream(
        [header(size=b"0000017\0"), b"abcde", Said(b"5"), bytes(507), header(b"next"), padded(b"12345"), END, Ended(1)],
        lambda text: setattr(entry, "limit", int(text)),
        lambda _: None,
    )
    entry = stream.next_entry()
    assert entry is not None
    assert b"".join(stream.content(entry)) == b"abcde"
    following = stream.next_entry()
    assert following is not None
    assert b"".join(stream.content(following)) == b"12345"


def test_nothing_but_zeros_is_left_out() -> None:
    stream = TarStream([header(), padded(b"12345"), END, Ended(1)], lambda _: None, lambda _: None)
    entry = stream.next_entry()
    assert entry is not None
    entry.limit = 3
    with pytest.raises(TarFormatError, match="goes on where tar could read no more"):
        list(stream.content(entry))


@pytest.mark.parametrize("kind", list(TarKind))
@given(chance=st.randoms(use_true_random=False))
def test_messages_are_found_wherever_chunks_end(kind: TarKind, chance: random.Random) -> None:
    mark = "/bin//././///././/./tar" if kind is TarKind.GNU else "0123456789abcdef"
    program = TarProgram(kind, mark)
    expected: list[bytes | Said | Ended] = []
    raw = b""
    for _ in range(chance.randrange(6)):
        data = chance.choice([b"x" * 700, mark.encode()[:-1], b"/" * 80, b"\n", b""])
        if kind is TarKind.GNU:
            data += bytes(-len(data) % RECORD)
        said = chance.choice([Said(b"x: shrank"), Ended(2), None])
        raw += data
        expected.append(data)
        if said:
            raw += mark.encode() + (b": tar: x: shrank\n" if isinstance(said, Said) else b" 2\n")
            expected.append(said)
    cuts = sorted(chance.randrange(len(raw) + 1) for _ in range(4))
    chunks = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert joined(program.output(chunks)) == joined(expected)


@pytest.mark.parametrize("cut", [0, 1, 5, 100, RECORD, RECORD + 1])
def test_a_tar_that_was_killed_within_a_record_is_known_all_the_same(cut: int) -> None:
    mark = "/bin//././///././/./tar"
    written = b"x" * (RECORD + 1000)
    raw = written + mark.encode() + b" 137\n"
    output = TarProgram(TarKind.GNU, mark).output([raw[: len(raw) - cut], raw[len(raw) - cut :]])
    assert joined(output) == [written, Ended(137), b""]


def joined(pieces: Iterable[bytes | Said | Ended]) -> list[bytes | Said | Ended]:
    """With all bytes between two messages in one piece."""
    found: list[bytes | Said | Ended] = [b""]
    for piece in pieces:
        if isinstance(piece, bytes) and isinstance(found[-1], bytes):
            found[-1] += piece
        else:
            found += [piece] if isinstance(piece, bytes) else [piece, b""]
    return found


def test_a_message_without_an_end_is_damage() -> None:
    program = TarProgram(TarKind.GNU, "/bin/././tar")
    with pytest.raises(TarFormatError):
        list(program.output([b"/bin/././tar: ", *[bytes(100_000)] * 20]))


def test_an_infix_is_made_up_each_time() -> None:
    assert len({new_infix() for _ in range(100)}) == 100
    assert Path(f"/bin{new_infix()}sh").exists()


@pytest.mark.parametrize(
    ("text", "limit", "kind", "reason"),
    [
        (
            rb"/x/a\nb\:\\\377: File shrank by 7 bytes; padding with zeros",
            3,
            NoteKind.CHANGED,
            "it shrank by 7 bytes while it was read",
        ),
        (
            rb"/x/a\nb\:\\\377: Read error at byte 4, while reading 6 bytes: Input/output error",
            4,
            NoteKind.UNREADABLE,
            "it could be read only up to byte 4 (Input/output error)",
        ),
    ],
)
def test_what_tar_says_of_a_file_that_it_could_not_read_whole(
    text: bytes, limit: int, kind: NoteKind, reason: str
) -> None:
    messages = Messages()
    messages.add(b"/x/other: file changed as we read it")
    messages.add(text)
    path = b"/x/a\nb:\\\xff"
    cut = messages.cut(path, 10)
    assert cut is not None
    assert (cut.limit, cut.note) == (limit, Note(kind, path[1:], reason))
    assert messages.cut(path, 10) is None
    assert messages.remaining_notes() == [Note(NoteKind.CHANGED, b"x/other", "it was written to while it was read")]


# --- what no tar writes ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Every kind of entry, as GNU tar writes it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "file").write_bytes(bytes(range(256)) * 3)
    (folder / ("long" * 40)).write_bytes(b"x")
    (folder / "link").symlink_to("file")
    (folder / "hard").hardlink_to(folder / "file")
    with (folder / "sparse").open("wb") as file:
        file.seek(100_000)
        file.write(b"data")
    options = [option for option in GNU_OPTIONS if "blocking" not in option and "recursion" not in option]
    made = subprocess.run(
        ["tar", *options, "--file=-", "--sort=name", "."], cwd=folder, capture_output=True, check=True
    )
    return made.stdout


def test_a_stream_that_was_cut_anywhere_is_never_whole(whole: bytes) -> None:
    """Neither where the connection ended nor where tar did. What only fills up the last record may be missing."""
    end = len(whole.rstrip(b"\0")) // BLOCK * BLOCK + 2 * BLOCK
    for length in sorted({*range(0, len(whole), 41), *range(0, len(whole), BLOCK)}):
        with pytest.raises(TarFormatError, match="in the middle of an archive"):
            read([whole[:length]])
        if length < end:
            with pytest.raises(EarlyEndError):
                read([whole[:length], Ended(0)])
    assert len(read([whole, Ended(0)])) == 6


@given(position=st.integers(0, 1 << 20), flipped=st.integers(1, 255))
def test_a_damaged_byte_is_found_or_changes_nothing_else(whole: bytes, position: int, flipped: int) -> None:
    """Nothing but the two errors of the format comes of it, and headers that are not whole are no headers."""
    data = bytearray(whole)
    data[position % len(whole)] ^= flipped
    before = [entry.path for entry, _ in read([whole, Ended(0)])]
    try:
        after = [entry.path for entry, _ in read([bytes(data), Ended(0)])]
    except (TarFormatError, EarlyEndError):
        return
    assert len(after) == len(before)


@given(data=st.binary(max_size=3000))
def test_noise_is_an_error(data: bytes) -> None:
    if data.strip(b"\0"):
        with pytest.raises((TarFormatError, EarlyEndError)):
            read([data, Ended(0)])


@pytest.mark.parametrize(
    "damaged",
    [
        header(size=b"\xff" * 12),
        header(size=b"\xbf" + b"\xff" * 11),
        header(size=b"-1\0"),
        header(size=b"1_0\0"),
        header(size=b"9\0"),
        header(size=b"0x5\0"),
        header(uid=b"\xff" * 8),
        header(b"x", b"77777777\0", PAX),
        header(b"x", b"77777777\0", b"L"),
        header(b"x", b"5\0", PAX) + padded(b"hello"),
        header(b"x", b"12\0", PAX) + padded(b"10 a=bcdef"),
        header(b"x", b"12\0", PAX) + padded(b"99 a=bcde\n"),
        header(b"x", b"12\0", PAX) + padded(b"-9 a=bcde\n"),
        header(b"x", b"12\0", PAX) + padded(b"10 abcdef\n"),
        pax({b"size": b"-1"}) + header(),
        pax({b"size": b"1" * 25}) + header(),
        pax({b"size": str(1 << 63).encode()}) + header(),
        pax({b"mtime": b"now"}) + header(),
        pax({b"uid": b"1.5"}) + header(),
        pax({b"path": b"a\0b"}) + header(),
        pax({b"linkpath": b"a\0b"}) + header(kind=b"2"),
        pax({b"GNU.sparse.major": b"0", b"GNU.sparse.minor": b"1"}) + header(),
        pax({b"GNU.sparse.major": b"1"}) + header(),
        pax({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"}) + header(),
        sparse(b"1\n20\n3\n", b"abc", b"10"),
        sparse(b"2\n5\n2\n6\n2\n", b"abcd", b"10"),
        sparse(b"1\n0\n4\n", b"abc", b"10"),
        sparse(b"1\n0\n2\n", b"abc", b"10"),
        sparse(b"1\n-5\n3\n", b"abc", b"10"),
        sparse(b"99\n0\n3\n", b"abc", b"10"),
        sparse(b"1" * 30 + b"\n", b"abc", b"10"),
        sparse(b"", b"", b"10"),
        header()[:148] + b"0000000\0" + header()[156:],
        bytes(BLOCK) + header(),
    ],
)
def test_a_hostile_header_is_an_error(damaged: bytes) -> None:
    with pytest.raises((TarFormatError, EarlyEndError)):
        read([damaged + padded(b"12345") + END, Ended(0)])


def test_it_agrees_with_the_standard_library(whole: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(whole)) as reader:
        expected = [(m.name, m.mode, m.uid, m.size if m.isreg() else 0, m.linkname) for m in reader]
    found = [
        (entry.path.decode().rstrip("/"), entry.mode, entry.uid, entry.size, entry.link.decode())
        for entry, _ in read([whole, Ended(0)])
    ]
    assert found == expected


# --- names, compressed ---


@given(names=st.lists(st.binary(max_size=30).map(lambda name: name.replace(b"\0", b"0"))), repeats=st.integers(0, 300))
def test_a_list_of_names_gives_back_what_it_got(names: list[bytes], repeats: int) -> None:
    paths = PathList()
    for name in names * repeats:
        paths.add(name)
    assert list(paths) == list(paths) == names * repeats
    assert b"".join(paths.terminated()) == b"".join(name + b"\0" for name in names * repeats)
    assert len(paths) == len(names) * repeats
