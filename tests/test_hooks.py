"""BEFORE, AFTER and ON_FAILURE by themselves: what they are told, and what becomes of how they end, on each host."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from errors import HostError, InterruptedRun
from interruption import end_cleanly_on_signals
from model import (
    Backup,
    Copy,
    DockerContainer,
    FileSource,
    Hooks,
    Run,
    RunStatus,
    Secret,
    SshHost,
)
from operations.running.hooks import RunHooks
from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.host_contract import unique_number, wait_until_gone, wait_until_running
from tests.support.processes import command_lines
from tests.support.sshd import USER, Sshd, requires_sshd, sshd
from utils import utc_now

__all__ = ["dockerd", "sshd"]

BACKUP = Backup("shop/files", "shop", "files", FileSource(("/srv",)), ("0 2 * * *",), ())
RUN = Run("1", "shop/files", utc_now(), status=RunStatus.GOOD)
FAILED = replace(RUN, status=RunStatus.FAILED, message="The disk is full.")

SHOW = "echo $HOLDFAST_BACKUP,$HOLDFAST_STATUS,$HOLDFAST_ERROR"

# Arguments that are plain text to everything on the way, and an option to nothing.
ARGUMENTS = ("", "a b", "it's", '"', "$HOME", "`id`", "-rf", "--", "é 日本", "a;b|c", "line\nbreak", "*", "\\")


def sh(script: str, *arguments: str) -> tuple[str, ...]:
    return ("sh", "-c", script, "sh", *arguments)


def hooks_of(backup: Backup = BACKUP, **hooks: tuple[str, ...]) -> RunHooks:
    return RunHooks(replace(backup, hooks=Hooks(**hooks)), logging.getLogger("hooks"))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture(
    params=[
        "here",
        pytest.param("ssh", marks=requires_sshd),
        pytest.param("docker", marks=requires_dockerd),
        pytest.param("docker over ssh", marks=[requires_sshd, requires_dockerd]),
    ]
)
def backup(request: pytest.FixtureRequest) -> Iterator[Backup]:
    """The backup on each kind of host."""
    backup, container = BACKUP, None
    if "ssh" in request.param:
        server: Sshd = request.getfixturevalue("sshd")
        ssh = SshHost(
            USER,
            "127.0.0.1",
            server.port,
            key_file=str(server.user_key),
            known_hosts_file=str(server.known_hosts),
        )
        backup = replace(backup, ssh=ssh)
    if "docker" in request.param:
        daemon: Dockerd = request.getfixturevalue("dockerd")
        container = daemon.run()
        backup = replace(backup, docker=DockerContainer(container, docker_host=daemon.url))
    yield backup
    if container:
        daemon.remove(container)


# --- on every host ----------------------------------------------------------------------------------------------


def test_each_is_told_what_it_may_need_to_know(backup: Backup, caplog: pytest.LogCaptureFixture) -> None:
    hooks = hooks_of(backup, before=sh(SHOW), after=sh(SHOW), on_failure=sh(SHOW))
    assert hooks.before() is None
    assert hooks.after(FAILED) == FAILED
    assert [line for line in said(caplog) if "said" in line] == [
        "BEFORE said: shop/files,,",
        "AFTER said: shop/files,failed,",
        "ON_FAILURE said: shop/files,failed,The disk is full.",
    ]


def test_arguments_come_as_they_are(backup: Backup, caplog: pytest.LogCaptureFixture) -> None:
    assert hooks_of(backup, before=sh('for each; do printf "<%s>" "$each"; done', *ARGUMENTS)).before() is None
    expected = "".join(f"<{argument}>" for argument in ARGUMENTS)
    assert [f"BEFORE said: {line}" for line in expected.split("\n")] == said(caplog)


def test_a_failing_before_names_program_host_status_and_its_words(backup: Backup) -> None:
    hooks = hooks_of(backup, before=sh("echo out; echo why >&2; exit 3"), after=sh("exit 4"), on_failure=sh("exit 5"))
    with pytest.raises(HostError) as raised:
        hooks.before()
    assert re.fullmatch(
        r"BEFORE failed, so nothing was read. The program sh on (.+) ended with exit status 3:\nwhy", str(raised.value)
    )
    ended = hooks.after(FAILED)
    assert "AFTER" not in ended.message, "what BEFORE did not do needs no undoing"
    assert ended.message.startswith("The disk is full.\nON_FAILURE failed too. The program sh on ")


def test_exit_status_75_skips(backup: Backup) -> None:
    hooks = hooks_of(backup, before=sh("echo on battery >&2; exit 75"), after=sh("exit 4"), on_failure=sh("exit 5"))
    reason = hooks.before()
    assert reason is not None
    assert reason.startswith("BEFORE asked to skip this time. The program sh on ")
    assert reason.endswith("ended with exit status 75:\non battery")
    skipped = replace(RUN, status=RunStatus.SKIPPED)
    assert hooks.after(skipped) == skipped


# --- what becomes of it -----------------------------------------------------------------------------------------


def test_without_hooks_nothing_changes() -> None:
    hooks = hooks_of()
    assert hooks.before() is None
    for status in RunStatus:
        assert hooks.after(replace(RUN, status=status)) == replace(RUN, status=status)


@pytest.mark.parametrize("status", [RunStatus.GOOD, RunStatus.PARTIAL, RunStatus.INTERRUPTED])
def test_after_runs_however_the_run_ended(status: RunStatus, caplog: pytest.LogCaptureFixture) -> None:
    hooks = hooks_of(after=sh("echo $HOLDFAST_STATUS"), on_failure=sh("exit 1"))
    hooks.before()
    run = replace(RUN, status=status)
    assert hooks.after(run) == run
    assert f"AFTER said: {status.value}" in said(caplog)


def test_a_failing_after_fails_the_run_and_its_copies_stay(caplog: pytest.LogCaptureFixture) -> None:
    hooks = hooks_of(after=sh("echo no >&2; exit 6"), on_failure=sh("echo $HOLDFAST_ERROR"))
    hooks.before()
    run = hooks.after(replace(RUN, copies=(Copy("LOCAL", "key", RunStatus.GOOD),)))
    assert run.status is RunStatus.FAILED
    assert run.message == (
        "The copies are whole and stay, but AFTER failed. The program sh on this machine ended with exit status 6:\nno"
    )
    assert run.copies[0].status is RunStatus.GOOD
    assert "The copies are whole and stay, but AFTER failed." in caplog.text


def test_a_failing_after_never_hides_the_first_failure() -> None:
    hooks = hooks_of(after=sh("exit 6"), on_failure=sh("exit 7"))
    hooks.before()
    assert hooks.after(FAILED).message.splitlines() == [
        "The disk is full.",
        "AFTER failed. The program sh on this machine ended with exit status 6, and said nothing.",
        "ON_FAILURE failed too. The program sh on this machine ended with exit status 7, and said nothing.",
    ]


def test_an_interrupted_run_stays_one() -> None:
    hooks = hooks_of(after=sh("exit 6"))
    hooks.before()
    run = hooks.after(replace(RUN, status=RunStatus.INTERRUPTED, message="It was interrupted."))
    assert run.status is RunStatus.INTERRUPTED
    assert run.message.startswith("It was interrupted.\nAFTER failed. ")


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(HostError, match=r"^BEFORE failed, so nothing was read\. The program no-such-program was not"):
        hooks_of(before=("no-such-program",)).before()


def test_secrets_are_neither_told_nor_kept(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("Canary-Hook-8271")
    hooks = hooks_of(on_failure=sh("echo $HOLDFAST_ERROR; echo $1", secret.reveal()))
    hooks.after(replace(FAILED, message=f"It said {secret.reveal()}."))
    assert said(caplog) == ["ON_FAILURE said: It said ****.", "ON_FAILURE said: ****"]


def test_a_long_error_and_a_long_output(caplog: pytest.LogCaptureFixture) -> None:
    hooks = hooks_of(on_failure=sh("echo ${#HOLDFAST_ERROR}; yes | head -c 5000000; echo end"))
    failed = replace(FAILED, message="x" * 1_000_000 + "\0")
    assert hooks.after(failed) == failed
    assert said(caplog)[-1] == "ON_FAILURE said: end"
    assert len(said(caplog)) < 2000


def test_what_they_are_told_stands_in_no_command_line(tmp_path: Path) -> None:
    canary = "Canary-Told-5520"
    found = tmp_path / "found"
    hooks = hooks_of(on_failure=sh(f"echo $HOLDFAST_ERROR > {found}; sleep 1"))
    runner = threading.Thread(target=hooks.after, args=(replace(FAILED, message=canary),))
    runner.start()
    lines = []
    while runner.is_alive():
        lines += command_lines()
    runner.join()
    assert found.read_text() == f"{canary}\n"
    assert any(str(found).encode() in line for line in lines), "the program itself was seen"
    assert not any(canary.encode() in line for line in lines)


def test_a_signal_ends_the_program_that_runs() -> None:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    number = unique_number()
    hooks = hooks_of(before=sh(f"sleep {number} & sleep {number}"))

    def interrupt_when_it_runs() -> None:
        wait_until_running(number, 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt_when_it_runs, daemon=True).start()
    try:
        end_cleanly_on_signals()
        with pytest.raises(InterruptedRun):
            hooks.before()
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    wait_until_gone(number)
    assert hooks.after(RUN) == RUN
