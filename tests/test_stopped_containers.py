"""STOP_CONTAINERS by itself, with a real Docker, here and over SSH: who is stopped, and that all of them run again."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from errors import HoldfastError, HostError, InterruptedRun
from hosts.docker_api import DockerApi
from interruption import end_cleanly_on_signals
from model import Backup, Configuration, DockerContainer, FileSource, Secret, SshHost, StoppedContainers
from operations.locks import lock_backup
from operations.running import start_again
from operations.running.start_again import start_what_dead_runs_stopped
from operations.running.stopped_containers import Standstill
from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.sshd import USER, Sshd, requires_sshd, sshd

__all__ = ["dockerd", "sshd"]

pytestmark = requires_dockerd

PLAIN = Backup("shop/files", "shop", "files", FileSource(("/srv",)), ("0 2 * * *",), ())

# A container that ends at once when it is asked to, and one that has to be killed after a second.
QUICK = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000000000 & wait")
STUBBORN = ("sh", "-c", "trap 'echo asked' TERM; sleep 1000000000 & while :; do wait; done")


class Site:
    """Containers of one test, and the backup that stops them."""

    def __init__(self, dockerd: Dockerd, folder: Path, ssh: SshHost | None = None) -> None:
        self.dockerd = dockerd
        self.state = folder / "state"
        self.ssh = ssh
        self._made: list[str] = []

    def run(self, *options: str, command: tuple[str, ...] = QUICK) -> str:
        self._made.append(self.dockerd.run(*options, command=command))
        return self._made[-1]

    def backup(
        self,
        *names: str,
        labels: tuple[str, ...] = (),
        compose_projects: tuple[str, ...] = (),
        docker: DockerContainer | None = None,
    ) -> Backup:
        stopped = StoppedContainers(names, labels, compose_projects, self.dockerd.url)
        return replace(PLAIN, ssh=self.ssh, docker=docker, stopped_containers=stopped)

    def standstill(
        self, *names: str, labels: tuple[str, ...] = (), compose_projects: tuple[str, ...] = ()
    ) -> Standstill:
        return Standstill(self.backup(*names, labels=labels, compose_projects=compose_projects), self.state)

    def stands(self, *names: str) -> list[bool]:
        """Whether each has been stopped."""
        states = [self.dockerd.docker("inspect", "--format", "{{.State.Status}}", name) for name in names]
        return [state == "exited" for state in states]

    def times(self, *names: str, field: str) -> list[str]:
        """When each was started or finished, to be compared."""
        return [self.dockerd.docker("inspect", "--format", f"{{{{.State.{field}}}}}", name) for name in names]

    def records(self) -> list[Path]:
        return sorted((self.state / "stopped-containers").glob("*"))

    def document(self) -> str:
        (path,) = self.records()
        return path.read_text()

    def die(self, *names: str, backup: Backup | None = None) -> None:
        """Stop them as a run that is killed then: its record stays, and nobody holds its lock."""
        Standstill(backup or self.backup(*names), self.state).begin()

    def put_right(self, *backups: Backup, to_person: bool = True) -> list[str]:
        """What the next command says."""
        told: list[str] = []
        configuration = Configuration(Path("/config.yaml"), backups, {}, self.state)
        start_what_dead_runs_stopped(configuration, told.append, to_person=to_person)
        return told

    def remove(self) -> None:
        for name in self._made:
            self.dockerd.remove(name)


@pytest.fixture
def site(dockerd: Dockerd, tmp_path: Path) -> Iterator[Site]:
    site = Site(dockerd, tmp_path)
    yield site
    site.remove()


def server(sshd: Sshd) -> SshHost:
    return SshHost(
        USER,
        "127.0.0.1",
        sshd.port,
        key_file=str(sshd.user_key),
        password=Secret("Canary-Ssh-7733"),
        known_hosts_file=str(sshd.known_hosts),
    )


@pytest.fixture(params=["here", pytest.param("ssh", marks=requires_sshd)])
def anywhere(request: pytest.FixtureRequest, dockerd: Dockerd, tmp_path: Path) -> Iterator[Site]:
    ssh = server(request.getfixturevalue("sshd")) if request.param == "ssh" else None
    site = Site(dockerd, tmp_path, ssh)
    yield site
    site.remove()


# --- stopping and starting --------------------------------------------------------------------------------------


def test_they_stand_still_in_between_and_run_again(anywhere: Site) -> None:
    older, newer = anywhere.run(), anywhere.run()
    before = anywhere.times(older, newer, field="StartedAt")
    with anywhere.standstill(older, newer) as standstill:
        assert anywhere.stands(older, newer) == [False, False], "nothing is stopped before it has to be"
        standstill.begin()
        assert anywhere.stands(older, newer) == [True, True]
        assert len(anywhere.records()) == 1
        standstill.end()
        assert anywhere.stands(older, newer) == [False, False]
        assert anywhere.records() == []
    assert standstill.problems == []
    stopped = anywhere.times(newer, older, field="FinishedAt")
    assert stopped == sorted(stopped), "the newest is stopped first"
    started = anywhere.times(older, newer, field="StartedAt")
    assert started == sorted(started), "and started last"
    assert set(started).isdisjoint(before)


def test_only_what_was_running_is_stopped_and_started(site: Site) -> None:
    running, stopped, paused = site.run(), site.run(), site.run()
    site.dockerd.docker("stop", stopped)
    site.dockerd.docker("pause", paused)
    with site.standstill(running, stopped, paused) as standstill:
        standstill.begin()
        assert stopped not in site.document()
        assert site.stands(running, stopped, paused) == [True, True, False]
    assert site.stands(running, stopped, paused) == [False, True, False]


def test_where_none_runs_nothing_is_done(site: Site) -> None:
    stopped = site.run()
    site.dockerd.docker("stop", stopped)
    with site.standstill(stopped) as standstill:
        standstill.begin()
        assert site.records() == []
    assert site.stands(stopped) == [True]


def test_by_label_and_by_compose_project(site: Site) -> None:
    project = f"shop-{os.getpid()}"
    by_name = site.run()
    by_label = site.run("--label", f"stop-me={project}")
    other_label = site.run("--label", "stop-me=no")
    composed = site.run("--label", f"com.docker.compose.project={project}")
    one_off = site.run(
        *("--label", f"com.docker.compose.project={project}", "--label", "com.docker.compose.oneoff=True")
    )
    everyone = (by_name, by_label, other_label, composed, one_off)
    with site.standstill(by_name, labels=(f"stop-me={project}",), compose_projects=(project,)) as standstill:
        standstill.begin()
        assert site.stands(*everyone) == [True, True, False, True, False]
    assert site.stands(*everyone) == [False] * 5


def test_a_container_has_the_time_to_stop_that_it_asked_for(site: Site) -> None:
    """And an answer of Docker that takes longer than others is waited for."""
    name = site.run("--stop-timeout", "2", command=STUBBORN)
    patient = site.run("--stop-timeout", "20", command=("sh", "-c", "trap 'sleep 3; exit 7' TERM; sleep 999 & wait"))
    with site.standstill(name, patient) as standstill:
        standstill.begin()
        codes = [site.dockerd.docker("inspect", "--format", "{{.State.ExitCode}}", each) for each in (name, patient)]
        assert codes == ["137", "7"]


def test_nothing_is_said_of_secrets(anywhere: Site) -> None:
    name = anywhere.run()
    with anywhere.standstill(name) as standstill:
        standstill.begin()
        written = anywhere.document()
        assert anywhere.records()[0].stat().st_mode & 0o777 == 0o600
    assert "Canary" not in written
    assert "user_key" not in written
    document = json.loads(written)
    assert document["backup"] == "shop/files"
    assert document["docker_host"] == anywhere.dockerd.url
    assert [container["name"] for container in document["containers"]] == [name]


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"names": ("absent",)}, "the container absent"),
        ({"names": ("$(id) 'x'",)}, "the container $(id) 'x'"),
        ({"labels": ("absent=1",)}, "the label absent=1"),
        ({"compose_projects": ("absent",)}, "the Compose project absent"),
    ],
)
def test_a_word_that_means_no_container(anywhere: Site, words: dict[str, tuple[str, ...]], said: str) -> None:
    there = anywhere.run()
    stopped = StoppedContainers(**{"names": (there,), "docker_host": anywhere.dockerd.url, **words})  # type: ignore[arg-type]
    backup = replace(anywhere.backup(), stopped_containers=stopped)
    with Standstill(backup, anywhere.state) as standstill, pytest.raises(HostError) as raised:
        standstill.begin()
    assert f"STOP_CONTAINERS names {said}, but there is no such container" in str(raised.value)
    assert there in str(raised.value)
    assert anywhere.stands(there) == [False]


def test_the_container_in_which_is_read_is_not_stopped(site: Site) -> None:
    name = site.run("--label", "all-of-them")
    docker = DockerContainer(name, docker_host=site.dockerd.url)
    backup = site.backup(labels=("all-of-them",), docker=docker)
    with Standstill(backup, site.state) as standstill, pytest.raises(HostError) as raised:
        standstill.begin()
    assert f"STOP_CONTAINERS of shop/files would stop the container {name}, in which" in str(raised.value)
    assert site.stands(name) == [False]


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--rm",), "Docker removes it when it ends"), (("--stop-timeout", "-1"), "may take for ever to stop")],
)
def test_a_container_that_could_not_be_started_again(site: Site, options: tuple[str, ...], said: str) -> None:
    name, other = site.run(*options), site.run()
    with site.standstill(name, other) as standstill, pytest.raises(HostError, match=said):
        standstill.begin()
    assert site.stands(name, other) == [False, False]


def test_a_docker_that_is_not_there(site: Site, tmp_path: Path) -> None:
    backup = replace(PLAIN, stopped_containers=StoppedContainers(("web",), docker_host=f"unix://{tmp_path}/none"))
    with Standstill(backup, site.state) as standstill, pytest.raises(HostError, match="cannot be reached"):
        standstill.begin()


def test_a_state_that_cannot_be_written_stops_nothing(site: Site) -> None:
    name = site.run()
    site.state.write_text("no folder")
    with site.standstill(name) as standstill, pytest.raises(HoldfastError, match="cannot be written"):
        standstill.begin()
    assert site.stands(name) == [False]


# --- whatever happens -------------------------------------------------------------------------------------------


def test_an_error_in_between_starts_them_again(anywhere: Site) -> None:
    name = anywhere.run()
    with pytest.raises(RuntimeError), anywhere.standstill(name) as standstill:
        standstill.begin()
        raise RuntimeError
    assert anywhere.stands(name) == [False]
    assert anywhere.records() == []


def heed_signals(stack: ExitStack) -> None:
    """As a run does, until the stack is left."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        stack.callback(signal.signal, each, signal.getsignal(each))
    end_cleanly_on_signals()


def interrupted_when(is_time: Callable[[], bool], stack: ExitStack) -> None:
    """A signal comes at that moment."""
    heed_signals(stack)

    def wait_and_send() -> None:
        while not is_time():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_and_send, daemon=True).start()


def was_asked(site: Site, name: str) -> bool:
    """Whether a stubborn one has got its signal."""
    return site.dockerd.docker("logs", name) == "asked"


def test_a_signal_while_one_is_being_stopped(anywhere: Site) -> None:
    """Docker goes on to stop it: it is started again once that is done."""
    other = anywhere.run()
    slow = anywhere.run("--stop-timeout", "2", command=STUBBORN)
    began = anywhere.times(slow, other, field="StartedAt")
    with ExitStack() as stack:
        interrupted_when(lambda: was_asked(anywhere, slow), stack)
        with pytest.raises(InterruptedRun), anywhere.standstill(slow, other) as standstill:
            standstill.begin()
    assert anywhere.stands(slow, other) == [False, False]
    now = anywhere.times(slow, other, field="StartedAt")
    assert now[0] != began[0]
    assert now[1] == began[1], "it was not its turn yet"
    assert anywhere.records() == []


def test_a_signal_while_one_is_being_started(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [site.run(), site.run()]
    start_container = DockerApi.start_container
    calls: list[str] = []

    def start(docker: DockerApi, identity: str) -> None:
        calls.append(identity)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        start_container(docker, identity)

    monkeypatch.setattr(DockerApi, "start_container", start)
    with ExitStack() as stack:
        heed_signals(stack)
        with pytest.raises(InterruptedRun), site.standstill(*names) as standstill:
            standstill.begin()
            standstill.end()
    assert len(calls) == 3
    assert site.stands(*names) == [False, False]
    assert site.records() == []


def test_one_that_cannot_be_started_is_said_with_what_to_type(site: Site, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_text("a file")
    broken = site.run("--volume", f"{mounted}:/file")
    good = site.run()
    with site.standstill(broken, good) as standstill:
        standstill.begin()
        mounted.unlink()
        mounted.mkdir()
    assert site.stands(good) == [False]
    (problem,) = standstill.problems
    assert problem.startswith(f"The container {broken} was stopped for shop/files, and could not be started again. ")
    assert problem.endswith(f"Start what was stopped on this machine: docker --host {site.dockerd.url} start {broken}")
    assert broken in site.document()
    assert good not in site.document()
    mounted.rmdir()
    mounted.write_text("a file")
    assert site.put_right(site.backup()) == [
        f"The container {broken} was still stopped for an earlier run of shop/files on this machine. "
        "What was stopped runs again now."
    ]


def test_one_that_was_removed_meanwhile_is_forgotten(site: Site) -> None:
    removed, other = site.run(), site.run()
    with site.standstill(removed, other) as standstill:
        standstill.begin()
        site.dockerd.remove(removed)
    assert standstill.problems == []
    assert site.stands(other) == [False]
    assert site.records() == []
    site._made.remove(removed)


# --- after a kill -----------------------------------------------------------------------------------------------


def test_the_next_command_starts_what_a_dead_run_has_stopped(anywhere: Site) -> None:
    older, newer = anywhere.run(), anywhere.run()
    anywhere.die(older, newer)
    assert anywhere.stands(older, newer) == [True, True]
    (told,) = anywhere.put_right(anywhere.backup())
    assert told.startswith(
        f"The containers {older} and {newer} were still stopped for an earlier run of shop/files on "
    )
    assert "Canary" not in told
    assert anywhere.stands(older, newer) == [False, False]
    assert anywhere.records() == []
    assert anywhere.put_right(anywhere.backup()) == []


def test_a_run_that_lives_is_left_alone(site: Site) -> None:
    name = site.run()
    site.die(name)
    with lock_backup(site.state, "shop/files"):
        assert site.put_right(site.backup()) == []
    assert site.stands(name) == [True]
    assert len(site.put_right(site.backup())) == 1
    assert site.stands(name) == [False]


def test_here_the_definition_is_not_needed(site: Site) -> None:
    name = site.run()
    site.die(name)
    assert len(site.put_right()) == 1
    assert site.stands(name) == [False]


@requires_sshd
def test_a_server_that_the_configuration_no_longer_knows(sshd: Sshd, dockerd: Dockerd, tmp_path: Path) -> None:
    site = Site(dockerd, tmp_path, server(sshd))
    one, two = site.run(), site.run()
    site.die(one, two)
    elsewhere = replace(site.backup(), ssh=SshHost("deploy", "192.0.2.7"))
    for backups in ((), (elsewhere,)):
        (told,) = site.put_right(*backups)
        assert told == (
            f"The containers {one} and {two} were stopped for shop/files, and could not be started again. The "
            "configuration no longer says how to sign in there. Remove "
            f"{site.records()[0]} once they run.\n"
            f"Start what was stopped on 127.0.0.1:{sshd.port}: docker --host {dockerd.url} start {one} {two}"
        )
    assert site.stands(one, two) == [True, True]
    assert len(site.put_right(site.backup())) == 1
    site.remove()


def test_cron_may_be_there_before_docker_is(site: Site, tmp_path: Path) -> None:
    """As after a reboot."""
    name = site.run()
    site.die(name)
    late = tmp_path / "late"
    (path,) = site.records()
    path.write_text(path.read_text().replace(site.dockerd.url, f"unix://{late}"))
    assert len(site.put_right(to_person=True)) == 1, "a person does not wait"
    timer = threading.Timer(1.5, late.symlink_to, [site.dockerd.socket])
    timer.start()
    assert len(site.put_right(to_person=False)) == 1
    timer.join()
    assert site.stands(name) == [False]


def test_cron_is_told_of_a_failure_once_an_hour(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_again, "SECONDS_FOR_DOCKER_TO_COME", 0.0)
    name = site.run()
    site.die(name)
    (path,) = site.records()
    whole = path.read_text()
    path.write_text(whole.replace(site.dockerd.url, f"unix://{tmp_path}/none"))
    assert len(site.put_right(to_person=False)) == 1
    assert site.put_right(to_person=False) == []
    (told,) = site.put_right(to_person=True)
    assert "cannot be reached" in told
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"told": document["told"] - 3700}))
    assert len(site.put_right(to_person=False)) == 1
    path.write_text(whole)
    assert len(site.put_right(to_person=False)) == 1
    assert site.stands(name) == [False]


def test_one_that_a_person_has_started_or_removed_meanwhile(site: Site) -> None:
    started, removed = site.run(), site.run()
    site.die(started, removed)
    site.dockerd.docker("start", started)
    site.dockerd.remove(removed)
    began = site.times(started, field="StartedAt")
    record = json.loads(site.document())
    for container in record["containers"]:
        container["stop_asked"] -= 3600
    site.records()[0].write_text(json.dumps(record))
    assert site.put_right() == [
        f"The container {removed} was still stopped for an earlier run of shop/files on this machine. "
        "What was stopped has been removed since then."
    ]
    assert site.times(started, field="StartedAt") == began
    assert site.records() == []
    site._made.remove(removed)


def test_one_that_docker_is_still_stopping_is_started_after_that(site: Site) -> None:
    """The run was killed after it had asked Docker, which goes on to stop it."""
    slow = site.run("--stop-timeout", "2", command=STUBBORN)
    with ExitStack() as stack:
        interrupted_when(lambda: was_asked(site, slow), stack)
        with pytest.raises(InterruptedRun):
            site.die(slow)
    assert site.stands(slow) == [False]
    assert len(site.put_right()) == 1
    assert site.stands(slow) == [False]
    assert site.times(slow, field="FinishedAt") < site.times(slow, field="StartedAt")


def test_a_record_that_cannot_be_read_harms_nothing(site: Site) -> None:
    folder = site.state / "stopped-containers"
    folder.mkdir(parents=True)
    for number, text in enumerate(("", "{", "[]", '{"version": 2}', '{"version": 1, "backup": "a/b"}')):
        (folder / f"{number}.json").write_text(text)
    (folder / "half.new").write_text("{")
    assert site.put_right() == []
    assert len(site.records()) == 6
