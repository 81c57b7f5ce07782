"""The watch for secrets in command lines finds those that are there."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

from tests.support.secret_watch import SecretWatch


@pytest.fixture
def secret() -> str:
    return f"Canary-{secrets.token_hex(8)} é"


def test_a_secret_in_an_argument_of_a_program_that_lives_shortly(secret: str) -> None:
    with SecretWatch(secret) as watch:
        subprocess.run(["sh", "-c", "sleep 0.05; true", "sh", f"--password={secret}"], check=True)
    (found,) = watch.seen.command_lines_with_secret
    assert f"--password={secret}" in found
    assert watch.seen.environments_with_secret == set()


def test_a_secret_in_an_environment_is_told_apart(secret: str) -> None:
    with SecretWatch(secret) as watch:
        subprocess.run(["sleep", "0.05"], env={**os.environ, "PASSWORD": secret}, check=True)
    assert watch.seen.environments_with_secret == {"sleep"}
    assert watch.seen.command_lines_with_secret == set()
    assert "sleep" in watch.seen.programs


def test_a_program_that_becomes_another_one_is_looked_at_again(secret: str) -> None:
    with SecretWatch(secret) as watch:
        subprocess.run(["sh", "-c", 'sleep 0.05; exec sh -c "sleep 0.05; true" sh "$(cat)"'], input=secret, text=True)
    (found,) = watch.seen.command_lines_with_secret
    assert found.endswith(f"{secret}\0")


def test_what_is_not_there_is_not_found(secret: str) -> None:
    with SecretWatch(secret) as watch:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.05)"], check=True)
    assert watch.seen.command_lines_with_secret == set()
    assert watch.seen.looks > 0
