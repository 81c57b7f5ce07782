"""Folders of files to back up, and what lies in them."""

from __future__ import annotations

import os
import random
from pathlib import Path

_WORDS = tuple(f"word{number * 7919 % 1000}" for number in range(500))


def make_files(folder: Path, *names: str) -> None:
    """Files with these names; one that ends in a slash is a folder."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())


def make_tree(folder: Path, *, files: int = 30, file_words: int = 200, large_size: int = 0) -> Path:
    """A folder with text files in subfolders, a link, an empty folder, and one large file, half of it random bytes."""
    chance = random.Random(20261120)
    folder.mkdir(parents=True)
    for number in range(files):
        subfolder = folder / f"folder {number % 10}"
        subfolder.mkdir(exist_ok=True)
        path = subfolder / f"file {number}.txt"
        path.write_text(" ".join(chance.choices(_WORDS, k=file_words)))
        os.utime(path, ns=(number, 1_700_000_000_000_000_000 + number))
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("folder 0")
    if large_size:
        half = large_size // 2
        (folder / "large").write_bytes(chance.randbytes(half) + b"0123456789abcdef" * (half // 16))
    return folder
