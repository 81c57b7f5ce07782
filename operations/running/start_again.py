"""Containers that a run has stopped and, as it was killed, could not start again: whoever comes next does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from errors import AlreadyRunningError, HoldfastError
from model import Configuration
from operations.locks import lock_backup, one_after_the_other
from operations.running.stopped_containers import not_started, start_again, words
from operations.running.stopped_record import StoppedRecord, read_record, ssh_words, stopped_records

# Cron starts a command each minute, and each is one more mail.
_SECONDS_BETWEEN_COMPLAINTS = 3600.0

# After a reboot cron may be there before this machine's Docker is.
SECONDS_FOR_DOCKER_TO_COME = 60.0
_SECONDS_BETWEEN_TRIES = 1.0


def start_what_dead_runs_stopped(configuration: Configuration, say: Callable[[str], None], *, to_person: bool) -> None:
    """Start them, and say so. What cannot be started is said too, but to cron once an hour only.

    Runs that are under way are left alone. Nothing is raised: whatever the command is for has to go on.
    """
    state = configuration.state_directory
    try:
        with one_after_the_other(state, "stopped-containers") as has_waited:
            if not has_waited:  # else somebody else has just tried, and told
                for record in list(stopped_records(state)):
                    for message in _put_right(record, state, configuration, to_person=to_person):
                        say(message)
    except (HoldfastError, OSError) as error:
        say(f"There may be containers that a killed run has stopped. {error}")


def _put_right(record: StoppedRecord, state: Path, configuration: Configuration, *, to_person: bool) -> list[str]:
    """Do it for one record; what there is to say."""
    try:
        with lock_backup(state, record.backup_id):
            found = read_record(record.path)
            if found is None:
                return []
            messages, problems = _started(found, configuration)
            deadline = time.monotonic() + SECONDS_FOR_DOCKER_TO_COME
            while problems and found.ssh is None and not to_person and time.monotonic() < deadline:
                time.sleep(_SECONDS_BETWEEN_TRIES)
                started, problems = _started(found, configuration)
                messages += started
            if problems and (to_person or found.told < time.time() - _SECONDS_BETWEEN_COMPLAINTS):
                messages += problems
                found.told = time.time()
                found.save()
            return messages
    except AlreadyRunningError:
        return []


def _started(record: StoppedRecord, configuration: Configuration) -> tuple[list[str], list[str]]:
    """What there is to say of those that run again or are gone, and of those that a person has to start."""
    of_whom = f"for an earlier run of {record.backup_id} on {record.place}."
    backup = configuration.find(record.backup_id)
    if record.asked and record.ssh and (backup is None or ssh_words(backup) != record.ssh):
        reason = f"The configuration no longer says how to sign in there. Remove {record.path} once they run."
        return [], [not_started(record, record.asked, reason)]
    result = start_again(record, backup.ssh if backup is not None and record.ssh else None)
    messages = []
    if result.started:
        messages.append(f"{words(result.started)} still stopped {of_whom} What was stopped runs again now.")
    if result.gone:
        messages.append(f"{words(result.gone)} still stopped {of_whom} What was stopped has been removed since then.")
    return messages, result.problems
