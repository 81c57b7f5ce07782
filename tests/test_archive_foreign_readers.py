"""Archives of ours in the hands of programs that know nothing of us.

What such a program cannot do is asserted too, with its limit named, so that a version that can do more is noticed.
Seen with: Info-ZIP unzip 6.00 (Debian), 7-Zip 16 to 26, bsdtar with libarchive 3.6, Python's zipfile.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model import Compression, CompressionMethod, Member, MemberKind
from tests.support.archives import MIB, ChunkContent, Packed, file_member, held_member, pack, pack_tree, snapshot, walk
from tests.support.skips import requires_program

ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

Snapshot = dict[bytes, tuple[str, int, bytes]]


def run(*command: object) -> str:
    """What a program printed; it must have ended well."""
    done = subprocess.run([str(part) for part in command], capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout.decode("utf-8", "surrogateescape")


class Reader:
    """A program that opens archives. ``keeps_modes``: whether it restores all permission bits."""

    program = ""
    methods = frozenset({CompressionMethod.DEFLATE, CompressionMethod.STORE})
    keeps_modes = True

    def extract(self, archive: Path, folder: Path) -> None:
        raise NotImplementedError

    def test(self, archive: Path, *names: str) -> None:
        """Have it check the CRC-32 of every member, or of these."""
        raise NotImplementedError

    def count(self, archive: Path) -> int:
        """How many members it lists."""
        raise NotImplementedError


class Unzip(Reader):
    program = "unzip"

    def extract(self, archive: Path, folder: Path) -> None:
        # -K keeps setuid and the like, -^ keeps control characters in names.
        run("unzip", "-q", "-K", "-^", archive, "-d", folder)

    def test(self, archive: Path, *names: str) -> None:
        run("unzip", "-tq", archive, *names)

    def count(self, archive: Path) -> int:
        return len(run("unzip", "-Z1", archive).splitlines())


class SevenZip(Reader):
    program = "7z"
    methods = frozenset(CompressionMethod)
    keeps_modes = False  # setuid, setgid, sticky and what umask takes are lost

    def extract(self, archive: Path, folder: Path) -> None:
        run("7z", "x", "-y", archive, f"-o{folder}")

    def test(self, archive: Path, *names: str) -> None:
        run("7z", "t", archive, *names)

    def count(self, archive: Path) -> int:
        # The first "Path = " is that of the archive itself.
        return run("7z", "l", "-slt", archive).count("\nPath = ") - 1


class Bsdtar(Reader):
    program = "bsdtar"
    methods = frozenset(CompressionMethod)

    def extract(self, archive: Path, folder: Path) -> None:
        folder.mkdir()
        run("bsdtar", "-x", "-p", "-f", archive, "-C", folder)

    def test(self, archive: Path, *names: str) -> None:
        command = ["bsdtar", "-xOf", str(archive), *names]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr

    def count(self, archive: Path) -> int:
        return len(run("bsdtar", "-tf", archive).splitlines())


class Zipfile(Reader):
    """Python's own. ``extractall`` knows no modes and no links, so both are taken from what it reads."""

    program = "python3"

    def extract(self, archive: Path, folder: Path) -> None:
        folder.mkdir()
        with zipfile.ZipFile(archive) as opened:
            for info in sorted(opened.infolist(), key=lambda info: info.is_dir(), reverse=False):
                path = folder / os.fsdecode(raw_name(info).rstrip(b"/"))
                path.parent.mkdir(parents=True, exist_ok=True)
                mode = info.external_attr >> 16
                if stat.S_ISLNK(mode):
                    path.symlink_to(os.fsdecode(opened.read(info)))
                elif info.is_dir():
                    assert stat.S_ISDIR(mode)
                    path.mkdir(exist_ok=True)
                else:
                    assert stat.S_ISREG(mode)
                    path.write_bytes(opened.read(info))
            for info in opened.infolist():
                if not stat.S_ISLNK(info.external_attr >> 16):
                    (folder / os.fsdecode(raw_name(info))).chmod(stat.S_IMODE(info.external_attr >> 16))

    def test(self, archive: Path, *names: str) -> None:
        with zipfile.ZipFile(archive) as opened:
            assert opened.testzip() is None

    def count(self, archive: Path) -> int:
        with zipfile.ZipFile(archive) as opened:
            return len(opened.namelist())


def raw_name(info: zipfile.ZipInfo) -> bytes:
    """zipfile takes a name without the UTF-8 flag for CP437, which has a character for each byte."""
    return info.filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")


READERS = [Unzip(), SevenZip(), Bsdtar(), Zipfile()]
every_reader = pytest.mark.parametrize(
    "reader",
    [pytest.param(reader, marks=requires_program(reader.program), id=type(reader).__name__) for reader in READERS],
)
every_reader_and_method = pytest.mark.parametrize(
    ("reader", "method"),
    [
        pytest.param(reader, method, marks=requires_program(reader.program), id=f"{type(reader).__name__}-{method}")
        for reader in READERS
        for method in CompressionMethod
        if method in reader.methods
    ],
)


def without_modes(found: Snapshot) -> Snapshot:
    return {name: (kind, 0, content) for name, (kind, _, content) in found.items()}


def assert_extracts(reader: Reader, packed: Packed, wanted: Snapshot, folder: Path) -> None:
    reader.test(packed.path)
    assert reader.count(packed.path) == len(packed.entries)
    reader.extract(packed.path, folder)
    found = snapshot(folder)
    assert set(found) == set(wanted)
    if not reader.keeps_modes:
        found, wanted = without_modes(found), without_modes(wanted)
    assert found == wanted


# --- contents ---


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("contents")
    for size in (0, 1, 100, MIB // 8, MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 7):
        chosen = random.Random(size)
        (root / f"random {size}").write_bytes(chosen.randbytes(size))
        (root / f"text {size}").write_bytes((b"so many words " * (size // 14 + 1))[:size])
        (root / f"zeros {size}").write_bytes(bytes(size))
    (root / "mixed").write_bytes(random.Random(1).randbytes(MIB) + bytes(MIB) + b"end")
    (root / "folder/with/folders").mkdir(parents=True)
    (root / "folder/empty").mkdir()
    (root / "folder/with/file").write_bytes(b"file")
    (root / "folder/link").symlink_to("with/file")
    (root / "folder/link to folder").symlink_to("with")
    (root / "dangling").symlink_to("nothing/here")
    (root / "long link").symlink_to("many/" * 400 + "many")
    return root


@every_reader_and_method
def test_every_content_comes_back(reader: Reader, method: CompressionMethod, contents: Path, tmp_path: Path) -> None:
    packed = pack_tree(contents, tmp_path / "a.zip", Compression(method, 1))
    assert packed.notes == []
    assert_extracts(reader, packed, snapshot(contents), tmp_path / "out")


@every_reader
@pytest.mark.parametrize("level", range(4))
def test_every_level_of_deflate_comes_back(reader: Reader, level: int, tmp_path: Path) -> None:
    chosen = random.Random(level)
    data = {b"small": b"small text " * 500, b"large": b"large text " * 300_000, b"random": chosen.randbytes(2 * MIB)}
    members = [held_member(name, content) for name, content in data.items()]
    packed = pack(members, tmp_path / "a.zip", Compression(CompressionMethod.DEFLATE, level))
    wanted = {name: ("file", 0o640, content) for name, content in data.items()}
    assert_extracts(reader, packed, wanted, tmp_path / "out")


@requires_program("unzip")
def test_unzip_cannot_read_zstandard_and_says_so(tmp_path: Path) -> None:
    packed = pack([held_member(b"a", b"a" * 1000)], tmp_path / "a.zip", Compression(CompressionMethod.ZSTD, 1))
    done = subprocess.run(["unzip", "-t", packed.path], capture_output=True, text=True)
    assert done.returncode == 81
    assert "need PK compat. v6.3" in done.stdout


# --- streams ---


@every_reader_and_method
def test_a_stream_of_unknown_length_comes_back(reader: Reader, method: CompressionMethod, tmp_path: Path) -> None:
    chunks = [random.Random(number).randbytes(number * 7919 % 300_000) for number in range(30)] + [b"text " * 400_000]
    members = [
        file_member(b"stream", ChunkContent(chunks)),
        file_member(b"nothing", ChunkContent([])),
        file_member(b"empty chunks", ChunkContent([b"", b""])),
        file_member(b"one block", ChunkContent([bytes(MIB)])),
        held_member(b"after", b"after"),
    ]
    packed = pack(members, tmp_path / "a.zip", Compression(method, 1))
    data = {b"stream": b"".join(chunks), b"nothing": b"", b"empty chunks": b"", b"one block": bytes(MIB)}
    wanted = {name: ("file", 0o640, content) for name, content in {**data, b"after": b"after"}.items()}
    assert_extracts(reader, packed, wanted, tmp_path / "out")
    assert packed.progress == {name: len(content) for name, (_, _, content) in wanted.items() if content}


@pytest.mark.parametrize("chunks", [[], [b"text"], [bytes(MIB)] * 40])
def test_a_producer_that_fails_at_its_end_is_no_archive(chunks: list[bytes], tmp_path: Path) -> None:
    error = RuntimeError("pg_dump ended with 1")
    members = [held_member(b"before", b"before"), file_member(b"dump", ChunkContent(chunks, error))]
    with pytest.raises(RuntimeError) as raised:
        pack(members, tmp_path / "a.zip")
    assert raised.value is error
    assert not zipfile.is_zipfile(tmp_path / "a.zip")


# --- names ---

NAMES = [
    b"plain",
    b"-rf",
    b"--",
    b"new\nline",
    b"tab\t",
    b"\x01control\x7f",
    b"quote'\"`",
    b"latin-\xe9",
    b"\xff\xfe",
    b"\xc3(",
    " ä€😀".encode(),
    "decomposed e\u0301".encode(),
    b" leading",
    b"trailing ",
    b"dot.",
    b"...",
    b"star*?[a]",
    b"$HOME",
    b"%41&<>|;:",
    b"x" * 255,
    b"col:on",
    b"back\\slash",
    b"d\xe9r/inner\n/file",
    b"/".join([b"n" * 200] * 12) + b"/leaf",
]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("named")
    for name in NAMES:
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name)
    for number, target in enumerate([b"plain", b"latin-\xe9", b"new\nline", b"\xff", b"x" * 255]):
        (root / f"link{number}").symlink_to(os.fsdecode(target))
    return root


def as_bsdtar_names(wanted: Snapshot) -> Snapshot:
    """libarchive puts UTF-8 names into Normalization Form C, and takes a backslash for a slash."""
    changed = {}
    for name, found in wanted.items():
        changed[
            unicodedata.normalize("NFC", name.decode("utf-8", "surrogateescape")).encode(errors="surrogateescape")
        ] = found
    changed[b"back/slash"] = changed.pop(b"back\\slash")
    changed[b"back"] = ("folder", 0, b"")
    return changed


@every_reader
def test_names_of_any_bytes_come_back(reader: Reader, named: Path, tmp_path: Path) -> None:
    packed = pack_tree(named, tmp_path / "a.zip")
    assert {entry.member.path for entry in packed.entries} >= set(NAMES)
    wanted = without_modes(snapshot(named))
    if isinstance(reader, Bsdtar):
        wanted = as_bsdtar_names(wanted)
    reader.extract(packed.path, tmp_path / "out")
    assert without_modes(snapshot(tmp_path / "out")) == wanted


# --- links ---

ODD_TARGETS = [b"/etc/passwd", b"../../../outside", b"/", b"..", b".", b"loop", b"a//b/", b"odd5", b"t" * 4095]


@pytest.mark.parametrize("method", [CompressionMethod.DEFLATE, CompressionMethod.ZSTD])
@pytest.mark.parametrize(
    "reader",
    [pytest.param(reader, marks=requires_program(reader.program)) for reader in (Unzip(), Bsdtar(), Zipfile())],
    ids=lambda reader: type(reader).__name__,
)
def test_links_with_odd_targets_come_back(reader: Reader, method: CompressionMethod, tmp_path: Path) -> None:
    """Links are stored as they are, so that also a program which cannot unpack the rest has them."""
    root = tmp_path / "tree"
    root.mkdir()
    for number, target in enumerate(ODD_TARGETS):
        (root / f"odd{number}").symlink_to(os.fsdecode(target))
    packed = pack_tree(root, tmp_path / "a.zip", Compression(method, 1))
    reader.extract(packed.path, tmp_path / "out")
    assert snapshot(tmp_path / "out") == snapshot(root)


@requires_program("7z")
def test_7z_refuses_links_that_lead_outside(tmp_path: Path) -> None:
    """It rewrites absolute targets, and takes ``..`` beyond the folder for an attack (-snld would allow some)."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "outside").symlink_to("../../../outside")
    (root / "inside").symlink_to("outside")
    packed = pack_tree(root, tmp_path / "a.zip")
    SevenZip().test(packed.path)
    done = subprocess.run(["7z", "x", "-y", packed.path, f"-o{tmp_path / 'out'}"], capture_output=True, text=True)
    assert done.returncode == 2
    assert (tmp_path / "out/inside").readlink() == Path("outside")
    assert not (tmp_path / "out/outside").is_symlink()


# --- modes ---


@every_reader
def test_modes_come_back(reader: Reader, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    # An ordinary user cannot read what has no permission at all.
    for mode in (0o400, 0o600, 0o644, 0o777, 0o4755, 0o2755, 0o1777, 0o7777) + ((0,) if os.geteuid() == 0 else ()):
        (root / f"file {mode:o}").write_bytes(b"content")
        (root / f"file {mode:o}").chmod(mode)
        (root / f"folder {mode:o}").mkdir()
        (root / f"folder {mode | 0o500:o}").mkdir(exist_ok=True)
        (root / f"folder {mode | 0o500:o}").chmod(mode | 0o500)
    packed = pack_tree(root, tmp_path / "a.zip")
    assert_extracts(reader, packed, snapshot(root), tmp_path / "out")


# --- times ---

LAST_DOS_TIME = 4354819198  # 2107-12-31 23:59:58
FIRST_DOS_TIME = 315532800  # 1980-01-01
TIMES = [0, 1, 86_399, 1_000_000_001, 2**31 - 1, 2**31, 2_500_000_001, 2**32, 2**32 + 5, 4_733_510_400]
TIMES_BEFORE_1970 = [-1, -(2**31)]  # ext4 goes back to 1901


def dos_time(seconds: int) -> int:
    return min(max(seconds - seconds % 2, FIRST_DOS_TIME), LAST_DOS_TIME)


def exact(seconds: int) -> set[int]:
    return {seconds}


def exact_to_2038_then_dos(seconds: int) -> set[int]:
    """A program that does not know the field 0x000A; unzip also takes 2100 for a leap year."""
    if 0 <= seconds < 2**31:
        return {seconds}
    return {dos_time(seconds), dos_time(seconds) + 86_400} if seconds > 4_107_542_400 else {dos_time(seconds)}


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        pytest.param(Unzip(), exact_to_2038_then_dos, marks=requires_program("unzip"), id="Unzip"),
        pytest.param(Bsdtar(), exact_to_2038_then_dos, marks=requires_program("bsdtar"), id="Bsdtar"),
        pytest.param(SevenZip(), exact, marks=requires_program("7z"), id="SevenZip"),
    ],
)
def test_times_come_back(reader: Reader, expected: Callable[[int], set[int]], tmp_path: Path) -> None:
    members = []
    for seconds in TIMES + TIMES_BEFORE_1970:
        members.append(held_member(b"%d" % seconds, b"content"))
        members[-1].modified_ns = seconds * 10**9 + 999_999_999
    packed = pack(members, tmp_path / "a.zip")
    reader.extract(packed.path, tmp_path / "out")
    found = {int(path.name): int(path.stat().st_mtime_ns // 10**9) for path in (tmp_path / "out").iterdir()}
    assert {seconds: at for seconds, at in found.items() if at not in expected(seconds)} == {}
    assert len(found) == len(members)


def test_times_are_clamped_to_what_dos_knows(tmp_path: Path) -> None:
    members = [held_member(b"old", b""), held_member(b"new", b"")]
    members[0].modified_ns, members[1].modified_ns = -(10**18), 10**19
    packed = pack(members, tmp_path / "a.zip")
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.getinfo("old").date_time == (1980, 1, 1, 0, 0, 0)
        assert archive.getinfo("new").date_time == (2107, 12, 31, 23, 59, 58)


# --- large ---


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """70,000 members: more than the 65,535 of the first ZIP."""

    def members() -> Iterator[Member]:
        for folder in range(70):
            yield Member(b"%02d" % folder, MemberKind.DIRECTORY, 0o755)
            for number in range(999):
                yield held_member(b"%02d/%03d" % (folder, number), b"%d" % number)

    return pack(members(), tmp_path_factory.mktemp("many") / "many.zip")


@every_reader
def test_seventy_thousand_members_are_seen(reader: Reader, many: Packed) -> None:
    assert len(many.entries) == 70_000
    reader.test(many.path)
    assert reader.count(many.path) == 70_000


@every_reader
@pytest.mark.parametrize("count", [0, 1, 65_534, 65_535, 65_536])
def test_the_number_of_members_at_the_border_of_zip64(reader: Reader, count: int, tmp_path: Path) -> None:
    packed = pack((Member(b"%d" % number, MemberKind.FILE, 0o600) for number in range(count)), tmp_path / "a.zip")
    if count == 0 and isinstance(reader, Unzip):
        # unzip warns of an archive without members: exit 1.
        assert subprocess.run(["unzip", "-Z1", packed.path], capture_output=True).returncode == 1
        return
    assert reader.count(packed.path) == count


OVER_4_GIB = (4 << 30) + 5


@pytest.fixture(scope="module", params=[CompressionMethod.DEFLATE, CompressionMethod.STORE], ids=str)
def huge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packed]:
    """A sparse member of more than 4 GiB; stored, the members behind it also lie beyond 4 GiB."""
    folder = tmp_path_factory.mktemp("huge")
    (folder / "tree").mkdir()
    with (folder / "tree/huge").open("wb") as file:
        file.write(b"start")
        file.seek(OVER_4_GIB - 3)
        file.write(b"end")
    members = walk(folder / "tree/huge")[0]
    if members[0].data_extents is None:
        pytest.skip("needs a file system with sparse files")
    members[0].path = b"huge"
    stream = file_member(b"stream", ChunkContent([b"stream"]))
    yield pack([*members, held_member(b"after", b"after"), stream], folder / "a.zip", Compression(request.param, 1))
    shutil.rmtree(folder)


@pytest.mark.slow
@every_reader
def test_a_member_over_4_gib_is_read(reader: Reader, huge: Packed) -> None:
    sizes = {entry.member.path: entry.size for entry in huge.entries}
    assert sizes == {b"huge": OVER_4_GIB, b"after": 5, b"stream": 6}
    assert huge.notes == []
    if isinstance(reader, Zipfile):
        with zipfile.ZipFile(huge.path) as archive:
            assert archive.getinfo("huge").file_size == OVER_4_GIB
            with archive.open("huge") as content:
                assert content.read(10) == b"start" + bytes(5)
            assert (archive.read("after"), archive.read("stream")) == (b"after", b"stream")
        return
    # Some need half a minute to read 4 GiB that are stored; whatever lies behind them shows that they were passed.
    is_stored = huge.entries[0].method == zipfile.ZIP_STORED
    reader.test(huge.path, *(("after", "stream") if is_stored else ()))
    assert reader.count(huge.path) == 3
