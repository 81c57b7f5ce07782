"""Records to hosts: the SSH server and the container of a backup, and the containers that it stops."""

from __future__ import annotations

from collections.abc import Sequence

from config.environment import Environment
from config.home import local_file
from config.problems import Problems
from config.records import Record
from config.scalars import either
from model import DockerContainer, SshHost, StoppedContainers

_WAYS_TO_NAME_A_CONTAINER = ("CONTAINER_NAME", "COMPOSE_SERVICE", "LABEL", "VOLUME")
_WAYS_TO_NAME_STOPPED_ONES = ("CONTAINER_NAME", "LABEL", "COMPOSE_PROJECT")


class Hosts:
    """Makes them, and reports what cannot be."""

    def __init__(self, environment: Environment, problems: Problems) -> None:
        self._environment = environment
        self._problems = problems

    def ssh(self, record: Record | None) -> SshHost | None:
        """The server of a map ``SSH``, or the one on the way to it."""
        if record is None:
            return None
        return SshHost(
            username=record.text("USERNAME"),
            address=record.text("IP_ADDRESS") or "",
            port=record.number("PORT") or 22,
            key_file=self._file(record, "KEY_FILE"),
            password=record.secret("PASSWORD"),
            key_passphrase=record.secret("KEY_PASSPHRASE"),
            host_key=record.text("HOST_KEY"),
            known_hosts_file=self._file(record, "KNOWN_HOSTS_FILE"),
            jump=self.ssh(record.record("JUMP_HOST")),
        )

    def docker(self, backup: Record) -> DockerContainer | None:
        """``DOCKER`` stands beside ``DB_INFO`` or inside of it."""
        beside, info = backup.record("DOCKER"), backup.record("DB_INFO")
        inside = info.record("DOCKER") if info else None
        if beside and inside:
            message = f"DOCKER stands beside DB_INFO too, in line {beside.position.line}. Keep one of the two."
            self._problems.error(inside.position, message)
        chosen = beside or inside
        return self._container(chosen) if chosen else None

    def stopped_containers(self, backup: Record) -> StoppedContainers | None:
        """What ``STOP_CONTAINERS`` says."""
        record = backup.record("STOP_CONTAINERS")
        if record is None:
            return None
        if not any(record.lists.get(key) for key in _WAYS_TO_NAME_STOPPED_ONES):
            self._report_no_container(record, _WAYS_TO_NAME_STOPPED_ONES)
        docker = self._used_docker(backup)
        if docker:
            self._check_still_runs(record, docker)
        return StoppedContainers(
            names=_texts(record, "CONTAINER_NAME"),
            labels=_texts(record, "LABEL"),
            compose_projects=_texts(record, "COMPOSE_PROJECT"),
            docker_host=record.text("DOCKER_HOST") or (docker.text("DOCKER_HOST") if docker else None),
        )

    def _used_docker(self, backup: Record) -> Record | None:
        info = backup.record("DB_INFO")
        return backup.record("DOCKER") or (info.record("DOCKER") if info else None)

    def _container(self, record: Record) -> DockerContainer:
        given = (key for key in _WAYS_TO_NAME_A_CONTAINER if key in record.positions)
        ways = sorted(given, key=record.position_of)
        if "COMPOSE_PROJECT" in record.positions and "COMPOSE_SERVICE" not in record.positions:
            message = "COMPOSE_PROJECT goes with COMPOSE_SERVICE. Write which service of the project is meant."
            self._problems.error(record.position_of("COMPOSE_PROJECT"), message)
        elif not ways:
            self._report_no_container(record, _WAYS_TO_NAME_A_CONTAINER)
        for way in ways[1:]:
            message = f"{way} names the container a second time, after {ways[0]}. Keep one of the two."
            self._problems.error(record.position_of(way), message)
        return DockerContainer(
            container_name=record.text("CONTAINER_NAME") or "",
            compose_service=record.text("COMPOSE_SERVICE"),
            compose_project=record.text("COMPOSE_PROJECT"),
            label=record.text("LABEL"),
            volume=record.text("VOLUME"),
            docker_host=record.text("DOCKER_HOST"),
        )

    def _report_no_container(self, record: Record, ways: Sequence[str]) -> None:
        if not record.has_unknown_keys:
            message = f"{record.section.title} names no container. Write {either(ways)} below it."
            self._problems.error(record.position, message)

    def _check_still_runs(self, stopped: Record, docker: Record) -> None:
        """No program can run in a container that stands still."""
        for key in _WAYS_TO_NAME_STOPPED_ONES:
            for position, text in stopped.texts(key):
                if text == docker.text(key):
                    message = f"{key} would stop the container in which the backup is read. Remove it here."
                    self._problems.error(position, message)

    def _file(self, record: Record, key: str) -> str | None:
        return local_file(record, key, self._environment, self._problems)


def _texts(record: Record, key: str) -> tuple[str, ...]:
    return tuple(text for _, text in record.texts(key))
