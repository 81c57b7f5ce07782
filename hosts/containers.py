"""The containers of one Docker, which can be stopped and started."""

from __future__ import annotations

from errors import HostError
from hosts.command import CommandHost
from hosts.docker_api import DockerApi, DockerDeadlines
from hosts.docker_containers import Found, could_be, matching
from model import DockerContainer, StoppedContainers

# Docker's own, where neither the image nor `docker run` says another: https://docs.docker.com/reference/cli/docker/container/stop/
_USUAL_SECONDS_TO_STOP = 10


class Containers:
    """``outer`` is the host that Docker runs on, where that is not this machine. Methods raise HostError."""

    def __init__(self, docker_host: str | None, outer: CommandHost | None) -> None:
        self._place = f" on {outer.name}" if outer else ""
        self._docker = DockerApi(docker_host, outer, DockerDeadlines())

    def matching(self, wanted: StoppedContainers) -> list[Found]:
        """All that STOP_CONTAINERS means, running or not, the newest first: what depends on another was made later."""
        return matching(wanted, self._docker.containers(), self._place)

    def could_be(self, wanted: DockerContainer) -> list[Found]:
        """All that DOCKER could mean, running or not."""
        return could_be(wanted, self._docker.containers())

    def states(self) -> dict[str, str]:
        """Docker's word for the state of each container, by its identity: ``running``, ``exited`` …"""
        return {container["Id"]: container["State"] for container in self._docker.containers()}

    def seconds_to_stop(self, found: Found) -> int:
        """How long Docker waits for it to end when it is stopped, before it kills it.

        Raises HostError where it could not be started again, or Docker would wait for ever.
        """
        answer = self._docker.inspected(found.identity)
        if answer["HostConfig"].get("AutoRemove"):
            raise HostError(
                f"The container {found.name}{self._place} cannot be stopped for a while: Docker removes it when it "
                "ends. Run it without --rm."
            )
        seconds = answer["Config"].get("StopTimeout")
        if seconds is not None and seconds < 0:
            raise HostError(
                f"The container {found.name}{self._place} may take for ever to stop (--stop-timeout {seconds}). Give "
                "it a time-out that is not negative."
            )
        return _USUAL_SECONDS_TO_STOP if seconds is None else int(seconds)

    def stop(self, identity: str, seconds: int) -> None:
        """Stop it; it has ended then. ``seconds`` is from :meth:`seconds_to_stop`."""
        self._docker.stop_container(identity, seconds)

    def start(self, identity: str) -> None:
        """Start it. Nothing happens to one that runs already."""
        self._docker.start_container(identity)

    def close(self) -> None:
        """End the connection."""
        self._docker.close()
