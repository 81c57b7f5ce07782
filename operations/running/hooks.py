"""BEFORE, AFTER and ON_FAILURE: programs of the user's that run around a backup, on its host."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

from errors import HostError, ProgramError, TimedOutRun
from hosts.command import Command
from hosts.factory import command_host
from hosts.outcome import OutputTail
from interruption import time_limit
from model import Backup, Run, RunStatus
from utils import redact

# Linux takes no more than 128 KiB for one variable: execve(2), MAX_ARG_STRLEN.
_LONGEST_ERROR = 16 << 10


class RunHooks:
    """Those of one run. What they write to their standard output goes to its log, as far as that is short.

    A signal ends the program that runs at that moment, and passes; the backup's TIMEOUT holds for each of them too.
    """

    def __init__(self, backup: Backup, log: logging.Logger) -> None:
        self._backup = backup
        self._log = log
        self._is_begun = False

    def before(self) -> str | None:
        """Run BEFORE. None where the run goes on, else why it is skipped this time. Raises HostError."""
        try:
            self._run("BEFORE", self._backup.hooks.before, {})
        except HostError as error:
            if isinstance(error, ProgramError) and error.exit_status == os.EX_TEMPFAIL:
                return f"BEFORE asked to skip this time. {error}"
            raise HostError(f"BEFORE failed, so nothing was read. {error}") from error
        self._is_begun = True
        return None

    def after(self, run: Run) -> Run:
        """Run AFTER where BEFORE went well or there is none, and ON_FAILURE where the run failed by then.

        The answer is the run as it stands then: where one of them fails, that is added to its message.
        """
        if self._is_begun:
            try:
                self._run("AFTER", self._backup.hooks.after, {"HOLDFAST_STATUS": run.status.value})
            except HostError as error:
                self._log.error("AFTER failed. %s", error)
                run = _with_failed_after(run, error)
        if run.status is RunStatus.FAILED:
            what = {"HOLDFAST_STATUS": run.status.value, "HOLDFAST_ERROR": _as_variable(run.message)}
            try:
                self._run("ON_FAILURE", self._backup.hooks.on_failure, what)
            except HostError as error:
                self._log.error("ON_FAILURE failed too. %s", error)
                run = _with_message(run, f"ON_FAILURE failed too. {error}")
        return run

    def _run(self, name: str, argv: tuple[str, ...], environment: Mapping[str, str]) -> None:
        """Raises HostError where it ends otherwise than well."""
        if not argv:
            return
        command = Command(argv, {"HOLDFAST_BACKUP": self._backup.id, **environment})
        said = OutputTail()
        with closing(command_host(self._backup.ssh, self._backup.docker)) as host:
            try:
                with time_limit(self._backup.timeout), host.start(command) as running:
                    for chunk in running.chunks():
                        said.add(chunk)
            except TimedOutRun as error:
                raise HostError(f"The program {command} on {host.name} was ended: {error}") from error
            finally:
                for line in filter(None, said.text().split("\n")):
                    self._log.info("%s said: %s", name, line)


def _with_failed_after(run: Run, error: HostError) -> Run:
    copies = "The copies are whole and stay, but " if any(copy.error is None for copy in run.copies) else ""
    status = RunStatus.INTERRUPTED if run.status is RunStatus.INTERRUPTED else RunStatus.FAILED
    return replace(_with_message(run, f"{copies}AFTER failed. {error}"), status=status)


def _with_message(run: Run, message: str) -> Run:
    return replace(run, message="\n".join(filter(None, (run.message, message))))


def _as_variable(message: str) -> str:
    """What an environment can hold: no NUL, not too long, no secret."""
    return redact(message).replace("\0", "")[:_LONGEST_ERROR]
