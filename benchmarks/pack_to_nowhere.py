"""Packs a folder as a run does and throws the archive away.

``python -m benchmarks.pack_to_nowhere FOLDER [RECIPIENT]``: with a recipient of age it is encrypted too. The catalog
and the index are left out; what remains is reading, packing, encrypting, the hash, and Python.
"""

from __future__ import annotations

import hashlib
import sys
from contextlib import closing

from archives.seal import Seal
from archives.zip_writer import ZipWriter
from hosts.local import LocalHost
from model import Compression, Encryption, FileSource
from sources.files import FileWalk


def main() -> None:
    walk = FileWalk(FileSource((sys.argv[1],)), LocalHost(), lambda _: None, ())
    archive = ZipWriter(
        walk.members(),
        Compression(),
        on_entry=lambda _: None,
        on_note=lambda _: None,
        on_progress=lambda _member, _size: None,
    )
    seal = Seal(Encryption(tuple(sys.argv[2:])) if sys.argv[2:] else None)
    digest = hashlib.sha256()
    with closing(archive.chunks()) as chunks:
        for chunk in seal.stream(chunks):
            digest.update(chunk)


if __name__ == "__main__":
    main()
