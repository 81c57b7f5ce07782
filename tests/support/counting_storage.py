"""A LOCAL storage that counts what is read of each object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from storages.local import LocalStorage


class CountingStorage(LocalStorage):
    """``bytes_read`` has the bytes by key."""

    def __init__(self, root: Path) -> None:
        super().__init__("LOCAL", root)
        self.bytes_read: Counter[str] = Counter()

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        for chunk in super().get(key, offset, length):
            self.bytes_read[key] += len(chunk)
            yield chunk
