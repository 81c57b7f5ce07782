"""Every error that Holdfast raises on purpose, and the exit code that it ends a command with.

::

    HoldfastError                      1   something did not work; the message is meant for the user
    ├── UsageError                     2   the command line asks for something that cannot be
    │   └── ConfigurationError         2   config.yaml or the environment is wrong; carries every problem
    ├── AlreadyRunningError           11   another run of the same backup holds its lock
    ├── ScheduleError                  1   the crontab could not be read or written; nothing was changed
    ├── HostError                      1   another machine, a container, or a program there cannot be used
    │   └── ProgramError               1   a program was started there, and ended otherwise than well
    ├── SourceError                    1   what is to be backed up cannot be read at all
    ├── RestoreError                   1   what was backed up cannot be put back; nothing that was there is lost
    ├── DrillError                     1   a drill could not be done: this says nothing of the copy
    ├── UnreadableCopyError            1   a copy is not what was stored, so nothing was made of it elsewhere
    ├── ArchiveError                   1   an archive cannot be made or opened
    │   ├── DamagedArchiveError        1   bytes are not what they were when they were written
    │   │   └── ForgedManifestError    1   a manifest is not what the holder of the key signed
    │   ├── EncryptionKeyError         1   a key is none, or it does not open what it is given for
    │   └── HostileArchiveError        1   an archive that would write outside of its folder, and the like
    ├── SshError                       1   an SSH server refused us, or is not the one that is known
    │   └── SshUnavailableError        1   no answer, or the connection broke: the same request may succeed later
    ├── StorageError                   1   a storage refused or failed
    │   ├── ObjectNotFoundError        1   there is nothing under this key
    │   ├── ObjectExistsError          1   keys are never overwritten
    │   ├── StorageFullError           1   no space or quota left
    │   ├── StorageUnavailableError    1   no answer, or "not now": the same request may succeed later
    │   └── IntegrityError             1   the stored bytes are not the bytes that were sent
    ├── CatalogError                   1   the database of runs cannot be used
    ├── AccountsError                  1   the users and tokens of the dashboard cannot be read or written
    ├── DashboardError                 1   the dashboard cannot start: its port is taken, its certificate is none
    └── NotificationError              1   a message or a ping was not taken: no run fails for it
    InterruptedRun               130/143   SIGINT, SIGTERM or SIGHUP ended the run
    └── TimedOutRun                    1   its TIMEOUT ended the run

A *partial* run (exit 3) is no error: it is an outcome, see ``model.RunStatus``.
Vendor exceptions (OSError among them) are translated into these at the edge, in the adapter that met them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model import Problem

EXIT_GOOD = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 3
EXIT_ALREADY_RUNNING = 11
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class HoldfastError(Exception):
    """Something did not work. ``str(error)`` is one or more full sentences for the user; no secret is in it."""

    exit_code = EXIT_FAILED


class UsageError(HoldfastError):
    """The command line names something that does not exist or cannot be combined."""

    exit_code = EXIT_USAGE


class ConfigurationError(UsageError):
    """The configuration is wrong. ``problems`` holds all of them, in the order of their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class AlreadyRunningError(HoldfastError):
    """Another run of the same backup is under way."""

    exit_code = EXIT_ALREADY_RUNNING


class ScheduleError(HoldfastError):
    """The schedule (the crontab) could not be read or written. Nothing was changed."""


class HostError(HoldfastError):
    """A machine or container cannot be reached, or a program there ended otherwise than well."""


class ProgramError(HostError):
    """A program was started and ended otherwise than well. ``exit_status`` is None where a signal ended it, or nobody
    knows."""

    def __init__(self, message: str, exit_status: int | None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class SourceError(HoldfastError):
    """What is to be backed up is missing or cannot be read at all."""


class RestoreError(HoldfastError):
    """What was backed up cannot be put where it was asked for. Nothing that was there before is lost."""


class DrillError(HoldfastError):
    """A drill could not be done because of something here, such as no room, no server of the version. It says nothing
    of the copy."""


class UnreadableCopyError(HoldfastError):
    """A copy that was to be put elsewhere is damaged, or cannot be read: another one of the same run may do."""


class ArchiveError(HoldfastError):
    """An archive cannot be made or opened."""


class DamagedArchiveError(ArchiveError):
    """Bytes of an archive, index or manifest are not what they were when they were written."""


class ForgedManifestError(DamagedArchiveError):
    """A manifest is signed, and is not what was signed: somebody changed it who does not have the key."""


class EncryptionKeyError(ArchiveError):
    """What should be a key for encryption is none, or none of the keys at hand opens what is encrypted.

    ``needs_passphrase`` says that a passphrase for the key itself would help.
    """

    def __init__(self, message: str, *, needs_passphrase: bool = False) -> None:
        super().__init__(message)
        self.needs_passphrase = needs_passphrase


class HostileArchiveError(ArchiveError):
    """An archive asks for something that no honest archive does, such as writing outside of its folder."""


class SshError(HoldfastError):
    """An SSH server refused us, or is not the one that is known. Hosts and storages say whose connection it was."""


class SshUnavailableError(SshError):
    """No answer, or the connection broke: the same may succeed later."""


class StorageError(HoldfastError):
    """A storage refused or failed."""


class ObjectNotFoundError(StorageError):
    """There is no object under this key."""


class ObjectExistsError(StorageError):
    """There is an object under this key already, and keys are never overwritten."""


class StorageFullError(StorageError):
    """The storage has no space or quota left."""


class StorageUnavailableError(StorageError):
    """No answer, or one that says "not now". Adapters decide at the edge what is worth another try, and raise this.

    ``wait`` is how many seconds the service asked to be left alone, None where it named none.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class IntegrityError(StorageError):
    """What the storage holds is not what was sent."""


class CatalogError(HoldfastError):
    """The database of runs cannot be opened, migrated or written."""


class AccountsError(HoldfastError):
    """The users, sessions and tokens of the dashboard cannot be read or written."""


class DashboardError(HoldfastError):
    """The dashboard cannot start."""


class NotificationError(HoldfastError):
    """A message, or a ping, was not taken by its service. ``str(error)`` says why, without the address."""


class InterruptedRun(BaseException):
    """SIGINT (130), SIGTERM or SIGHUP (143) ended the run. Not named ``…Error``: the user asked for it.

    Like KeyboardInterrupt it is no Exception: it may come up anywhere, and no handler of errors may take it for one.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class TimedOutRun(InterruptedRun):
    """The time that a run may take was over. It is put right as after a signal, and counts as failed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_FAILED)
