"""Sources at places: whole processes back it up, it comes back whole, and no password is seen on the way.

Each source is tried at two places, and each place with two sources or more; every source at every place with
``HOLDFAST_MATRIX=full .venv/bin/python -m pytest tests/test_matrix.py``.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.crontab import StandInCrontab
from tests.support.dockerd import requires_dockerd
from tests.support.holdfast import Holdfast
from tests.support.matrix_places import Container, Place, World
from tests.support.matrix_sources import SOURCES, MatrixSource
from tests.support.pairs import pairs
from tests.support.secret_watch import SecretWatch
from tests.support.skips import requires_program
from tests.support.sshd import requires_sshd

pytestmark = requires_program("unzip", "zstd")

PLACES = [
    pytest.param(Place.LOCAL, id="local"),
    pytest.param(Place.SSH, id="ssh", marks=requires_sshd),
    pytest.param(Place.DOCKER, id="docker", marks=requires_dockerd),
    pytest.param(Place.DOCKER_OVER_SSH, id="docker-over-ssh", marks=[requires_dockerd, requires_sshd]),
]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


@dataclass(frozen=True)
class BareHoldfast(Holdfast):
    """With the environment that cron gives, and everything else from ``.env``. ``outputs`` is all that was said."""

    outputs: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}

    def run_command(self, command: list[str | bytes | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        finished = super().run_command(command, **options)
        self.outputs.append(finished.stdout + finished.stderr)
        return finished

    @property
    def env_file(self) -> Path:
        return self.folder / ".env"

    def write_secrets(self, secrets: dict[str, str]) -> None:
        values = {"LOCAL_STORAGE_ROOT": str(self.storage), "STATE_DIR": str(self.state), **secrets}
        escaped = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in values.items()}
        self.env_file.write_text("".join(f"{name}='{value}'\n" for name, value in escaped.items()))
        self.env_file.chmod(0o600)


@pytest.mark.parametrize(("kind", "place"), pairs(SOURCES, PLACES, 0, 2))
def test_what_is_backed_up_comes_back_whole(
    world: World, kind: type[MatrixSource], place: Place, tmp_path: Path
) -> None:
    source = kind(world, place)
    holdfast = BareHoldfast(tmp_path / '-h\'old "fast"; $HOME ü')
    backup_id, empty_id = configure(holdfast, source)
    before = changes_in(world, source.container)

    with SecretWatch(world.mark) as watch:
        finished = holdfast.run("backup.py", backup_id)
    assert finished.returncode == 0, finished.stderr
    assert watch.seen.command_lines_with_secret == set()
    assert watch.seen.environments_with_secret <= source.may_know_secrets
    if place is not Place.LOCAL:
        assert source.programs <= watch.seen.programs
    assert changes_in(world, source.container) == before

    unpacked = tmp_path / "unpacked"
    (archive,) = holdfast.storage.rglob("*.zip")
    subprocess.run(["unzip", "-q", "-X", "-K", "-^", archive, "-d", unpacked], check=True)
    source.check_unpacked(unpacked)

    with SecretWatch(world.mark) as watch:
        source.check_restored(holdfast, backup_id, empty_id)
    assert watch.seen.command_lines_with_secret == set()
    assert watch.seen.environments_with_secret <= source.may_know_secrets

    crontab = StandInCrontab(tmp_path / "crontab")
    finished = holdfast.run("main.py", env={"PATH": crontab.path})
    assert finished.returncode == 0, finished.stderr
    assert backup_id in (crontab.text or b"").decode()
    assert traces_of(world, holdfast, crontab, unpacked) == []


def configure(holdfast: BareHoldfast, source: MatrixSource) -> tuple[str, str]:
    """Write the configuration; the ids of the backup, and of one of what is empty."""
    shared = {"INTERVALS": "0 3 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": "-to 'the'; $HOME/ü"}]}
    backups = [{"NAME": f"-the 'full'; \"one\" $HOME {source.place.value}", **shared, **source.keys()}]
    if empty := source.keys_of_empty():
        backups.append({"NAME": "empty", **shared, **empty})
    project = {"NAME": '-rf s\'hop; "größe" $HOME', "BACKUPS": [{source.kind: backups}]}
    holdfast.write({"PROJECTS": [project]})
    holdfast.write_secrets(source.secrets)
    ids = [backup.id for backup in holdfast.configuration().backups]
    return ids[0], ids[-1]


def changes_in(world: World, container: Container | None) -> list[str]:
    """Every path of the container that is not as in its image."""
    return world.dockerd.docker("diff", container.name).splitlines() if container else []


def traces_of(world: World, holdfast: BareHoldfast, crontab: StandInCrontab, unpacked: Path) -> list[str]:
    """Where a secret is to be found after all: the state, the storage, what is in archive and index, and Docker."""
    mark = world.mark.encode()
    said = {"what was said": "".join(holdfast.outputs).encode(), "the crontab": crontab.text or b""}
    for folder in (holdfast.folder, unpacked):
        files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        said |= {str(path): path.read_bytes() for path in files if path != holdfast.env_file}
    (index,) = holdfast.storage.rglob("*.index.zst")
    said["the index"] = subprocess.run(["zstd", "-dc", index], capture_output=True, check=True).stdout
    assert backup_was_logged(said)
    if "dockerd" in vars(world):
        said["Docker's events"] = world.dockerd.docker("events", "--since=0", f"--until={int(time.time())}").encode()
        said["Docker's log"] = (world.dockerd.folder / "log").read_bytes()
        assert b"exec_create" in said["Docker's events"]
    return [where for where, data in said.items() if mark in data]


def backup_was_logged(said: dict[str, bytes]) -> bool:
    """So it was looked where something is."""
    return any(path.endswith("catalog.db") for path in said) and any(path.endswith(".manifest.json") for path in said)
