"""What says on the disk which containers a run has stopped, so that they are started again even after a kill -9.

``<state>/stopped-containers/<random>.json``, mode 0600, one for each try of a run, from before the first container is
stopped until all of them have been started again. Whether that run is still alive is told by the lock of its backup.
It names the SSH server, and holds nothing that opens it: that comes from the configuration.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from errors import HoldfastError
from model import Backup
from utils import fsync_directory, make_private_directory

_FOLDER = "stopped-containers"
_VERSION = 1


@dataclass(slots=True)
class StoppedContainer:
    """``stop_asked`` is when Docker was asked to stop it (seconds since 1970), None where it has not been asked yet.

    ``seconds_to_stop`` is how long Docker waits then before it kills it.
    """

    identity: str
    name: str
    seconds_to_stop: int
    stop_asked: float | None = None
    has_stopped: bool = False


@dataclass(slots=True)
class StoppedRecord:
    """``containers`` are in the order in which they are stopped. ``ssh`` is ``address:port``, None for this machine.

    ``docker_host`` is the URL of Docker as seen from there, None where it is the usual one. ``told`` is when a person
    was last told that they could not be started (seconds since 1970).
    """

    path: Path
    backup_id: str
    ssh: str | None
    docker_host: str | None
    containers: list[StoppedContainer]
    told: float = 0.0

    @classmethod
    def of_run(cls, state_directory: Path, backup: Backup, containers: list[StoppedContainer]) -> StoppedRecord:
        """A new one, which is not on the disk before it is saved."""
        path = state_directory / _FOLDER / f"{secrets.token_hex(8)}.json"
        return cls(path, backup.id, ssh_words(backup), docker_host(backup), containers)

    @property
    def asked(self) -> list[StoppedContainer]:
        """Those that have stopped, or will: the only ones to be started again, in the order in which they are."""
        return [container for container in reversed(self.containers) if container.stop_asked is not None]

    @property
    def place(self) -> str:
        """Where they are: ends a sentence."""
        return "this machine" if self.ssh is None else self.ssh

    def command_to_start(self, containers: list[StoppedContainer]) -> str:
        """What a person can type there."""
        at = ["--host", self.docker_host] if self.docker_host else []
        return shlex.join(["docker", *at, "start", *(container.name for container in containers)])

    def save(self) -> None:
        """Make it durable. Raises HoldfastError."""
        document = {
            "version": _VERSION,
            "backup": self.backup_id,
            "ssh": self.ssh,
            "docker_host": self.docker_host,
            "told": self.told,
            "containers": [asdict(container) for container in self.containers],
        }
        unfinished = self.path.with_suffix(".new")
        try:
            make_private_directory(self.path.parent)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.path)
            fsync_directory(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise HoldfastError(
                f"The file {self.path}, which says what containers are stopped, cannot be written: {error.strerror}. "
                "Check STATE_DIR."
            ) from error

    def remove(self) -> None:
        """All of them run again. Raises HoldfastError."""
        try:
            self.path.unlink(missing_ok=True)
            if self.path.parent.is_dir():
                fsync_directory(self.path.parent)
        except OSError as error:
            raise HoldfastError(
                f"The file {self.path}, which says what containers are stopped, cannot be removed: {error.strerror}. "
                "They run again: remove it."
            ) from error


def stopped_records(state_directory: Path) -> Iterator[StoppedRecord]:
    """All that are there, those of runs that are under way among them. One that cannot be read is left alone.

    Raises OSError where the folder cannot be read.
    """
    for path in sorted((state_directory / _FOLDER).glob("*.json")):
        record = read_record(path)
        if record is not None:
            yield record


def read_record(path: Path) -> StoppedRecord | None:
    """What is there now; None where there is none, or none that this version knows."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != _VERSION:
            return None
        return StoppedRecord(
            path,
            document["backup"],
            document["ssh"],
            document["docker_host"],
            [StoppedContainer(**container) for container in document["containers"]],
            document["told"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ssh_words(backup: Backup) -> str | None:
    """``address:port`` of its SSH server."""
    return f"{backup.ssh.address}:{backup.ssh.port}" if backup.ssh else None


def docker_host(backup: Backup) -> str | None:
    """The URL of the Docker whose containers its STOP_CONTAINERS names: that of its DOCKER where it has no own one.

    That of this machine's environment is part of it: the next command may have another environment.
    """
    named = (backup.stopped_containers and backup.stopped_containers.docker_host) or (
        backup.docker and backup.docker.docker_host
    )
    return named or (None if backup.ssh else os.environ.get("DOCKER_HOST"))
