"""Databases of a copy back into a server: each into one that is made for it, and the accounts that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from archives.entry import Entry
from errors import DamagedArchiveError, HostError, RestoreError, SourceError, StorageError, UsageError
from hosts.factory import command_host
from model import Backup, DatabaseSource, OnProgress
from operations.copies.databases_in_copy import DatabasesInCopy, StoredDatabase
from sources.database import Database, open_database
from utils import printable


@dataclass(frozen=True, slots=True)
class WantedDatabase:
    """A database of a copy, and the name that it is to have."""

    stored: StoredDatabase
    name: str


@dataclass(slots=True)
class DatabaseReport:
    """What was done. ``accounts`` are the roles or users that were made; ``problems`` say what was not restored."""

    restored: list[WantedDatabase] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@contextmanager
def opened_server(backup: Backup, contents: DatabasesInCopy, state_directory: Path) -> Iterator[tuple[Database, str]]:
    """The server that a backup reads, for a restore of these databases, and the name of its host.

    Raises UsageError where the backup reads none, or one of another engine. Nothing is connected yet.
    """
    source = backup.source
    if not isinstance(source, DatabaseSource):
        raise UsageError(
            f"{backup.id} is no backup of a database, so it names no server to restore one into. Name a backup that "
            "does with --on ID."
        )
    if _relatives(source.engine) != _relatives(contents.engine):
        raise UsageError(
            f"{contents.copy} holds databases of TYPE {printable(contents.engine.encode())}, and {backup.id} is of "
            f"TYPE {source.engine}. Name a backup of the same engine with --on ID."
        )
    with closing(command_host(backup.ssh, backup.docker)) as host:
        yield open_database(source, host, lambda _: None, state_directory / "spool"), host.name


def _relatives(engine: str) -> str:
    """Either of MariaDB and MySQL reads what the other's program wrote."""
    return "mariadb" if engine == "mysql" else engine


class DatabaseRestore:
    """Puts databases of a copy into the server of ``database``. ``report`` is right at any time, so after an
    interruption too."""

    def __init__(self, contents: DatabasesInCopy, database: Database, host_name: str, on_progress: OnProgress) -> None:
        self._contents = contents
        self._database = database
        self.host_name = host_name
        self._on_progress = on_progress
        self.report = DatabaseReport()

    def run(self, wanted: Sequence[WantedDatabase], *, replace: bool, with_accounts: bool) -> None:
        """Restore them. What others have left and what cannot be made is remarked.

        Raises HoldfastError where nothing can be done, or where only one is wanted and that fails: then what was made
        of it is removed, and what was to be replaced is as it was. Of several, the others are restored.
        """
        self._remark_leftovers(wanted)
        if not replace:
            self._require_new(wanted)
        with_accounts = with_accounts and self._contents.accounts is not None
        if with_accounts and self._database.accounts_come_first:
            self._restore_accounts()
        for each in wanted:
            try:
                self._restore(each, replace=replace)
            except (RestoreError, SourceError, HostError) as error:
                if len(wanted) == 1:
                    raise
                self.report.problems.append(f"{each.stored.name}: {error}")
        if with_accounts and not self._database.accounts_come_first:
            self._restore_accounts()

    def _remark_leftovers(self, wanted: Sequence[WantedDatabase]) -> None:
        found = (leftover for each in wanted for leftover in self._database.leftovers(each.name))
        self.report.remarks += dict.fromkeys(found)

    def _require_new(self, wanted: Sequence[WantedDatabase]) -> None:
        """Before the first is touched."""
        names = [each.name for each in wanted if self._database.exists(each.name)]
        if names:
            raise RestoreError(self.refusal(names, len(wanted)))

    def existing(self, wanted: Sequence[WantedDatabase]) -> list[str]:
        """Which of the names are taken; what others have left there is remarked. Raises as :meth:`run` does."""
        self._remark_leftovers(wanted)
        return [each.name for each in wanted if self._database.exists(each.name)]

    def refusal(self, names: Sequence[str], wanted: int) -> str:
        """Why nothing is restored where these names, of ``wanted``, are taken, and nothing may be replaced."""
        listed = ", ".join(f'"{name}"' for name in names)
        those = f"the database {listed}" if len(names) == 1 else f"the databases {listed}"
        return (
            f"On {self.host_name} there {'is' if len(names) == 1 else 'are'} {those} already, so nothing was restored. "
            f"{'Give another name, or let it' if wanted == 1 else 'Let what is there'} be replaced with --replace."
        )

    def _restore(self, wanted: WantedDatabase, *, replace: bool) -> None:
        stored = wanted.stored
        try:
            self._database.restore(self._content(stored.entry), wanted.name, stored.details, replace=replace)
        except (DamagedArchiveError, StorageError) as error:
            kept = " The one that it was to replace is as it was." if replace else ""
            raise RestoreError(
                f'The database "{wanted.name}" was not restored, because {printable(stored.entry.member.path)} in '
                f"{self._contents.copy} cannot be read as it was stored: {error}. What had been made of it was removed "
                f"again.{kept}"
            ) from error
        self.report.restored.append(wanted)

    def _content(self, entry: Entry) -> Iterator[bytes]:
        for chunk in self._contents.content(entry):
            yield chunk
            self._on_progress(entry.member, len(chunk))

    def _restore_accounts(self) -> None:
        entry = self._contents.accounts
        if entry is None:
            return
        try:
            self.report.accounts += self._database.restore_accounts(self._content(entry))
        except (DamagedArchiveError, StorageError) as error:
            self.report.problems.append(f"{printable(entry.member.path)}: {error}")
        except (RestoreError, SourceError, HostError) as error:
            self.report.remarks.append(f"{error}\n--no-accounts leaves them out.")
