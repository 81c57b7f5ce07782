"""Whatever goes wrong with files, programs and SQLite elsewhere: exit 1, nothing called a copy, words to act on."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import snapshot
from tests.support.fault_places import (
    DOCKER,
    ELSEWHERE,
    EVERYWHERE,
    FaultWorld,
    Place,
    Spot,
    ssh_spot,
    world,
)
from tests.support.faulty_run import Installation, blocks_to_see, new_installation
from tests.support.skips import requires_program, requires_root
from tests.support.small_disk import small_disk

__all__ = ["world"]

MIB = 1 << 20

# A path that is the same on this machine and in the containers.
DATA = "data"


@dataclass
class Rigs:
    """One installation for each kind of source and place, with a good copy; and the folder of what they read."""

    world: FaultWorld
    folder: Path
    stack: ExitStack
    installations: dict[tuple[str, Place], Installation] = field(default_factory=dict)
    containers: list[Spot] = field(default_factory=list)

    @property
    def data(self) -> Path:
        folder = self.world.folder / DATA
        folder.mkdir(exist_ok=True)
        return folder

    def spot(self, place: Place) -> Spot:
        """In containers the folder of data has the same path as here."""
        if place is not Place.DOCKER:
            return self.world.spot(place)
        if not self.containers:
            self.containers.append(self.stack.enter_context(self.new_container()))
        return self.containers[0]

    @contextmanager
    def new_container(self, *options: str) -> Iterator[Spot]:
        mount = f"type=bind,source={self.data},target={self.data}"
        with self.world.idle_container("--mount", mount, *options) as spot:
            yield spot

    def installation(self, kind: str, place: Place, keys: dict[str, Any]) -> Installation:
        """The good copy is of what these keys say."""
        if (kind, place) not in self.installations:
            folder = self.folder / f"{kind} {place}"
            made = new_installation(self.world, folder, kind, with_s3=place is Place.SSH)
            made.configure(keys, self.spot(place).keys)
            made.make_good_copy()
            self.installations[kind, place] = made
        return self.installations[kind, place]


@pytest.fixture(scope="module")
def rigs(world: FaultWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rigs]:
    with ExitStack() as stack:
        yield Rigs(world, tmp_path_factory.mktemp("faults"), stack)


# --- programs ---


def command_keys(script: str) -> dict[str, Any]:
    return {"COMMAND": ["sh", "-c", script], "FILENAME": "out.bin"}


WRITES_AND_WAITS = f"head -c {blocks_to_see() * MIB} /dev/urandom; exec sleep 1000000000"


def command_installation(rigs: Rigs, place: Place) -> Installation:
    return rigs.installation("COMMAND_BACKUP", place, command_keys("echo fine"))


@EVERYWHERE
def test_a_program_fails_after_it_has_written(rigs: Rigs, place: Place) -> None:
    installation, spot = command_installation(rigs, place), rigs.spot(place)
    script = f"head -c {blocks_to_see() * MIB} /dev/urandom; echo the disk is full >&2; exit 3"
    installation.configure(command_keys(script), spot.keys)
    words = f"out.bin was not made. The program sh on {spot.name} ended with exit status 3:\nthe disk is full"
    installation.fail(words)


@EVERYWHERE
def test_a_program_is_killed(rigs: Rigs, place: Place) -> None:
    installation, spot = command_installation(rigs, place), rigs.spot(place)
    installation.configure(command_keys(WRITES_AND_WAITS), spot.keys)

    def fault() -> None:
        installation.wait_for_part()
        rigs.world.kill("sleep")

    installation.fail_while(fault, f"out.bin was not made. The program sh on {spot.name} .*SIGKILL.* lack of memory")


@EVERYWHERE
def test_a_program_that_is_not_there(rigs: Rigs, place: Place) -> None:
    installation, spot = command_installation(rigs, place), rigs.spot(place)
    installation.configure({"COMMAND": ["no-such-program"], "FILENAME": "out.bin"}, spot.keys)
    found = f"was not found on {spot.name}|on {spot.name} ended with exit status 127 .a program was not found"
    installation.fail(f"out.bin was not made. The program no-such-program ({found})")


# --- in the middle of a stream from elsewhere ---


@dataclass(frozen=True)
class Stream:
    """What is read, and the end of the command line of the program whose output is that."""

    kind: str
    keys: Callable[[Path, bool], dict[str, Any]]
    program: str


def file_keys(data: Path, is_large: bool) -> dict[str, Any]:
    return {"FILE_PATH": str(data / ("large files" if is_large else "small files"))}


def sqlite_keys(data: Path, is_large: bool) -> dict[str, Any]:
    return {"DB_INFO": {"TYPE": "sqlite", "FILE_PATH": str(data / ("large.db" if is_large else "small.db"))}}


STREAMS = [
    pytest.param(Stream("FILE_BACKUP", file_keys, "tar"), id="files"),
    pytest.param(Stream("DB_BACKUP", sqlite_keys, "cat"), id="sqlite", marks=requires_program("sqlite3")),
]
EVERY_STREAM = pytest.mark.parametrize("stream", STREAMS)

# What is held is in no buffer on the way: SSH has one of 16 MiB, and TCP some megabytes.
LARGE = (blocks_to_see() + 32) * MIB


@pytest.fixture(scope="module")
def sources(rigs: Rigs) -> Rigs:
    for name, size in (("small", 1000), ("large", LARGE)):
        folder = rigs.data / f"{name} files"
        folder.mkdir()
        (folder / "file").write_bytes(os.urandom(size))
        with closing(sqlite3.connect(rigs.data / f"{name}.db")) as database:
            database.execute("CREATE TABLE item (data)")
            database.execute("INSERT INTO item VALUES (randomblob(?))", (size,))
            database.commit()
    return rigs


def stream_installation(sources: Rigs, stream: Stream, place: Place) -> Installation:
    return sources.installation(stream.kind, place, stream.keys(sources.data, False))


@ELSEWHERE
@EVERY_STREAM
def test_the_program_that_reads_is_killed(sources: Rigs, stream: Stream, place: Place) -> None:
    installation = stream_installation(sources, stream, place)
    with sources.world.proxied(sources.spot(place)) as (proxy, spot):
        installation.configure(stream.keys(sources.data, True), spot.keys)
        proxy.hold_after(blocks_to_see() * MIB)

        def fault() -> None:
            proxy.wait_until_held()
            installation.wait_for_part()
            sources.world.kill(stream.program)
            proxy.release()

        installation.fail_while(fault, spot.name, "SIGKILL.* lack of memory")


@ELSEWHERE
@EVERY_STREAM
def test_the_connection_is_reset(sources: Rigs, stream: Stream, place: Place) -> None:
    installation = stream_installation(sources, stream, place)
    with sources.world.proxied(sources.spot(place)) as (proxy, spot):
        installation.configure(stream.keys(sources.data, True), spot.keys)
        proxy.hold_after(blocks_to_see() * MIB)

        def fault() -> None:
            proxy.wait_until_held()
            installation.wait_for_part()
            proxy.reset()

        words = (spot.name, "The connection to the SSH server .* broke|was cut off: the connection to ")
        installation.fail_while(fault, *words)


@pytest.mark.parametrize("place", [DOCKER])
@EVERY_STREAM
def test_the_container_is_killed(sources: Rigs, stream: Stream, place: Place) -> None:
    installation = stream_installation(sources, stream, place)
    with sources.new_container() as own, sources.world.proxied(own) as (proxy, spot):
        installation.configure(stream.keys(sources.data, True), spot.keys)
        proxy.hold_after(blocks_to_see() * MIB)

        def fault() -> None:
            proxy.wait_until_held()
            installation.wait_for_part()
            sources.world.dockerd.docker("kill", str(own.container))
            proxy.release()

        installation.fail_while(fault, f"on {spot.name} was cut off: the container stopped while a program ran in it")


# --- SQLite ---


@EVERYWHERE
@requires_program("sqlite3")
def test_a_missing_database_file(sources: Rigs, place: Place) -> None:
    installation = sources.installation("DB_BACKUP", place, sqlite_keys(sources.data, False))
    spot, missing = sources.spot(place), sources.data / "no such.db"
    installation.configure({"DB_INFO": {"TYPE": "sqlite", "FILE_PATH": str(missing)}}, spot.keys)
    installation.fail(f"The SQLite database {missing} on {spot.name} was not backed up", "[Tt]here is no (such )?file")


@ELSEWHERE
@requires_program("sqlite3")
def test_sqlite3_is_killed_while_it_waits_for_another_program(sources: Rigs, place: Place) -> None:
    installation = sources.installation("DB_BACKUP", place, sqlite_keys(sources.data, False))
    spot, path = sources.spot(place), sources.data / "small.db"
    installation.configure(sqlite_keys(sources.data, False), spot.keys)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")

        words = (f"The SQLite database {path} on {spot.name} was not backed up", "SIGKILL.* lack of memory")
        installation.fail_while(lambda: sources.world.kill("sqlite3"), *words)


# --- full disks elsewhere ---


@requires_root
@pytest.mark.parametrize("place", list(Place))
@requires_program("sqlite3")
def test_no_space_for_the_copy_of_a_database(sources: Rigs, place: Place) -> None:
    """It waits in the spool on this machine, and in a temporary folder on others."""
    installation = sources.installation("DB_BACKUP", place, sqlite_keys(sources.data, False))
    with ExitStack() as stack:
        if place is Place.LOCAL:
            spool = installation.holdfast.state / "spool"
            spool.rmdir()
            stack.enter_context(small_disk(spool, MIB))
            spot = sources.spot(place)
            words = f"on {spot.name} was not backed up: .* has to wait in {spool}, where .* are free"
        elif place is Place.SSH:
            disk = stack.enter_context(small_disk(sources.world.folder / "small", MIB))
            spot = ssh_spot(stack.enter_context(sources.world.new_sshd(variables=f"TMPDIR={disk}")))
            words = f"on {spot.name} was not backed up.* full.*{disk}"
        else:
            spot = stack.enter_context(sources.new_container("--tmpfs", f"/var/tmp:size={MIB}"))
            words = f"on {spot.name} was not backed up.* full.*/var/tmp"
        installation.configure(sqlite_keys(sources.data, True), spot.keys)
        installation.fail(words)


@requires_root
@ELSEWHERE
def test_no_space_for_the_files_of_a_restore(sources: Rigs, place: Place) -> None:
    """What fits is removed again; a restore touches no copy."""
    installation = sources.installation("FILE_BACKUP", place, file_keys(sources.data, False))
    with ExitStack() as stack:
        small = stack.enter_context(small_disk(sources.data / f"small {place}", MIB))
        (small / "foreign").write_bytes(bytes(MIB))
        spot = stack.enter_context(sources.new_container()) if place is Place.DOCKER else sources.spot(place)
        installation.configure(file_keys(sources.data, False), spot.keys)
        before = installation.stored()
        options = ("--on", installation.id, "--to", small / "restored")
        restored = installation.holdfast.run("restore.py", "restore", installation.id, *options)
        sys.stderr.write(restored.stderr)
        assert restored.returncode == 1
        assert re.search(f"{spot.name}.* No space left on device", restored.stderr, re.DOTALL)
        assert installation.stored() == before
        assert list(snapshot(small)) == [b"foreign"]
