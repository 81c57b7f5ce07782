"""Archives that somebody made to do harm: nothing outside of the folder is touched, and what was tried is named."""

from __future__ import annotations

import base64
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from archives import zip_format
from archives.age_keys import parse_recipient
from archives.age_stream import encrypted
from archives.blocks import BLOCK_SIZE
from archives.zip_format import CENTRAL_SIGNATURE
from errors import HoldfastError
from model import Compression, CompressionMethod, Member, MemberKind
from operations.copies.stored_copies import StoredCopy
from storages.local import LocalStorage
from tests.support.archives import HeldContent, held_member, pack
from tests.support.copies import REPLACING, change_lines, make_copy, restore_copy, verify, with_index_bytes
from tests.support.encrypted_copies import keyring_of, new_key
from tests.support.holdfast import Holdfast
from tests.support.memory import run_measured
from tests.support.whole_trees import describe_tree, restored

LARGE_SIZE = 2 * BLOCK_SIZE + 1000

# {around} is the folder that the folder of the restore lies in.
LEADING_OUTSIDE = (
    "../victim",
    "../../around/victim",
    "a/../../victim",
    "a/..",
    "..",
    ".",
    "",
    "/",
    "//",
    "/{around}/victim",
    "{around}//victim",
    "/etc/holdfast-was-here",
    "a//b",
    "./a",
    "a/.",
    "a/",
    "a\0b",
    "\0",
    "../victim\0.txt",
    "a/b/c/../../../../victim",
)
# Plain characters on Linux: they name a file in the folder, and nothing else.
MERELY_ODD = (
    "C:\\victim",
    "..\\victim",
    "\\\\server\\share",
    "C:",
    "%2e%2e%2fvictim",
    "..%2fvictim",
    "~",
    "~root",
    "...",
)


@dataclass
class Attack:
    """A sound copy to be made hostile, and a folder to restore it into, with files around it to be guarded."""

    copy: StoredCopy
    storage: Path
    source: Path
    around: Path

    @property
    def to(self) -> Path:
        return self.around / "to"

    def path(self, name: str) -> bytes:
        return os.fsencode(self.source / name)[1:]

    def change_index(self, change: Callable[[dict[str, dict[str, Any]], list[dict[str, Any]]], None]) -> None:
        """Have ``change`` change the index's lines, given by the names of their members and as a list."""

        def by_name(lines: list[dict[str, Any]]) -> None:
            top = f"{str(self.source)[1:]}/"
            change({line["path"].removeprefix(top): line for line in lines}, lines)

        index = self.storage / self.copy.keys.index
        self.copy = with_index_bytes(self.copy, self.storage, change_lines(index.read_bytes(), by_name))

    def replace_archive(self, *members: Member, compression: Compression | None = None) -> None:
        """An archive of these members, without an index."""
        pack(members, self.storage / self.copy.keys.archive, compression)
        (self.storage / self.copy.keys.index).unlink(missing_ok=True)

    def restore(self) -> str:
        """What a restore says; the files around its folder must not change, whatever it does."""
        before = self._guarded()
        try:
            said = "\n".join(restore_copy(self.copy, self.to).problems)
        except HoldfastError as error:
            said = f"{type(error).__name__}: {error}"
        assert self._guarded() == before
        return said

    def _guarded(self) -> dict[bytes, object]:
        tree = describe_tree(self.around)
        return {path: described for path, described in tree.items() if path != b"to" and not path.startswith(b"to/")}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StoredCopy]:
    folder = tmp_path_factory.mktemp("sound")
    source = folder / "source"
    (source / "folder").mkdir(parents=True)
    (source / "file").write_text("content of a file " * 100)
    (source / "other").write_text("content of another " * 100)
    (source / "large").write_bytes(os.urandom(BLOCK_SIZE) + bytes(LARGE_SIZE - BLOCK_SIZE))
    (source / "link").symlink_to("file")
    os.link(source / "file", source / "same")
    return source, make_copy(folder / "storage", source)


@pytest.fixture
def attack(sound: tuple[Path, StoredCopy], tmp_path: Path) -> Iterator[Attack]:
    with new_attack(sound, tmp_path) as made:
        yield made


@contextmanager
def new_attack(sound: tuple[Path, StoredCopy], folder: Path) -> Iterator[Attack]:
    source, copy = sound
    around = folder / "around"
    (around / "to").mkdir(parents=True)
    (around / "victim").write_text("must stay as it is")
    (around / "folder").mkdir()
    storage = folder / "storage"
    shutil.copytree(source.parent / "storage", storage)
    yield Attack(replace(copy, storage=LocalStorage("LOCAL", storage)), storage, source, around)


def test_the_sound_copy_comes_back(attack: Attack) -> None:
    attack.change_index(lambda by_name, lines: None)
    assert attack.restore() == ""
    assert (restored(attack.to, attack.source) / "large").stat().st_size == LARGE_SIZE


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
@pytest.mark.parametrize("kind", ["file", "large", "folder", "link"])
@pytest.mark.parametrize("name", LEADING_OUTSIDE)
def test_a_name_that_leads_outside_is_refused(name: str, kind: str, has_index: bool, attack: Attack) -> None:
    path = os.fsencode(name.format(around=str(attack.around)[1:]))
    if has_index:
        attack.change_index(lambda by_name, _: by_name[kind].update(path_base64=base64_of(path)))
    else:
        kinds = {"folder": MemberKind.DIRECTORY, "link": MemberKind.SYMLINK}
        member = Member(path, kinds.get(kind, MemberKind.FILE), 0o644, content=HeldContent(b""), link_target=b"/etc")
        if kind == "large":
            member.size, member.content = LARGE_SIZE, HeldContent(bytes(LARGE_SIZE))
        attack.replace_archive(held_member(b"first", b"first"), member)
    said = attack.restore()
    # In a ZIP a name that ends with a slash is that of a folder.
    if not (name == "a/" and not has_index and kind != "folder"):
        assert said.startswith("HostileArchiveError: The archive has a member named "), said


@pytest.mark.parametrize("name", LEADING_OUTSIDE)
def test_encryption_makes_no_name_honest(name: str, attack: Attack, tmp_path: Path) -> None:
    """Whoever knows a recipient can encrypt to it."""
    key = new_key(tmp_path)
    path = os.fsencode(name.format(around=str(attack.around)[1:]))
    attack.replace_archive(held_member(b"first", b"first"), held_member(path, b"harm"))
    plain = (attack.storage / attack.copy.keys.archive).read_bytes()
    keys = replace(attack.copy.keys, is_encrypted=True)
    (attack.storage / keys.archive).write_bytes(b"".join(encrypted([plain], [parse_recipient(key.recipient)])))
    attack.copy = replace(attack.copy, keys=keys, keyring=keyring_of(tmp_path / "state", key.path))
    said = attack.restore()
    assert name == "a/" or said.startswith("HostileArchiveError: The archive has a member named "), said


@pytest.mark.parametrize("name", MERELY_ODD)
def test_an_odd_name_is_a_file_in_the_folder(name: str, attack: Attack) -> None:
    attack.replace_archive(held_member(name.encode(), b"content"))
    assert attack.restore() == ""
    assert os.listdir(attack.to) == [name]  # noqa: PTH208 - compared as text


@pytest.mark.parametrize("target", [*(name for name in LEADING_OUTSIDE if "/" in name or "." in name), "../victim"])
def test_a_hard_link_to_something_outside_is_refused(target: str, attack: Attack) -> None:
    path = os.fsencode(target.format(around=str(attack.around)[1:]))
    attack.change_index(lambda by_name, _: by_name["same"].update(hard_link_to_base64=base64_of(path)))
    assert attack.restore().startswith("HostileArchiveError: The archive has a member named ")


@pytest.mark.parametrize("target", ["{around}", "../..", "../../../../../..", "/", "folder"])
@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
def test_nothing_is_written_through_a_link_of_the_archive(target: str, has_index: bool, attack: Attack) -> None:
    link_target = os.fsencode(target.format(around=attack.around))
    through = attack.path("link/victim")
    if has_index:

        def write_through(by_name: dict[str, dict[str, Any]], _: object) -> None:
            by_name["link"]["link_target_base64"] = base64_of(link_target)
            by_name["other"]["path"] = os.fsdecode(through)

        attack.change_index(write_through)
    else:
        attack.replace_archive(
            Member(attack.path("link"), MemberKind.SYMLINK, 0o777, link_target=link_target),
            held_member(through, b"harm"),
        )
    said = attack.restore()
    assert "link: something else lies there already" in said
    link = restored(attack.to, attack.source) / "link"
    assert not link.is_symlink()
    # Once the link is there, from an earlier restore, nothing goes through it either.
    shutil.rmtree(link)
    link.symlink_to(attack.around)
    before = describe_tree(attack.around / "folder")
    problems = restore_copy(attack.copy, attack.to, through, placement=REPLACING).problems
    assert [problem for problem in problems if "'link' is no folder there" in problem], problems
    assert (attack.around / "victim").read_text() == "must stay as it is"
    assert describe_tree(attack.around / "folder") == before


HUGE = (-1, -(1 << 63), 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 64, 1 << 200)


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("field", ["size", "packed_size", "offset", "header_size", "uid", "gid", "modified_ns"])
@pytest.mark.parametrize("name", ["file", "large", "link"])
def test_an_impossible_number_in_the_index_is_named(name: str, field: str, number: int, attack: Attack) -> None:
    attack.change_index(lambda by_name, _: by_name[name].update({field: number}))
    said = attack.restore()
    is_possible = (field == "modified_ns" and abs(number) < 1 << 80) or (
        field in ("uid", "gid") and 0 <= number < 1 << 32
    )
    is_unused = name == "link" and field in ("size", "packed_size", "offset", "header_size") and 0 <= number < 1 << 63
    assert said or is_possible or is_unused


CHANGES: dict[str, Callable[[dict[str, dict[str, Any]], list[dict[str, Any]]], None]] = {
    "a name twice": lambda by_name, lines: by_name["other"].update(path=by_name["file"]["path"]),
    "a folder and a file": lambda by_name, lines: by_name["other"].update(path=by_name["folder"]["path"]),
    "one place for two": lambda by_name, lines: by_name["other"].update(offset=by_name["large"]["offset"]),
    "two large ones in one place": lambda by_name, lines: lines.append(
        {**by_name["large"], "path": by_name["large"]["path"] + "2"}
    ),
    "backwards": lambda by_name, lines: lines.reverse(),
    "a block less": lambda by_name, lines: by_name["large"]["blocks"].pop(),
    "a block more": lambda by_name, lines: by_name["large"]["blocks"].append(1),
    "no blocks": lambda by_name, lines: by_name["large"].pop("blocks"),
    "larger blocks": lambda by_name, lines: by_name["large"].update(blocks=[1 << 31] * 3),
    "other blocks": lambda by_name, lines: by_name["large"]["blocks"].reverse(),
    "blocks of a small file": lambda by_name, lines: by_name["file"].update(blocks=[5]),
    "another method": lambda by_name, lines: by_name["file"].update(method=99),
    "another packing": lambda by_name, lines: by_name["file"].update(method=zip_format.METHOD_ZSTD),
    "stored": lambda by_name, lines: by_name["file"].update(method=0),
    "another checksum": lambda by_name, lines: by_name["file"].update(crc32="00000000"),
    "another checksum of the large": lambda by_name, lines: by_name["large"].update(crc32="00000000"),
    "a larger size": lambda by_name, lines: by_name["file"].update(size=BLOCK_SIZE),
    "a smaller size": lambda by_name, lines: by_name["file"].update(size=1),
    "less packed": lambda by_name, lines: by_name["file"].update(packed_size=3),
    "beyond the end": lambda by_name, lines: lines[-2].update(offset=lines.pop()["offset"] + (1 << 30)),
    "a mode": lambda by_name, lines: by_name["file"].update(mode="7777777777777777"),
    "a target with NUL": lambda by_name, lines: by_name["link"].update(link_target_base64=base64_of(b"a\0b")),
    "no target": lambda by_name, lines: by_name["link"].pop("link_target_base64"),
    "a target too long": lambda by_name, lines: by_name["link"].update(link_target_base64=base64_of(b"a" * 5000)),
    "a name too long": lambda by_name, lines: by_name["file"].update(path="a" * 300),
    "a path too deep": lambda by_name, lines: by_name["file"].update(path="a/" * 300 + "/../b"),
    "not an object": lambda by_name, lines: lines.__setitem__(0, []),  # type: ignore[call-overload]
    "another kind": lambda by_name, lines: by_name["file"].update(kind="device"),
}
# verify reads content, and knows nothing of where a name would lead.
CONTENT_IS_SOUND = {"a name twice", "a folder and a file", "no target", "a target with NUL", "a target too long"}
CONTENT_IS_SOUND |= {"a name too long", "a path too deep"}
HARMLESS: dict[str, Callable[[dict[str, dict[str, Any]], list[dict[str, Any]]], None]] = {
    "a user with NUL": lambda by_name, lines: by_name["file"].update(user="a\0b", group="\udcff"),
    "attributes with NUL": lambda by_name, lines: by_name["file"].update(extended_attributes={"user.a\0": "", "": ""}),
    "holes where data is": lambda by_name, lines: by_name["large"].update(data_extents=[]),
    "extents outside": lambda by_name, lines: by_name["large"].update(data_extents=[[1 << 40, 1 << 62], [-5, 3]]),
    "extents in disorder": lambda by_name, lines: by_name["large"].update(
        data_extents=[[5000, 10], [100, -3], [0, 1], [LARGE_SIZE - 1, 1 << 40], [200, 300]]
    ),
    "a link to itself": lambda by_name, lines: by_name["same"].update(hard_link_to_base64=base64_of(b"no/such")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_index_that_no_run_writes_is_named(change: str, attack: Attack) -> None:
    attack.change_index(CHANGES[change])
    assert attack.restore() != ""
    top = restored(attack.to, attack.source)
    for name in ("file", "large"):
        # Of two members with one name, threads of equal right decide which comes first.
        if (top / name).is_file() and (change, name) != ("a name twice", "file"):
            assert (top / name).read_bytes() == (attack.source / name).read_bytes()
    assert verify(attack.copy).problems != [] or change in CONTENT_IS_SOUND


@pytest.mark.parametrize("change", HARMLESS)
def test_an_index_that_is_merely_odd_gives_the_right_content(change: str, attack: Attack) -> None:
    attack.change_index(HARMLESS[change])
    assert attack.restore() == ""
    for name in ("file", "large", "same"):
        content = (restored(attack.to, attack.source) / name).read_bytes()
        assert content == (attack.source / name).read_bytes()


def central_headers(archive: bytes) -> list[int]:
    return [at for at in range(len(archive)) if archive.startswith(CENTRAL_SIGNATURE, at)]


# Offsets in a central header (APPNOTE 4.3.12) and the size of the number there.
FIELDS = {"method": (10, 2), "crc32": (16, 4), "packed size": (20, 4), "size": (24, 4), "name length": (28, 2)}
FIELDS |= {"extra length": (30, 2), "comment length": (32, 2), "offset": (42, 4)}


@pytest.mark.parametrize("number", [0, 1, 7, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("field", FIELDS)
def test_a_directory_with_other_numbers_is_named(field: str, number: int, attack: Attack) -> None:
    contents = {b"a": b"content of a" * 50, b"b": os.urandom(500), b"c": b"c"}
    attack.replace_archive(*(held_member(name, data) for name, data in contents.items()))
    path = attack.storage / attack.copy.keys.archive
    archive = bytearray(path.read_bytes())
    at, size = FIELDS[field]
    header = central_headers(bytes(archive))[1]
    before = bytes(archive[header + at : header + at + size])
    number &= (1 << 8 * size) - 1
    archive[header + at : header + at + size] = number.to_bytes(size, "little")
    path.write_bytes(archive)
    said = attack.restore()
    assert said or number.to_bytes(size, "little") == before or (field == "comment length" and number == 0)
    for name in os.listdir(attack.to):  # noqa: PTH208 - names only
        if name.encode() in contents:
            assert (attack.to / name).read_bytes() == contents[name.encode()]


def test_members_of_a_directory_that_share_their_data_are_refused(attack: Attack) -> None:
    """The bomb of David Fifield (https://www.bamsoftware.com/hacks/zipbomb/) unpacks one kernel many times."""
    attack.replace_archive(*(held_member(b"%d" % number, bytes(100_000)) for number in range(5)))
    path = attack.storage / attack.copy.keys.archive
    archive = bytearray(path.read_bytes())
    for header in central_headers(bytes(archive)):
        struct.pack_into("<I", archive, header + 42, 0)
    path.write_bytes(archive)
    assert attack.restore().startswith("HostileArchiveError: The archive's member '1' lies in the place of another")


@pytest.mark.parametrize("damage", ["manifest of another backup", "another archive", "another index", "a path"])
def test_a_manifest_that_names_other_objects_is_not_believed(
    damage: str, tmp_path: Path, sound: tuple[Path, StoredCopy]
) -> None:
    installation = Holdfast(tmp_path / "installation")
    installation.configure(sound[0])
    installation.back_up()
    copy = make_copy(tmp_path / "storage", sound[0])
    manifest = copy.manifest
    assert manifest is not None
    changed = {
        "manifest of another backup": replace(manifest, backup_id="shop/other"),
        "another archive": replace(manifest, archive=replace(manifest.archive, name="other.zip")),
        "another index": replace(manifest, index=replace(manifest.index, name="other.index.zst")),
        "a path": replace(manifest, archive=replace(manifest.archive, name="../../secret.zip")),
    }[damage]
    (path,) = installation.parts(".manifest.json")
    path.write_bytes(changed.encode())
    finished = installation.restore(tmp_path / "to")
    assert finished.returncode == 1
    assert "No copy of shop/files can be read:" in finished.stderr
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("claimed", [10, BLOCK_SIZE, (1 << 32) - 2])
@pytest.mark.parametrize("method", ["deflate", "zstd"])
@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
def test_a_bomb_is_stopped_in_little_memory(claimed: int, method: str, has_index: bool, tmp_path: Path) -> None:
    """A member of 200 MB, packed to less than 200 kB, that claims another size."""
    bomb = 200_000_000
    source = tmp_path / "source"
    source.mkdir()
    with (source / "bomb").open("wb") as file:
        file.truncate(bomb)
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source, COMPRESSION={"METHOD": method})
    installation.back_up()
    (archive,), (index,) = installation.parts(".zip"), installation.parts(".index.zst")
    if has_index:
        from operations.copies.stored_copies import list_copies

        (copy,) = list_copies(installation.the_backup()).copies

        def claim(lines: list[dict[str, Any]]) -> None:
            lines[-1]["blocks"] = [lines[-1]["packed_size"]] if claimed <= BLOCK_SIZE else [1 << 20] * 4096
            lines[-1]["size"] = claimed

        with_index_bytes(copy, installation.storage, change_lines(index.read_bytes(), claim))
    else:
        index.unlink()
        data = bytearray(archive.read_bytes())
        struct.pack_into("<I", data, central_headers(bytes(data))[-1] + 24, claimed)
        archive.write_bytes(data)
    finished, peak = run_measured(installation, "restore.py", "restore", "shop/files", "--to", tmp_path / "to")
    assert finished.returncode == 1
    assert "bomb" in finished.stderr
    assert peak < 250_000
    assert not (restored(tmp_path / "to", source) / "bomb").exists()


def test_a_stored_member_larger_than_it_says_is_damaged(attack: Attack) -> None:
    attack.replace_archive(held_member(b"a", b"content of a" * 50), compression=Compression(CompressionMethod.STORE, 0))
    path = attack.storage / attack.copy.keys.archive
    archive = bytearray(path.read_bytes())
    struct.pack_into("<I", archive, central_headers(bytes(archive))[0] + 24, 3)
    path.write_bytes(archive)
    assert "a: its content is not what it was when it was packed" in attack.restore()
    assert not (attack.to / "a").exists()
