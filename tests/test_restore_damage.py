"""What has rotted on a target: it is found and named, wrong bytes never come back, and all that is sound does."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archives.blocks import BLOCK_SIZE
from errors import HoldfastError, StorageError
from model import Compression, CompressionMethod
from operations.copies.stored_copies import StoredCopy, list_copies, read_entries
from storages.local import LocalStorage
from tests.support.copies import backup_of, make_copy, restore_copy, verify
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.whole_trees import restored

COMPRESSIONS = {
    "deflate": Compression(),
    "zstd": Compression(CompressionMethod.ZSTD, 3),
    "store": Compression(CompressionMethod.STORE, 0),
}


@pytest.fixture(scope="module", params=COMPRESSIONS)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StoredCopy]:
    folder = tmp_path_factory.mktemp("sound")
    source = folder / "source"
    source.mkdir()
    for number in range(8):
        (source / f"file{number}").write_text(f"line of file {number}\n" * 10 * number)
    (source / "link").symlink_to("file1")
    return source, make_copy(folder / "storage", source, compression=COMPRESSIONS[request.param])


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One flipped bit, one other byte, or a missing end."""
    at = chance.randrange(len(data))
    match chance.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]
        case _:
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


@pytest.mark.parametrize("part", ["archive", "index", "manifest"])
@pytest.mark.parametrize("seed", range(4))
def test_any_damage_is_found_and_never_restored(
    part: str, seed: int, sound: tuple[Path, StoredCopy], tmp_path: Path
) -> None:
    """28 damages in each of 3 parts, 4 times, with 3 kinds of packing: 1,008."""
    source, copy = sound
    chance = random.Random(f"{part} {seed}")
    storage = tmp_path / "storage"
    shutil.copytree(source.parent / "storage", storage)
    path = storage / getattr(copy.keys, part)
    data = path.read_bytes()
    contents = {file.name: file.read_bytes() for file in source.iterdir() if not file.is_symlink()}
    data_of = {
        entry.member.path.decode().rpartition("/")[2]: (entry.data_offset, entry.data_offset + entry.packed_size)
        for entry in read_entries(copy)
    }
    for number in range(28):
        wrong = damaged(data, chance)
        path.write_bytes(wrong)
        (found,) = list_copies(backup_of(storage, source)).copies
        problems = verify(found).problems
        assert problems != [], f"{part}: damage {number} was not found"
        to = tmp_path / f"to{number}"
        named = " ".join(restore_copy(found, to).problems)
        for name, content in contents.items():
            file = restored(to, source) / name
            if part == "archive":
                start, end = data_of[name]
                is_hit = wrong[start:end] != data[start:end]
                # Some bits of packed data, such as those that fill its last byte, mean nothing.
                assert is_hit or file.is_file(), name
                assert file.is_file() or any(f"/{name}: " in problem for problem in problems)
            assert file.is_file() or f"/{name}: " in named
            assert not file.is_file() or file.read_bytes() == content
        shutil.rmtree(to)


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
@pytest.mark.parametrize("method", COMPRESSIONS)
def test_a_large_file_with_a_bad_block_is_kept_as_damaged(method: str, has_index: bool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    content = random.Random(1).randbytes(6 * BLOCK_SIZE + 5)
    (source / "large").write_bytes(content)
    (source / "small").write_text("small")
    copy = make_copy(tmp_path / "storage", source, compression=COMPRESSIONS[method])
    large = next(entry for entry in read_entries(copy) if entry.member.path.endswith(b"/large"))
    path = tmp_path / "storage" / copy.keys.archive
    archive = bytearray(path.read_bytes())
    archive[large.data_offset + sum(large.blocks[:3]) + 1000] ^= 0x10
    path.write_bytes(archive)
    if not has_index:
        (tmp_path / "storage" / copy.keys.index).unlink()
    report = restore_copy(copy, tmp_path / "to")
    (problem,) = report.problems
    assert "/large: " in problem
    assert problem.endswith("/large.damaged")
    top = restored(tmp_path / "to", source)
    assert sorted(path.name for path in top.iterdir()) == ["large.damaged", "small"]
    kept = (top / "large.damaged").read_bytes()
    assert kept[: 3 * BLOCK_SIZE] == content[: 3 * BLOCK_SIZE] or not has_index
    assert kept[4 * BLOCK_SIZE :] == content[4 * BLOCK_SIZE :] or not has_index
    assert [problem for problem in verify(copy).problems if "/large: " in problem] != []


class _BadSector(LocalStorage):
    """Reading any range over one byte of the archive fails."""

    def __init__(self, root: Path, byte: int) -> None:
        super().__init__("LOCAL", root)
        self.byte = byte
        self.failed = 0

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if key.endswith(".zip") and length is not None and offset <= self.byte < offset + length:
            self.failed += 1
            raise StorageError("Input/output error.")
        return super().get(key, offset, length)


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "zip"])
def test_a_bad_sector_takes_one_member(has_index: bool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        (source / f"file{number}").write_bytes(random.Random(number).randbytes(50_000))
    copy = make_copy(tmp_path / "storage", source)
    victim = next(entry for entry in read_entries(copy) if entry.member.path.endswith(b"/file1"))
    storage = _BadSector(tmp_path / "storage", victim.data_offset)
    if not has_index:
        (tmp_path / "storage" / copy.keys.index).unlink()
    report = restore_copy(replace(copy, storage=storage), tmp_path / "to")
    assert storage.failed > 0
    (problem,) = report.problems
    assert "/file1: Input/output error." in problem
    present = {path.name for path in restored(tmp_path / "to", source).iterdir() if not path.name.endswith(".damaged")}
    assert present == {"file0", "file2", "file3"}


@pytest.fixture
def installation(tmp_path: Path) -> Holdfast:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    installation = Holdfast(tmp_path / "installation")
    installation.configure(source)
    installation.back_up()
    return installation


def test_a_missing_archive_is_said(installation: Holdfast, tmp_path: Path) -> None:
    installation.parts(".zip")[0].unlink()
    for arguments in (["restore", BACKUP_ID, "--to", str(tmp_path / "to")], ["verify", BACKUP_ID]):
        finished = installation.run("restore.py", *arguments)
        assert finished.returncode == 1
        assert "The storage LOCAL has no object" in finished.stderr
        assert ".zip." in finished.stderr


def test_a_missing_index_is_said_and_not_needed(installation: Holdfast, tmp_path: Path) -> None:
    installation.parts(".index.zst")[0].unlink()
    finished = installation.restore(tmp_path / "to")
    assert finished.returncode == 0
    assert "has no object" in finished.stderr
    assert "So the archive's own directory was used" in finished.stderr
    assert (restored(tmp_path / "to", tmp_path / "source") / "file").read_text() == "content"
    checked = installation.run("restore.py", "verify", BACKUP_ID)
    assert checked.returncode == 1
    assert f"{BACKUP_ID}@" in checked.stderr


def test_a_missing_manifest_means_no_copy(installation: Holdfast, tmp_path: Path) -> None:
    installation.parts(".manifest.json")[0].unlink()
    finished = installation.restore(tmp_path / "to")
    assert finished.returncode == 2
    assert finished.stderr == f"There is no copy of {BACKUP_ID} on its targets.\n"


def test_a_damaged_manifest_is_named_and_its_archive_still_opened(installation: Holdfast, tmp_path: Path) -> None:
    (manifest,) = installation.parts(".manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"host"', b'"hast"'))
    timestamp = manifest.name.removesuffix(".manifest.json").rpartition("-")[2]
    for command in (["verify", BACKUP_ID], ["restore", BACKUP_ID, "--to", str(tmp_path / "no")]):
        finished = installation.run("restore.py", *command)
        assert finished.returncode == 1
        assert f"{BACKUP_ID}@{timestamp} on LOCAL: the manifest is not what was stored" in finished.stderr
    checked = installation.run("restore.py", "verify", f"{BACKUP_ID}@{timestamp}")
    assert checked.returncode == 1
    assert "the manifest is not what was stored" in checked.stderr
    finished = installation.restore(tmp_path / "to", copy=f"{BACKUP_ID}@{timestamp}")
    assert finished.returncode == 0
    assert "So the archive's own directory was used" in finished.stderr
    assert (restored(tmp_path / "to", tmp_path / "source") / "file").read_text() == "content"


def test_a_newer_copy_that_cannot_be_read_is_said(installation: Holdfast, tmp_path: Path) -> None:
    installation.back_up()
    newest = installation.parts(".manifest.json")[1]
    newest.write_bytes(b"{")
    finished = installation.restore(tmp_path / "to")
    assert finished.returncode == 0
    assert "is newer and is left out: the manifest is damaged" in finished.stderr
    assert installation.run("restore.py", "verify", BACKUP_ID).returncode == 1


def test_verify_reads_every_target(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    installation = Holdfast(tmp_path / "installation")
    targets = [{"STORAGE_NAME": "LOCAL", "PATH": "first"}, {"STORAGE_NAME": "LOCAL", "PATH": "second"}]
    installation.configure(source, UPLOAD_TO=targets)
    installation.back_up()
    assert installation.run("restore.py", "verify", BACKUP_ID).stdout.count("sound") == 2
    (archive,) = (installation.storage / "second").rglob("*.zip")
    archive.write_bytes(archive.read_bytes()[:-1])
    checked = installation.run("restore.py", "verify", BACKUP_ID)
    assert checked.returncode == 1
    assert checked.stdout.count("sound") == 1
    assert "bytes where" in checked.stderr


def test_a_truncated_archive_names_what_it_lost(sound: tuple[Path, StoredCopy], tmp_path: Path) -> None:
    source, copy = sound
    shutil.copytree(source.parent / "storage", tmp_path / "storage")
    copy = replace(copy, storage=LocalStorage("LOCAL", tmp_path / "storage"))
    victim = next(entry for entry in read_entries(copy) if entry.member.path.endswith(b"/file5"))
    path = tmp_path / "storage" / copy.keys.archive
    path.write_bytes(path.read_bytes()[: victim.data_offset + 1])
    problems = verify(copy).problems
    lost = [name for name in ("file4", "file5", "file6", "file7") if any(f"/{name}: " in text for text in problems)]
    assert lost == ["file5", "file6", "file7"]
    assert problems[-1].startswith("the archive has ")


def test_a_restore_into_a_file_is_refused(sound: tuple[Path, StoredCopy], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HoldfastError, match="cannot be put into"):
        restore_copy(sound[1], tmp_path / "file" / "below")
