"""docs/adding-a-database.md: the engine that it adds works, so what it says of the contract is true."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from errors import RestoreError, SourceError
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Secret
from sources.database import Database, open_database, product, restore_steps
from tests.support.database_hosts import content_of, content_with, in_pieces
from tests.support.processes import command_lines
from tests.support.product_code import ROOT
from tests.support.skips import requires_program
from tests.support.sshd import free_port

pytestmark = requires_program("redis-server", "redis-cli")

PASSWORD = "Canary-6379-canary"


@pytest.fixture(scope="module", autouse=True)
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The code of the page as the module that it says it is."""
    page = (ROOT / "docs" / "adding-a-database.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    file = tmp_path_factory.mktemp("engine") / "redis.py"
    file.write_text(code, encoding="utf-8")
    specification = importlib.util.spec_from_file_location("sources.redis", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["sources.redis"] = module
    specification.loader.exec_module(module)
    yield
    del sys.modules["sources.redis"]


@dataclass
class RedisServer:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]

    def ask(self, *words: str) -> str:
        environment = {**os.environ, "REDISCLI_AUTH": PASSWORD}
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()

    def database(self, password: str = PASSWORD) -> Database:
        source = DatabaseSource("redis", (), password=Secret(password), host="127.0.0.1", port=self.port)
        return open_database(source, LocalCommandHost(), lambda note: None, Path(os.devnull))


def started(folder: Path) -> RedisServer:
    port = free_port()
    settings = ["bind 127.0.0.1", f"port {port}", f"requirepass {PASSWORD}", 'save ""', f"dir {folder}"]
    settings += ["repl-diskless-sync-delay 0", "rdbcompression no", "enable-debug-command yes"]
    (folder / "redis.conf").write_text("\n".join(settings))
    process = subprocess.Popen(["redis-server", folder / "redis.conf"], stdout=subprocess.DEVNULL, cwd=folder)
    server = RedisServer(port, process)
    deadline = time.monotonic() + 30
    while server.ask("PING") != "PONG":
        assert process.poll() is None, "Redis did not start"
        assert time.monotonic() < deadline, "Redis did not start"
        time.sleep(0.05)
    return server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    server = started(folder)
    yield server
    server.process.kill()
    server.process.wait()


def dump_of(server: RedisServer) -> bytes:
    _, member = server.database().members()
    return content_of(member)


def test_what_was_dumped_is_in_a_server_that_starts_from_it(server: RedisServer, tmp_path: Path) -> None:
    server.ask("SET", "name", "größe 🐘")
    server.ask("-n", "3", "RPUSH", "list", "a", "b c")
    folder = tmp_path / "other"
    folder.mkdir()
    server.database().restore(in_pieces(dump_of(server)), str(folder / "dump.rdb"))
    assert [path.name for path in folder.iterdir()] == ["dump.rdb"]
    other = started(folder)
    try:
        assert other.ask("GET", "name") == "größe 🐘"
        assert other.ask("-n", "3", "LRANGE", "list", "0", "-1") == "a\nb c"
    finally:
        other.process.kill()
        other.process.wait()


def test_an_existing_dump_is_replaced_only_on_request(server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "dump.rdb"
    file.write_bytes(b"old")
    with pytest.raises(RestoreError, match=rf"There is a file {file} already"):
        server.database().restore([b"new"], str(file))
    assert file.read_bytes() == b"old"
    assert server.database().exists(str(file))
    server.database().restore([b"new"], str(file), replace=True)
    assert file.read_bytes() == b"new"


def test_what_a_killed_restore_left_is_named(server: RedisServer, tmp_path: Path) -> None:
    assert server.database().leftovers(str(tmp_path / "dump.rdb")) == []
    left = tmp_path / "dump.rdb.holdfast"
    left.write_bytes(b"half")
    assert not server.database().exists(str(tmp_path / "dump.rdb"))
    (sentence,) = server.database().leftovers(str(tmp_path / "dump.rdb"))
    assert str(left) in sentence


def test_a_wrong_password(server: RedisServer) -> None:
    with pytest.raises(SourceError, match="The Redis server refused this machine: NOAUTH"):
        server.database("Wrong-Password-11").preflight()


def test_the_server_killed_in_mid_dump_and_no_password_in_any_command_line(server: RedisServer) -> None:
    assert server.ask("DEBUG", "POPULATE", "40000", "key", "1000") == "OK"
    seen: list[bytes] = []

    def end() -> None:
        seen.extend(command_lines())
        server.process.send_signal(signal.SIGKILL)

    _, member = server.database().members()
    with pytest.raises(SourceError, match=r"Redis was not dumped|no whole dump"):
        content_with(member, end)
    text = b"\n".join(seen)
    assert b"--rdb" in text
    assert PASSWORD.encode() not in text


def test_what_people_read_of_it() -> None:
    assert product("redis") == "Redis"
    (step,) = restore_steps("redis")
    assert step.startswith("Put restored/databases/redis.rdb into")
