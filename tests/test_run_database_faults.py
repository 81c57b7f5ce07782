"""Whatever goes wrong with a database, wherever it is: exit 1, nothing called a copy, and words to act on."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_places import (
    DOCKER,
    ELSEWHERE,
    EVERYWHERE,
    LOCAL,
    SSH,
    FaultWorld,
    Place,
    Spot,
    ssh_spot,
    world,
)
from tests.support.faulty_run import CANARY, Installation, new_installation
from tests.support.held_dumps import (
    DATABASE,
    PASSWORD,
    USER,
    HeldMariadb,
    HeldPostgresql,
    fill_mariadb,
    fill_postgresql,
    held_mariadb,
    held_postgresql,
)
from tests.support.impatient import ANSWER_SECONDS
from tests.support.mariadb import MariadbServer, mariadb_server
from tests.support.pairs import pairs
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.skips import requires_root
from tests.support.sshd import free_port, requires_sshd

__all__ = ["world"]

Server = PostgresqlServer | MariadbServer


@dataclass(frozen=True)
class Rig:
    """An installation that backs up a database of a server at a spot, and has a good copy of it."""

    installation: Installation
    spot: Spot
    server: Server

    def keys(self, **changes: Any) -> dict[str, Any]:
        """DB_INFO with changes."""
        return {"DB_INFO": {**info_of(self.server, self.spot), **changes}}

    def configure(self, spot: Spot | None = None, **changes: Any) -> None:
        """The backup, perhaps on the way to the same host that another spot is."""
        self.installation.configure(self.keys(**changes), (spot or self.spot).keys)

    def held(self) -> Any:
        """See :mod:`tests.support.held_dumps`."""
        return held_postgresql(self.server) if isinstance(self.server, PostgresqlServer) else held_mariadb(self.server)

    @property
    def dump_program(self) -> str:
        return "pg_dump" if isinstance(self.server, PostgresqlServer) else "mariadb-dump"

    @property
    def engine(self) -> str:
        return "postgres" if isinstance(self.server, PostgresqlServer) else "mariadb"

    def kill_dump(self) -> None:
        """SIGKILL to the program that dumps, on its machine."""
        self.installation.world.kill(self.dump_program)

    def stop_server(self) -> None:
        """At once, as after a power cut. In a container it is the first process, with which the container ends."""
        if self.spot.container is None:
            self.server.end()
        else:
            docker = self.installation.world.dockerd.docker
            process = int(docker("inspect", "--format", "{{.State.Pid}}", self.spot.container))
            os.kill(process, signal.SIGQUIT if isinstance(self.server, PostgresqlServer) else signal.SIGKILL)


def info_of(server: Server, spot: Spot) -> dict[str, Any]:
    """The database by the server's socket."""
    shared = {"NAME": DATABASE, "USERNAME": USER, "PASSWORD": PASSWORD}
    if isinstance(server, PostgresqlServer):
        return {**shared, "TYPE": "postgres", "HOST": spot.servers.path(server.socket_folder), "PORT": server.port}
    return {**shared, "TYPE": "mariadb", "HOST": f"{spot.servers.path(server.socket.parent)}/{server.socket.name}"}


@contextmanager
def new_server(engine: str, spot: Spot) -> Iterator[Server]:
    """A server with the database, for one test that ends it, or for all."""
    if engine == "postgres":
        port = 5432 if spot.container else free_port()
        with postgresql_server(port=port, place=spot.servers) as postgresql:
            fill_postgresql(postgresql)
            yield postgresql
    else:
        with mariadb_server(place=spot.servers) as mariadb:
            fill_mariadb(mariadb)
            yield mariadb


@dataclass
class Rigs:
    """One rig for each engine and place, made when it is first asked for. Local and SSH share servers."""

    world: FaultWorld
    folder: Path
    stack: ExitStack
    made: dict[tuple[str, Place], Rig] = field(default_factory=dict)
    servers: dict[tuple[str, bool], tuple[Spot, Server]] = field(default_factory=dict)

    def of(self, engine: str, place: Place) -> Rig:
        if (engine, place) not in self.made:
            self.made[engine, place] = self._new(engine, place)
        rig = self.made[engine, place]
        rig.configure()
        return rig

    def _new(self, engine: str, place: Place) -> Rig:
        is_container = place is Place.DOCKER
        if (engine, is_container) not in self.servers:
            spot = self.world.spot(place)
            self.servers[engine, is_container] = spot, self.stack.enter_context(new_server(engine, spot))
        spot, server = self.servers[engine, is_container]
        spot = spot if is_container else self.world.spot(place)
        folder = self.folder / f"{engine} {place}"
        installation = new_installation(self.world, folder, "DB_BACKUP", with_s3=place is Place.SSH)
        rig = Rig(installation, spot, server)
        rig.configure()
        installation.make_good_copy()
        return rig


@pytest.fixture(scope="module")
def rigs(world: FaultWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rigs]:
    with ExitStack() as stack:
        yield Rigs(world, tmp_path_factory.mktemp("faults"), stack)


@pytest.fixture
def rig(rigs: Rigs, engine: str, place: Place) -> Rig:
    return rigs.of(engine, place)


POSTGRES = pytest.mark.parametrize("engine", ["postgres"])
SERVERS = ["postgres", "mariadb"]
EVERY_SERVER = pytest.mark.parametrize("engine", SERVERS)
# Between them these have each server at each place.
SOMEWHERE = pytest.mark.parametrize(("engine", "place"), pairs(SERVERS, [LOCAL, SSH, DOCKER]))
SOMEWHERE_ELSE = pytest.mark.parametrize(("engine", "place"), pairs(SERVERS[::-1], [LOCAL, SSH, DOCKER]))


# --- found before the first byte ---


@SOMEWHERE
def test_a_wrong_password(rig: Rig) -> None:
    rig.configure(PASSWORD=f"{CANARY}-but-wrong")
    said = {
        "postgres": 'password authentication failed for user "dumper"',
        "mariadb": r"Access denied for user 'dumper'@'localhost' \(using password: YES\)",
    }
    rig.installation.fail(f"cannot be used from {rig.spot.name}", said[rig.engine])


@SOMEWHERE_ELSE
def test_a_missing_database(rig: Rig) -> None:
    rig.configure(NAME="nowhere")
    words = {
        "postgres": [f"cannot be used from {rig.spot.name}", 'database "nowhere" does not exist'],
        "mariadb": [f"There is no database `nowhere` on {rig.spot.name}"],
    }
    rig.installation.fail(*words[rig.engine])


@requires_root
@EVERYWHERE
@POSTGRES
def test_a_client_that_is_older_than_the_server(rig: Rig, tmp_path: Path) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.22'\n")
    old.chmod(0o755)
    with replaced_program(rig, old) as (spot, prefix):
        rig.configure(spot)
        words = (f"newest pg_dump on {spot.name} is .* of version 12.22", "postgresql-client-1")
        rig.installation.fail(*words, prefix=prefix)


@contextmanager
def replaced_program(rig: Rig, program: Path) -> Iterator[tuple[Spot, tuple[str, ...]]]:
    """The same host with this pg_dump in place of the only one; what the argv of the run has to begin with for that."""
    assert isinstance(rig.server, PostgresqlServer)
    real = rig.server.binaries / "pg_dump"
    mount = f"mount --bind {shlex.quote(str(program))} {real}"
    if rig.spot.place is Place.LOCAL:
        yield rig.spot, ("unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")
    elif rig.spot.place is Place.SSH:
        line = f"ForceCommand exec unshare --mount sh -c '{mount} && eval \"$SSH_ORIGINAL_COMMAND\"'"
        with rig.installation.world.new_sshd(line) as sshd:
            yield ssh_spot(sshd), ()
    else:
        docker = rig.installation.world.dockerd.docker
        docker("cp", str(program), f"{rig.spot.container}:{real}")
        try:
            yield rig.spot, ()
        finally:
            docker("cp", str(real), f"{rig.spot.container}:{real}")


# --- in the middle of a dump ---


@SOMEWHERE
def test_the_session_is_terminated(rig: Rig) -> None:
    with rig.held() as held:
        said = {
            "postgres": "terminating connection due to administrator command",
            "mariadb": "(Lost connection|Server has gone away|Connection was killed)",
        }
        words = (f"was not dumped. The program {rig.dump_program} on {rig.spot.name} ended", said[rig.engine])
        rig.installation.fail_while(in_the_middle(rig, held, held.terminate_dump), *words)


@SOMEWHERE_ELSE
def test_the_dump_program_is_killed(rig: Rig) -> None:
    with rig.held() as held:
        words = f"was not dumped. The program {rig.dump_program} on {rig.spot.name} .*SIGKILL.* lack of memory"
        rig.installation.fail_while(in_the_middle(rig, held, rig.kill_dump), words)


@SOMEWHERE
def test_the_server_is_stopped_at_once(rigs: Rigs, rig: Rig) -> None:
    with ending_server(rigs, rig) as ended, ended.held() as held:
        # A container ends with its server: which of the two pg_dump meets first may differ.
        ending = "(ended with exit status|was cut off: the container)"
        words = f"was not dumped. The program {rig.dump_program} on {ended.spot.name} {ending}"
        ended.installation.fail_while(in_the_middle(ended, held, ended.stop_server), words)


@pytest.mark.parametrize("place", [DOCKER])
@EVERY_SERVER
def test_the_container_is_killed(rigs: Rigs, rig: Rig) -> None:
    with ending_server(rigs, rig) as ended, ended.held() as held:

        def kill() -> None:
            rigs.world.dockerd.docker("kill", str(ended.spot.container))

        words = f"was not dumped. The program {rig.dump_program} on {ended.spot.name} was cut off: the container"
        ended.installation.fail_while(in_the_middle(ended, held, kill), words)


@ELSEWHERE
@EVERY_SERVER
def test_the_connection_is_reset(rig: Rig) -> None:
    with rig.installation.world.proxied(rig.spot) as (proxy, spot), rig.held() as held:
        rig.configure(spot)
        # The break may be seen by what asks next, or by the program's stream.
        words = (
            "was not dumped",
            spot.name,
            "The connection to the SSH server .* broke|was cut off: the connection to ",
        )
        rig.installation.fail_while(in_the_middle(rig, held, proxy.reset), *words)


@requires_sshd
@pytest.mark.parametrize("place", [Place.SSH])
@EVERY_SERVER
def test_the_connection_stalls(rig: Rig) -> None:
    with rig.installation.world.proxied(rig.spot) as (proxy, spot), rig.held() as held:
        rig.configure(spot)
        before = rig.installation.world.processes()
        with rig.installation.running(impatient=True) as run:
            in_the_middle(rig, held, proxy.hold)()
            run.wait(60)
            proxy.reset()  # the other side learns of it when the line is gone for good
            words = (f"{spot.name} cannot be reached", f"did not answer for {ANSWER_SECONDS:g} s")
            rig.installation.judge(run, before, *words)


def in_the_middle(rig: Rig, held: HeldPostgresql | HeldMariadb, fault: Callable[[], object]) -> Callable[[], None]:
    """The fault, when the dump program waits and a part of its output has come."""

    def fault_in_the_middle() -> None:
        held.wait()
        rig.installation.wait_for_part()
        fault()

    return fault_in_the_middle


@contextmanager
def ending_server(rigs: Rigs, rig: Rig) -> Iterator[Rig]:
    """The same backup of a server of its own, which the test may end."""
    spot = rigs.world.spot(rig.spot.place)
    with new_server(rig.engine, spot) as server:
        rig.installation.configure({"DB_INFO": info_of(server, spot)}, spot.keys)
        yield replace(rig, spot=spot, server=server)
