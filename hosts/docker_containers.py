"""Which containers are meant: by a name, a Compose service or project, a label, or a volume that they use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from errors import HostError
from model import DockerContainer, StoppedContainers

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
    fitting = could_be(wanted, listed)
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


def matching(wanted: StoppedContainers, listed: Sequence[Mapping[str, Any]], place: str) -> list[Found]:
    """All that any of the words means, running or not, in the order of ``listed``.

    Raises HostError where a word means none: it may be a wrong one, and what it should have stopped would go on.
    """
    words: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        **{f"the container {name}": partial(_fits, DockerContainer(name)) for name in wanted.names},
        **{f"the label {label}": partial(_fits, DockerContainer(label=label)) for label in wanted.labels},
        **{f"the Compose project {name}": partial(_is_of_project, name) for name in wanted.compose_projects},
    }
    for word, means in words.items():
        if not any(map(means, listed)):
            there = _names([_found(container) for container in listed])
            raise HostError(
                f"STOP_CONTAINERS names {word}, but there is no such container{place}. Docker has: "
                f"{there or 'no container at all'}."
            )
    return [_found(container) for container in listed if any(means(container) for means in words.values())]


def could_be(wanted: DockerContainer, listed: Sequence[Mapping[str, Any]]) -> list[Found]:
    """Those that could be meant, running or not."""
    return [_found(container) for container in listed if _fits(wanted, container)]


def _fits(wanted: DockerContainer, container: Mapping[str, Any]) -> bool:
    labels: Mapping[str, str] = container.get("Labels") or {}
    if wanted.container_name:
        return f"/{wanted.container_name}" in (container.get("Names") or ())
    if wanted.compose_service:
        return (
            labels.get(_SERVICE) == wanted.compose_service
            and wanted.compose_project in (None, labels.get(_PROJECT))
            and not _is_one_off(labels)
        )
    if wanted.label:
        name, has_value, value = wanted.label.partition("=")
        return name in labels and (not has_value or labels[name] == value)
    return any(mount.get("Name") == wanted.volume for mount in container.get("Mounts") or ())


def _is_of_project(name: str, container: Mapping[str, Any]) -> bool:
    labels: Mapping[str, str] = container.get("Labels") or {}
    return labels.get(_PROJECT) == name and not _is_one_off(labels)


def _is_one_off(labels: Mapping[str, str]) -> bool:
    """Whether it is one of ``docker compose run``."""
    return labels.get(_ONE_OFF, "").lower() == "true"


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
