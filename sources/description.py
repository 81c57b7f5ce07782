"""What a backup reads, in the words of config.yaml, for the manifest. No secret is in it. Pure."""

from __future__ import annotations

from typing import Any

from model import Backup, CommandSource, DatabaseSource, DockerContainer, FileSource, SshHost
from utils import redact


def describe(backup: Backup) -> dict[str, Any]:
    """The source and where it is read; what the configuration leaves out is left out."""
    description = _describe_source(backup)
    if backup.ssh is not None:
        description["SSH"] = _describe_ssh(backup.ssh)
    if backup.docker is not None:
        description["DOCKER"] = _describe_docker(backup.docker)
    return description


def _describe_source(backup: Backup) -> dict[str, Any]:
    source = backup.source
    if isinstance(source, FileSource):
        return _describe_files(source)
    if isinstance(source, CommandSource):
        # A secret has no place among arguments, but may stand there all the same.
        return {"COMMAND": [redact(argument) for argument in source.argv], "FILENAME": source.filename}
    return {"DB_INFO": _describe_database(source)}


def _describe_files(source: FileSource) -> dict[str, Any]:
    description: dict[str, Any] = {"FILE_PATH": list(source.paths)}
    if source.exclude:
        description["EXCLUDE"] = list(source.exclude)
    if source.exclude_if_present:
        description["EXCLUDE_IF_PRESENT"] = list(source.exclude_if_present)
    if source.exclude_caches:
        description["EXCLUDE_CACHES"] = True
    if source.one_file_system:
        description["ONE_FILE_SYSTEM"] = True
    return description


def _describe_database(source: DatabaseSource) -> dict[str, Any]:
    names = "FILE_PATH" if source.engine == "sqlite" else "NAME"
    description = {
        "TYPE": source.engine,
        names: list(source.names),
        "USERNAME": source.username,
        "HOST": source.host,
        "PORT": source.port,
        **source.settings,
    }
    return _given(description)


def _describe_ssh(host: SshHost) -> dict[str, Any]:
    return _given(
        {
            "USERNAME": host.username,
            "IP_ADDRESS": host.address,
            "PORT": host.port if host.port != SshHost(None, "").port else None,
            "JUMP_HOST": _describe_ssh(host.jump) if host.jump else None,
        }
    )


def _describe_docker(container: DockerContainer) -> dict[str, Any]:
    return _given(
        {
            "CONTAINER_NAME": container.container_name or None,
            "COMPOSE_SERVICE": container.compose_service,
            "COMPOSE_PROJECT": container.compose_project,
            "LABEL": container.label,
            "VOLUME": container.volume,
            "DOCKER_HOST": container.docker_host,
        }
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
