"""What is said of one backup, for each event: what happened, where, the last good copy, and what to do next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from model import Backup, CheckKind, Run, RunStatus
from notifications.message import Level, Message
from utils import format_count, format_duration, format_size, format_timestamp, redact

_LONGEST_TEXT = 2_000
_MOST_LINES = 15


@dataclass(frozen=True, slots=True)
class Commands:
    """How Holdfast is started on this machine, so that a line of a message can be pasted into a terminal there."""

    python: Path
    installation: Path
    options: tuple[str, ...] = ()

    def line(self, script: str, *arguments: str) -> str:
        return shlex.join([str(self.python), str(self.installation / script), *self.options, *arguments])


@dataclass(frozen=True, slots=True)
class Facts:
    """What every message about a backup needs. ``host`` is the name of this machine; ``zone`` is its time zone.

    ``last_good`` is the newest good run that the catalog knows, where ``is_history_known``: it can be asked.
    """

    backup: Backup
    host: str
    now: datetime
    zone: tzinfo
    commands: Commands
    state_directory: Path
    last_good: Run | None = None
    is_history_known: bool = True
    next_run: datetime | None = None

    def time(self, moment: datetime) -> str:
        """``2026-11-20 03:00 CET``."""
        return moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M %Z").rstrip()

    def ago(self, moment: datetime) -> str:
        """``2026-11-20 03:00 CET (2 h 10 min ago)``."""
        past = max((self.now - moment).total_seconds(), 0)
        return f"{self.time(moment)} ({format_duration(past) if past >= 60 else 'less than a minute'} ago)"


def failed(facts: Facts, run: Run, count: int = 1, since: datetime | None = None) -> Message:
    """A run that failed, or was killed. ``count`` is how many have since ``since``, with this one."""
    how = "was killed or interrupted" if run.status is RunStatus.INTERRUPTED else "failed"
    return Message(
        _title(facts, how),
        _paragraphs(
            f"The backup {facts.backup.id} on {facts.host} {how}.{_streak(facts, 'not one was good', count, since)}",
            _when(facts, run),
            f"Error:\n{_indented(run.message or 'nothing was said')}",
            _targets(facts, run),
            _last_good_copy(facts),
            _what_to_do(
                facts,
                ("See what is wrong", facts.commands.line("main.py", "doctor")),
                ("Then run it again", facts.commands.line("backup.py", facts.backup.id)),
                ("All that the run said", str(_log(facts, run))),
            ),
        ),
        Level.FAILURE,
    )


def partial(facts: Facts, run: Run, count: int = 1, since: datetime | None = None) -> Message:
    """A run that could not read everything: its copy is there, and does not count as a good one."""
    return Message(
        _title(facts, "is incomplete"),
        _paragraphs(
            f"The backup {facts.backup.id} on {facts.host} could not read everything. The copy is kept, and does not "
            f"count as a good one.{_streak(facts, 'each was incomplete', count, since)}",
            _when(facts, run),
            f"What is missing:\n{_indented(run.message or 'the log names it')}",
            _last_good_copy(facts),
            _what_to_do(
                facts,
                ("Have the files made readable, or leave them out with EXCLUDE, and run it again", ""),
                ("", facts.commands.line("backup.py", facts.backup.id)),
                ("Every file that is missing is named in", str(_log(facts, run))),
            ),
        ),
        Level.WARNING,
    )


def not_recorded(facts: Facts, error: str) -> Message:
    """A run that could not even begin, or be recorded: the state folder or the catalog cannot be used."""
    return Message(
        _title(facts, "failed"),
        _paragraphs(
            f"The backup {facts.backup.id} on {facts.host} failed, and the catalog does not know of it.",
            f"When: {facts.time(facts.now)}",
            f"Error:\n{_indented(error)}",
            _last_good_copy(facts),
            _what_to_do(
                facts,
                ("See the room on the disk of the state folder", shlex.join(["df", "-h", str(facts.state_directory)])),
                ("See what is wrong", facts.commands.line("main.py", "doctor")),
                ("Then run it again", facts.commands.line("backup.py", facts.backup.id)),
            ),
        ),
        Level.FAILURE,
    )


def late(facts: Facts, slot: datetime, targets: Sequence[str], reason: str) -> Message:
    """A backup that was due at ``slot``, and of which these targets have no good copy; all of them where none is
    named."""
    where = f"\nWithout a copy of it: {', '.join(targets)}" if targets else ""
    return Message(
        _title(facts, "is late"),
        _paragraphs(
            f"The backup {facts.backup.id} on {facts.host} is late: there is no good copy of it from when it was due.",
            f"Was due: {facts.ago(slot)}\n{reason}{where}",
            _last_good_copy(facts),
            _what_to_do(
                facts,
                ("See what is wrong, and whether cron runs", facts.commands.line("main.py", "doctor")),
                ("Run it now", facts.commands.line("backup.py", facts.backup.id)),
                ("See how all of them stand", facts.commands.line("backup.py")),
            ),
        ),
        Level.FAILURE,
    )


def several_late(facts: Sequence[Facts], slots: Sequence[datetime]) -> Message:
    """Backups that were found late at the same moment, which mostly has one reason, in one message."""
    first = facts[0]
    lines = [f"  {each.backup.id}: was due {each.time(slot)}" for each, slot in zip(facts, slots, strict=True)]
    return Message(
        f"Holdfast: {len(facts)} backups are late on {first.host}",
        _paragraphs(
            f"{format_count(len(facts), 'backup')} on {first.host} are late. This often has one reason: cron does not "
            "run, the machine was off, or a storage cannot be reached.",
            "\n".join(_at_most(lines, 100, "of them")),
            _what_to_do(
                first,
                ("See what is wrong, and whether cron runs", first.commands.line("main.py", "doctor")),
                ("See how all of them stand", first.commands.line("backup.py")),
            ),
        ),
        Level.FAILURE,
    )


def recovered(facts: Facts, what: str, since: datetime, run: Run | None = None) -> Message:
    """The end of a trouble; ``what`` it was: ``it failed``, ``it was late`` …"""
    return Message(
        _title(facts, "is good again"),
        _paragraphs(
            f"The backup {facts.backup.id} on {facts.host} is good again.",
            f"Before: {what}, since {facts.ago(since)}.",
            _outcome(facts, run) if run is not None else "",
            _last_good_copy(facts) if run is None else "",
            _next_run(facts),
        ),
        Level.SUCCESS,
    )


def succeeded(facts: Facts, run: Run) -> Message:
    """A good run."""
    return Message(
        _title(facts, "is good"),
        _paragraphs(
            f"The backup {facts.backup.id} on {facts.host} was made.",
            _outcome(facts, run),
            f"Remark:\n{_indented(run.message)}" if run.message else "",
            _targets(facts, run),
            _next_run(facts),
        ),
        Level.SUCCESS,
    )


def check_failed(facts: Facts, kind: CheckKind, reasons: Iterable[str], count: int, since: datetime | None) -> Message:
    """A verification or a drill that did not end well: a copy is bad, or nobody could find out."""
    is_drill = kind is CheckKind.DRILL
    what = "drill" if is_drill else "verification"
    options = ("--drill", facts.backup.id) if is_drill else (facts.backup.id,)
    meaning = (
        "Its newest copy could not be restored and found well."
        if is_drill
        else "Copies of it are damaged, or could not be read."
    )
    steps = [("See what it finds now", facts.commands.line("restore.py", "verify", *options))]
    if not is_drill:
        steps.append(
            ("Make bad copies again from good ones", facts.commands.line("restore.py", "heal", facts.backup.id))
        )
    steps.append(("Make a new copy", facts.commands.line("backup.py", facts.backup.id)))
    return Message(
        _title(facts, f"failed its {what}"),
        _paragraphs(
            f"The {what} of {facts.backup.id} on {facts.host} did not end well. {meaning}"
            f"{_streak(facts, 'none ended well', count, since)}",
            f"What was found:\n{_indented(chr(10).join(reasons) or 'the log says it')}",
            _last_good_copy(facts),
            _what_to_do(facts, *steps),
        ),
        Level.FAILURE,
    )


# --- parts --------------------------------------------------------------------------------------------------------


def _title(facts: Facts, how: str) -> str:
    return f"Holdfast: {facts.backup.id} {how} on {facts.host}"


def _paragraphs(*texts: str) -> str:
    return redact("\n\n".join(text for text in texts if text)) + "\n"


def _indented(text: str) -> str:
    """At most some lines of it: the log has the rest, and a telephone shows none of that."""
    lines = text[:_LONGEST_TEXT].splitlines()
    if len(text) > _LONGEST_TEXT:
        lines[-1] += " …"
    return "\n".join(f"  {line}" for line in _at_most(lines, _MOST_LINES, "lines"))


def _at_most(lines: Sequence[str], count: int, of_what: str) -> list[str]:
    more = len(lines) - count
    return [*lines[:count], f"  … and {more:,} more {of_what}"] if more > 0 else list(lines)


def _streak(facts: Facts, how: str, count: int, since: datetime | None) -> str:
    if count < 2 or since is None:
        return ""
    return f" That makes {count:,} in a row since {facts.time(since)}; {how}."


def _when(facts: Facts, run: Run) -> str:
    took = f", it took {format_duration(run.duration.total_seconds())}" if run.duration is not None else ""
    due = f"\nWas due: {facts.time(run.slot)}" if run.slot else "\nIt was started by hand."
    return f"Began: {facts.time(run.started)}{took}{due}"


def _outcome(facts: Facts, run: Run) -> str:
    took = f", in {format_duration(run.duration.total_seconds())}" if run.duration is not None else ""
    size = ""
    if run.archive is not None:
        packed = f"{format_size(run.archive.content_size)} packed to {format_size(run.archive.size)}"
        size = f": {format_count(run.archive.file_count, 'file')}, {packed}"
    return f"Run of {facts.time(run.started)}{size}{took}."


def _targets(facts: Facts, run: Run) -> str:
    """How it ended on each target; nothing where the run ended before there was anything to put there."""
    if not run.copies:
        names = ", ".join(map(str, facts.backup.targets))
        return f"Nothing was put on {names}." if run.status is not RunStatus.GOOD and names else ""
    lines = [f"  {name}: {status}" for name, status in _statuses(facts.backup, run)]
    return "Targets:\n" + "\n".join(lines)


def _statuses(backup: Backup, run: Run) -> list[tuple[str, str]]:
    """By the names of the targets, where the backup still has those that it had."""
    are_the_same = [target.storage.name for target in backup.targets] == [copy.storage for copy in run.copies]
    names = [str(target) for target in backup.targets] if are_the_same else [copy.storage for copy in run.copies]
    statuses = ["failed" if copy.error is not None else copy.status.value for copy in run.copies]
    return list(zip(names, statuses, strict=True))


def _last_good_copy(facts: Facts) -> str:
    run = facts.last_good
    if run is None and not facts.is_history_known:
        command = facts.commands.line("restore.py", "list", facts.backup.id)
        return f"Last good copy: the catalog cannot be read now. What lies on the targets is listed by\n  {command}"
    if run is None:
        return "Last good copy: none is known. Nothing could be restored from this backup."
    places = ", ".join(name for name, status in _statuses(facts.backup, run) if status == RunStatus.GOOD.value)
    return f"Last good copy: {facts.ago(run.started)}{f', on {places}' if places else ''}"


def _what_to_do(facts: Facts, *steps: tuple[str, str]) -> str:
    lines = ["What to do:"]
    for text, command in steps:
        lines += [f"  {text}{':' if command else ''}"] if text else []
        lines += [f"    {command}"] if command else []
    following = _next_run(facts)
    return "\n".join(lines) + (f"\n\n{following}" if following else "")


def _next_run(facts: Facts) -> str:
    return f"Next run: {facts.time(facts.next_run)}" if facts.next_run is not None else ""


def _log(facts: Facts, run: Run) -> Path:
    return facts.state_directory / "logs" / facts.backup.id / f"{format_timestamp(run.started)}.log"
