"""The drill of databases: restored into scratch ones, looked into, and asked the assertions of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from archives.entry import Entry
from errors import ArchiveError, DrillError, HoldfastError, HostError, RestoreError, SourceError
from model import Assertion, OnProgress
from operations.copies.databases_in_copy import DatabasesInCopy, StoredDatabase
from operations.copies.stored_copies import StoredCopy
from operations.verifying.drill_report import DrillReport
from operations.verifying.scratch_folder import require_room, server_folder
from sources.scratch import Scratch, TableState, open_scratch, server_account
from utils import format_count, printable

# Tables with indexes are larger than their dump, and a new server has files of its own.
_SIZE_FACTOR = 2
_SIZE_OF_SERVER = 300_000_000

SURELY_NOT_EMPTY = 1000
"""A table with fewer rows, as its server estimated them, may well have been empty when it was dumped: a queue, the
sessions of last night. Estimates are corrected after a tenth of the rows has changed."""

_PLAUSIBLE_FACTOR = 3
_LONGEST_ANSWER = 200


def drill_databases(
    copy: StoredCopy, base: Path, assertions: Sequence[Assertion], report: DrillReport, on_progress: OnProgress
) -> None:
    """Restore every database of a copy, and look into it. Raises DrillError, and what reading the copy raises."""
    contents = DatabasesInCopy(copy)
    asked = _by_database(assertions, contents, report)
    with server_folder(base, server_account(contents.engine)) as folder:
        size = sum(database.entry.size for database in contents.databases)
        own_size = 0 if contents.engine == "sqlite" else _SIZE_OF_SERVER
        require_room(folder, size * _SIZE_FACTOR + own_size)
        accounts = _accounts(contents)
        with open_scratch(contents.engine, contents.server_version, accounts, folder) as scratch:
            report.tried_with = scratch.version
            report.remarks += scratch.remarks
            drill = _DatabaseDrill(contents, scratch, report, on_progress)
            drill.run(accounts, asked)


def judge_tables(tables: Sequence[TableState]) -> tuple[list[str], list[str]]:
    """What is surely wrong with the tables of a database, and what is worth a remark. Pure.

    The recorded numbers of rows are estimates, and some time lay between them and the dump. So wrong is only a table
    that is missing, one that had many rows and has none, and a database in which no table has any.
    """
    missing = [table.name for table in tables if not table.is_there]
    problems = [f"the table {name} is missing, which was there when the backup began" for name in missing]
    counted = [table for table in tables if table.is_there and table.rows is not None and table.estimated_rows > 0]
    empty = [table for table in counted if table.rows == 0]
    all_are_empty = bool(empty) and not any(table.rows for table in tables)
    remarks: list[str] = []
    for table in counted:
        estimate = format_count(table.estimated_rows, "row")
        if table.rows == 0:
            sentence = f"the table {table.name} is empty, and had about {estimate} when the backup began"
            (problems if all_are_empty or table.estimated_rows >= SURELY_NOT_EMPTY else remarks).append(sentence)
        elif table.estimated_rows >= SURELY_NOT_EMPTY and not _is_plausible(table):
            rows = format_count(table.rows or 0, "row")
            remarks.append(f"the table {table.name} has {rows}, and had about {estimate} when the backup began")
    return problems, remarks


def is_true(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether an answer is one row with one value that is true: a boolean, or a number other than 0."""
    if len(rows) != 1 or len(rows[0]) != 1:
        return False
    value = rows[0][0]
    if isinstance(value, str):  # as MariaDB's client writes numbers
        try:
            return float(value) != 0
        except ValueError:
            return False
    return bool(value) if isinstance(value, bool | int | float) else False


class _DatabaseDrill:
    def __init__(
        self, contents: DatabasesInCopy, scratch: Scratch, report: DrillReport, on_progress: OnProgress
    ) -> None:
        self._contents = contents
        self._scratch = scratch
        self._report = report
        self._on_progress = on_progress

    def run(self, accounts: str, assertions: Mapping[str, Sequence[str]]) -> None:
        """Every database, also where one before it cannot be restored. Raises DrillError for the first obstacle."""
        for stored in self._contents.databases:
            self._report.remarks += self._scratch.require(stored.details)
        comes_first = self._scratch.database.accounts_come_first
        if comes_first:
            self._restore_accounts(accounts)
        for stored in self._contents.databases:
            if self._restore(stored):
                self._look_into(stored)
                for question in assertions.get(stored.name, ()):
                    self._ask(stored, question)
        if not comes_first:
            self._restore_accounts(accounts)

    def _restore_accounts(self, accounts: str) -> None:
        if self._contents.accounts is None:
            return
        member = printable(self._contents.accounts.member.path)
        try:
            self._scratch.prepare(accounts)
            self._scratch.database.restore_accounts([accounts.encode("utf-8", "surrogateescape")])
        except (RestoreError, SourceError, HostError, ArchiveError) as error:
            if self._scratch.database.accounts_come_first or isinstance(error, ArchiveError):
                self._note(member, error)
            else:
                # Rights to what is in no database of this copy cannot be given here.
                self._report.remarks.append(f"{member} was not restored as a whole. {self._scratch.said_of(error)}")

    def _restore(self, stored: StoredDatabase) -> bool:
        member = printable(stored.entry.member.path)
        name = self._scratch.name_of(stored.name)
        try:
            self._scratch.database.restore(self._content(stored.entry), name, stored.details, replace=True)
        except (RestoreError, SourceError, HostError, ArchiveError) as error:
            self._note(member, error)
            return False
        self._report.compared.databases += 1
        return True

    def _content(self, entry: Entry) -> Iterator[bytes]:
        for chunk in self._contents.content(entry):
            yield chunk
            self._report.compared.size += len(chunk)
            self._on_progress(entry.member, len(chunk))

    def _look_into(self, stored: StoredDatabase) -> None:
        member = printable(stored.entry.member.path)
        try:
            tables = self._scratch.tables(stored.name, stored.details)
        except (SourceError, HostError) as error:
            self._note(f"{member}: its tables cannot be read", error)
            return
        problems, remarks = judge_tables(tables)
        self._report.problems += [f"{member}: {problem}." for problem in problems]
        self._report.remarks += [f"{member}: {remark}." for remark in remarks]
        self._report.compared.tables += sum(table.is_there for table in tables)
        self._report.compared.rows += sum(table.rows or 0 for table in tables)

    def _ask(self, stored: StoredDatabase, question: str) -> None:
        member = printable(stored.entry.member.path)
        try:
            rows = self._scratch.rows_of(stored.name, question)
        except (SourceError, HostError) as error:
            self._note(f"{member}: the assertion {question!r} cannot be answered", error)
            return
        if is_true(rows):
            self._report.compared.assertions += 1
        else:
            self._report.problems.append(f"{member}: the assertion {question!r} does not hold: {_described(rows)}.")

    def _note(self, what: str, error: HoldfastError) -> None:
        """A problem of the copy, unless it is one of this machine."""
        trouble = None if isinstance(error, ArchiveError) else self._scratch.own_trouble(error)
        if trouble is not None:
            raise DrillError(trouble) from error
        self._report.problems.append(f"{what}: {self._scratch.said_of(error)}")


def _accounts(contents: DatabasesInCopy) -> str:
    if contents.accounts is None:
        return ""
    return b"".join(contents.content(contents.accounts)).decode("utf-8", "surrogateescape")


def _by_database(
    assertions: Iterable[Assertion], contents: DatabasesInCopy, report: DrillReport
) -> dict[str, list[str]]:
    """The questions to each database. Raises DrillError where it is not clear which one is meant."""
    names = [database.name for database in contents.databases]
    found: dict[str, list[str]] = {}
    for assertion in assertions:
        if not assertion.database and len(names) != 1:
            raise DrillError(
                f"The copy holds several databases ({', '.join(names)}), and the assertion {assertion.query!r} does "
                "not say which of them is asked."
            )
        name = assertion.database or names[0]
        if name in names:
            found.setdefault(name, []).append(assertion.query)
        else:
            report.problems.append(f"The copy holds no database {name}, which the assertion {assertion.query!r} asks.")
    return found


def _is_plausible(table: TableState) -> bool:
    rows = table.rows or 0
    return table.estimated_rows <= rows * _PLAUSIBLE_FACTOR and rows <= table.estimated_rows * _PLAUSIBLE_FACTOR


def _described(rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "it gave no row"
    if len(rows) > 1 or len(rows[0]) != 1:
        return "it gave more than one value"
    value = rows[0][0]
    if value is None:
        return "it gave NULL"
    written = str(value).lower() if isinstance(value, bool) else str(value)
    return f"it gave {written[:_LONGEST_ANSWER]}"
