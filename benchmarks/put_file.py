"""Puts a file to a storage as a backup does, under a new key: ``python -m benchmarks.put_file CONFIG STORAGE FILE``.

It is also what the peers are held against where only the sending counts: ``rclone copyto``, ``sftp put``, boto3.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from config import load_configuration
from storages.factory import open_storage
from storages.workplace import Workplace

_CHUNK_SIZE = 1 << 20


def main() -> None:
    config, storage_name, file = sys.argv[1:]
    configuration = load_configuration(Path(config), os.environ)
    storage = open_storage(configuration.storages[storage_name], Workplace(configuration.state_directory))
    storage.put(f"file-{secrets.token_hex(8)}", _chunks(Path(file)))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_SIZE):
            yield chunk


if __name__ == "__main__":
    main()
