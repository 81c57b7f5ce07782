"""Small helpers for every floor, from the standard library only: sizes, times, redaction, private folders, chunks."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

HOLDFAST_VERSION = "0.1.0"

_secrets: set[str] = set()

_SHORTEST_SECRET = 3

# A shorter secret such as "1234" is taken out only where it stands as a word of its own: otherwise
# every size and time that happens to hold these digits would be unreadable.
_SHORTEST_SECRET_REPLACED_ANYWHERE = 8


def remember_secret(text: str) -> None:
    """Have :func:`redact` take this text out from now on.

    One of less than three characters is not: it protects nothing, and half of every message would be gone.
    """
    if len(text.strip()) >= _SHORTEST_SECRET:
        _secrets.add(text)


def redact(text: str) -> str:
    """The text with every known secret replaced by ``****``."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret not in text:
            continue
        if len(secret) >= _SHORTEST_SECRET_REPLACED_ANYWHERE:
            text = text.replace(secret, "****")
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "****", text)
    return text


def utc_now() -> datetime:
    """The clock. Everything pure takes the time as an argument; only entry points ask for it here."""
    return datetime.now(UTC)


def host_name() -> str:
    """That of this machine, without its domain."""
    return socket.gethostname().partition(".")[0] or "this machine"


def format_timestamp(moment: datetime) -> str:
    """``20261120T030000Z``: the form used in object keys (ISO 8601 basic format, UTC, whole seconds)."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def parse_timestamp(text: str) -> datetime:
    """The inverse of :func:`format_timestamp`. Raises ValueError."""
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def local_time(nanoseconds: int) -> str:
    """``2026-11-20 03:00`` in this machine's zone, of a time since 1970; seconds where no calendar has it."""
    seconds = nanoseconds // 1_000_000_000
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def format_size(size: float) -> str:
    """``950 B``, ``12.3 kB``, ``4.56 GB``: decimal units (1 kB = 1,000 B), three digits."""
    if abs(size) < 1000:
        return f"{int(size)} B"
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        size /= 1000
        if abs(size) < 999.5 or unit == "PB":
            break
    digits = 2 if abs(size) < 9.995 else 1 if abs(size) < 99.95 else 0
    return f"{size:.{digits}f} {unit}"


def format_count(count: int, singular: str) -> str:
    """``1 file``, ``31,000 files``."""
    return f"{count:,} {singular}" if count == 1 else f"{count:,} {singular}s"


def first_statement(message: str) -> str:
    """The first line of a message; where it ends in a colon, with what it leads over to: the next line."""
    line, *rest = message.strip().splitlines() or [""]
    return f"{line} {rest[0].strip()}{' …' if len(rest) > 1 else ''}" if rest and line.endswith(":") else line


def format_duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def printable(path: bytes) -> str:
    """A file name for people: bytes that are not UTF-8 and control characters are shown as escapes, never raw."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def make_private_directory(path: Path) -> Path:
    """Make the folder, and its parents, with mode 0700 where it is missing. Raises OSError."""
    if not path.is_dir():
        make_private_directory(path.parent)  # mkdir(parents=True) would make the parents readable by others
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def fsync_directory(path: Path | str) -> None:
    """Make a new or renamed entry of this folder durable (fsync(2): the file alone is not enough). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_private_file(path: Path, text: str) -> None:
    """Write a private file so that after a kill or a power cut it is the old or the new one. Raises OSError."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        fsync_directory(path.parent)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def joined(chunks: Iterable[bytes], least: int) -> Iterator[bytes]:
    """The same bytes in chunks of at least ``least`` bytes, but for the last: a write or a packet costs some
    microseconds however small it is."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= least:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
