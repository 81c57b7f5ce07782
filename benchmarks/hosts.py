"""Databases, remote files and containers: whole runs against the programs that give the same bytes.

The server, the container and ``ssh`` run on this machine, so both ends share the processors.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.archives import REPOSITORY, holdfast
from benchmarks.corpora import size_and_count, warm
from benchmarks.measure import Contender, Measured, take_turns
from benchmarks.report import Table, version
from benchmarks.shop_database import CONTENT, ShopDatabase
from tests.support.dockerd import running_dockerd
from tests.support.sshd import USER, Sshd, running_sshd

OURS = "Holdfast"
_PLAIN_DUMP, _UNPACKED_DUMP = "pg_dump -Fc to a file", "pg_dump -Fc -Z0 >/dev/null"
_TAR, _PACKED_TAR = "ssh tar -cf - | cat", "ssh tar -czf - > file"
_EXEC, _STREAM = "docker exec | cat", "Holdfast's stream to nowhere"


def database(shop: ShopDatabase, work: Path, rounds: int) -> Table:
    """A database from its server to an archive on the disk."""
    ours, output = work / "holdfast-database", work / "output"
    source = {"NAME": shop.name, "USERNAME": shop.user, "HOST": str(shop.folder)}

    def empty() -> None:
        _configure(ours, "DB_BACKUP", {"DB_INFO": source})
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()

    dump = [str(shop.binaries / "pg_dump"), "--format=custom", shop.name]
    contenders = [
        Contender(OURS, _run(ours), empty, output_size=lambda: size_and_count(ours / "backups")[0]),
        Contender(
            _PLAIN_DUMP,
            [*dump, f"--file={output}/shop.dump"],
            empty,
            output_size=lambda: size_and_count(output)[0],
            environment=shop.environment,
        ),
        Contender(_UNPACKED_DUMP, [*dump, "--compress=0"], empty, environment=shop.environment),
    ]
    results = take_turns(contenders, rounds, lambda: warm(shop.folder))
    shutil.rmtree(ours)
    shutil.rmtree(output)
    return _table(
        "A PostgreSQL database",
        f"{shop.size / 1e9:.2f} GB as the server counts them, {shop.dump_size / 1e9:.2f} GB as pg_dump writes them "
        f"unpacked: {CONTENT}. PostgreSQL {shop.version} with its default settings; all of it warm in memory. The "
        "processor seconds are those of the client.",
        results,
    )


def files_over_ssh(corpus: Path, work: Path, rounds: int) -> Table:
    """The files of a server to an archive on the disk."""
    with running_sshd() as sshd:
        ours, output = work / "holdfast-ssh", work / "output"

        def empty() -> None:
            _configure(ours, "FILE_BACKUP", {"FILE_PATH": str(corpus), "SSH": _ssh_settings(sshd)})
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir()

        ssh = _ssh_program(sshd)
        contenders = [
            Contender(OURS, _run(ours), empty, output_size=lambda: size_and_count(ours / "backups")[0]),
            Contender(_TAR, ["sh", "-c", f"{ssh} tar -cf - '{corpus}' 2>/dev/null | cat > /dev/null"], empty),
            Contender(
                _PACKED_TAR,
                ["sh", "-c", f"{ssh} tar -czf - '{corpus}' 2>/dev/null > '{output}/corpus.tar.gz'"],
                empty,
                output_size=lambda: size_and_count(output)[0],
            ),
        ]
        results = take_turns(contenders, rounds, lambda: warm(corpus))
    shutil.rmtree(ours)
    shutil.rmtree(output)
    size, count = size_and_count(corpus)
    return _table(
        f"Files over SSH: {corpus.name} files",
        f"{count:,} files, {size / 1e9:.2f} GB, from OpenSSH's server on this machine. The processor seconds are those "
        "of the client.",
        results,
    )


def docker_exec(corpus: Path, work: Path, rounds: int) -> Table:
    """What a program in a container writes, and the same as a whole run."""
    with running_dockerd() as dockerd:
        container = dockerd.run("--volume", f"{corpus}:/srv/corpus:ro")
        ours = work / "holdfast-docker"
        docker = {"CONTAINER_NAME": container, "DOCKER_HOST": dockerd.url}
        program = ["sh", "-c", "cat /srv/corpus/*"]

        def empty() -> None:
            _configure(
                ours, "COMMAND_BACKUP", {"NAME": "corpus", "COMMAND": program, "FILENAME": "corpus", "DOCKER": docker}
            )

        read = ["env", "-C", str(REPOSITORY), sys.executable, "-m", "benchmarks.read_container"]
        peer = f"docker --host '{dockerd.url}' exec {container} sh -c 'cat /srv/corpus/*' | cat > /dev/null"
        contenders = [
            Contender(OURS, _run(ours), empty, output_size=lambda: size_and_count(ours / "backups")[0]),
            Contender(_STREAM, [*read, dockerd.url, container, *program], empty),
            Contender(_EXEC, ["sh", "-c", peer], empty),
        ]
        results = take_turns(contenders, rounds, lambda: warm(corpus))
    shutil.rmtree(ours)
    size, _ = size_and_count(corpus)
    return _table(
        "What a program in a container writes",
        f"{size / 1e9:.2f} GB, by `cat` in a container. The first is a whole run, with COMMAND_BACKUP; the second only "
        "takes the stream, as the third does. The processor seconds are those of the client.",
        results,
    )


def reached(tables: Mapping[str, Table]) -> Table:
    """What was to be reached, and what was. ``tables`` are by the names that ``benchmarks.__main__`` gives them."""
    rows: list[tuple[str, str, str, str]] = []

    def row(what: str, wanted: str, ratio: float, is_reached: bool) -> None:
        rows.append((what, wanted, f"{ratio:.2f} ×", "yes" if is_reached else "**no**"))

    seconds = dict(tables["database"].bars)
    faster = seconds[_PLAIN_DUMP] / seconds[OURS]
    row(f"database: faster than `{_PLAIN_DUMP}`", "1.7 ×", faster, faster >= 1.7)
    time = seconds[OURS] / seconds[_UNPACKED_DUMP]
    row(f"database: the time of `{_UNPACKED_DUMP}`", "at most 1.3 ×", time, time <= 1.3)
    sizes = {cells[0]: float(cells[-1]) for cells in tables["database"].rows if cells[-1]}
    size = sizes[OURS] / sizes[_PLAIN_DUMP]
    row(f"database: the size of `{_PLAIN_DUMP}`", "at most 1.15 ×", size, size <= 1.15)
    for name in ("small", "large"):
        seconds = dict(tables[name].bars)
        speed = seconds[_TAR] / seconds[OURS]
        row(f"SSH, {name}: the speed of `{_TAR}`", "0.6 ×", speed, speed >= 0.6)
        faster = seconds[_PACKED_TAR] / seconds[OURS]
        row(f"SSH, {name}: faster than `{_PACKED_TAR}`", "4 ×", faster, faster >= 4)
    seconds = dict(tables["docker"].bars)
    speed = seconds[_EXEC] / seconds[_STREAM]
    row(f"container: the speed of `{_EXEC}`", "0.6 ×", speed, speed >= 0.6)
    text = "Ratios of the medians below. Where one is not reached, [architecture.md](architecture.md#speed) says why."
    return Table("What was to be reached", text, ("", "wanted", "measured", "reached"), rows)


def peers() -> str:
    """Which versions were measured."""
    commands = (["pg_dump", "--version"], ["ssh", "-V"], ["tar", "--version"], ["docker", "--version"])
    return "; ".join(version(command) for command in commands)


def _configure(folder: Path, kind: str, backup: Mapping[str, object]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    whole = {"NAME": "corpus", "INTERVALS": "@daily", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}], **backup}
    project = {"NAME": "bench", "BACKUPS": [{kind: [whole]}]}
    # JSON is YAML too.
    (folder / "config.yaml").write_text(json.dumps({"PROJECTS": [project]}))
    (folder / "config.yaml").chmod(0o600)


def _run(folder: Path) -> list[str]:
    return holdfast("backup.py", folder, "-q", "bench/corpus")


def _ssh_settings(sshd: Sshd) -> dict[str, object]:
    return {
        "USERNAME": USER,
        "IP_ADDRESS": "127.0.0.1",
        "PORT": sshd.port,
        "KEY_FILE": str(sshd.user_key),
        "HOST_KEY": sshd.fingerprint(),
    }


def _ssh_program(sshd: Sshd) -> str:
    options = {"UserKnownHostsFile": sshd.known_hosts, "IdentityFile": sshd.user_key, "IdentitiesOnly": "yes"}
    given = " ".join(f"-o '{name}={value}'" for name, value in options.items())
    return f"ssh -F {os.devnull} {given} -p {sshd.port} {USER}@127.0.0.1"


def _table(title: str, text: str, results: Mapping[str, Measured]) -> Table:
    rows = [
        (
            result.name,
            f"{result.median:.2f}",
            f"{result.median / results[OURS].median:.2f}",
            f"{median(result.processor_seconds):.2f}",
            f"{max(result.peak_memory) / 1e6:.0f} MB",
            f"{result.output_size / 1e6:.0f}" if result.output_size else "",
        )
        for result in results.values()
    ]
    header = ("command", "seconds", "× Holdfast's time", "processor seconds", "peak memory", "MB of the result")
    return Table(title, text, header, rows, [(result.name, result.median) for result in results.values()])
