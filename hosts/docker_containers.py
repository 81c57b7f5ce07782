"""Which container is meant: by its name, its Compose service, a label, or a volume that it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from errors import HostError
from model import DockerContainer

# https://docs.docker.com/reference/compose-file/services/#labels: Compose sets these on what it makes.
_SERVICE = "com.docker.compose.service"
_PROJECT = "com.docker.compose.project"
_ONE_OFF = "com.docker.compose.oneoff"

_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Found:
    """A container that is there. ``state`` is Docker's word: ``running``, ``paused``, ``exited`` …"""

    identity: str
    name: str
    state: str


def described(wanted: DockerContainer) -> str:
    """For messages: ``the container shop-db``."""
    if wanted.container_name:
        return f"the container {wanted.container_name}"
    if wanted.compose_service:
        project = f" of the project {wanted.compose_project}" if wanted.compose_project else ""
        return f"the container of the Compose service {wanted.compose_service}{project}"
    if wanted.label:
        return f"the container with the label {wanted.label}"
    return f"the container with the volume {wanted.volume}"


def chosen(wanted: DockerContainer, listed: Sequence[Mapping[str, Any]], place: str) -> Found:
    """The one running container that is meant, of those that Docker lists. Raises HostError, which says what to do.

    ``place`` ends the sentences: `` on deploy@192.0.2.7``, or nothing.
    """
    fitting = [_found(container) for container in listed if _fits(wanted, container)]
    running = [container for container in fitting if container.state == "running"]
    if len(running) == 1:
        return running[0]
    what = described(wanted)
    if len(running) > 1:
        raise HostError(
            f"There are several that could be {what}{place}: {_names(running)}. Set CONTAINER_NAME to one of them."
        )
    if not fitting:
        there = _names([_found(container) for container in listed])
        raise HostError(f"{capitalized(what)} was not found{place}. Docker has: {there or 'no container at all'}.")
    stopped = fitting[0]
    if stopped.state == "paused":
        raise HostError(f"{capitalized(what)} is paused{place}. Let it go on with: docker unpause {stopped.name}")
    raise HostError(
        f"{capitalized(what)} is not running{place}, but {stopped.state}. Start it with: docker start {stopped.name}"
    )


def _fits(wanted: DockerContainer, container: Mapping[str, Any]) -> bool:
    labels: Mapping[str, str] = container.get("Labels") or {}
    if wanted.container_name:
        return f"/{wanted.container_name}" in (container.get("Names") or ())
    if wanted.compose_service:
        return (
            labels.get(_SERVICE) == wanted.compose_service
            and wanted.compose_project in (None, labels.get(_PROJECT))
            and labels.get(_ONE_OFF, "").lower() != "true"
        )
    if wanted.label:
        name, has_value, value = wanted.label.partition("=")
        return name in labels and (not has_value or labels[name] == value)
    return any(mount.get("Name") == wanted.volume for mount in container.get("Mounts") or ())


def _found(container: Mapping[str, Any]) -> Found:
    # A container that others link to has further names, with a slash within.
    names = sorted(container.get("Names") or (), key=lambda name: name.count("/"))
    name = names[0].removeprefix("/") if names else container["Id"][:12]
    return Found(container["Id"], name, container.get("State", ""))


def _names(containers: Sequence[Found]) -> str:
    names = sorted(container.name for container in containers)
    return ", ".join(names[:_NAMES_SHOWN]) + (" …" if len(names) > _NAMES_SHOWN else "")


def capitalized(text: str) -> str:
    """For the beginning of a sentence."""
    return text[0].upper() + text[1:]
