"""What is packed: real files of the machine, some thirty thousand small ones and a few large ones."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

_SOURCES = ("/usr/share", "/usr/lib", "/usr/include", "/usr/local", "/opt")
_SMALL_COUNT = 31_000
_SMALL_BYTES = 930_000_000
_LARGEST_SMALL = 3_000_000
_LARGE_COUNT = 4
_LARGE_BYTES = 2_100_000_000


def make_small(folder: Path) -> Path:
    """About 31,000 files of 0.93 GB in their folders: sources, texts, libraries, pictures as they come.

    Machines have more of the smallest files than this, so some of those under 6 kB are passed over, evenly.
    """
    target = folder / "small"
    if target.exists():
        return target
    files = list(regular_files(_LARGEST_SMALL))
    tiny = [file for file in files if file[1] < 6000]
    others = [file for file in files if file[1] >= 6000]
    chosen = _evenly(others, _SMALL_BYTES, _SMALL_COUNT)
    for path, _ in chosen + _evenly(tiny, _SMALL_BYTES, max(_SMALL_COUNT - len(chosen), 0)):
        copy = target / path.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy, follow_symlinks=False)
    return target


def make_large(folder: Path) -> Path:
    """Four tar files of about 0.5 GB each: programs and libraries, as disk images and dumps of mixed data are."""
    target = folder / "large"
    if target.exists():
        return target
    target.mkdir(parents=True)
    files = iter(regular_files(1 << 40, smallest=20_000))
    for number in range(_LARGE_COUNT):
        size, names = 0, []
        for path, length in files:
            names.append(str(path))
            size += length
            if size >= _LARGE_BYTES / _LARGE_COUNT:
                break
        archive = target / f"part-{number + 1}.tar"
        subprocess.run(
            ["tar", "--create", "--file", str(archive), "--absolute-names", "--null", "--files-from", "-"],
            input="\0".join(names).encode("utf-8", "surrogateescape"),
            check=True,
        )
    return target


def make_huge(folder: Path, large: Path, copies: int) -> Path:
    """The large corpus ``copies`` times over, in one file."""
    target = folder / "huge"
    if not target.exists():
        target.mkdir()
        with (target / "huge.bin").open("wb") as output:
            for _ in range(copies):
                for part in sorted(large.iterdir()):
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, output, 1 << 20)
    return target


def make_many(folder: Path, count: int) -> Path:
    """``count`` files of some bytes each, a thousand to a folder."""
    target = folder / "many"
    if not target.exists():
        for number in range(count):
            if number % 1000 == 0:
                (target / f"{number // 1000:04d}").mkdir(parents=True)
            (target / f"{number // 1000:04d}" / f"file-{number:07d}.txt").write_bytes(b"%d\n" % number)
    return target


def size_and_count(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder."""
    sizes = [path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(sizes), len(sizes)


def warm(folder: Path) -> None:
    """Read it all, so that every command meets it in memory: kernels give idle pages back early."""
    buffer = bytearray(1 << 20)
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                with path.open("rb", buffering=0) as file:
                    while file.readinto(buffer):
                        pass


def regular_files(largest: int, smallest: int = 0) -> Iterator[tuple[Path, int]]:
    """The machine's own files of such sizes, with these, in the order of their names."""
    for source in _SOURCES:
        for parent, folders, names in os.walk(source):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and smallest <= status.st_size <= largest and os.access(path, os.R_OK):
                    yield path, status.st_size


def _evenly(files: list[tuple[Path, int]], most_bytes: int, most_files: int) -> list[tuple[Path, int]]:
    """Some of the files, spread evenly over all of them, up to a size and a number."""
    total = sum(size for _, size in files)
    share = min(1.0, most_bytes / max(total, 1), most_files / max(len(files), 1))
    return [file for number, file in enumerate(files) if int((number + 1) * share) > int(number * share)]
