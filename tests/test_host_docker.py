"""Programs in containers of a real Docker: the contract of hosts, and what only a container can get wrong."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path

import docker  # type: ignore[import-untyped]
import pytest

from errors import HostError
from hosts.command import Command, CommandHost
from hosts.docker import DockerCommandHost
from hosts.docker_api import DockerApi, DockerDeadlines
from hosts.docker_containers import Found
from model import DockerContainer, Secret
from tests.support.dockerd import BUSYBOX_PROGRAM, Dockerd, dockerd, requires_dockerd, running_dockerd
from tests.support.host_contract import HostContract, failure_of, output_of, shell, unique_number, wait_until_gone
from tests.support.skips import requires_program, requires_root
from tests.support.sshd import free_port

__all__ = ["dockerd"]

pytestmark = requires_dockerd

IN_A_HURRY = DockerDeadlines(answer=1, quiet=0.2)


def open_docker_host(url: str, container: str) -> CommandHost:
    return DockerCommandHost(DockerContainer(container, docker_host=url))


@pytest.fixture(scope="module")
def container(dockerd: Dockerd) -> Iterator[str]:
    """One without bash, for the tests that leave it as it is."""
    name = dockerd.run()
    yield name
    dockerd.remove(name)


class TestContract(HostContract):
    @pytest.fixture
    def open_host(self, dockerd: Dockerd, container: str) -> Callable[[], CommandHost]:
        return partial(open_docker_host, dockerd.url, container)


@pytest.fixture
def own(dockerd: Dockerd) -> Iterator[str]:
    """A container for one test, which may do to it what it likes."""
    name = dockerd.run()
    yield name
    dockerd.remove(name)


@contextmanager
def opened(
    dockerd: Dockerd, wanted: DockerContainer | str, deadlines: DockerDeadlines | None = None
) -> Iterator[CommandHost]:
    container = DockerContainer(wanted) if isinstance(wanted, str) else wanted
    host = DockerCommandHost(replace(container, docker_host=dockerd.url), deadlines=deadlines)
    yield host
    host.close()


def refusal(dockerd: Dockerd, wanted: DockerContainer | str) -> str:
    """What is said where no program can be started."""
    with opened(dockerd, wanted) as host, pytest.raises(HostError) as raised:
        host.start(Command(("true",)))
    return str(raised.value)


def cut_off(host: CommandHost, script: str, act: Callable[[], object]) -> str:
    """What is said of a program during which, after it began, something else happens."""
    running = host.start(shell(script))
    with running, pytest.raises(HostError) as raised:
        for count, _ in enumerate(running.chunks()):
            if count == 0:
                act()
    return str(raised.value)


# --- which container ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["absent", "a'b\"c", "a b; c", "$HOME", "-rf", "../x", "ü", "a\nb"])
def test_a_container_that_is_not_there(dockerd: Dockerd, container: str, name: str) -> None:
    message = refusal(dockerd, name)
    assert message.startswith(f"The container {name} was not found. Docker has: ")
    assert container in message


def test_part_of_a_name_or_an_identity_is_no_name(dockerd: Dockerd, container: str) -> None:
    identity = dockerd.docker("inspect", "--format", "{{.Id}}", container)
    for part in (container[:-1], identity[:12], identity):
        assert "was not found" in refusal(dockerd, part)


def test_a_container_that_was_stopped(dockerd: Dockerd, own: str) -> None:
    dockerd.docker("kill", own)
    assert refusal(dockerd, own) == (
        f"The container {own} is not running, but exited. Start it with: docker start {own}"
    )
    dockerd.docker("start", own)
    with opened(dockerd, own) as host:
        assert output_of(host, "echo again") == b"again\n"


def test_a_container_that_is_paused(dockerd: Dockerd, own: str) -> None:
    dockerd.docker("pause", own)
    assert refusal(dockerd, own) == f"The container {own} is paused. Let it go on with: docker unpause {own}"
    dockerd.docker("unpause", own)


def test_a_container_by_compose_service_label_and_volume(dockerd: Dockerd) -> None:
    label, value = 'it\'s-a-"label"', "$value = ü"
    name = dockerd.run(
        *("--label", "com.docker.compose.service=db", "--label", "com.docker.compose.project=shop"),
        *("--label", f"{label}={value}", "--volume", "the-volume:/srv"),
    )
    same_service = dockerd.run(
        *("--label", "com.docker.compose.service=db", "--label", "com.docker.compose.project=blog"),
    )
    one_off = dockerd.run(
        *("--label", "com.docker.compose.service=db", "--label", "com.docker.compose.project=shop"),
        *("--label", "com.docker.compose.oneoff=True"),
    )
    host_name = dockerd.docker("exec", name, "hostname").encode() + b"\n"
    for wanted in (
        DockerContainer(compose_service="db", compose_project="shop"),
        DockerContainer(label=label),
        DockerContainer(label=f"{label}={value}"),
        DockerContainer(volume="the-volume"),
    ):
        with opened(dockerd, wanted) as host:
            assert output_of(host, "hostname") == host_name
    assert refusal(dockerd, DockerContainer(compose_service="db")) == (
        "There are several that could be the container of the Compose service db: "
        f"{', '.join(sorted([name, same_service]))}. Set CONTAINER_NAME to one of them."
    )
    for absent, described in (
        (DockerContainer(compose_service="db", compose_project="wiki"), "Compose service db of the project wiki"),
        (DockerContainer(label=f"{label}=other"), f"label {label}=other"),
        (DockerContainer(volume="volume"), "volume volume"),
    ):
        assert re.match(f"The container .*{re.escape(described)} was not found", refusal(dockerd, absent))
    dockerd.docker("kill", same_service)
    with opened(dockerd, DockerContainer(compose_service="db")) as host:
        assert output_of(host, "hostname") == host_name
    for each in (name, same_service, one_off):
        dockerd.remove(each)


def test_a_container_that_was_made_anew_is_found_again(dockerd: Dockerd) -> None:
    name = dockerd.run("--name", f"renewed-{os.getpid()}")
    with opened(dockerd, name) as host:
        first = output_of(host, "hostname")
        dockerd.remove(name)
        dockerd.run("--name", name)
        assert output_of(host, "hostname") != first
    dockerd.remove(name)


def test_an_image_without_a_shell(dockerd: Dockerd) -> None:
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as archive:
        archive.add(BUSYBOX_PROGRAM, "sleep")
    dockerd.import_image("no-shell", tree.getvalue())
    name = dockerd.run(image="no-shell", command=("/sleep", "1000000000"))
    message = refusal(dockerd, name)
    assert f"The program true on the container {name} was not started" in message
    assert 'exec: \\"sh\\": executable file not found' in message or 'exec: "sh": executable file not found' in message
    dockerd.remove(name)


# --- Docker itself --------------------------------------------------------------------------------------------------


def test_no_docker_at_all(tmp_path: Path) -> None:
    host = DockerCommandHost(DockerContainer("shop-db", docker_host=f"unix://{tmp_path}/absent.sock"))
    with pytest.raises(HostError, match=r"absent\.sock.*cannot be reached: No such file.*DOCKER_HOST"):
        host.start(Command(("true",)))
    host.close()


def test_nobody_listens_at_the_port_of_docker() -> None:
    host = DockerCommandHost(DockerContainer("shop-db", docker_host=f"tcp://127.0.0.1:{free_port()}"))
    with pytest.raises(HostError, match="cannot be reached: Connection refused"):
        host.start(Command(("true",)))


def test_docker_host_names_an_ssh_server() -> None:
    host = DockerCommandHost(DockerContainer("shop-db", docker_host="ssh://deploy@192.0.2.7"))
    with pytest.raises(HostError, match="Name the server under SSH instead"):
        host.start(Command(("true",)))


@requires_root
def test_a_user_who_may_not_use_docker(dockerd: Dockerd, container: str) -> None:
    dockerd.folder.chmod(0o755)
    dockerd.socket.chmod(0o600)
    # Everything is imported before the user changes, who need not be able to read it.
    script = f"""
import os, docker
from hosts.docker import Command, DockerCommandHost, DockerContainer, HostError
os.setuid(65534)
try:
    DockerCommandHost(DockerContainer({container!r}, docker_host={dockerd.url!r})).start(Command(("true",)))
except HostError as error:
    print(error)
"""
    repository = Path(__file__).parent.parent
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=repository)
    assert "does not let this user in: permission denied" in answer.stdout, answer.stderr


def test_docker_host_of_the_environment(dockerd: Dockerd, container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", dockerd.url)
    host = DockerCommandHost(DockerContainer(container))
    assert output_of(host, "echo out") == b"out\n"
    host.close()


@requires_program("openssl")
def test_docker_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its output comes as it is; input is refused, because TLS cannot end one direction."""
    make = ("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2")
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem")
    subprocess.run([*make, *names], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "ca.pem").symlink_to("cert.pem")  # it is signed by itself, for both ends
    port = free_port()
    files = (f"--tlscacert={tmp_path}/ca.pem", f"--tlscert={tmp_path}/cert.pem", f"--tlskey={tmp_path}/key.pem")
    with running_dockerd("--host", f"tcp://127.0.0.1:{port}", "--tlsverify", *files) as dockerd:
        name = dockerd.run()
        for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they go before the certificates of DOCKER_CERT_PATH
            monkeypatch.delenv(bundle, raising=False)
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        host = DockerCommandHost(DockerContainer(name, docker_host=f"tcp://127.0.0.1:{port}"))
        number = unique_number()
        with host.start(shell(f"yes {number}")) as running:
            assert next(running.chunks()).startswith(b"%d\n" % number)
        wait_until_gone(number)
        assert len(output_of(host, "head -c 20000000 /dev/zero")) == 20_000_000
        with pytest.raises(HostError, match="Docker is reached over TLS, which has no way to end the input alone"):
            host.start(Command(("cat",)), feeds_input=True)
        host.close()


def test_what_docker_tells_of_a_program_holds_no_secret(dockerd: Dockerd, own: str) -> None:
    secret = "Canary-Inspect-6021"
    with opened(dockerd, own) as host:
        command = Command(("sh", "-c", "echo begun; sleep 1000", "an-argument"), {"CANARY": Secret(secret)})
        with host.start(command) as running:
            assert next(running.chunks()) == b"begun\n"
            identities = json.loads(dockerd.docker("inspect", own))[0]["ExecIDs"]
            with docker.APIClient(dockerd.url) as api:
                told = json.dumps([api.exec_inspect(identity) for identity in identities])
    assert "ProcessConfig" in told
    assert secret not in told
    assert "an-argument" not in told


# --- what happens in mid-stream -------------------------------------------------------------------------------------


def test_a_silent_program_is_waited_for(dockerd: Dockerd, container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    check_alive = DockerApi.check_alive

    def counted(docker: DockerApi, found: Found, name: str) -> None:
        looked.append(name)
        check_alive(docker, found, name)

    monkeypatch.setattr(DockerApi, "check_alive", counted)
    with opened(dockerd, container, IN_A_HURRY) as host:
        assert output_of(host, "sleep 1; echo late") == b"late\n"
        with host.start(shell("sleep 1; wc -c"), feeds_input=True) as running:
            running.feed(repeat(bytes(1_000_000), 20))
            assert int(b"".join(running.chunks())) == 20_000_000
    assert len(looked) > 4


@pytest.mark.parametrize("script", ["yes", "echo begun; sleep 1000"])
@pytest.mark.parametrize("action", [("kill",), ("stop", "--time", "0"), ("rm", "--force")])
def test_a_container_that_ends_in_mid_stream(dockerd: Dockerd, script: str, action: tuple[str, ...]) -> None:
    name = dockerd.run()
    with opened(dockerd, name) as host:
        message = cut_off(host, script, lambda: dockerd.docker(*action, name))
    # The program may be seen to be killed before its container is seen to have stopped.
    killed = f"The program sh on the container {name} ended with exit status 137 (as after SIGKILL"
    if not message.startswith(killed):
        assert message.startswith(f"The program sh on the container {name} was cut off: ")
        stopped = "the container stopped while a program ran in it (exit status 137)"
        assert stopped in message or (action[0] == "rm" and "the container has ended, and was removed" in message)
    if action[0] != "rm":
        dockerd.remove(name)


@pytest.mark.parametrize("script", ["yes", "echo begun; sleep 1000"])
def test_a_container_that_is_paused_in_mid_stream(dockerd: Dockerd, own: str, script: str) -> None:
    with opened(dockerd, own, IN_A_HURRY) as host:
        message = cut_off(host, script, lambda: dockerd.docker("pause", own))
    dockerd.docker("unpause", own)
    assert f"The container {own} was paused while a program ran. Let it go on with: docker unpause {own}" in message


def test_a_container_that_is_killed_while_a_program_is_fed(dockerd: Dockerd, own: str) -> None:
    def chunks() -> Iterator[bytes]:
        for count in range(1000):
            if count == 3:
                dockerd.docker("kill", own)
            yield bytes(1_000_000)

    with opened(dockerd, own) as host:
        running = host.start(shell("cat >/dev/null"), feeds_input=True)
        with running, pytest.raises(HostError, match="the container stopped while a program ran in it"):
            running.feed(chunks())


def test_a_program_that_takes_the_shell_around_it_along(dockerd: Dockerd, own: str) -> None:
    with opened(dockerd, own) as host:
        assert "exit status 137 (as after SIGKILL" in failure_of(host, "echo out; kill -KILL 0")


def test_docker_that_ends_or_stalls_in_mid_stream() -> None:
    with running_dockerd() as dockerd:
        name = dockerd.run("--stop-timeout", "1")
        with opened(dockerd, name, IN_A_HURRY) as host:
            process = dockerd.process
            message = cut_off(host, "echo begun; sleep 1000", lambda: process.send_signal(signal.SIGSTOP))
            assert "did not answer for 1 s" in message
            process.send_signal(signal.SIGCONT)
            message = cut_off(host, "echo begun; sleep 1000", lambda: process.send_signal(signal.SIGTERM))
    assert re.search(f"on the container {name} was cut off: |did not answer", message)
