"""``main.py user`` and ``main.py token``: real processes, and what is left on the disk and on the screen."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from accounts import Role, open_accounts
from tests.support.holdfast import Holdfast
from tests.support.terminal import on_terminal
from utils import utc_now

PASSWORD = "correct horse battery staple"


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    installation = Holdfast(tmp_path / "holdfast")
    installation.configure(tmp_path)
    return installation


def run(holdfast: Holdfast, *arguments: str, typed: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        holdfast.command("main.py", *arguments),
        input=typed,
        capture_output=True,
        text=True,
        env=holdfast.environment(),
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended


def add(holdfast: Holdfast, name: str, *options: str) -> None:
    run(holdfast, "user", "add", name, "--password-stdin", *options, typed=f"{PASSWORD}\n")


def document(holdfast: Holdfast, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(run(holdfast, *arguments, "--json").stdout))


def is_password(holdfast: Holdfast, name: str, text: str) -> bool:
    with closing(open_accounts(holdfast.state)) as accounts:
        return accounts.check_password(name, text)


def test_a_user_from_first_to_last(holdfast: Holdfast) -> None:
    assert "There is no user yet." in run(holdfast, "user", "list").stdout
    said = run(holdfast, "user", "add", "anna", "--role", "operator", "--password-stdin", typed=f"{PASSWORD}\n")
    assert said.stdout == "anna may sign in now, as operator.\n"
    add(holdfast, "tom")
    assert is_password(holdfast, "anna", PASSWORD)
    found = document(holdfast, "user", "list")["users"]
    assert [(user["name"], user["role"], user["last_sign_in"]) for user in found] == [
        ("anna", "operator", None),
        ("tom", "viewer", None),
    ]
    assert document(holdfast, "user", "role", "tom", "operator") == {"user": "tom", "role": "operator"}
    run(holdfast, "user", "password", "anna", "--password-stdin", typed="another long password\r\n")
    assert not is_password(holdfast, "anna", PASSWORD)
    assert is_password(holdfast, "anna", "another long password")
    assert run(holdfast, "user", "remove", "tom").stderr == ""
    assert "no user left" in run(holdfast, "user", "remove", "anna").stderr
    assert document(holdfast, "user", "list") == {"users": []}


def test_a_password_is_asked_for_twice_and_never_shown(holdfast: Holdfast) -> None:
    command = holdfast.command("main.py", "user", "add", "anna")
    code, said = on_terminal(command, [PASSWORD, PASSWORD], holdfast.environment())
    assert code == 0, said
    assert "Password (at least 12 characters): " in said
    assert "Once more: " in said
    assert PASSWORD not in said
    assert is_password(holdfast, "anna", PASSWORD)
    code, said = on_terminal(
        holdfast.command("main.py", "user", "password", "anna"),
        ["a password of mine", "a password of mime"],
        holdfast.environment(),
    )
    assert code == 2
    assert "The two passwords are not the same. Nothing was changed." in said
    assert is_password(holdfast, "anna", PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (["user", "add", "anna", "--password-stdin"], "short\n", "The password is too short: it needs at least 12"),
        (["user", "add", "anna", "--password-stdin"], "", "The password is too short"),
        (["user", "add", "anna"], PASSWORD, "no terminal to ask for the password"),
        (["user", "add", "a b", "--password-stdin"], PASSWORD, "A name consists of"),
        (["user", "add", "TOM", "--password-stdin"], PASSWORD, "There is a user tom already"),
        (["user", "password", "anna", "--password-stdin"], PASSWORD, "There is no user 'anna'. There are tom."),
        (["user", "add", "anna", PASSWORD], "", "unrecognized arguments"),
        (["user"], "", "COMMAND"),
        (["token", "add", "a", "--expires", "soon"], "", "--expires must be a number and a unit"),
        (["token", "add", "a", "--expires", "999y"], "", None),
        (["token", "remove", "a"], "", "There is no token 'a'. There is none."),
    ],
)
def test_what_cannot_be_is_told(holdfast: Holdfast, arguments: Sequence[str], typed: str, message: str | None) -> None:
    add(holdfast, "tom")
    said = run(holdfast, *arguments, typed=typed, code=2 if message else 0)
    if message:
        assert message in said.stderr


def test_a_token_is_shown_once_and_works_as_long_as_it_was_said(holdfast: Holdfast) -> None:
    said = run(holdfast, "token", "add", "monitoring", "--expires", "90d")
    text = said.stdout.strip()
    assert "it is not shown again" in said.stderr
    with closing(open_accounts(holdfast.state)) as accounts:
        token = accounts.token(text, utc_now())
    assert token
    assert token.role is Role.VIEWER
    assert token.expires
    assert (token.expires - token.created).days == 90
    made = document(holdfast, "token", "add", "deploy", "--role", "operator")
    assert made["token"].startswith("hf_")
    listed = run(holdfast, "token", "list").stdout + json.dumps(document(holdfast, "token", "list"))
    assert "monitoring" in listed
    assert made["token"] not in listed
    assert text not in listed
    run(holdfast, "token", "remove", "monitoring")
    assert [token["name"] for token in document(holdfast, "token", "list")["tokens"]] == ["deploy"]


def test_a_user_can_be_removed_while_the_configuration_is_broken(holdfast: Holdfast) -> None:
    add(holdfast, "anna")
    holdfast.config.write_text("PROJECTS: nonsense\n")
    run(holdfast, "user", "remove", "anna")
    assert document(holdfast, "user", "list") == {"users": []}


def test_quiet_says_nothing(holdfast: Holdfast) -> None:
    said = run(holdfast, "user", "add", "anna", "--password-stdin", "--quiet", typed=f"{PASSWORD}\n")
    assert said.stdout + said.stderr == ""
