"""STOP_CONTAINERS around whole runs: stopped while the source is read, and running again whatever happened."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.holdfast import Holdfast
from tests.support.sshd import USER, Sshd, requires_sshd, sshd

__all__ = ["dockerd", "sshd"]

pytestmark = requires_dockerd

BACKUP_ID = "shop/out"

# It ends as soon as it is asked to.
QUICK = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000000000 & wait")


class Site:
    """An installation whose backup stops two containers, and reads until it is let go on."""

    def __init__(self, dockerd: Dockerd, folder: Path) -> None:
        self.holdfast = Holdfast(folder / "holdfast")
        self.dockerd = dockerd
        self.names = [dockerd.run(command=QUICK), dockerd.run(command=QUICK)]
        self.storages: list[dict[str, object]] = []
        self.reading, self.go_on = folder / "reading", folder / "go-on"

    def configure(self, script: str = "echo data", **keys: object) -> None:
        """``script`` ends the program that is the source, once it may."""
        wait = f"touch {self.reading}; while [ ! -e {self.go_on} ]; do sleep 0.02; done; {script}"
        backup = {
            "NAME": "out",
            "INTERVALS": "0 2 * * *",
            "COMMAND": ["sh", "-c", wait],
            "FILENAME": "out.txt",
            "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}],
            "STOP_CONTAINERS": {"CONTAINER_NAME": self.names, "DOCKER_HOST": self.dockerd.url},
            **keys,
        }
        project = {"NAME": "shop", "BACKUPS": [{"COMMAND_BACKUP": [backup]}]}
        self.holdfast.write({"STORAGES": self.storages, "PROJECTS": [project]})

    def start(self) -> subprocess.Popen[str]:
        """A run that is reading now."""
        run = self.holdfast.start("backup.py", BACKUP_ID)
        deadline = time.monotonic() + 60
        while not self.reading.exists():
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return run

    def killed(self) -> None:
        """A run that is killed while it is reading."""
        run = self.start()
        run.kill()
        run.communicate()
        self.go_on.touch()

    def states(self) -> list[str]:
        return [self.dockerd.docker("inspect", "--format", "{{.State.Status}}", name) for name in self.names]

    def records(self) -> list[Path]:
        return list((self.holdfast.state / "stopped-containers").glob("*"))

    def manifests(self) -> list[Path]:
        return list(self.holdfast.storage.rglob("*.manifest.json"))


@pytest.fixture
def site(dockerd: Dockerd, tmp_path: Path) -> Iterator[Site]:
    site = Site(dockerd, tmp_path)
    yield site
    for name in site.names:
        dockerd.remove(name)


def server(sshd: Sshd) -> dict[str, object]:
    return {
        "USERNAME": USER,
        "IP_ADDRESS": "127.0.0.1",
        "PORT": sshd.port,
        "KEY_FILE": str(sshd.user_key),
        "KNOWN_HOSTS_FILE": str(sshd.known_hosts),
    }


# --- a run that goes its way ------------------------------------------------------------------------------------


def test_they_stand_still_while_the_source_is_read(site: Site) -> None:
    site.configure()
    run = site.start()
    assert site.states() == ["exited", "exited"]
    assert len(site.records()) == 1
    site.go_on.touch()
    _, errors = run.communicate()
    assert (run.returncode, errors) == (0, "")
    assert site.states() == ["running", "running"]
    assert site.records() == []
    assert len(site.manifests()) == 1


def test_before_and_after_see_them_running(site: Site, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    look = ["sh", "-c", f"docker --host {site.dockerd.url} ps --quiet --filter name={site.names[0]} | wc -l >> {seen}"]
    site.go_on.touch()
    site.configure(BEFORE=look, AFTER=look)
    assert site.holdfast.run("backup.py", BACKUP_ID).returncode == 0
    assert seen.read_text().split() == ["1", "1"]


def test_a_source_that_fails(site: Site) -> None:
    site.configure("echo why >&2; exit 9")
    run = site.start()
    site.go_on.touch()
    _, errors = run.communicate()
    assert run.returncode == 1
    assert "ended with exit status 9" in errors
    assert site.states() == ["running", "running"]
    assert site.records() == site.manifests() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal(site: Site, number: signal.Signals) -> None:
    site.configure()
    run = site.start()
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert (run.returncode, "Traceback" in errors) == (130 if number == signal.SIGINT else 143, False)
    assert site.states() == ["running", "running"]
    assert site.records() == []


def test_a_time_that_is_over(site: Site) -> None:
    site.configure(TIMEOUT="3s")
    run = site.start()
    _, errors = run.communicate(timeout=60)
    assert (run.returncode, "TIMEOUT" in errors) == (1, True)
    assert site.states() == ["running", "running"]


def test_one_that_cannot_be_started_again_fails_the_run_and_the_copy_stays(site: Site, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_text("a file")
    broken = site.dockerd.run("--volume", f"{mounted}:/file", command=QUICK)
    site.names.append(broken)
    site.configure(RETRIES=3)
    run = site.start()
    mounted.unlink()
    mounted.mkdir()
    site.go_on.touch()
    _, errors = run.communicate()
    assert run.returncode == 1
    assert (
        f"shop/out: failed. The container {broken} was stopped for shop/out, and could not be started again." in errors
    )
    assert errors.endswith(f"docker --host {site.dockerd.url} start {broken}\n")
    assert site.states() == ["running", "running", "exited"]
    assert len(site.manifests()) == 1, "another try would make the same copy again"
    mounted.rmdir()
    mounted.write_text("a file")
    assert f"The container {broken} was still stopped" in site.holdfast.run("restore.py", "list", BACKUP_ID).stderr
    assert site.states() == ["running"] * 3


def test_a_source_that_fails_where_one_cannot_be_started_either(site: Site, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_text("a file")
    broken = site.dockerd.run("--volume", f"{mounted}:/file", command=QUICK)
    site.names.append(broken)
    site.configure("exit 9")
    run = site.start()
    mounted.unlink()
    mounted.mkdir()
    site.go_on.touch()
    _, errors = run.communicate()
    assert run.returncode == 1
    assert errors.index("exit status 9") < errors.index(f"start {broken}")
    mounted.rmdir()
    mounted.write_text("a file")
    site.holdfast.run("backup.py")


def test_a_word_that_means_no_container_fails_the_run(site: Site) -> None:
    site.configure(STOP_CONTAINERS={"CONTAINER_NAME": [site.names[0], "absent"], "DOCKER_HOST": site.dockerd.url})
    ended = site.holdfast.run("backup.py", BACKUP_ID)
    assert ended.returncode == 1
    assert "STOP_CONTAINERS names the container absent, but there is no such container." in ended.stderr
    assert not site.reading.exists()
    assert site.states() == ["running", "running"]


@requires_sshd
def test_on_a_server(site: Site, sshd: Sshd) -> None:
    site.configure(SSH=server(sshd))
    run = site.start()
    assert site.states() == ["exited", "exited"]
    site.go_on.touch()
    _, errors = run.communicate()
    assert (run.returncode, errors) == (0, "")
    assert site.states() == ["running", "running"]


@requires_sshd
def test_no_one_waits_for_a_slow_upload(site: Site, sshd: Sshd, tmp_path: Path) -> None:
    """The archive waits on this machine instead, so that the containers run again before the upload has begun."""
    server = {"HOST": "127.0.0.1", "PORT": sshd.port, "USERNAME": USER, "KEY_FILE": str(sshd.user_key)}
    storage = {"NAME": "FAR", "TYPE": "SFTP", **server, "ROOT": str(tmp_path / "far")}
    site.storages = [{**storage, "KNOWN_HOSTS_FILE": str(sshd.known_hosts)}]
    slow = {"STORAGE_NAME": "FAR", "BANDWIDTH": "100kB"}
    site.configure("head -c 8000000 /dev/urandom", UPLOAD_TO=[slow])
    run = site.start()
    site.go_on.touch()
    while site.states() != ["running", "running"]:
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    while not any((tmp_path / "far").rglob(".holdfast-unfinished-*")):
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 143, "80 seconds of upload were to come"
    assert "The archive is whole and waits on this machine; the next run goes on with its upload." in errors
    site.configure("echo data", UPLOAD_TO=[{"STORAGE_NAME": "FAR"}])
    assert site.holdfast.run("backup.py", BACKUP_ID).returncode == 0
    assert len(list((tmp_path / "far").rglob("*.manifest.json"))) == 2


# --- a run that was killed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [("main.py", "sync"), ("main.py", "validate"), ("backup.py",), ("backup.py", "--missed"), ("restore.py", "list")],
    ids=" ".join,
)
def test_the_next_command_of_any_kind_starts_them_again(site: Site, command: tuple[str, ...]) -> None:
    site.configure()
    site.killed()
    assert site.states() == ["exited", "exited"]
    ended = site.holdfast.run(*command)
    first, second = site.names
    assert (
        f"The containers {first} and {second} were still stopped for an earlier run of shop/out on this machine. "
        "What was stopped runs again now."
    ) in ended.stderr
    assert site.states() == ["running", "running"]
    assert site.records() == []
    assert "stopped" not in site.holdfast.run(*command).stderr


def test_the_next_run_starts_them_before_it_stops_them(site: Site) -> None:
    site.configure()
    site.killed()
    ended = site.holdfast.run("backup.py", BACKUP_ID, "--scheduled")
    assert ended.returncode == 0
    assert "were still stopped" in ended.stderr, "under cron too: it has been down since then"
    assert site.states() == ["running", "running"]
    assert len(site.manifests()) == 1


def test_a_run_that_lives_is_not_disturbed(site: Site) -> None:
    site.configure()
    run = site.start()
    for command in ("backup.py",), ("restore.py", "list"), ("backup.py", BACKUP_ID):
        assert "runs again" not in site.holdfast.run(*command).stderr
        assert site.states() == ["exited", "exited"]
    site.go_on.touch()
    run.communicate()
    assert (run.returncode, site.states()) == (0, ["running", "running"])


@requires_sshd
def test_a_server_with_and_without_its_definition(site: Site, sshd: Sshd) -> None:
    site.configure(SSH=server(sshd))
    site.killed()
    (record,) = site.records()
    assert str(sshd.user_key) not in record.read_text()
    configuration = site.holdfast.config.read_text()
    site.holdfast.write({"PROJECTS": []})
    told = site.holdfast.run("restore.py", "list").stderr
    first, second = site.names
    assert f"docker --host {site.dockerd.url} start {first} {second}" in told
    assert site.states() == ["exited", "exited"]
    assert site.records() == [record]
    site.holdfast.config.write_text(configuration)
    assert "What was stopped runs again now." in site.holdfast.run("restore.py", "list").stderr
    assert site.states() == ["running", "running"]


def test_with_json_it_is_said_beside_the_document(site: Site) -> None:
    site.configure()
    site.killed()
    ended = site.holdfast.run("backup.py", "--json")
    assert json.loads(ended.stdout)["backups"]
    assert "What was stopped runs again now." in ended.stderr


def test_doctor_names_them_and_leaves_them_alone(site: Site) -> None:
    site.configure()
    doctor = site.holdfast.run("main.py", "doctor")
    (line,) = [line for line in doctor.stdout.splitlines() if "shop/out" in line]
    said, _, names = line.partition("; STOP_CONTAINERS would stop ")
    assert said == "ok       shop/out: this machine answers, and has sh"
    assert sorted(names.split(", ")) == sorted(site.names)
    assert site.states() == ["running", "running"]
    site.configure(STOP_CONTAINERS={"CONTAINER_NAME": "no-such-container", "DOCKER_HOST": site.dockerd.url})
    doctor = site.holdfast.run("main.py", "doctor")
    assert "failed   shop/out: " in doctor.stdout
    assert "no-such-container" in doctor.stdout
