"""STOP_CONTAINERS: containers that stand still while the source is read, and always run again afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from errors import HoldfastError, HostError
from hosts.containers import Containers
from hosts.factory import containers_of
from model import Backup, DockerContainer, SshHost, StoppedContainers
from operations.running.stopped_record import StoppedContainer, StoppedRecord, docker_host

# A container that restarts all the time is stopped too: it could come to life in the middle of the reading.
_ALIVE = ("running", "restarting")

# How long after its time to stop a container may still be ended by Docker, in seconds.
_SECONDS_TO_BE_KILLED = 15.0
_SECONDS_BETWEEN_LOOKS = 0.2


class Standstill:
    """A context manager: whatever happens, the containers have been started again when it is left.

    Where one could not be, ``problems`` says which, and what to type; an error on its way gets that as notes (PEP 678).
    Nothing is raised for it, as the archive is good all the same.
    """

    def __init__(self, backup: Backup, state_directory: Path) -> None:
        self.problems: list[str] = []
        self._backup = backup
        self._state_directory = state_directory
        self._record: StoppedRecord | None = None

    def begin(self) -> None:
        """Stop those that run. Raises HostError, HoldfastError."""
        wanted = self._backup.stopped_containers
        if wanted is None:
            return
        with closing(containers_of(self._backup.ssh, docker_host(self._backup))) as containers:
            record = StoppedRecord.of_run(
                self._state_directory, self._backup, _to_be_stopped(self._backup, wanted, containers)
            )
            if not record.containers:
                return
            self._record = record
            record.save()
            for container in record.containers:
                container.stop_asked = time.time()
                record.save()
                containers.stop(container.identity, container.seconds_to_stop)
                container.has_stopped = True

    def end(self) -> None:
        """Start them again: those that were running, the last one first."""
        if self._record is not None:
            self.problems = start_again(self._record, self._backup.ssh).problems
            self._record = None

    def around(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks. The containers are stopped before the first is asked for, and run again after the last.

        Raises as :meth:`begin` does.
        """
        try:
            self.begin()
            yield from chunks
        finally:
            self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            self.end()
        except BaseException:  # a signal, after which the others are ignored
            self.end()
            raise
        finally:
            if error is not None:
                for problem in self.problems:
                    error.add_note(problem)


def would_stop(backup: Backup) -> list[str]:
    """The names of the containers that a run would stop now. Raises HostError, as a run would."""
    if backup.stopped_containers is None:
        return []
    with closing(containers_of(backup.ssh, docker_host(backup))) as containers:
        return [each.name for each in _to_be_stopped(backup, backup.stopped_containers, containers)]


@dataclass(slots=True)
class StartedAgain:
    """What became of stopped containers: ``started`` run again, ``gone`` were removed meanwhile."""

    started: list[StoppedContainer] = field(default_factory=list)
    gone: list[StoppedContainer] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def start_again(record: StoppedRecord, ssh: SshHost | None) -> StartedAgain:
    """Start what a run has stopped, the last one first, and forget it.

    A container that cannot be started stays in the record. ``ssh`` is the server that the record names.
    """
    result = StartedAgain()
    try:
        if record.asked:
            with closing(containers_of(ssh, record.docker_host)) as containers:
                for container in record.asked:
                    _start_one(container, record, containers, result)
    except HostError as error:
        result.problems.append(not_started(record, record.asked, str(error)))
        return result
    try:
        record.save() if record.asked else record.remove()
    except HoldfastError as error:
        result.problems.append(str(error))
    return result


def not_started(record: StoppedRecord, containers: list[StoppedContainer], reason: str) -> str:
    """The sentences for a person who has to do it."""
    return (
        f"{words(containers)} stopped for {record.backup_id}, and could not be started again. {reason}\n"
        f"Start what was stopped on {record.place}: {record.command_to_start(containers)}"
    )


def words(containers: list[StoppedContainer]) -> str:
    """The beginning of a sentence: ``The containers shop-db and shop-web were``."""
    *others, last = (container.name for container in containers)
    return f"The containers {', '.join(others)} and {last} were" if others else f"The container {last} was"


def _to_be_stopped(backup: Backup, wanted: StoppedContainers, containers: Containers) -> list[StoppedContainer]:
    found = containers.matching(wanted)
    if backup.docker is not None:
        _refuse_own(backup.docker, {each.identity for each in found}, containers, backup)
    alive = [each for each in found if each.state in _ALIVE]
    return [StoppedContainer(each.identity, each.name, containers.seconds_to_stop(each)) for each in alive]


def _refuse_own(docker: DockerContainer, identities: set[str], containers: Containers, backup: Backup) -> None:
    """The container in which the source is read has to run: everything there is read by programs in it."""
    for own in containers.could_be(docker):
        if own.identity in identities:
            raise HostError(
                f"STOP_CONTAINERS of {backup.id} would stop the container {own.name}, in which the backup is read "
                "(DOCKER): nothing can be read in a container that does not run. Take it out of one of the two. The "
                "files of a volume can be read without a container: FILE_PATH: /var/lib/docker/volumes/NAME/_data."
            )


def _start_one(
    container: StoppedContainer, record: StoppedRecord, containers: Containers, result: StartedAgain
) -> None:
    try:
        state = _state_when_stopped(container, containers)
        if state is not None and state not in _ALIVE:
            containers.start(container.identity)
    except HostError as error:
        result.problems.append(not_started(record, [container], str(error)))
        return
    record.containers.remove(container)
    if state is None:
        result.gone.append(container)
    elif state not in _ALIVE:
        result.started.append(container)


def _state_when_stopped(container: StoppedContainer, containers: Containers) -> str | None:
    """Its state once Docker has done what it was asked for; None where it is no more.

    Whoever asked may have been ended before the answer, and Docker goes on to stop it: it must not be taken for one
    that runs, and stop after all.
    """
    patience = container.seconds_to_stop + _SECONDS_TO_BE_KILLED
    while True:
        state = containers.states().get(container.identity)
        waited = time.time() - (container.stop_asked or 0.0)
        if state not in _ALIVE or container.has_stopped or not 0 <= waited < patience:
            return state
        time.sleep(_SECONDS_BETWEEN_LOOKS)
