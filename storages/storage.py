"""The contract of every storage: what keeps objects under keys.

Wrappers (retry, bandwidth, faults in tests) have this same interface. One contract suite in ``tests/`` runs against
every storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from model import StoredObject


class Storage(Protocol):
    """A place that keeps objects.

    Keys are ``/``-separated text without empty, ``.`` or ``..`` parts. All methods raise ``errors.StorageError`` (and
    its subclasses) and nothing else of their own; what ``chunks`` raises passes through ``put`` unchanged.
    """

    name: str
    needs_size_first: bool

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """Store what ``chunks`` yields.

        Obligations: if ``chunks`` raises, or the process dies, nothing is ever visible under ``key``. What was
        returned is durable, and its size and content were checked against what was sent. A key that exists is never
        overwritten: ``ObjectExistsError``. No more than a few chunks are held in memory.
        """

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object's bytes, or a range of them. Raises ``ObjectNotFoundError`` at the first chunk at the latest."""

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
