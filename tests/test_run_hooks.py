"""BEFORE, AFTER and ON_FAILURE around whole runs: their order, what a run is called then, and what a person is told."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.holdfast import Holdfast
from tests.support.secret_watch import SecretWatch
from tests.support.sshd import USER, Sshd, requires_sshd, sshd

__all__ = ["dockerd", "sshd"]

BACKUP_ID = "shop/out"
CANARY = "Canary-Run-Hooks-4417"


class Site:
    """An installation whose one backup is the output of a program, and the lines that it and its hooks have written."""

    def __init__(self, folder: Path) -> None:
        self.holdfast = Holdfast(folder / "holdfast")
        self.events = folder / "events"

    def says(self, words: str, then: str = "") -> list[str]:
        """The argv of a program that writes a line, with ``$`` for variables."""
        return ["sh", "-c", f'echo "{words}" >> "$0"; {then}', str(self.events)]

    def configure(self, *, command: Sequence[str] = (), targets: Sequence[str] = ("",), **keys: object) -> None:
        backup = {
            "NAME": "out",
            "INTERVALS": "* * * * *",
            "COMMAND": list(command) or self.says("read", "echo data"),
            "FILENAME": "out.txt",
            "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": path} for path in targets],
            "AFTER": self.says("after $HOLDFAST_STATUS"),
            "ON_FAILURE": self.says("on_failure $HOLDFAST_STATUS $HOLDFAST_ERROR"),
            **keys,
        }
        self.holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"COMMAND_BACKUP": [backup]}]}]})

    def run(self, *options: str) -> tuple[int, str, str]:
        ended = self.holdfast.run("backup.py", BACKUP_ID, *options)
        return ended.returncode, ended.stdout, ended.stderr

    def happened(self) -> list[str]:
        lines = self.events.read_text().splitlines() if self.events.exists() else []
        self.events.unlink(missing_ok=True)
        return lines

    def wait_for(self, line: str) -> None:
        deadline = time.monotonic() + 60
        while not self.events.exists() or line not in self.events.read_text().splitlines():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def standing(self) -> dict[str, Any]:
        """What the overview says of it."""
        ended = self.holdfast.run("backup.py", "--json")
        assert ended.returncode == 0, ended.stderr
        (backup,) = json.loads(ended.stdout)["backups"]
        assert isinstance(backup, dict)
        return backup

    def copies(self) -> list[Path]:
        return sorted(self.holdfast.storage.rglob("*.manifest.json"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- their order ------------------------------------------------------------------------------------------------


def test_a_good_run(site: Site) -> None:
    site.configure(BEFORE=site.says("before $HOLDFAST_BACKUP"))
    code, _, errors = site.run("--scheduled")
    assert (code, errors) == (0, "")
    assert site.happened() == ["before shop/out", "read", "after good"]
    assert site.standing()["last"]["status"] == "good"


def test_before_runs_before_anything_is_looked_at(site: Site, tmp_path: Path) -> None:
    """It may mount what is to be read, and where it goes."""
    made = tmp_path / "made"
    site.holdfast.configure(made, BEFORE=["mkdir", str(made)], AFTER=["touch", f"{made}/after"])
    assert site.holdfast.run("backup.py", "shop/files").returncode == 0
    assert (made / "after").exists()


def test_a_source_that_fails(site: Site) -> None:
    site.configure(command=site.says("read", "echo why >&2; exit 9"), BEFORE=site.says("before"))
    code, _, errors = site.run()
    assert code == 1
    assert "ended with exit status 9" in errors
    assert site.happened()[:3] == ["before", "read", "after failed"]
    assert site.copies() == []


def test_on_failure_is_told_why(site: Site) -> None:
    site.configure(command=["sh", "-c", "echo the disk is on fire >&2; exit 9"])
    site.run()
    after, on_failure, *rest = site.happened()
    assert after == "after failed"
    assert on_failure.startswith("on_failure failed out.txt was not made. The program sh on this machine ended with")
    assert rest == ["the disk is on fire"]


def test_a_target_that_fails(site: Site) -> None:
    site.holdfast.storage.mkdir(parents=True)
    (site.holdfast.storage / "blocked").write_text("no folder")
    site.configure(targets=["", "blocked"])
    code, _, errors = site.run()
    assert code == 1
    assert "failed" in errors
    after, on_failure = site.happened()[1:3]
    assert (after, on_failure.startswith("on_failure failed LOCAL: ")) == ("after failed", True)
    assert len(site.copies()) == 1


def test_a_before_that_fails(site: Site) -> None:
    site.configure(BEFORE=site.says("before", "echo not ready >&2; exit 4"))
    code, output, errors = site.run("--scheduled")
    assert (code, output) == (1, "")
    assert errors == (
        "shop/out: failed. BEFORE failed, so nothing was read. The program sh on this machine ended with exit status "
        "4:\nnot ready\n"
    )
    before, on_failure, *_ = site.happened()
    assert (before, on_failure.startswith("on_failure failed BEFORE failed")) == ("before", True)
    assert site.copies() == []


def test_an_after_that_fails(site: Site) -> None:
    site.configure(AFTER=site.says("after", "echo stuck >&2; exit 6"), RETRIES=3)
    code, _, errors = site.run()
    assert code == 1
    assert (
        "The copies are whole and stay, but AFTER failed. The program sh on this machine ended with exit status "
        "6:\nstuck\n"
    ) in errors
    read, after, on_failure, *_ = site.happened()
    assert (read, after) == ("read", "after")
    assert on_failure.startswith("on_failure failed The copies are whole")
    assert len(site.copies()) == 1, "another try would make the same copy again"
    listed = site.holdfast.run("restore.py", "list", BACKUP_ID)
    assert "good" in listed.stdout
    assert site.standing()["last"]["status"] == "failed"


def test_an_on_failure_that_fails_hides_nothing(site: Site) -> None:
    site.configure(command=["sh", "-c", "exit 9"], ON_FAILURE=["sh", "-c", "exit 8"])
    code, _, errors = site.run()
    assert code == 1
    assert errors.index("exit status 9") < errors.index("ON_FAILURE failed too. ") < errors.index("exit status 8")


# --- not this time ----------------------------------------------------------------------------------------------


def test_a_run_that_is_skipped(site: Site) -> None:
    site.configure()
    site.run()
    good = site.standing()["last_good"]
    site.happened()
    site.configure(BEFORE=site.says("before", "echo on battery >&2; exit 75"))
    assert site.run("--scheduled") == (0, "", "")
    assert site.happened() == ["before"]
    assert site.run("--scheduled") == (0, "", ""), "its time had its run"
    assert site.happened() in ([], ["before"]), "unless the next minute has begun"
    code, output, errors = site.run()
    assert (code, errors) == (0, "")
    assert output == (
        "shop/out: skipped. BEFORE asked to skip this time. The program sh on this machine ended with exit status "
        "75:\non battery\n"
    )
    assert site.run("--quiet") == (0, "", "")
    assert json.loads(site.run("--json")[1])["runs"][0]["status"] == "skipped"
    standing = site.standing()
    assert standing["last"]["status"] == "skipped"
    assert standing["last_good"] == good
    assert "skipped" in site.holdfast.run("backup.py").stdout
    assert len(site.copies()) == 1


def test_a_skipped_run_is_not_tried_again(site: Site) -> None:
    site.configure(BEFORE=site.says("before", "exit 75"), RETRIES=5)
    assert site.run()[0] == 0
    assert site.happened() == ["before"]


def test_only_before_can_skip(site: Site) -> None:
    site.configure(AFTER=site.says("after", "exit 75"))
    assert site.run()[0] == 1
    site.configure(command=["sh", "-c", "exit 75"])
    assert site.run()[0] == 1


# --- signals and time -------------------------------------------------------------------------------------------


def interrupted(site: Site, line: str) -> tuple[int, str]:
    run = site.holdfast.start("backup.py", BACKUP_ID)
    site.wait_for(line)
    run.send_signal(signal.SIGTERM)
    _, errors = run.communicate(timeout=60)
    return run.returncode, errors


def test_a_signal_while_the_source_is_read(site: Site) -> None:
    site.configure(command=site.says("read", "sleep 1000"), BEFORE=site.says("before"))
    code, errors = interrupted(site, "read")
    assert code == 143
    assert errors.startswith("Interrupted by SIGTERM. What was not finished is removed")
    assert site.happened() == ["before", "read", "after interrupted"]


def test_a_signal_in_before(site: Site) -> None:
    site.configure(BEFORE=site.says("before", "sleep 1000; echo late >> $0"))
    assert interrupted(site, "before")[0] == 143
    assert site.happened() == ["before"]
    assert site.standing()["last"]["status"] == "interrupted"


def test_a_signal_in_after(site: Site) -> None:
    site.configure(AFTER=site.says("after", "sleep 1000; echo late >> $0"))
    code, errors = interrupted(site, "after")
    assert (code, errors) == (143, "Interrupted by SIGTERM. The program that runs after it was interrupted.\n")
    assert site.happened() == ["read", "after"]
    assert len(site.copies()) == 1
    assert site.standing()["last"]["status"] == "interrupted"


def test_an_after_that_fails_after_a_signal(site: Site) -> None:
    site.configure(command=site.says("read", "sleep 1000"), AFTER=["sh", "-c", "exit 6"])
    code, errors = interrupted(site, "read")
    assert code == 143
    assert "earlier copies are untouched.\nAFTER failed. The program sh on this machine" in errors


@pytest.mark.parametrize("hook", ["BEFORE", "AFTER", "ON_FAILURE"])
def test_one_that_takes_too_long(site: Site, hook: str) -> None:
    command = ["sh", "-c", "exit 9"] if hook == "ON_FAILURE" else ["echo", "data"]
    site.configure(command=command, **{hook: site.says(hook, "sleep 1000"), "TIMEOUT": "1s"})
    code, _, errors = site.run()
    assert code == 1
    assert f"{hook} failed" in errors
    assert "The program sh on this machine was ended: It took longer than 1.0 s (TIMEOUT), and was ended." in errors


# --- elsewhere --------------------------------------------------------------------------------------------------


@pytest.fixture(
    params=[
        pytest.param("ssh", marks=requires_sshd),
        pytest.param("docker", marks=requires_dockerd),
        pytest.param("both", marks=[requires_sshd, requires_dockerd]),
    ]
)
def elsewhere(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The keys of a backup that is read there; its programs see a variable or a file that this machine lacks."""
    keys: dict[str, object] = {}
    if request.param != "docker":
        server: Sshd = request.getfixturevalue("sshd")
        keys["SSH"] = {
            "USERNAME": USER,
            "IP_ADDRESS": "127.0.0.1",
            "PORT": server.port,
            "KEY_FILE": str(server.user_key),
            "KNOWN_HOSTS_FILE": str(server.known_hosts),
        }
    if request.param == "ssh":
        yield {**keys, "mark": 'test -n "$SSH_CONNECTION"'}
        return
    daemon: Dockerd = request.getfixturevalue("dockerd")
    name = daemon.run()
    daemon.docker("exec", name, "touch", "/in-the-container")
    keys["DOCKER"] = {"CONTAINER_NAME": name, "DOCKER_HOST": daemon.url}
    yield {**keys, "mark": "test -e /in-the-container"}
    daemon.remove(name)


# What no shell on the way may take for more than text, and no option.
ARGUMENTS = ["-rf", "a b", "it's", '"quoted"', "$HOME $(id) `id`", "a;b|c&d", "é 日本 🎉", "*", "\\"]


def test_they_run_where_the_backup_is_read(site: Site, elsewhere: dict[str, Any]) -> None:
    mark = elsewhere.pop("mark")
    script = f'{mark} || exit 3; for each; do printf "<%s>" "$each"; done; echo " $HOLDFAST_BACKUP $HOLDFAST_STATUS"'
    hook = ["sh", "-c", script, "sh", *ARGUMENTS]
    site.configure(command=["echo", "data"], BEFORE=hook, AFTER=hook, **elsewhere)
    code, _, errors = site.run()
    assert (code, errors) == (0, "")
    (log,) = (site.holdfast.state / "logs" / BACKUP_ID).iterdir()
    said = "".join(f"<{argument}>" for argument in ARGUMENTS)
    assert f"BEFORE said: {said} shop/out" in log.read_text()
    assert f"AFTER said: {said} shop/out good" in log.read_text()


def test_there_too_a_secret_stands_in_no_command_line(site: Site, elsewhere: dict[str, Any]) -> None:
    """ON_FAILURE is told what the source said, whose secret stands there as ``****``."""
    del elsewhere["mark"]
    show = ["sh", "-c", 'echo "$HOLDFAST_ERROR"; sleep 0.3']
    with SecretWatch(CANARY) as watch:
        site.configure(
            command=["sh", "-c", 'echo "the password is $PASSWORD" >&2; exit 9'],
            ENVIRONMENT={"PASSWORD": CANARY},
            AFTER=show,
            ON_FAILURE=show,
            **elsewhere,
        )
        code, _, errors = site.run()
    assert code == 1
    assert "the password is ****" in errors
    (log,) = (site.holdfast.state / "logs" / BACKUP_ID).iterdir()
    assert "ON_FAILURE said:" in log.read_text()
    assert CANARY not in log.read_text() + errors
    assert watch.seen.looks > 100
    assert watch.seen.command_lines_with_secret == set()
