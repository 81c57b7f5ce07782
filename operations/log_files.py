"""Files that are only ever appended to, and never grow without end.

``missed.log`` becomes ``missed.log.1`` when it is full, that one ``missed.log.2``, and the oldest goes. Several
processes and threads may append to one at once: flock(2) on the file that has the name now puts them in turn.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils import make_private_directory

MAX_BYTES = 1 << 20
KEPT_FILES = 3


def append_rotating(path: Path, text: str, *, max_bytes: int = MAX_BYTES, keep: int = KEPT_FILES) -> None:
    """Append ``text``, whole, with one write(2). Raises OSError.

    Where the file would become larger than ``max_bytes`` it is renamed first, and ``keep`` renamed ones stay. The file
    and its folder are made where they are missing, readable by their owner only.
    """
    data = text.encode("utf-8", "backslashreplace")
    while True:
        with _held(path) as descriptor:
            size = os.fstat(descriptor).st_size
            if size == 0 or size + len(data) <= max_bytes:
                _write(descriptor, data)
                return
            _rotate(path, keep)  # and then the new one, which another process may have filled by then


def rotate_if_full(path: Path, *, max_bytes: int = MAX_BYTES, keep: int = KEPT_FILES) -> None:
    """Rename the file where it holds ``max_bytes`` or more, for whoever appends to it otherwise. Raises OSError.

    Who has it open goes on in the renamed one.
    """
    if not path.exists():
        return
    with _held(path) as descriptor:
        if os.fstat(descriptor).st_size >= max_bytes:
            _rotate(path, keep)


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """The file that has this name, open for appending, while no other process appends to it or renames it."""
    make_private_directory(path.parent)
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _has_the_name(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _has_the_name(descriptor: int, path: Path) -> bool:
    """Whether it still does: who waited for the lock may hold a file that was renamed meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _rotate(path: Path, keep: int) -> None:
    """The caller holds the file. The oldest go first, so that a kill in between loses no other."""
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1))]
    for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
        if newer.exists():
            newer.replace(older)
    if not keep:
        path.unlink()


def _write(descriptor: int, data: bytes) -> None:
    """All of it; a full disk is an error after a part of it, too."""
    while data:
        data = data[os.write(descriptor, data) :]
