"""One run of a backup at a time, on this machine.

The lock is flock(2) on an open file: the kernel lets go of it when its process ends, however that ends, so there is
no stale lock and nothing to unlock by hand. The file stays; its text only says who held it last.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import AlreadyRunningError, HoldfastError
from model import CheckKind
from utils import make_private_directory, utc_now

_LOOK_AGAIN_SECONDS = 0.05


@contextmanager
def lock_backup(state_directory: Path, backup_id: str) -> Iterator[None]:
    """Hold ``<state>/locks/<project>/<backup>.lock``.

    Raises AlreadyRunningError where another process, or this one, holds it; HoldfastError where the file cannot be
    made. Children do not inherit the lock.
    """
    with _locked(state_directory, backup_id, f"The backup {backup_id}"):
        yield


@contextmanager
def lock_check(state_directory: Path, kind: CheckKind, backup_id: str) -> Iterator[None]:
    """Hold ``<state>/locks/<kind>/<project>/<backup>.lock``: a backup may run while its copies are read.

    Raises as :func:`lock_backup` does.
    """
    words = {CheckKind.VERIFY: "The verification", CheckKind.DRILL: "The drill"}
    with _locked(state_directory, f"{kind.value}/{backup_id}", f"{words[kind]} of {backup_id}"):
        yield


@contextmanager
def one_after_the_other(state_directory: Path, name: str, seconds: float | None = None) -> Iterator[bool]:
    """Hold ``<state>/locks/<name>.lock``, once nobody else does; whether that had to be waited for.

    Raises HoldfastError as :func:`lock_backup` does, and AlreadyRunningError where it takes longer than ``seconds``.
    """
    path = state_directory / "locks" / f"{name}.lock"
    lock = _opened(path)
    try:
        try:
            _take(lock, path, name)
            has_waited = False
        except AlreadyRunningError:
            if seconds is None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            else:
                _take_within(lock, path, name, seconds)
            has_waited = True
        yield has_waited
    finally:
        os.close(lock)


@contextmanager
def _locked(state_directory: Path, name: str, what: str) -> Iterator[None]:
    path = state_directory / "locks" / f"{name}.lock"
    lock = _opened(path)
    try:
        _take(lock, path, what)
        yield
    finally:
        os.close(lock)


def _opened(path: Path) -> int:
    try:
        make_private_directory(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HoldfastError(f"The lock {path} cannot be made: {error.strerror}. Check STATE_DIR.") from error


def _take(lock: int, path: Path, what: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunningError(
            f"{what} is running already ({_holder(lock)}). Wait for it to end, or end that process."
        ) from None
    except OSError as error:
        raise HoldfastError(
            f"The file system of {path} cannot lock files: {error.strerror}. Let STATE_DIR be on a local disk."
        ) from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()}, since {utc_now():%Y-%m-%dT%H:%M:%SZ}\n".encode(), 0)
    except OSError:
        # A full disk must not keep a run from starting: the text is only for people, the lock is held.
        return


def _take_within(lock: int, path: Path, what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        time.sleep(_LOOK_AGAIN_SECONDS)
        try:
            _take(lock, path, what)
            return
        except AlreadyRunningError:
            if time.monotonic() >= deadline:
                raise


def _holder(lock: int) -> str:
    return os.pread(lock, 100, 0).decode("ascii", "replace").strip() or "its process has not said its number yet"
