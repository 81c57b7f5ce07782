"""Packing whole corpora, against zip, tar with zstd and restic."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpora import size_and_count, warm
from benchmarks.measure import Contender, Measured, take_turns
from benchmarks.report import Table, version

REPOSITORY = Path(__file__).resolve().parent.parent

_CONFIGURATION = """\
PROJECTS:
  - NAME: bench
    BACKUPS:
      - FILE_BACKUP:
          - NAME: corpus
            INTERVALS: "@daily"
            FILE_PATH: {path}
            UPLOAD_TO: {{STORAGE_NAME: LOCAL, PATH: ""}}
"""


def holdfast(program: str, folder: Path, *arguments: str) -> list[str]:
    """The command line of one of our programs with the configuration that lies in ``folder``."""
    return [sys.executable, str(REPOSITORY / program), "--config", str(folder / "config.yaml"), *arguments]


def configure(folder: Path, corpus: Path) -> None:
    """Write a configuration that backs the corpus up into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(_CONFIGURATION.format(path=corpus))


def packing(corpus: Path, work: Path, rounds: int) -> Table:
    """From the corpus to an archive on the disk."""
    output = work / "output"
    ours = work / "holdfast"
    configure(ours, corpus)
    zip_file, tar_file, repository = output / "corpus.zip", output / "corpus.tar.zst", output / "restic"
    restic_environment = {
        "RESTIC_PASSWORD": "benchmark",
        "RESTIC_REPOSITORY": str(repository),
        "RESTIC_CACHE_DIR": str(output / "restic-cache"),
    }

    def empty() -> None:
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        for name in ("backups", "state"):
            shutil.rmtree(ours / name, ignore_errors=True)

    def make_repository() -> None:
        empty()
        subprocess.run(["restic", "init", "-q"], env=restic_environment | {"PATH": "/usr/bin:/bin"}, check=True)

    contenders = [
        Contender(
            "Holdfast",
            holdfast("backup.py", ours, "-q", "bench/corpus"),
            empty,
            output_size=lambda: size_and_count(ours / "backups")[0],
        ),
        Contender(
            "tar | zstd -1 -T0",
            ["sh", "-c", f"tar -cf - '{corpus}' 2>/dev/null | zstd -q -1 -T0 -o '{tar_file}'"],
            empty,
            output_size=lambda: size_and_count(output)[0],
        ),
        Contender(
            "restic, first backup",
            ["restic", "backup", "-q", str(corpus)],
            make_repository,
            output_size=lambda: size_and_count(repository)[0],
            environment=restic_environment,
        ),
        Contender(
            "zip -r -q -y",
            ["zip", "-r", "-q", "-y", str(zip_file), str(corpus)],
            empty,
            output_size=lambda: size_and_count(output)[0],
        ),
    ]
    results = take_turns(contenders, rounds, lambda: warm(corpus))
    empty()
    size, count = size_and_count(corpus)
    return Table(
        f"Packing {corpus.name} files",
        f"{count:,} files, {size / 1e9:.2f} GB, to a file on the same disk. Holdfast also flushes the "
        "archive to the disk, reads it back, and writes index, manifest and catalog; the others leave it in memory.",
        (
            "command",
            "seconds",
            "× Holdfast's time",
            "processor seconds",
            "peak memory",
            "size of the result",
            "of zip's",
        ),
        [_row(result, results["Holdfast"], results["zip -r -q -y"]) for result in results.values()],
        [(result.name, result.median) for result in results.values()],
    )


def peers() -> str:
    """Which versions were measured."""
    commands: Sequence[Sequence[str]] = (["zip", "-v"], ["tar", "--version"], ["zstd", "--version"])
    names = [version(command) for command in (*commands, ["restic", "version"])]
    return "; ".join(name.strip("* ") for name in names)


def _row(result: Measured, ours: Measured, zipped: Measured) -> list[str]:
    return [
        result.name,
        f"{result.median:.2f}",
        f"{result.median / ours.median:.2f}",
        f"{sorted(result.processor_seconds)[len(result.processor_seconds) // 2]:.2f}",
        f"{max(result.peak_memory) / 1e6:.0f} MB",
        f"{result.output_size / 1e6:,.0f} MB",
        f"{result.output_size / zipped.output_size:.3f}",
    ]
