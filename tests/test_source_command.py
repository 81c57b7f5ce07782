"""A program's output as a source: its exit status decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import SourceError
from hosts.local_command import LocalCommandHost
from model import CommandSource, Secret
from sources.command_output import CommandOutput
from tests.support.database_hosts import content_of

HOST = LocalCommandHost()


def output(*argv: str, **environment: str | Secret) -> bytes:
    (member,) = CommandOutput(CommandSource(argv, "dump.bin", environment), HOST).members()
    assert (member.path, member.mode) == (b"dump.bin", 0o600)
    return content_of(member)


def test_the_output_is_the_member_byte_for_byte() -> None:
    assert output("printf", r"a\000b\377\r\n") == b"a\0b\xff\r\n"


def test_arguments_are_only_arguments() -> None:
    words = ["$HOME", "`id`", "a b;c", "'\"", "größe\n", "-n"]
    assert output("printf", "%s|", *words) == ("|".join(words) + "|").encode()


def test_a_secret_goes_by_the_environment() -> None:
    assert output("sh", "-c", 'printf %s "$TOKEN"', TOKEN=Secret("Canary-77")) == b"Canary-77"


def test_an_exit_status_after_a_full_looking_stream_is_a_failure() -> None:
    with pytest.raises(SourceError, match=r"dump.bin was not made.* ended with exit status 3:\nno more"):
        output("sh", "-c", "echo all of it; echo no more >&2; exit 3")


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(SourceError, match=r"dump.bin was not made.*no-such-program was not found on this machine"):
        output("no-such-program")


def test_a_program_that_writes_nothing_is_a_failure() -> None:
    with pytest.raises(SourceError, match="ended well, but wrote nothing"):
        output("true")


def test_a_check_finds_the_program_and_does_not_run_it(tmp_path: Path) -> None:
    mark = tmp_path / "was run"
    source = CommandSource(("touch", str(mark)), "dump.bin")
    assert CommandOutput(source, HOST).check() == "this machine answers, and has touch"
    assert not mark.exists()
    with pytest.raises(
        SourceError, match=r"The program no-such-program cannot be run.*\nit is not there, or may not be run"
    ):
        CommandOutput(CommandSource(("no-such-program",), "dump.bin"), HOST).check()


def test_a_dry_run_knows_the_name_and_not_the_size() -> None:
    (outlined,) = CommandOutput(CommandSource(("false",), "dump.bin"), HOST).outline()
    assert (outlined.path, outlined.size) == (b"dump.bin", None)
