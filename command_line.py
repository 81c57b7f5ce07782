"""What main.py, backup.py and restore.py share: common options, output that never fails on a character, exit codes.

Only light modules are imported here, so that ``--help`` starts at once; configuration and catalog are imported
by the command that needs them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import errors
from utils import redact

if TYPE_CHECKING:
    from catalog import Catalog
    from model import Channel, Configuration, Problem
    from operations.telling.teller import Teller


def _installation() -> Path:
    """The folder of the program by the name that it was started by; Python itself follows the links in ``__file__``."""
    here = Path(__file__).absolute().parent
    program = Path(getattr(sys.modules["__main__"], "__file__", None) or __file__).absolute()
    return program.parent if program.parent.resolve() == here.resolve() else here


INSTALLATION = _installation()
"""The folder of main.py. Links in it are kept: an upgrade may exchange the link, and the scheduled lines stay right."""

_STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "faint": "2"}


# --- the command line -------------------------------------------------------------------------------------------


def new_parser(description: str, examples: Sequence[tuple[str, str]] = ()) -> argparse.ArgumentParser:
    """A parser whose help ends with ``examples``: pairs of a command line and what it does.

    Standard output and error are prepared here too, so that not even ``--help`` can fail on a character.
    """
    _read_file_names_as_utf8()
    prepare_output()
    return argparse.ArgumentParser(
        description=description,
        epilog=examples_text(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _read_file_names_as_utf8() -> None:
    """Start anew with UTF-8 where the locale has another encoding: there the paths of config.yaml are other files."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted


def examples_text(examples: Sequence[tuple[str, str]]) -> str | None:
    """The ``epilog`` of a parser (for subparsers too, with RawDescriptionHelpFormatter), or None without examples."""
    if not examples:
        return None
    width = max(len(command) for command, _ in examples)
    return "examples:\n" + "\n".join(f"  {command:<{width}}  {meaning}" for command, meaning in examples)


def add_common_options(parser: argparse.ArgumentParser, *, is_subcommand: bool = False) -> None:
    """``--config``, ``--env-file``, ``--json``, ``-q`` and ``-v``: every command has them.

    Where a parser has subcommands, it and each of them take these options; those of the subcommand
    (``is_subcommand``) have no defaults of their own, which would overwrite what stood before it.
    """
    defaults: dict[str, Any] = {"default": argparse.SUPPRESS} if is_subcommand else {}
    group = parser.add_argument_group("common options")

    def add(container: argparse._ActionsContainer, *names: str, **settings: Any) -> None:
        container.add_argument(*names, **settings, **defaults)

    add(group, "--config", type=Path, metavar="FILE", help="the configuration (default: config.yaml beside main.py)")
    add(group, "--env-file", type=Path, metavar="FILE", help="environment variables (default: .env beside the config)")
    add(group, "--json", action="store_true", help="print one JSON document instead of text")
    volume = group.add_mutually_exclusive_group()
    add(volume, "-q", "--quiet", action="store_true", help="print errors only")
    add(volume, "-v", "--verbose", action="store_true", help="print more")


def add_nested_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, meaning: str
) -> argparse.ArgumentParser:
    """A command below a command, such as ``main.py user add``, with the common options. Its help is ``meaning``."""
    parser = commands.add_parser(
        name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.", allow_abbrev=False
    )
    add_common_options(parser, is_subcommand=True)
    return parser


def configuration_path(arguments: argparse.Namespace) -> Path:
    """The absolute path of the configuration that the command line asks for; the file may be missing.

    Links are kept, but for a path with ``..``, which means something else behind a link.
    """
    path: Path = (arguments.config or INSTALLATION / "config.yaml").absolute()
    return path.resolve() if ".." in path.parts else path


def env_file(arguments: argparse.Namespace) -> Path | None:
    """The absolute path of the file that ``--env-file`` names."""
    path: Path | None = arguments.env_file
    return path.absolute() if path else None


def python() -> Path:
    """The interpreter of the virtual environment, by the same name whether it was started as python or python3."""
    in_environment = Path(sys.prefix, "bin", "python")
    is_environment = sys.prefix != sys.base_prefix
    return in_environment if is_environment and in_environment.exists() else Path(sys.executable)


def same_configuration(arguments: argparse.Namespace, path: Path) -> tuple[str, ...]:
    """The options by which another process of ours reads this configuration, too."""
    variables = env_file(arguments)
    return ("--config", str(path), *(("--env-file", str(variables)) if variables else ()))


def new_teller(
    arguments: argparse.Namespace,
    configuration: Configuration,
    catalog: Catalog | None,
    channels: tuple[Channel, ...] = (),
) -> Teller:
    """Who tells people, in this process: see :class:`operations.telling.teller.Teller`."""
    from operations.telling.teller import new_teller

    options = same_configuration(arguments, configuration.path)
    return new_teller(configuration, catalog, python(), INSTALLATION, options, channels)


def load(arguments: argparse.Namespace, *, warn: bool = True) -> Configuration:
    """The configuration that the command line asks for; its warnings go to standard error unless ``--quiet``.

    Commands that cron starts pass ``warn=False``: a warning would be a mail every minute. Where it is not valid, these
    tell it to whoever is to be told, and to whoever reads the metrics. Containers that a dead run has stopped are
    started again. Raises ConfigurationError.
    """
    from config import load_configuration, load_readable_configuration

    where = (configuration_path(arguments), os.environ, arguments.env_file)
    try:
        configuration = load_configuration(*where)
    except errors.ConfigurationError as error:
        if not warn:
            readable = load_readable_configuration(*where)
            _note_validity(readable, is_valid=False)
            _tell_broken(arguments, readable, error)
        raise
    if warn:
        show_warnings(configuration, arguments)
    else:
        if configuration.metrics_file is not None:
            _note_validity(configuration, is_valid=True)
        if (configuration.state_directory / "broken-configuration.json").exists():
            _tell_repaired(arguments, configuration)
    _start_stopped_containers(configuration)
    return configuration


def load_readable(arguments: argparse.Namespace) -> Configuration:
    """As much of the configuration as can be known, where a command can do without it. Nothing is raised.

    What is wrong with it is said as warnings, but for a default one that is not there: nobody asked for it.
    """
    from config import load_readable_configuration

    path = configuration_path(arguments)
    configuration = load_readable_configuration(path, os.environ, arguments.env_file)
    if arguments.config is not None or path.exists():
        show_warnings(configuration, arguments)
    _start_stopped_containers(configuration)
    return configuration


def _note_validity(configuration: Configuration, *, is_valid: bool) -> None:
    from operations.metrics_file import note_validity

    note_validity(configuration, is_valid=is_valid)


def _tell_broken(arguments: argparse.Namespace, readable: Configuration, error: errors.ConfigurationError) -> None:
    """Whoever is told of backups is told that none of them runs, as far as it can be known who that is."""
    from config import load_channels

    channels = load_channels(readable.path, os.environ, arguments.env_file)
    if not channels:
        return
    from operations.telling.broken_configuration import tell_broken
    from utils import utc_now

    was_due = getattr(arguments, "missed", False) or (
        getattr(arguments, "scheduled", False) and not getattr(arguments, "summary", False)
    )
    tell_broken(new_teller(arguments, readable, None, channels), error.problems, utc_now(), was_due=was_due)


def _tell_repaired(arguments: argparse.Namespace, configuration: Configuration) -> None:
    from operations.telling.broken_configuration import tell_repaired

    tell_repaired(new_teller(arguments, configuration, None))


def _start_stopped_containers(configuration: Configuration) -> None:
    """Whatever a run that was killed has stopped runs again as soon as any command is started."""
    try:
        with os.scandir(configuration.state_directory / "stopped-containers") as found:
            if not any(found):
                return
    except OSError:  # no run has ever stopped any, or this user may not know
        return
    from operations.running.start_again import start_what_dead_runs_stopped

    start_what_dead_runs_stopped(configuration, complain, to_person=is_terminal(sys.stderr))


def show_warnings(configuration: Configuration, arguments: argparse.Namespace) -> None:
    """The warnings of a configuration, on standard error; nothing with ``--quiet``."""
    if not arguments.quiet:
        for warning in configuration.warnings:
            complain(str(warning))


def run(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run the command; the exit code of the process. Nothing is raised but SystemExit.

    With ``--json`` an error is the one document on standard output:
    ``{"error": {"type", "message", "problems": [{"file", "line", "column", "severity", "message"}]}}``.
    """
    try:
        exit_code = command(arguments)
        flush_output()
        return exit_code
    except (errors.HoldfastError, errors.InterruptedRun) as error:
        report(error, as_json=arguments.json)
        return error.exit_code
    except KeyboardInterrupt:
        complain("Interrupted.")
        return errors.EXIT_INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return errors.EXIT_FAILED
    except Exception as error:
        report_unexpected(error, as_json=arguments.json)
        return errors.EXIT_FAILED


# --- errors -----------------------------------------------------------------------------------------------------


def report(error: errors.HoldfastError | errors.InterruptedRun, *, as_json: bool) -> None:
    """The message of an expected error, redacted: on standard error, or as JSON on standard output."""
    problems = error.problems if isinstance(error, errors.ConfigurationError) else ()
    if as_json:
        show_error_document(type(error).__name__, str(error), problems)
    else:
        complain(str(error))


def report_unexpected(error: Exception, *, as_json: bool) -> None:
    """A traceback without the values of variables, redacted, for an error that nobody foresaw."""
    import traceback

    complain("".join(traceback.format_exception(error)).rstrip("\n"))
    complain("This is a mistake in Holdfast itself. Please report it with the lines above.")
    if as_json:
        show_error_document(type(error).__name__, str(error), ())


def show_error_document(kind: str, message: str, problems: Iterable[Problem]) -> None:
    """The JSON form of an error. Where standard output is gone too, nothing is left to tell anyone."""
    listed = [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "severity": problem.severity.value,
            "message": redact(problem.message),
        }
        for problem in problems
    ]
    try:
        show_json({"error": {"type": kind, "message": redact(message), "problems": listed}})
        flush_output()
    except (OSError, errors.HoldfastError):
        discard_output()


# --- output -----------------------------------------------------------------------------------------------------


def prepare_output() -> None:
    """Characters that the locale cannot show, and bytes of file names that are no text, become ``\\x…`` escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show(text: str) -> None:
    """A line (or lines) on standard output. Raises as :func:`flush_output` does."""
    if sys.stdout is not None:
        with _output_errors():
            sys.stdout.write(text + "\n")


def show_json(document: object) -> None:
    """A JSON document on standard output, in ASCII so that every locale can hold it."""
    import json

    show(json.dumps(document, indent=2))


def complain(text: str) -> None:
    """A line (or lines) on standard error, redacted. Where standard error is gone, it is lost."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(redact(text) + "\n")
            sys.stderr.flush()
        except OSError:
            pass


def flush_output() -> None:
    """Hand on what was printed. Raises BrokenPipeError where the reader left, HoldfastError where the disk is full."""
    if sys.stdout is not None:
        with _output_errors():
            sys.stdout.flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise errors.HoldfastError(f"The output could not be written: {error.strerror}.") from error


def discard_output() -> None:
    """Send what is still buffered nowhere, or the interpreter would complain of it once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is looking: rich output, progress and ``unchanged`` are for terminals only."""
    return stream is not None and not stream.closed and stream.isatty()


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in ``bold``, ``faint``, ``red``, ``green`` or ``yellow`` where ``stream`` (default: standard output)
    is a terminal that shows colours; NO_COLOR (https://no-color.org) and TERM=dumb are respected."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return text
    if not is_terminal(stream or sys.stdout):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


class Coloured(str):
    """A cell of a :func:`table` in a style of :func:`styled`."""

    __slots__ = ("style",)
    style: str

    def __new__(cls, text: str, style: str) -> Self:
        cell = super().__new__(cls, text)
        cell.style = style
        return cell


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of text, two spaces apart, without spaces at the ends of lines. Cells may be :class:`Coloured`."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    heading, *others = [_row(line, widths) for line in lines]
    return "\n".join([styled(heading, "bold"), *others])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    last = max((column for column, cell in enumerate(cells) if cell), default=-1)
    texts = []
    for column, cell in enumerate(cells[: last + 1]):
        padding = " " * (widths[column] - len(cell) if column < last else 0)
        texts.append((styled(cell, cell.style) if isinstance(cell, Coloured) else cell) + padding)
    return "  ".join(texts).rstrip()
