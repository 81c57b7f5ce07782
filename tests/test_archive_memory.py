"""Peak memory of packing, in a process of its own: bounded by blocks in flight, whatever the size of the data."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.archives import MIB
from tests.support.product_code import ROOT

# The whole way of a run but for its targets. ru_maxrss is in KiB (getrusage(2)); that of the children is the largest's.
PACK = """
import hashlib, os, resource, sys
from pathlib import Path
from archives.index import IndexWriter
from archives.zip_writer import ZipWriter
from hosts.local import LocalHost
from model import Compression, FileSource
from sources.files import FileWalk

index = IndexWriter(Path(sys.argv[2]))
members = FileWalk(FileSource((sys.argv[1],)), LocalHost(), print).members()
digest, size = hashlib.sha256(), 0
writer = ZipWriter(members, Compression(), on_entry=index.add, on_note=print, on_progress=lambda member, packed: None)
for chunk in writer.chunks():
    digest.update(chunk)
    size += len(chunk)
for chunk in index.chunks():
    digest.update(chunk)
own, others = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(size, (own + os.cpu_count() * others) // 1024)
"""

# A child of the tests begins as large as they are, and Linux counts that: see tests/support/memory.py.
LAUNCH = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)"


def packed_size_and_peak_memory(tree: Path, spool: Path) -> tuple[int, int]:
    """In bytes, and in MiB."""
    command = [sys.executable, "-c", LAUNCH, "-c", PACK, str(tree), str(spool)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size, peak = done.stdout.split()
    return int(size), int(peak)


@pytest.mark.slow
def test_large_files_are_packed_in_bounded_memory(tmp_path: Path) -> None:
    """3 GiB: two sparse files with random data here and there, and a dense one."""
    tree = tmp_path / "tree"
    tree.mkdir()
    noise = random.Random(1).randbytes(4 * MIB)
    for number in range(2):
        with (tree / f"sparse{number}").open("wb") as file:
            for offset in range(0, 1400 * MIB, 175 * MIB):
                file.seek(offset + number)
                file.write(noise)
            file.truncate(1400 * MIB)
    with (tree / "dense").open("wb") as file:
        for _ in range(50):
            file.write(noise)
    size, peak = packed_size_and_peak_memory(tree, tmp_path)
    assert 250 * MIB < size < 300 * MIB
    assert peak < 200


@pytest.mark.slow
def test_many_files_are_packed_in_bounded_memory(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for folder in range(200):
        (tree / f"{folder:03}").mkdir(parents=True)
        for number in range(1000):
            (tree / f"{folder:03}/{number:03}").touch()
    size, peak = packed_size_and_peak_memory(tree, tmp_path)
    assert size > 200_000 * 2 * (46 + 7)
    assert peak < 250
