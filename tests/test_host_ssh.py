"""Programs over SSH: the contract of hosts against a real sshd, and what only a connection can get wrong."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest

from errors import HostError, InterruptedRun
from hosts.command import Command, CommandHost
from hosts.ssh import SshCommandHost
from ssh.connection import Deadlines, SshConnection, SshServer
from ssh.sign_in import Credentials
from tests.support.host_contract import (
    HostContract,
    failure_of,
    output_of,
    shell,
    unique_number,
    wait_until_gone,
    wait_until_running,
)
from tests.support.sshd import (
    USER,
    Sshd,
    free_port,
    make_key,
    requires_sshd,
    running_sshd,
    sshd,
)

__all__ = ["sshd"]

pytestmark = requires_sshd

IN_A_HURRY = Deadlines(quiet=0.2, answer=0.5)


def server_of(sshd: Sshd) -> SshServer:
    return SshServer("127.0.0.1", Credentials(USER, sshd.user_key), sshd.port, known_hosts_file=sshd.known_hosts)


def open_ssh_host(server: SshServer) -> CommandHost:
    return SshCommandHost(server)


@contextmanager
def opened(server: SshServer) -> Iterator[CommandHost]:
    host = SshCommandHost(server)
    yield host
    host.close()


class TestContract(HostContract):
    @pytest.fixture
    def open_host(self, sshd: Sshd) -> Callable[[], CommandHost]:
        return partial(open_ssh_host, server_of(sshd))


class TestContractThroughAnotherServer(HostContract):
    @pytest.fixture
    def open_host(self, sshd: Sshd) -> Callable[[], CommandHost]:
        """Which, for once, is the same one."""
        return partial(open_ssh_host, replace(server_of(sshd), jump=server_of(sshd)))


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[SshConnection]:
    """Each time that a server was asked whether it is still there."""
    asked: list[SshConnection] = []
    check_alive = SshConnection.check_alive

    def counted(connection: SshConnection) -> None:
        asked.append(connection)
        check_alive(connection)

    monkeypatch.setattr(SshConnection, "check_alive", counted)
    return asked


def test_a_silent_program_is_waited_for(sshd: Sshd, questions: list[SshConnection]) -> None:
    with opened(replace(server_of(sshd), deadlines=IN_A_HURRY)) as host:
        assert output_of(host, "sleep 1; echo late") == b"late\n"
    assert questions


def test_a_program_that_takes_its_input_late_is_waited_for(sshd: Sshd, questions: list[SshConnection]) -> None:
    host = SshCommandHost(replace(server_of(sshd), deadlines=IN_A_HURRY))
    with host.start(shell("sleep 1; wc -c"), feeds_input=True) as running:
        running.feed(repeat(bytes(1_000_000), 20))
        assert int(b"".join(running.chunks())) == 20_000_000
    host.close()
    assert questions


def test_one_connection_serves_all_programs(sshd: Sshd) -> None:
    with opened(server_of(sshd)) as host:
        connections = {output_of(host, "echo $SSH_CONNECTION") for _ in range(3)}
    assert len(connections) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_in_mid_stream(number: signal.Signals) -> None:
    with running_sshd() as sshd, opened(server_of(sshd)) as host:
        marker = unique_number()
        with host.start(shell(f"yes {marker}")) as running, pytest.raises(HostError) as raised:
            for count, _ in enumerate(running.chunks()):
                if count == 2:
                    for pid in _serving(sshd):
                        os.kill(pid, number)
        wait_until_gone(marker)
    assert host.name in str(raised.value)
    assert re.search("was cut off: the connection to the SSH server broke|cannot be reached", str(raised.value))


def test_a_server_that_ends_while_a_program_is_fed() -> None:
    with running_sshd() as sshd, opened(server_of(sshd)) as host:

        def chunks() -> Iterator[bytes]:
            for count in range(1000):
                if count == 3:
                    sshd.stop()
                yield bytes(1_000_000)

        with host.start(shell("cat >/dev/null"), feeds_input=True) as running, pytest.raises(HostError) as raised:
            running.feed(chunks())
    assert host.name in str(raised.value)


@pytest.mark.parametrize("script", ["yes", "echo begun; sleep 1000", "echo begun; exec >&-; sleep 1000"])
def test_a_server_that_stalls_in_mid_stream(script: str, questions: list[SshConnection]) -> None:
    with running_sshd() as sshd, opened(replace(server_of(sshd), deadlines=IN_A_HURRY)) as host:
        running = host.start(shell(script))
        with running, pytest.raises(HostError) as raised:
            for count, _ in enumerate(running.chunks()):
                if count == 0:
                    for pid in _serving(sshd):
                        os.kill(pid, signal.SIGSTOP)
    assert questions
    assert f"{host.name} cannot be reached" in str(raised.value)
    assert "did not answer for" in str(raised.value)


def test_a_server_that_stalls_while_a_program_is_fed(questions: list[SshConnection]) -> None:
    with running_sshd() as sshd, opened(replace(server_of(sshd), deadlines=IN_A_HURRY)) as host:

        def chunks() -> Iterator[bytes]:
            for count in range(1000):
                if count == 3:
                    for pid in _serving(sshd):
                        os.kill(pid, signal.SIGSTOP)
                yield bytes(1_000_000)

        with host.start(shell("cat >/dev/null"), feeds_input=True) as running, pytest.raises(HostError) as raised:
            running.feed(chunks())
    assert questions
    assert f"{host.name} cannot be reached" in str(raised.value)


def test_the_next_program_makes_a_new_connection_where_the_old_one_broke() -> None:
    with running_sshd() as sshd, opened(server_of(sshd)) as host:
        with host.start(shell("echo begun; sleep 1000")) as running, pytest.raises(HostError):
            for _ in running.chunks():
                for pid in _serving(sshd):
                    os.kill(pid, signal.SIGKILL)
        assert output_of(host, "echo again") == b"again\n"


def test_a_program_that_takes_the_shell_around_it_along(sshd: Sshd) -> None:
    with opened(server_of(sshd)) as host:
        message = failure_of(host, "echo out; kill -KILL 0")
    assert "ended, and the server did not say with which exit status (a signal may have ended it)" in message


def test_a_greeting_of_the_server_is_no_output() -> None:
    greeting = 'ForceCommand echo Welcome!; echo Beware! >&2; eval "$SSH_ORIGINAL_COMMAND"'
    with running_sshd(lines=[greeting]) as sshd, opened(server_of(sshd)) as host:
        assert output_of(host, "echo out") == b"out\n"
        assert failure_of(host, "echo out; exit 3").endswith("exit status 3, and said nothing.")


@pytest.mark.parametrize(
    ("forced", "said"),
    [
        ("echo This account is not available.; exit 1", "exit status 1:\nThis account is not available."),
        ("echo Only backups. >&2; exit 5", "exit status 5:\nOnly backups."),
        ("exit 0", "exit status 0, and said nothing."),
        ("cat /dev/zero", "something else than a POSIX shell answers"),
    ],
)
def test_a_user_who_may_not_run_commands(forced: str, said: str) -> None:
    with running_sshd(lines=[f"ForceCommand {forced}"]) as sshd, opened(server_of(sshd)) as host:
        name = host.name
        with pytest.raises(HostError) as raised:
            host.start(Command(("tar", "-cf", "-", "/")))
    assert f"The program tar on {name} was not started" in str(raised.value)
    assert said in str(raised.value)


def test_a_server_that_is_not_known(sshd: Sshd, tmp_path: Path) -> None:
    message = refusal(replace(server_of(sshd), known_hosts_file=tmp_path / "none"))
    assert "cannot be used" in message
    assert "ssh-keyscan -t ed25519" in message


def test_a_server_that_shows_another_key(sshd: Sshd) -> None:
    message = refusal(replace(server_of(sshd), host_key="SHA256:" + "A" * 43))
    assert "shows another key than the one that is known" in message


def test_a_key_that_the_server_does_not_accept(sshd: Sshd, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")
    message = refusal(replace(server_of(sshd), credentials=Credentials(USER, stranger)))
    assert f"did not accept the key {stranger}" in message


def test_nobody_listens(sshd: Sshd) -> None:
    assert "cannot be reached" in refusal(replace(server_of(sshd), port=free_port()))


def test_the_server_on_the_way_forwards_nothing(sshd: Sshd) -> None:
    with running_sshd(lines=["AllowTcpForwarding no"]) as jump:
        message = refusal(replace(server_of(sshd), jump=server_of(jump)))
    assert f"through which 127.0.0.1 port {sshd.port} is to be reached" in message
    assert "AllowTcpForwarding" in message


def test_nobody_listens_behind_the_server_on_the_way(sshd: Sshd) -> None:
    assert "makes no connection to it" in refusal(replace(server_of(sshd), port=free_port(), jump=server_of(sshd)))


def test_the_key_of_the_server_behind_is_checked_too(sshd: Sshd, tmp_path: Path) -> None:
    behind = replace(server_of(sshd), known_hosts_file=tmp_path / "none", jump=server_of(sshd))
    assert "is not known here" in refusal(behind)


def test_the_server_on_the_way_ends_in_mid_stream(sshd: Sshd) -> None:
    number = unique_number()
    with running_sshd() as jump, opened(replace(server_of(sshd), jump=server_of(jump))) as host:
        running = host.start(shell(f"echo begun; sleep {number}; true"))
        with running, pytest.raises(HostError) as raised:
            for _ in running.chunks():
                wait_until_running(number, 1)
                jump.stop()
    wait_until_gone(number)
    assert host.name in str(raised.value)


def refusal(server: SshServer) -> str:
    """What is said where no program can be started."""
    with opened(server) as host, pytest.raises(HostError) as raised:
        host.start(Command(("true",)))
    assert str(raised.value).startswith(host.name)
    return str(raised.value)


def _serving(sshd: Sshd) -> list[int]:
    """The processes of sshd for connections, without the programs that they started."""
    return [pid for pid in sshd.children() if Path(f"/proc/{pid}/comm").read_text().startswith("sshd")]


def test_after_a_signal_in_the_middle_of_a_packet_the_next_program_gets_a_new_connection(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent in part cannot be gone on with: the server would take what follows for the rest of it."""
    with opened(server_of(sshd)) as host:
        assert isinstance(host, SshCommandHost)
        assert output_of(host, "echo before") == b"before\n"
        assert host._connection is not None
        packetizer = host._connection._transport.packetizer
        write_all = packetizer.write_all

        def interrupted(data: bytes) -> None:
            monkeypatch.undo()
            write_all(data[: len(data) // 2])
            raise InterruptedRun("Interrupted by SIGTERM.", 143)

        monkeypatch.setattr(packetizer, "write_all", interrupted)
        with pytest.raises(InterruptedRun):
            output_of(host, "echo never")
        assert output_of(host, "echo after") == b"after\n"
