"""Reading the small text files of a configuration without ever waiting for one, or filling the memory with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST_FILE = 4_000_000
DOES_NOT_EXIST = "does not exist"


class SmallFileError(Exception):
    """The file cannot be read. The text ends a sentence that begins with the file: ``does not exist``."""


def read_small_file(path: Path, largest: int = LARGEST_FILE) -> tuple[bytes, int]:
    """The bytes of a regular file and its permission bits. Raises SmallFileError."""
    try:
        # Without O_NONBLOCK, opening a fifo that nobody writes to waits forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SmallFileError(DOES_NOT_EXIST) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name is impossible"
        raise SmallFileError(f"cannot be opened: {reason}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SmallFileError("is not a file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise SmallFileError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) > largest:
        raise SmallFileError(f"is larger than {largest:,} bytes")
    return data, stat.S_IMODE(mode)


def others_can_read(mode: int) -> bool:
    """Whether users other than the owner and the group can read a file with these permission bits."""
    return bool(mode & stat.S_IROTH)
