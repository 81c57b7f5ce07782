"""Starting a private database server, and being sure that it ends.

It runs in namespaces of its own (namespaces(7)) where this user may make them: without any network, and with no process
that outlives it. Its process group is ended by the guard of ``hosts.local_command``, where this process is killed too.
"""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import DrillError, HoldfastError, HostError
from hosts.command import Command, RunningCommand
from hosts.local_command import LocalCommandHost
from sources.programs import output_of

_START_SECONDS = 120.0
_POLL_SECONDS = 0.02
_SECONDS_TO_SAY_WHY = 5.0

# cron's PATH is short, and servers are in folders of their own.
_FOLDERS_OF_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_FROM_ROOT_FOLDER = ("sh", "-c", 'cd / && exec "$@"', "sh")


class ScratchHost:
    """This machine, for programs that know nothing of this user. See ``hosts.command.CommandHost``."""

    name = "this machine"

    def __init__(self, home: Path) -> None:
        self._host = LocalCommandHost()
        path = os.environ.get("PATH", "")
        self._environment = {
            "PATH": f"{path}:{_FOLDERS_OF_PROGRAMS}" if path else _FOLDERS_OF_PROGRAMS,
            "HOME": str(home),
            "TMPDIR": str(home),
            "LC_ALL": "C",
        }

    def start(self, command: Command, *, feeds_input: bool = False) -> RunningCommand:
        environment = {**self._environment, **command.environment}
        argv = ["env"]
        for name in os.environ:
            if name not in environment:
                argv += ["-u", name]
        cleaned = Command((*argv, *command.argv), environment, command.program or command.argv[0])
        return self._host.start(cleaned, feeds_input=feeds_input)

    def close(self) -> None:
        """There is no connection."""


class ServerProcess:
    """A server that was started. ``is_isolated`` says that it has namespaces of its own."""

    def __init__(self, running: RunningCommand, *, is_isolated: bool) -> None:
        self.is_isolated = is_isolated
        self._error = "It said nothing."
        self._ended = threading.Event()
        threading.Thread(target=self._watch, args=(running,), name="the scratch server", daemon=True).start()

    @property
    def ending(self) -> str | None:
        """Why it has ended; None as long as it runs."""
        return self._error if self._ended.is_set() else None

    def wait_until_ready(self, is_ready: Callable[[], bool]) -> None:
        """Raises DrillError where it ends, or takes too long."""
        deadline = time.monotonic() + _START_SECONDS
        while not is_ready():
            if self._ended.wait(_POLL_SECONDS):
                raise DrillError(f"The scratch server did not start. {self._error}")
            if time.monotonic() > deadline:
                raise DrillError(f"The scratch server did not start within {_START_SECONDS:.0f} seconds.")

    def wait_until_ended(self) -> None:
        """For a moment."""
        self._ended.wait(_SECONDS_TO_SAY_WHY)

    def _watch(self, running: RunningCommand) -> None:
        try:
            for _ in running.chunks():
                pass
        except HoldfastError as error:
            self._error = str(error)
        except OSError:  # it was ended by us, and is reaped
            pass
        finally:
            self._ended.set()


def as_account(account: pwd.struct_passwd) -> tuple[str, ...]:
    """The beginning of an argv that is run by this user, with no more rights than it has."""
    if os.geteuid() != 0:
        return _FROM_ROOT_FOLDER
    user = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}")
    return ("setpriv", *user, "--clear-groups", "--no-new-privs", *_FROM_ROOT_FOLDER)


@contextmanager
def running_server(host: ScratchHost, account: pwd.struct_passwd, argv: tuple[str, ...]) -> Iterator[ServerProcess]:
    """The server, until the block ends. Raises DrillError where it cannot be started."""
    isolation = _isolation(host)
    try:
        running = host.start(Command((*isolation, *as_account(account), *argv), program=argv[0]))
    except HostError as error:
        raise DrillError(f"The scratch server cannot be started. {error}") from error
    with running:
        yield ServerProcess(running, is_isolated=bool(isolation))


def _isolation(host: ScratchHost) -> tuple[str, ...]:
    """What begins the argv of a program that is to have namespaces of its own; nothing where that is not allowed."""
    user = () if os.geteuid() == 0 else ("--user", "--map-current-user")
    argv = ("unshare", *user, "--net", "--ipc", "--pid", "--fork")
    try:
        output_of(host, Command((*argv, "true")))
    except HostError:
        return ()
    return argv
