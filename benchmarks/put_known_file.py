"""Puts a file of known size, SHA-256 and CRC-32 to OneDrive, as a run does from its spool:
``python -m benchmarks.put_known_file CONFIG FILE SHA256 CRC32 KEY``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from config import load_configuration
from storages.factory import open_storage
from storages.spool import SpooledFile
from storages.workplace import Workplace


def main() -> None:
    config, file, sha256, crc32, key = sys.argv[1:]
    configuration = load_configuration(Path(config), os.environ)
    storage = open_storage(configuration.storages["ONEDRIVE"], Workplace(configuration.state_directory))
    with SpooledFile(Path(file), sha256, int(crc32)) as content:
        storage.put(key, content)


if __name__ == "__main__":
    main()
