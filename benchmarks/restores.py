"""Getting it back: whole corpora against unzip and restic, and one file out of a large archive on a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from archives.age_keys import new_identity
from benchmarks import encryption
from benchmarks.archives import configure, holdfast
from benchmarks.corpora import size_and_count, warm
from benchmarks.measure import Contender, Measured, take_turns
from benchmarks.report import Table, version
from benchmarks.storages import configure_storages, s3_storage
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.s3_servers import S3Server, rclone_server

_HOLDFAST, _UNZIP, _RESTIC = "Holdfast", "unzip -q", "restic restore"
_ENCRYPTED = "Holdfast, encrypted"

_MEMBERS = 2_000
_MEMBER_SIZE = 1 << 20
_WANTED = f"file-{_MEMBERS // 2}"
_MOST_READ = 8_000_000


def restoring(corpus: Path, work: Path, rounds: int) -> Table:
    """From the archive that Holdfast made to files, by restore.py and unzip; from a repository of its own by restic."""
    ours, output = work / "holdfast", work / "output"
    configure(ours, corpus)
    shutil.rmtree(ours / "backups", ignore_errors=True)
    subprocess.run(holdfast("backup.py", ours, "-q", "bench/corpus"), check=True)
    archive = next((ours / "backups").rglob("*.zip"))
    repository = work / "restic"
    restic = _restic_repository(str(repository), corpus, work)

    def empty() -> None:
        shutil.rmtree(output, ignore_errors=True)

    contenders = [
        Contender(_HOLDFAST, holdfast("restore.py", ours, "restore", "-q", "bench/corpus", "--to", str(output)), empty),
        Contender(_UNZIP, ["unzip", "-q", str(archive), "-d", str(output)], empty),
        Contender(_RESTIC, ["restic", "restore", "-q", "latest", "--target", str(output)], empty, environment=restic),
    ]

    def warm_all() -> None:
        warm(archive.parent)
        warm(repository)

    results = take_turns(contenders, rounds, warm_all)
    empty()
    for folder in (repository, ours / "backups"):
        shutil.rmtree(folder)
    size, count = size_and_count(corpus)
    return Table(
        f"Restoring {corpus.name} files",
        f"{count:,} files, {size / 1e9:.2f} GB, from the ZIP that Holdfast made, and from a repository of restic with "
        "the same files. Holdfast also puts back owners and extended attributes, and checks every CRC-32.",
        ("command", "seconds", "× Holdfast's time", "processor seconds", "peak memory"),
        [_row(result, results[_HOLDFAST]) for result in results.values()],
        [(result.name, result.median) for result in results.values()],
    )


def one_file(work: Path, rounds: int) -> Table:
    """One file out of a large archive on a server, and what was read for it."""
    corpus = _many_random_files(work / "random")
    output = work / "output"
    with rclone_server(work / "s3") as server, counting_proxy(_address(server)) as proxy:
        counted = S3Server("rclone", f"http://127.0.0.1:{proxy.port}")
        identity = new_identity(datetime.now(UTC))
        key = work / "identity.txt"
        key.write_text(identity.text.reveal())
        key.chmod(0o600)
        for bucket, keys_of_ours in (("ours", {}), ("encrypted", {"ENCRYPT_TO": str(identity.recipient)})):
            server.client().create_bucket(Bucket=bucket)
            configure_storages(work / bucket, corpus, "OFFSITE", [s3_storage(counted, bucket)], **keys_of_ours)
            subprocess.run(holdfast("backup.py", work / bucket, "-q", "bench/corpus"), check=True)
        server.client().create_bucket(Bucket="restic")
        keys = {"AWS_ACCESS_KEY_ID": server.access_key_id, "AWS_SECRET_ACCESS_KEY": server.secret_access_key}
        restic = keys | _restic_repository(f"s3:{counted.endpoint_url}/restic", corpus, work, keys)

        def prepare() -> None:
            shutil.rmtree(output, ignore_errors=True)
            shutil.rmtree(work / "restic-cache", ignore_errors=True)
            for bucket in ("ours", "encrypted", "restic"):  # the server reads all of an object for its first listing
                server.client().list_objects_v2(Bucket=bucket)
            proxy.reset()

        wanted = str(corpus / _WANTED)
        restore = ["restore", "-q", "bench/corpus", "--to", str(output), wanted]
        of_encrypted = [*restore, "--identity", str(key)]
        contenders = [
            Contender(
                name, holdfast("restore.py", work / bucket, *asked), prepare, output_size=lambda: _read(proxy, output)
            )
            for name, bucket, asked in ((_HOLDFAST, "ours", restore), (_ENCRYPTED, "encrypted", of_encrypted))
        ] + [
            Contender(
                _RESTIC,
                ["restic", "restore", "-q", "latest", "--target", str(output), "--include", wanted],
                prepare,
                output_size=lambda: _read(proxy, output),
                environment=restic,
            ),
        ]
        results = take_turns(contenders, rounds, lambda: None)
        size = sum(len_of for len_of in _sizes(server, "ours", ".zip"))
        index_size = sum(len_of for len_of in _sizes(server, "ours", ".index.zst"))
    for folder in (corpus, work / "s3", output):
        shutil.rmtree(folder)
    return Table(
        "Reading one file of a large archive",
        f"{_MEMBER_SIZE / 1e6:.1f} MB out of an archive of {size / 1e9:.2f} GB with {_MEMBERS:,} files on "
        f"`rclone serve s3` (its index has {index_size / 1e3:.0f} kB). Counted is every byte that the server sent, "
        "listings and headers too; neither has anything cached.",
        ("command", "seconds", "MB read"),
        [(each.name, f"{each.median:.2f}", f"{each.output_size / 1e6:.2f}") for each in results.values()],
        [(each.name, each.median) for each in results.values()],
    )


def reached(tables: Mapping[str, Table]) -> Table:
    """What was to be reached, and was: of the tables by name."""
    rows = []

    def row(what: str, wanted: str, measured: str, is_reached: bool) -> None:
        rows.append((what, wanted, measured, "yes" if is_reached else "**no**"))

    for name, peer, wanted in (
        ("small", _UNZIP, 1.5),
        ("large", _UNZIP, 3.0),
        ("large", _RESTIC, 1.2),
    ):
        seconds = dict(tables[name].bars)
        faster = seconds[peer] / seconds[_HOLDFAST]
        row(f"{name}: restored faster than by `{peer}`", f"{wanted:g} ×", f"{faster:.1f} ×", faster >= wanted)
    most = _MOST_READ / 1e6
    for name, _, text_of_read in tables["one file"].rows[:2]:
        read = float(text_of_read)
        row(f"1 MB out of 2 GB, {name}: read", f"under {most:g} MB", f"{read:.2f} MB", read < most)
    rows += encryption.reached(tables)
    text = "Ratios of the medians below. Where one is not reached, [architecture.md](architecture.md#speed) says why."
    return Table("What was to be reached", text, ("", "wanted", "measured", "reached"), rows)


def peers() -> str:
    """Which versions were measured."""
    rclone = str(Path(sys.executable).parent / "rclone")
    commands: Sequence[Sequence[str]] = (["unzip", "-v"], ["restic", "version"], [rclone, "version"])
    return "; ".join(version(command).strip("* ") for command in commands)


def _restic_repository(where: str, corpus: Path, work: Path, keys: Mapping[str, str] | None = None) -> dict[str, str]:
    """A new repository with one snapshot of the corpus; the environment with which restic finds it."""
    environment = {
        "RESTIC_PASSWORD": "benchmark",
        "RESTIC_REPOSITORY": where,
        "RESTIC_CACHE_DIR": str(work / "restic-cache"),
    }
    for arguments in (["init", "-q"], ["backup", "-q", str(corpus)]):
        subprocess.run(["restic", *arguments], env={**os.environ, **(keys or {}), **environment}, check=True)
    return environment


def _many_random_files(folder: Path) -> Path:
    folder.mkdir()
    for number in range(_MEMBERS):
        (folder / f"file-{number}").write_bytes(os.urandom(_MEMBER_SIZE))
    return folder


def _address(server: S3Server) -> tuple[str, int]:
    return "127.0.0.1", int(server.endpoint_url.rpartition(":")[2])


def _read(proxy: CountingProxy, output: Path) -> int:
    """What was read, once it is sure that the file came back."""
    (restored,) = (path for path in output.rglob("*") if path.is_file())
    if restored.name != _WANTED or restored.stat().st_size != _MEMBER_SIZE:
        raise RuntimeError(f"{restored} is not what was asked for")
    return proxy.received


def _sizes(server: S3Server, bucket: str, ending: str) -> list[int]:
    listed = server.client().list_objects_v2(Bucket=bucket)["Contents"]
    return [each["Size"] for each in listed if each["Key"].endswith(ending)]


def _row(result: Measured, ours: Measured) -> tuple[str, ...]:
    processor_seconds = sorted(result.processor_seconds)[len(result.processor_seconds) // 2]
    return (
        result.name,
        f"{result.median:.2f}",
        f"{result.median / ours.median:.2f}",
        f"{processor_seconds:.2f}",
        f"{max(result.peak_memory) / 1e6:.0f} MB",
    )
