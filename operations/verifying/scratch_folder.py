"""Folders for the time of one drill: private, removed at its end, and by the next drill where that end was a kill."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from errors import DrillError
from utils import format_size, make_private_directory

_PREFIX = "holdfast-drill-"

PUBLIC_BASE = Path("/var/tmp")  # noqa: S108 - what is made there is private, and has a name that nobody can foresee
"""For servers that run as another user, and cannot come to a folder below a private one."""

# The name of a socket has at most 107 bytes (unix(7)), and its file is called `.s.PGSQL.5432`.
_LONGEST_FOLDER = 107 - len("/.s.PGSQL.5432")
_LENGTH_OF_OWN_NAMES = len(f"/{_PREFIX}12345678/server")


@contextmanager
def scratch_folder(base: Path) -> Iterator[Path]:
    """A folder in ``base``, which is made where it is missing. What drills that were killed have left there goes first.

    Only this user may list it, and other users may pass through it. Raises DrillError.
    """
    try:
        make_private_directory(base)
        _remove_leftovers(base)
        folder, lock = _locked_folder(base)
    except OSError as error:
        raise DrillError(f"A folder for the drill cannot be made in {base}: {error.strerror}.") from error
    try:
        yield folder
    finally:
        try:
            _remove(folder)
        except BaseException:
            _remove(folder)  # of two signals the second is ignored
            raise
        finally:
            os.close(lock)


@contextmanager
def server_folder(base: Path, account: pwd.struct_passwd) -> Iterator[Path]:
    """A folder that belongs to the user of a server, in ``base`` where that user can come to it, else in /var/tmp.

    Raises DrillError.
    """
    with scratch_folder(base if _suits(base, account) else PUBLIC_BASE) as outer:
        folder = outer / "server"
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(folder, account.pw_uid, account.pw_gid)
        yield folder


def require_room(folder: Path, size: int) -> None:
    """Raises DrillError where a drill in its folder would need more bytes than are free."""
    free = shutil.disk_usage(folder).free
    base = next(parent for parent in folder.parents if not parent.name.startswith(_PREFIX))
    if size > free:
        raise DrillError(
            f"The drill needs about {format_size(size)} in {base}, where {format_size(free)} are free. Free "
            "some space, or name a folder on another disk."
        )


def _suits(base: Path, account: pwd.struct_passwd) -> bool:
    if len(os.fsencode(base)) + _LENGTH_OF_OWN_NAMES > _LONGEST_FOLDER:
        return False
    if account.pw_uid == os.geteuid():
        return True
    return base.is_dir() and all(path.stat().st_mode & stat.S_IXOTH for path in (base, *base.parents))


def _locked_folder(base: Path) -> tuple[Path, int]:
    """A new folder and its lock. Another drill may take it for a leftover before it is locked: then the next one."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        lock = _lock(folder)
        if lock is not None:
            folder.chmod(0o711)
            return folder, lock


def _remove_leftovers(base: Path) -> None:
    for left in base.glob(_PREFIX + "*"):
        with suppress(OSError):
            status = left.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            lock = _lock(left)
            if lock is not None:
                _remove(left)
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the lock of a folder which is there; None where it has another holder, or has gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def _remove(folder: Path) -> None:
    """With folders in it that even their owner may not enter, and such as are deeper than Python's own can go."""
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "u+rwX", "--", folder], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", "--", folder], check=False, capture_output=True)
