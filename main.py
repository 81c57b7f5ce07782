"""The compiler's command line: config.yaml becomes the crontab. ``main.py --help`` says the rest."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import command_line
from command_line import INSTALLATION, complain, is_terminal, show, show_json, styled
from commands import keygen, tokens, users
from errors import EXIT_FAILED, EXIT_GOOD, ScheduleError, UsageError
from utils import format_count, host_name, printable, redact, utc_now

if TYPE_CHECKING:
    from model import Backup, Configuration
    from operations.findings import Finding
    from schedules.crontab import Change

_PLANNED = {"next_runs": "", "next_verifications": "verify", "next_drills": "drill"}
"""What is scheduled of a backup, by its name in JSON, and what it is called below the backup's id."""

_NEXT_RUNS_SHOWN = 3
_NEXT_RUNS_SHOWN_VERBOSE = 10


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    return command_line.run(arguments.command, arguments)


# --- the commands -----------------------------------------------------------------------------------------------


def sync(arguments: argparse.Namespace) -> int:
    """Compile and install. Silent where nothing changed and nobody is looking; then nothing is written either."""
    from operations.running import catch_up
    from schedules import crontab, crontab_text

    configuration = command_line.load(arguments, warn=False)
    lines = _lines(configuration, arguments)
    change = crontab.apply(lambda text: crontab_text.update(text, configuration.path, lines))
    if change.is_change or is_terminal(sys.stdout):
        command_line.show_warnings(configuration, arguments)
    is_new = change.is_change and configuration.path not in crontab_text.owners(change.before)
    missed = catch_up.find_missed(configuration, utc_now(), is_new=is_new)
    log = configuration.state_directory / "logs" / "missed.log"
    if missed:
        catch_up.start_in_background(_backup_command(configuration, arguments, "--missed"), log)
    _report_sync(arguments, configuration, change, len(lines), missed, log)
    return EXIT_GOOD


def plan(arguments: argparse.Namespace) -> int:
    """What sync would change, and when each backup runs next."""
    from operations.telling.trying import wrong_addresses
    from schedules import crontab, crontab_environment, crontab_text

    configuration = command_line.load(arguments)
    lines = _lines(configuration, arguments)
    change = crontab.plan(lambda text: crontab_text.update(text, configuration.path, lines))
    warnings = crontab_environment.warnings(change.after, configuration.path)
    warnings += [
        f"The crontab holds lines of {owner}, which does not exist any more. `main.py remove --orphaned` removes them."
        for owner in _orphaned_owners(change.before)
    ]
    warnings += [*_zone_warnings(), *wrong_addresses(configuration)]
    _report_plan(arguments, configuration, change, warnings)
    return EXIT_FAILED if arguments.check and change.is_change else EXIT_GOOD


def validate(arguments: argparse.Namespace) -> int:
    """Check the configuration; nothing is touched."""
    from operations.telling.trying import wrong_addresses

    configuration = command_line.load(arguments)
    wrong = wrong_addresses(configuration)
    disabled = len(configuration.backups) - len(configuration.enabled_backups)
    if arguments.json:
        show_json(
            {
                "configuration": str(configuration.path),
                "backups": [backup.id for backup in configuration.enabled_backups],
                "disabled": [backup.id for backup in configuration.backups if not backup.enabled],
                "warnings": [*map(str, configuration.warnings), *wrong],
            }
        )
        return EXIT_GOOD
    for warning in wrong if not arguments.quiet else ():
        complain(f"warning: {warning}")
    if not arguments.quiet:
        tail = f", {disabled} of them disabled" if disabled else ""
        show(f"{configuration.path} is valid: {format_count(len(configuration.backups), 'backup')}{tail}.")
    return EXIT_GOOD


def schema(_arguments: argparse.Namespace) -> int:
    """The JSON Schema of config.yaml, for editors."""
    from config.json_schema import json_schema

    show_json(json_schema())
    return EXIT_GOOD


def doctor(arguments: argparse.Namespace) -> int:
    """Try everything that a backup will need, and say what to do where something does not work."""
    from operations.doctor import examine
    from operations.findings import Verdict
    from operations.telling.trying import tried

    if arguments.notify and arguments.storages:
        raise UsageError("--notify goes without names of storages: it tries NOTIFY and PING, and nothing else.")
    configuration = command_line.load(arguments)
    _require_storages(configuration, arguments.storages)
    findings = []
    everything = chain(
        [] if arguments.storages else [_schedule_finding(configuration, arguments)],
        examine(configuration, arguments.storages),
    )
    for finding in tried(configuration, host_name()) if arguments.notify else everything:
        findings.append(finding)
        if not arguments.json and (finding.verdict is not Verdict.OK or not arguments.quiet):
            _show_finding(finding)
            command_line.flush_output()
    if arguments.json:
        documents = [{"subject": f.subject, "verdict": f.verdict.value, "text": redact(f.text)} for f in findings]
        show_json({"findings": documents})
    return EXIT_FAILED if any(finding.verdict is Verdict.FAILED for finding in findings) else EXIT_GOOD


def remove(arguments: argparse.Namespace) -> int:
    """Take lines of ours out of the crontab. The configuration is not read, so it may be gone."""
    from schedules import crontab, crontab_text

    def without_ours(text: bytes) -> bytes:
        owners = _orphaned_owners(text) if arguments.orphaned else [command_line.configuration_path(arguments)]
        for owner in owners:
            text = crontab_text.update(text, owner, [])
        return text

    change = crontab.apply(without_ours)
    removed = _difference(change)[1]
    if arguments.json:
        show_json({"changed": change.is_change, "removed": removed})
    elif not arguments.quiet:
        whose = "a missing configuration" if arguments.orphaned else str(command_line.configuration_path(arguments))
        show(f"{format_count(len(removed), 'line')} of {whose} removed from the crontab.")
    if os.fsencode(INSTALLATION / "main.py") in change.after and not arguments.quiet:
        complain(
            "warning: The crontab still starts main.py, which puts the lines back. Remove that line with `crontab -e`."
        )
    return EXIT_GOOD


# --- what they share --------------------------------------------------------------------------------------------


def _lines(configuration: Configuration, arguments: argparse.Namespace) -> list[bytes]:
    from schedules.crontab_lines import scheduled_lines

    return scheduled_lines(configuration, command_line.python(), INSTALLATION, command_line.env_file(arguments))


def _backup_command(configuration: Configuration, arguments: argparse.Namespace, *options: str) -> list[str]:
    same = command_line.same_configuration(arguments, configuration.path)
    return [str(command_line.python()), str(INSTALLATION / "backup.py"), *same, *options]


def _orphaned_owners(text: bytes) -> list[Path]:
    """The owners whose configuration does not exist. One that may not be looked at (another user's) is none."""
    from schedules.crontab_text import owners

    orphaned = []
    for owner in owners(text):
        try:
            owner.stat()
        except (FileNotFoundError, NotADirectoryError):
            orphaned.append(owner)
        except OSError:
            continue
    return orphaned


def _zone_warnings() -> list[str]:
    """A sentence where the times that are shown are not the ones by which cron goes."""
    from schedules.times import local_zone, machine_zone

    here, cron = local_zone(), machine_zone()
    days_of_both_halves = (utc_now(), utc_now() + timedelta(days=182))
    if all(day.astimezone(here).utcoffset() == day.astimezone(cron).utcoffset() for day in days_of_both_halves):
        return []
    return [
        f"TZ is set here, so the times are those of {here}. Cron goes by {cron}, unless it was started with this TZ."
    ]


def _require_storages(configuration: Configuration, names: Sequence[str]) -> None:
    for name in names:
        if name not in configuration.storages:
            known = ", ".join(sorted(configuration.storages))
            raise UsageError(f"There is no storage {name} in {configuration.path}. It has {known}.")


def _schedule_finding(configuration: Configuration, arguments: argparse.Namespace) -> Finding:
    from operations.findings import Finding, Verdict
    from schedules import crontab, crontab_text
    from schedules.cron_daemon import is_cron_running

    lines = _lines(configuration, arguments)
    try:
        change = crontab.plan(lambda text: crontab_text.update(text, configuration.path, lines))
    except ScheduleError as error:
        return Finding("schedule", Verdict.FAILED, str(error))
    if change.is_change:
        text = "The crontab is not what the configuration says. See `main.py plan`; `main.py` installs it."
        return Finding("schedule", Verdict.WARNING, text)
    if is_cron_running() is False:
        text = "No cron daemon runs on this machine, so nothing starts by itself. Start it: `service cron start`."
        return Finding("schedule", Verdict.FAILED, text)
    return Finding("schedule", Verdict.OK, f"the crontab has {format_count(len(lines), 'line')} of it, and cron runs")


# --- what they print --------------------------------------------------------------------------------------------


def _report_sync(
    arguments: argparse.Namespace,
    configuration: Configuration,
    change: Change,
    count: int,
    missed: Sequence[tuple[Backup, datetime]],
    log: Path,
) -> None:
    added, removed = _difference(change)
    if arguments.json:
        missed_slots = [{"backup": backup.id, "slot": slot.isoformat()} for backup, slot in missed]
        show_json({"changed": change.is_change, "added": added, "removed": removed, "missed": missed_slots})
        return
    if arguments.quiet:
        return
    lines = format_count(count, "scheduled line")
    if change.is_change:
        show(f"The crontab now has {lines} of {configuration.path} ({len(added)} lines added, {len(removed)} removed).")
        if arguments.verbose:
            _show_diff(change)
    elif is_terminal(sys.stdout):
        show(f"The crontab is unchanged: it has {lines} of {configuration.path}.")
    if missed:
        show("Missed while this machine or its cron was off, and being made up for now:")
        show(command_line.table(("BACKUP", "WAS DUE"), [(backup.id, _local(slot)) for backup, slot in missed]))
        show(f"The log is {log}.")


def _report_plan(
    arguments: argparse.Namespace, configuration: Configuration, change: Change, warnings: Sequence[str]
) -> None:
    from schedules.crontab_lines import summary_intervals
    from schedules.times import local_zone, next_runs

    now = utc_now()
    shown = _NEXT_RUNS_SHOWN_VERBOSE if arguments.verbose else _NEXT_RUNS_SHOWN
    due: dict[str, dict[str, list[datetime]]] = {kind: {} for kind in _PLANNED}
    for backup in configuration.backups:
        for kind, intervals in _planned(backup):
            due[kind][backup.id] = next_runs(intervals, now, shown) if backup.enabled else []
    summaries = next_runs(summary_intervals(configuration.enabled_backups), now, shown)
    if arguments.json:
        show_json(
            {
                "changed": change.is_change,
                "diff": _diff(change),
                **{
                    kind: {name: [moment.isoformat() for moment in times] for name, times in runs.items()}
                    for kind, runs in due.items()
                },
                "next_summaries": [moment.isoformat() for moment in summaries],
                "warnings": [*(str(warning) for warning in configuration.warnings), *warnings],
            }
        )
        return
    if arguments.quiet:
        return
    if change.is_change:
        _show_diff(change)
    else:
        show("The crontab is what the configuration says: sync would change nothing.")
    rows = [
        (f"  {label}" if label else backup.id, ", ".join(map(_local, due[kind][backup.id])) or "disabled")
        for backup in configuration.backups
        for kind, label in _PLANNED.items()
        if backup.id in due[kind]
    ]
    if summaries:
        rows.append(("summaries (NOTIFY)", ", ".join(map(_local, summaries))))
    if rows:
        show("\n" + command_line.table(("BACKUP", f"NEXT RUNS ({local_zone()})"), rows))
    for warning in warnings:
        complain(f"warning: {warning}")


def _planned(backup: Backup) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The kinds of :data:`_PLANNED` that a backup has, with their intervals."""
    yield "next_runs", backup.intervals
    if backup.verify is None or not backup.enabled:
        return
    if backup.verify.intervals:
        yield "next_verifications", backup.verify.intervals
    if backup.verify.drill is not None:
        yield "next_drills", backup.verify.drill.intervals


def _show_finding(finding: Finding) -> None:
    style = {"ok": "green", "warning": "yellow", "failed": "red"}[finding.verdict.value]
    verdict = styled(f"{finding.verdict.value:<7}", style)
    first, *others = redact(finding.text).splitlines()
    show(f"{verdict}  {styled(finding.subject, 'bold')}: {first}")
    for line in others:
        show(f"         {line}")


def _difference(change: Change) -> tuple[list[str], list[str]]:
    """The lines that were added and removed."""
    diff = _diff(change)[2:]
    return [line[1:] for line in diff if line[0] == "+"], [line[1:] for line in diff if line[0] == "-"]


def _diff(change: Change) -> list[str]:
    """A unified diff, its lines without control characters; [] where nothing changes."""
    if not change.is_change:
        return []
    before, after = ([printable(line) for line in text.split(b"\n")] for text in (change.before, change.after))
    return list(difflib.unified_diff(before, after, "crontab", "crontab after sync", lineterm=""))


def _show_diff(change: Change) -> None:
    for line in _diff(change):
        style = {"+": "green", "-": "red", "@": "faint"}.get(line[0])
        show(styled(line, style) if style else line)


def _local(moment: datetime) -> str:
    from schedules.times import local_zone

    return moment.astimezone(local_zone()).strftime("%Y-%m-%d %H:%M")


# --- the command line -------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = command_line.new_parser(
        "Compile config.yaml into the crontab. Every other line of the crontab stays as it is, byte for byte.",
        [
            ("main.py", "install or update the schedule; safe every minute from cron"),
            ("main.py plan", "show what would change, and when each backup runs next"),
            ("main.py validate --config new.yaml", "check a configuration without touching anything"),
            ("main.py doctor", "try every storage for real, and say what to do where one fails"),
            *keygen.EXAMPLES[:1],
            *users.EXAMPLES[:1],
            ("main.py remove", "take the lines of this configuration out again"),
        ],
    )
    command_line.add_common_options(parser)
    parser.set_defaults(command=sync)
    commands = parser.add_subparsers(title="commands", metavar="[COMMAND]")

    add = partial(_add_command, commands)
    add(
        sync,
        "install or update the schedule (the default); nothing is written where nothing changed",
        ("* * * * * /srv/holdfast/.venv/bin/python /srv/holdfast/main.py", "in the crontab: follow every change"),
    )
    add(
        plan,
        "show what sync would change in the crontab, and when each backup runs next",
        ("main.py plan", "the difference and the next runs"),
        ("main.py plan --check --quiet", "for monitoring: exit code 1 where the crontab is not up to date"),
    ).add_argument("--check", action="store_true", help="exit with 1 where sync would change something")
    add(
        validate,
        "check the configuration and touch nothing",
        ("main.py validate --config new.yaml", "before it is used"),
    )
    doctor_parser = add(
        doctor,
        "try every storage, the sources, the state and the schedule, and say what to do where something is wrong",
        ("main.py doctor", "after a change of config.yaml or .env, and whenever something is strange"),
        ("main.py doctor ONEDRIVE", "only this storage"),
        ("main.py doctor --notify", "send a test to every address of NOTIFY and PING"),
    )
    doctor_parser.add_argument("storages", nargs="*", metavar="STORAGE", help="only these storages (default: all)")
    doctor_parser.add_argument("--notify", action="store_true", help="send a test to each NOTIFY and PING, no more")
    _add_keys_and_accounts(add)
    _add_schema_and_remove(add)
    return parser


def _add_keys_and_accounts(add: Callable[..., argparse.ArgumentParser]) -> None:
    keygen.add_arguments(add(keygen.keygen, keygen.HELP, *keygen.EXAMPLES))
    for group in (users, tokens):
        group.add_commands(add(group.GROUP, group.HELP, *group.EXAMPLES))


def _add_schema_and_remove(add: Callable[..., argparse.ArgumentParser]) -> None:
    add(schema, "print the JSON Schema of config.yaml", ("main.py schema > config.schema.json", "for your editor"))
    add(
        remove,
        "take the scheduled lines out of the crontab; copies and catalog stay",
        ("main.py remove", "the lines of this configuration"),
        ("main.py remove --config /old/config.yaml", "those of one that was moved or deleted"),
        ("main.py remove --orphaned", "those of every configuration that does not exist any more"),
    ).add_argument("--orphaned", action="store_true", help="the lines of every configuration that does not exist")


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    command: Callable[[argparse.Namespace], int] | str,
    meaning: str,
    *examples: tuple[str, str],
) -> argparse.ArgumentParser:
    """``command`` is a function with the name of the command, or the name of one that has commands of its own."""
    parser = commands.add_parser(
        command if isinstance(command, str) else command.__name__,
        help=meaning,
        description=f"{meaning[0].upper()}{meaning[1:]}.",
        epilog=command_line.examples_text(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command_line.add_common_options(parser, is_subcommand=True)
    if not isinstance(command, str):
        parser.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
