"""The contract of every storage: what keeps objects under keys.

Wrappers (retries, bandwidth, the spool, faults in tests) have this same interface. One contract suite in ``tests/``
runs against every storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from errors import StorageError
from model import StoredObject

# Where objects are files, a name that begins so is an upload under way: never listed, and never part of a key.
UNFINISHED_PREFIX = ".holdfast-unfinished-"


class Storage(Protocol):
    """A place that keeps objects.

    Keys are ``/``-separated text without empty, ``.`` or ``..`` parts. All methods raise ``errors.StorageError`` (and
    its subclasses) and nothing else of their own; what ``chunks`` raises passes through ``put`` unchanged. Several
    threads may call one object. ``StorageUnavailableError`` is raised where the same call may succeed later; the
    wrapper ``storages.retrying`` repeats all calls but ``put``, which repeats its own requests.
    """

    name: str
    needs_size_first: bool

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """Store what ``chunks`` yields.

        Obligations: if ``chunks`` raises, or the process dies, nothing is ever visible under ``key``. What was
        returned is durable, and its size and content were checked against what was sent. A key that exists is never
        overwritten: ``ObjectExistsError``. No more than a few chunks are held in memory.

        Where ``needs_size_first`` is true, the adapter itself takes only a :class:`KnownContent`; the factory wraps it
        in ``storages.spool.SpoolingStorage``, which makes one of any other chunks.
        """

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object's bytes, or a range of them. Raises ``ObjectNotFoundError`` at the first chunk at the latest.

        A connection that ends early is an error, never the end of the iteration.
        """

    def stat(self, key: str) -> StoredObject:
        """Size and time of one object. Raises ``ObjectNotFoundError``."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key starts with ``prefix``, ordered by key. Unfinished uploads are not listed."""

    def delete(self, key: str) -> None:
        """Remove it. An absent object is no error."""

    def clean_up(self, prefix: str) -> int:
        """Remove what killed runs of ours left half done below ``prefix``; the number of things removed.

        The caller holds the lock of the backup that owns ``prefix``.
        """


class KnownContent:
    """Content whose size and hash are known before it is sent, and that can be read again from any position.

    ``size`` is in bytes, ``sha256`` in hex. ``crc32`` is there where this process made the content: reading it again is
    checked by that (10 GB/s), and else by the SHA-256 (1.6 GB/s).
    """

    size: int
    sha256: str
    crc32: int | None = None

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes, fewer only at the end. Raises StorageError where the spool cannot be read."""
        raise NotImplementedError

    def read_unsent(self, offset: int, length: int) -> bytes:
        """The same, for bytes that are looked at and not sent: they do not count for BANDWIDTH."""
        return self.read(offset, length)

    def __iter__(self) -> Iterator[bytes]:
        offset = 0
        while block := self.read(offset, 1 << 20):
            yield block
            offset += len(block)


def check_key(storage_name: str, key: str) -> None:
    """Raise StorageError where ``key`` is none: each storage does so before it does anything else with a key."""
    if not is_key(key):
        raise StorageError(
            f"The storage {storage_name} cannot use the key {key!r}: a key is text whose parts between slashes are not "
            "empty, not '.' and not '..'."
        )


def is_key(text: str) -> bool:
    """Whether it can be a key. Foreign things in a storage may have other names."""
    return is_text(text) and not any(part in ("", ".", "..") for part in text.split("/"))


def check_file_key(storage_name: str, key: str) -> None:
    """As :func:`check_key`, where objects are files and unfinished ones have names of their own."""
    check_key(storage_name, key)
    if any(part.startswith(UNFINISHED_PREFIX) for part in key.split("/")):
        raise StorageError(
            f"The storage {storage_name} cannot use the key {key!r}: names that begin with {UNFINISHED_PREFIX!r} are "
            "uploads under way."
        )


def is_text(text: str) -> bool:
    """Whether it is UTF-8 (a foreign file's name need not be) and has no NUL."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
