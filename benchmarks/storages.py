"""Archives on their way to S3, SFTP and OneDrive, each a real server on this machine (OneDrive is the emulator).

The server shares the processors with the client, so seconds are those of both.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.archives import REPOSITORY, holdfast
from benchmarks.corpora import size_and_count, warm
from benchmarks.measure import Contender, Measured, take_turns
from benchmarks.report import Table, version
from tests.support.delay_proxy import delay_proxy
from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, TENANT_ID, USER, started_emulator
from tests.support.s3_servers import S3Server, rclone_server
from tests.support.sshd import USER as SSH_USER
from tests.support.sshd import Sshd, running_sshd

RCLONE = str(Path(sys.executable).parent / "rclone")
ROUND_TRIP_SECONDS = 0.1


def to_s3(corpus: Path, work: Path, rounds: int) -> Table:
    """From a corpus straight to S3, and the two halves of that by themselves."""
    with rclone_server(work / "s3") as server:
        ours = work / "holdfast-s3"
        ready = _ready_archive(corpus, work)
        keys = {"AWS_ACCESS_KEY_ID": server.access_key_id, "AWS_SECRET_ACCESS_KEY": server.secret_access_key}
        restic = {**keys, "RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": str(work / "restic-cache")}
        bucket_name = work / "bucket"
        numbers = itertools.count()

        def empty() -> None:
            """A bucket of a new name: the server remembers what was in a folder that is removed behind its back."""
            for folder in (ours, work / "restic-cache", *(work / "s3").iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
            bucket = f"bucket-{next(numbers)}"
            server.client().create_bucket(Bucket=bucket)
            bucket_name.write_text(bucket)
            configure_storages(ours, corpus, "OFFSITE", [s3_storage(server, bucket)])

        def make_repository() -> None:
            empty()
            subprocess.run(["sh", "-c", f"{restic_here} init -q"], env={**os.environ, **restic}, check=True)

        restic_here = f"restic -r s3:{server.endpoint_url}/$(cat '{bucket_name}')"
        upload = " ".join(_module("boto3_upload", server.endpoint_url, f"$(cat '{bucket_name}')", "corpus.zip", ready))
        contenders = [
            Contender("Holdfast to S3", holdfast("backup.py", ours, "-q", "bench/corpus"), empty),
            Contender(
                "restic, first backup",
                ["sh", "-c", f"{restic_here} backup -q '{corpus}'"],
                make_repository,
                environment=restic,
            ),
            Contender(
                "zip | rclone rcat",
                ["sh", "-c", f"zip -r -q -y - '{corpus}' | '{RCLONE}' rcat peer:$(cat '{bucket_name}')/corpus.zip"],
                empty,
                environment=_rclone_s3(server),
            ),
            Contender("packing to nowhere", _module("pack_to_nowhere", corpus), empty),
            Contender("boto3, a ready archive", ["sh", "-c", upload], empty, environment=keys),
        ]
        results = take_turns(contenders, rounds, lambda: warm(corpus))
        size, count = size_and_count(corpus)
        ready.unlink()
        empty()
    return _table(
        f"To S3: {corpus.name} files",
        f"{count:,} files, {size / 1e9:.2f} GB, to `rclone serve s3` on this machine, which shares its processors.",
        results,
        "Holdfast to S3",
    )


def to_sftp(work: Path, file: Path, rounds: int) -> Table:
    """A ready file to a server over SSH."""
    with running_sshd() as sshd:
        ours, root = work / "holdfast-sftp", work / "sftp"

        def empty() -> None:
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            configure_storages(ours, file, "SERVER", [_sftp_storage(sshd, root)])

        (work / "batch").write_text(f'put "{file}" "{root}/file"\n')
        contenders = [
            Contender("Holdfast", _put_file(ours, "SERVER", file), empty),
            Contender("sftp put", _sftp_program(sshd, work / "batch"), empty),
            Contender(
                "rclone copyto", _rclone("copyto", file, f"peer:{root}/file"), empty, environment=_rclone_sftp(sshd)
            ),
        ]
        results = take_turns(contenders, rounds, lambda: warm(file.parent))
        empty()
    return _table(
        "A ready file to SFTP",
        f"{file.stat().st_size / 1e9:.2f} GB to OpenSSH's server on this machine. Holdfast and rclone also compare "
        "what the server wrote with what was sent.",
        results,
        "Holdfast",
    )


def to_onedrive(work: Path, file: Path, rounds: int) -> Table:
    """A ready file to the emulator, against fragments that are sent with nothing else done."""
    content = file.read_bytes()
    digest, checksum = hashlib.sha256(content).hexdigest(), zlib.crc32(content)
    with started_emulator(keep="nothing") as emulator:
        ours = work / "holdfast-onedrive"

        def empty() -> None:
            emulator.reset(keep="nothing")
            configure_storages(ours, file, "ONEDRIVE", [_ONEDRIVE])

        environment = {"PYTHONPATH": emulator.child_environment()["PYTHONPATH"], **emulator.child_environment()}
        contenders = [
            Contender(
                "Holdfast",
                _module("put_known_file", ours / "config.yaml", file, digest, str(checksum), "corpus.zip"),
                empty,
                environment=environment,
            ),
            Contender("raw fragments", _module("raw_fragments", json.dumps(asdict(emulator)), file), empty),
        ]
        results = take_turns(contenders, rounds, lambda: warm(file.parent))
    return _table(
        "A ready file to OneDrive",
        f"{file.stat().st_size / 1e9:.2f} GB to the emulator. The raw fragments are read and sent one after the other. "
        "Holdfast also computes CRC-32 and quickXorHash, and keeps the session's state.",
        results,
        "Holdfast",
    )


def over_a_long_line(work: Path, file: Path, rounds: int) -> Table:
    """The same ready file where each answer takes a tenth of a second."""
    root = work / "sftp"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    with rclone_server(work / "s3") as server, running_sshd() as sshd:
        s3_address, sshd_address = ("127.0.0.1", int(server.endpoint_url.rpartition(":")[2])), ("127.0.0.1", sshd.port)
        with (
            delay_proxy(s3_address, ROUND_TRIP_SECONDS) as far_s3,
            delay_proxy(sshd_address, ROUND_TRIP_SECONDS) as far_sshd,
        ):
            far = S3Server("rclone", f"http://127.0.0.1:{far_s3}")
            ours = work / "holdfast-far"

            (work / "s3" / "ours").mkdir(exist_ok=True)

            def empty() -> None:
                shutil.rmtree(root)
                root.mkdir()
                configure_storages(ours, file, "OFFSITE", [s3_storage(far), _sftp_storage(sshd, root, far_sshd)])

            contenders = [
                Contender("S3: Holdfast", _put_file(ours, "OFFSITE", file), empty),
                Contender(
                    "S3: rclone copyto",
                    _rclone("copyto", "--ignore-times", file, "peer:ours/file"),
                    empty,
                    environment=_rclone_s3(far),
                ),
                Contender("SFTP: Holdfast", _put_file(ours, "SERVER", file), empty),
                Contender(
                    "SFTP: rclone copyto",
                    _rclone("copyto", file, f"peer:{root}/file"),
                    empty,
                    environment=_rclone_sftp(sshd, far_sshd),
                ),
            ]
            results = take_turns(contenders, rounds, lambda: warm(file.parent))
            empty()
    return _table(
        "Over a line with a round trip of 100 ms",
        f"A ready file of {file.stat().st_size / 1e6:.0f} MB, through a proxy that holds every byte back for 50 ms "
        "each way and does not limit the rate.",
        results,
        None,
    )


def memory_of_three_targets(corpus: Path, work: Path) -> Table:
    """Peak memory of one run that streams a large corpus to three targets."""
    root = work / "sftp"
    root.mkdir(exist_ok=True)
    with rclone_server(work / "s3") as server, running_sshd() as sshd:
        ours = work / "holdfast-three"
        (work / "s3" / "ours").mkdir(exist_ok=True)
        configure_storages(
            ours, corpus, "LOCAL", [s3_storage(server), _sftp_storage(sshd, root)], ["LOCAL", "OFFSITE", "SERVER"]
        )
        run = Contender("Holdfast", holdfast("backup.py", ours, "-q", "bench/corpus"))
        result = take_turns([run], 1, lambda: None)["Holdfast"]
        for folder in (root, ours, *(work / "s3").iterdir()):
            shutil.rmtree(folder)
    size, count = size_and_count(corpus)
    row = (f"{count:,}", f"{size / 1e9:.1f} GB", f"{result.median:.1f}", f"{result.peak_memory[0] / 1e6:.0f} MB")
    return Table(
        "Memory with three targets",
        "One run to a disk, S3 and SFTP at once.",
        ("files", "content", "seconds", "peak memory"),
        [row],
    )


def reached(tables: Mapping[str, Table]) -> Table:
    """What was to be reached, and what was. ``tables`` are by the names that ``benchmarks.__main__`` gives them."""
    rows: list[tuple[str, str, str, str]] = []

    def row(what: str, wanted: str, ratio: float, is_reached: bool) -> None:
        rows.append((what, wanted, f"{ratio:.2f} ×", "yes" if is_reached else "**no**"))

    for name in ("small", "large"):
        seconds = dict(tables[name].bars)
        ours = seconds["Holdfast to S3"]
        faster = seconds["restic, first backup"] / ours
        row(f"S3, {name}: faster than restic's first backup", "2 ×", faster, faster >= 2)
        faster = seconds["zip | rclone rcat"] / ours
        row(f"S3, {name}: faster than `zip \\| rclone rcat`", "5 ×", faster, faster >= 5)
        of_sum = ours / (seconds["packing to nowhere"] + seconds["boto3, a ready archive"])
        row(f"S3, {name}: of packing to nowhere + uploading by boto3", "at most 1.1 ×", of_sum, of_sum <= 1.1)
    seconds = dict(tables["sftp"].bars)
    for peer in ("sftp put", "rclone copyto"):
        speed = seconds[peer] / seconds["Holdfast"]
        row(f"SFTP: the speed of `{peer}`", "0.8 ×", speed, speed >= 0.8)
    seconds = dict(tables["onedrive"].bars)
    speed = seconds["raw fragments"] / seconds["Holdfast"]
    row("OneDrive: the speed of raw fragments", "0.85 ×", speed, speed >= 0.85)
    seconds = dict(tables["line"].bars)
    for name in ("S3", "SFTP"):
        time = seconds[f"{name}: Holdfast"] / seconds[f"{name}: rclone copyto"]
        row(f"{name} at 100 ms: the time of rclone", "at most 2 ×", time, time <= 2)
    text = "Ratios of the medians below. Where one is not reached, [architecture.md](architecture.md#speed) says why."
    return Table("What was to be reached", text, ("", "wanted", "measured", "reached"), rows)


def peers() -> str:
    """Which versions were measured."""
    commands: Sequence[Sequence[str]] = (["restic", "version"], [RCLONE, "version"], ["ssh", "-V"], ["zip", "-v"])
    return "; ".join(version(command).strip("* ") for command in commands)


# --- how they are configured ------------------------------------------------------------------------------------

_ONEDRIVE = {
    "NAME": "ONEDRIVE",
    "TYPE": "ONEDRIVE",
    "TENANT_ID": TENANT_ID,
    "CLIENT_ID": CLIENT_ID,
    "CLIENT_SECRET": CLIENT_SECRET,
    "DRIVE": USER,
}


def configure_storages(
    folder: Path,
    source: Path,
    target: str,
    storages: Sequence[Mapping[str, object]],
    targets: Sequence[str] = (),
    **keys: object,
) -> None:
    """Write a configuration into ``folder``, anew, that backs ``source`` up to these storages. ``keys`` are others of
    the backup."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    backup: dict[str, object] = {
        **keys,
        "NAME": "corpus",
        "INTERVALS": "@daily",
        "FILE_PATH": str(source),
        "UPLOAD_TO": [{"STORAGE_NAME": name} for name in targets or [target]],
    }
    project = {"NAME": "bench", "BACKUPS": [{"FILE_BACKUP": [backup]}]}
    # JSON is YAML too.
    (folder / "config.yaml").write_text(json.dumps({"STORAGES": list(storages), "PROJECTS": [project]}))
    (folder / "config.yaml").chmod(0o600)


def s3_storage(server: S3Server, bucket: str = "ours") -> dict[str, object]:
    """The storage ``OFFSITE``, as a configuration defines it."""
    return {
        "NAME": "OFFSITE",
        "TYPE": "S3",
        "BUCKET": bucket,
        "ENDPOINT_URL": server.endpoint_url,
        "REGION": "us-east-1",
        "ACCESS_KEY_ID": server.access_key_id,
        "SECRET_ACCESS_KEY": server.secret_access_key,
    }


def _sftp_storage(sshd: Sshd, root: Path, port: int | None = None) -> dict[str, object]:
    return {
        "NAME": "SERVER",
        "TYPE": "SFTP",
        "HOST": "127.0.0.1",
        "PORT": port or sshd.port,
        "USERNAME": SSH_USER,
        "KEY_FILE": str(sshd.user_key),
        "HOST_KEY": sshd.fingerprint(),
        "ROOT": str(root),
    }


def _rclone_s3(server: S3Server) -> dict[str, str]:
    return {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_PEER_TYPE": "s3",
        "RCLONE_CONFIG_PEER_PROVIDER": "Rclone",
        "RCLONE_CONFIG_PEER_ENDPOINT": server.endpoint_url,
        "RCLONE_CONFIG_PEER_ACCESS_KEY_ID": server.access_key_id,
        "RCLONE_CONFIG_PEER_SECRET_ACCESS_KEY": server.secret_access_key,
    }


def _rclone_sftp(sshd: Sshd, port: int | None = None) -> dict[str, str]:
    return {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_PEER_TYPE": "sftp",
        "RCLONE_CONFIG_PEER_HOST": "127.0.0.1",
        "RCLONE_CONFIG_PEER_PORT": str(port or sshd.port),
        "RCLONE_CONFIG_PEER_USER": SSH_USER,
        "RCLONE_CONFIG_PEER_KEY_FILE": str(sshd.user_key),
    }


def _rclone(*arguments: str | Path) -> list[str]:
    return [RCLONE, *map(str, arguments)]


def _sftp_program(sshd: Sshd, batch: Path) -> list[str]:
    options = {"UserKnownHostsFile": sshd.known_hosts, "IdentityFile": sshd.user_key, "IdentitiesOnly": "yes"}
    given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["sftp", "-q", *given, "-b", str(batch), "-P", str(sshd.port), f"{SSH_USER}@127.0.0.1"]


def _module(name: str, *arguments: str | Path) -> list[str]:
    return ["env", "-C", str(REPOSITORY), sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


def _put_file(folder: Path, storage: str, file: Path) -> list[str]:
    return _module("put_file", folder / "config.yaml", storage, file)


def _ready_archive(corpus: Path, work: Path) -> Path:
    """The archive that Holdfast makes of the corpus, as a file."""
    folder = work / "holdfast-ready"
    configure_storages(folder, corpus, "LOCAL", [])
    subprocess.run(holdfast("backup.py", folder, "-q", "bench/corpus"), check=True)
    archive = next((folder / "backups").rglob("*.zip")).rename(work / f"{corpus.name}.zip")
    shutil.rmtree(folder)
    return archive


def _table(title: str, text: str, results: Mapping[str, Measured], ours: str | None) -> Table:
    rows = []
    for result in results.values():
        middle = sorted(result.processor_seconds)[len(result.processor_seconds) // 2]
        ratio = f"{result.median / results[ours].median:.2f}" if ours else ""
        rows.append(
            (result.name, f"{result.median:.2f}", ratio, f"{middle:.2f}", f"{max(result.peak_memory) / 1e6:.0f} MB")
        )
    header = (
        "command",
        "seconds",
        "× Holdfast's time" if ours else "",
        "processor seconds of the client",
        "peak memory",
    )
    return Table(title, text, header, rows, [(result.name, result.median) for result in results.values()])


@contextmanager
def ready_file(work: Path, size: int) -> Iterator[Path]:
    """A file of random bytes, alone in a folder."""
    folder = work / "ready"
    folder.mkdir()
    file = folder / "file"
    with file.open("wb") as output:
        for _ in range(size >> 20):
            output.write(os.urandom(1 << 20))
    yield file
    shutil.rmtree(folder)
