"""What encryption costs a run, and how fast copies are verified, with and without the key."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from archives.age_keys import NewIdentity, new_identity
from benchmarks.archives import REPOSITORY, holdfast
from benchmarks.corpora import size_and_count, warm
from benchmarks.measure import Contender, Measured, take_turns
from benchmarks.report import Table, version

_PLAIN, _ENCRYPTED, _ZIP_AND_AGE = "Holdfast, plain", "Holdfast, encrypted", "zip -r - | age"
_HASH, _OPENED, _SHA256SUM = "Holdfast, without the key", "Holdfast, with the key", "sha256sum"
_START = "Holdfast, a copy of one byte"

_CONFIGURATION = """\
PROJECTS:
  - NAME: bench
    BACKUPS:
      - FILE_BACKUP:
          - NAME: corpus
            INTERVALS: "@daily"
            FILE_PATH: {path}
            ENCRYPT_TO: {recipient}
            UPLOAD_TO: {{STORAGE_NAME: LOCAL, PATH: ""}}
          - NAME: byte
            INTERVALS: "@daily"
            FILE_PATH: {byte}
            ENCRYPT_TO: {recipient}
            UPLOAD_TO: {{STORAGE_NAME: LOCAL, PATH: ""}}
"""


def encrypting(corpus: Path, rounds: int) -> Table:
    """From the corpus to nowhere: what is left is reading, packing and encrypting."""
    recipient = _new_identity().recipient
    pack = [sys.executable, "-m", "benchmarks.pack_to_nowhere", str(corpus)]
    there = {"PYTHONPATH": str(REPOSITORY)}
    zip_and_age = f"zip -r -q -y - '{corpus}' | age --encrypt --recipient {recipient}"
    contenders = [
        Contender(_PLAIN, pack, environment=there),
        Contender(_ENCRYPTED, [*pack, recipient], environment=there),
        Contender(_ZIP_AND_AGE, ["sh", "-c", f"{zip_and_age} > /dev/null"]),
    ]
    results = take_turns(contenders, rounds, lambda: warm(corpus))
    size, count = size_and_count(corpus)
    return Table(
        f"Encrypting {corpus.name} files",
        f"{count:,} files, {size / 1e9:.2f} GB, packed to nowhere, to one recipient of age.",
        ("command", "seconds", "× Holdfast's plain time", "processor seconds", "peak memory"),
        [_row(result, results[_PLAIN]) for result in results.values()],
        [(result.name, result.median) for result in results.values()],
    )


def verifying(corpus: Path, work: Path, rounds: int) -> Table:
    """An encrypted copy on a disk: its SHA-256 alone, and every member in it."""
    folder = work / "encrypted"
    identity = _new_identity()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    key = folder / "identity.txt"
    key.write_text(identity.text.reveal())
    byte = folder / "byte"
    byte.write_bytes(b"1")
    configuration = _CONFIGURATION.format(path=corpus, byte=byte, recipient=identity.recipient)
    (folder / "config.yaml").write_text(configuration)
    subprocess.run(holdfast("backup.py", folder, "-q", "--all"), check=True)
    archive = next((folder / "backups" / "bench" / "corpus").rglob("*.zip.age"))
    verify = holdfast("restore.py", folder, "verify", "-q", "bench/corpus")
    contenders = [
        Contender(_HASH, verify),
        Contender(_OPENED, [*verify, "--identity", str(key)]),
        Contender(_SHA256SUM, ["sha256sum", str(archive)]),
        Contender(_START, holdfast("restore.py", folder, "verify", "-q", "bench/byte")),
    ]
    results = take_turns(contenders, rounds, lambda: warm(archive.parent))
    size = archive.stat().st_size
    content = size_and_count(corpus)[0]
    shutil.rmtree(folder)
    return Table(
        f"Verifying {corpus.name} files, encrypted",
        f"{size / 1e9:.2f} GB as they lie there, {content / 1e9:.2f} GB of content. Without the key the bytes are "
        "compared with their SHA-256; with it every member is decrypted, unpacked and compared too. "
        "The copy of one byte shows what everything else costs: starting, the manifest, the catalog.",
        ("command", "seconds", "stored bytes a second", "processor seconds", "peak memory"),
        [
            [
                result.name,
                f"{result.median:.2f}",
                "" if result.name == _START else f"{size / result.median / 1e9:.2f} GB/s",
                f"{_processor_seconds(result):.2f}",
                f"{max(result.peak_memory) / 1e6:.0f} MB",
            ]
            for result in results.values()
        ],
        [(result.name, result.median) for result in results.values()],
    )


def reached(tables: Mapping[str, Table]) -> Iterator[tuple[str, str, str, str]]:
    """Rows of what was to be reached, and was: what encryption costs, and how fast stored bytes are verified."""
    for name in ("small", "large"):
        seconds = dict(tables[f"encrypting {name}"].bars)
        of_plain = seconds[_ENCRYPTED] / seconds[_PLAIN]
        faster = seconds[_ZIP_AND_AGE] / seconds[_ENCRYPTED]
        yield f"{name}: encrypted, of the plain time", "at most 1.3 ×", f"{of_plain:.2f} ×", _yes(of_plain <= 1.3)
        yield f"{name}: encrypted, faster than `{_ZIP_AND_AGE}`", "3 ×", f"{faster:.1f} ×", _yes(faster >= 3)
    seconds = dict(tables["verifying"].bars)
    size = float(tables["verifying"].rows[2][2].split()[0]) * seconds[_SHA256SUM]
    rate = size / (seconds[_HASH] - seconds[_START])
    yield "stored bytes verified on one core, besides start-up", "1 GB/s", f"{rate:.2f} GB/s", _yes(rate >= 1)


def peers(others: str) -> str:
    """Which versions were measured."""
    return f"{others}; age {version(['age', '--version'])}; {version(['sha256sum', '--version'])}"


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "**no**"


def _new_identity() -> NewIdentity:
    return new_identity(datetime.now(UTC))


def _row(result: Measured, plain: Measured) -> list[str]:
    return [
        result.name,
        f"{result.median:.2f}",
        f"{result.median / plain.median:.2f}",
        f"{_processor_seconds(result):.2f}",
        f"{max(result.peak_memory) / 1e6:.0f} MB",
    ]


def _processor_seconds(result: Measured) -> float:
    return sorted(result.processor_seconds)[len(result.processor_seconds) // 2]
