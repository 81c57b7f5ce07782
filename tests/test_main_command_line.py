"""What the three commands share: exit codes, errors as text and as JSON, output that nothing can break."""

from __future__ import annotations

import argparse
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import command_line
import errors
from model import Problem, Secret

ROOT = Path(__file__).resolve().parent.parent


def run(error: BaseException | int, *, as_json: bool = False) -> int:
    def command(_arguments: argparse.Namespace) -> int:
        if isinstance(error, int):
            return error
        raise error

    return command_line.run(command, argparse.Namespace(json=as_json))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.EXIT_GOOD, 0),
        (errors.EXIT_PARTIAL, 3),
        (errors.ScheduleError("Nothing was changed."), 1),
        (errors.UsageError("There is no backup x."), 2),
        (errors.AlreadyRunningError("It runs."), 11),
        (errors.InterruptedRun("Ended.", 143), 143),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_every_outcome_has_its_exit_code(
    error: BaseException | int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(error) == code
    output = capsys.readouterr()
    assert output.out == ""
    if isinstance(error, errors.HoldfastError):
        assert output.err == f"{error}\n"


def test_an_unexpected_error_shows_where_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret("canary-7f3a9c")
    assert run(RuntimeError(f"cannot log in with {secret.reveal()}")) == 1
    shown = capsys.readouterr().err
    assert "RuntimeError: cannot log in with ****" in shown
    assert "canary" not in shown
    assert "mistake in Holdfast" in shown


def test_an_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Secret("canary-7f3a9c")
    problem = Problem("config.yaml", 12, 9, "PASSWORD canary-7f3a9c is wrong")
    assert run(errors.ConfigurationError([problem]), as_json=True) == 2
    output = capsys.readouterr()
    assert output.err == ""
    assert json.loads(output.out) == {
        "error": {
            "type": "ConfigurationError",
            "message": "config.yaml:12:9: PASSWORD **** is wrong",
            "problems": [
                {
                    "file": "config.yaml",
                    "line": 12,
                    "column": 9,
                    "severity": "error",
                    "message": "PASSWORD **** is wrong",
                }
            ],
        }
    }


PRINTS = """
import command_line, sys
parser = command_line.new_parser("Prints.")
command_line.add_common_options(parser)
def command(arguments):
    for _ in range(int(sys.argv[1])):
        command_line.show("\\u2192 \\xe9 \\udcff " + "x" * 50)
    command_line.complain("\\u2192 \\udcff")
    return 0
sys.exit(command_line.run(command, parser.parse_args(sys.argv[2:])))
"""


def prints(lines: int, *options: str, **settings: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", PRINTS, str(lines), *options]
    return subprocess.run(command, cwd=ROOT, **{"stderr": subprocess.PIPE, **settings})  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "nowhere.nothing"},
    ],
)
def test_no_locale_breaks_the_output(environment: dict[str, str]) -> None:
    result = prints(1, env=environment, stdout=subprocess.PIPE)
    assert (result.returncode, result.stdout[-51:]) == (0, b"x" * 50 + b"\n")
    assert result.stderr.endswith(b"\\udcff\n")


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS, "20000"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()


@pytest.mark.parametrize("lines", [1, 20000])
def test_a_full_disk_under_the_output_is_said(lines: int) -> None:
    with open("/dev/full", "wb") as full:
        result = prints(lines, stdout=full)
    assert result.returncode == 1
    assert b"The output could not be written: No space left on device." in result.stderr
    assert b"Traceback" not in result.stderr


def test_output_that_is_closed_is_no_error() -> None:
    closed = f"exec {sys.executable} -c '{PRINTS}' 1 >&- 2>&-"
    assert subprocess.run(["sh", "-c", closed], cwd=ROOT).returncode == 0


def test_help_works_without_any_environment() -> None:
    result = prints(1, "--help", env={}, stdout=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (0, b"")
    for option in (b"--config", b"--env-file", b"--json", b"-q, --quiet", b"-v, --verbose"):
        assert option in result.stdout


def test_options_stand_before_or_after_a_subcommand() -> None:
    parser = command_line.new_parser("Two.")
    command_line.add_common_options(parser)
    command_line.add_common_options(parser.add_subparsers().add_parser("sub"), is_subcommand=True)
    for arguments in (["--config", "x", "--json", "sub"], ["sub", "--config", "x", "--json"]):
        parsed = parser.parse_args(arguments)
        assert (parsed.config, parsed.json, parsed.env_file, parsed.quiet) == (Path("x"), True, None, False)


def test_the_configuration_is_beside_the_program_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def path(config: str | None) -> Path:
        return command_line.configuration_path(argparse.Namespace(config=Path(config) if config else None))

    monkeypatch.chdir(tmp_path)
    (tmp_path / "versions" / "2").mkdir(parents=True)
    (tmp_path / "current").symlink_to("versions/2")
    assert path(None) == ROOT / "config.yaml"
    assert path("config.yaml") == tmp_path / "config.yaml"
    assert path("current/config.yaml") == tmp_path / "current" / "config.yaml"
    assert path("current/../config.yaml") == tmp_path / "versions" / "config.yaml"


@pytest.mark.parametrize(
    ("environment", "is_styled"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_styled: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, open(os.devnull, "w") as no_terminal:
        assert command_line.styled("x", "red", terminal) == ("\x1b[31mx\x1b[0m" if is_styled else "x")
        assert command_line.styled("x", "red", no_terminal) == "x"
    os.close(ours)


def test_a_table_has_straight_columns_and_no_blanks_at_the_end() -> None:
    assert command_line.table(("A", "LONG"), [("first", "1"), ("2", "")]) == "A      LONG\nfirst  1\n2"
