"""The contract of scratch databases: where a drill restores a copy for real, and asks what came back.

A scratch server is started for one drill in a folder of its own, is reached through a socket in that folder only, and
goes with it. Nothing of this user's environment, and no option file, is seen by it or by the programs that reach it, so
that no PGHOST and no ~/.my.cnf can lead to a server that is somebody's.
"""

from __future__ import annotations

import importlib
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

from errors import DrillError, HoldfastError
from sources.database import Database
from utils import printable

ENGINES = ("postgres", "mariadb", "sqlite")
"""Those whose databases can be restored into scratch ones, each by the module ``sources.scratch_`` of its name."""

_Name = TypeVar("_Name")


@dataclass(frozen=True, slots=True)
class TableState:
    """A table that ``databases.json`` names, or that was found. ``rows`` is None where they say nothing."""

    name: str
    is_there: bool
    estimated_rows: int = 0
    rows: int | None = None


class Scratch(Protocol):
    """Databases that nobody else knows."""

    version: str
    """What serves them, as ``PostgreSQL 15.18``."""

    remarks: Sequence[str]
    """What a person should know of it: that it is newer than the server of the copy."""

    database: Database
    """Where they are restored, as a user's own are."""

    def name_of(self, name: str) -> str:
        """The name that a database of the copy is to have here."""

    def prepare(self, accounts: str) -> None:
        """Make what the text of the member ``accounts`` expects of the machine. Raises SourceError and HostError."""

    def require(self, details: Mapping[str, Any]) -> list[str]:
        """Raises DrillError where this installation lacks what a database needs: an extension, a storage engine.

        ``details`` is its entry in ``databases.json``. The answer is what is worth a remark.
        """

    def tables(self, name: str, details: Mapping[str, Any]) -> list[TableState]:
        """The tables that were recorded, and how many rows are in them now. Raises SourceError."""

    def rows_of(self, name: str, question: str) -> list[list[Any]]:
        """The first rows of the answer to a question. Raises SourceError, with the reason of whoever was asked."""

    def own_trouble(self, error: HoldfastError) -> str | None:
        """Why an error says something of this machine, and nothing of the copy; None where it may be the copy.

        A full disk, a server that has ended, a locale that is not installed: a sentence.
        """

    def said_of(self, error: HoldfastError) -> str:
        """What a person should read of an error: not the rows that a client program shows with it."""


def open_scratch(engine: str, server_version: str, accounts: str, folder: Path) -> AbstractContextManager[Scratch]:
    """Scratch databases in ``folder``, which belongs to the user of :func:`server_account`, for as long as it is open.

    ``server_version`` is that of the server that the copy comes from, ``accounts`` the text of its roles or users.
    Entering raises DrillError where there can be none.
    """
    module = _module_of(engine)
    return cast("AbstractContextManager[Scratch]", module.open_scratch(server_version, accounts, folder))


def installed_servers(engine: str, folder: Path) -> list[str]:
    """What scratch databases of an engine can be made with on this machine, such as ``PostgreSQL 15.14``.

    ``folder`` is home to the programs that are asked. Raises DrillError where there is no drill for the engine, and
    HostError.
    """
    return cast("list[str]", _module_of(engine).installed_servers(folder))


def _module_of(engine: str) -> ModuleType:
    if engine not in ENGINES:
        raise DrillError(f"There is no drill for databases of TYPE {printable(engine.encode())}.")
    return importlib.import_module(f"sources.scratch_{engine}")


def server_account(engine: str) -> pwd.struct_passwd:
    """The user that a scratch server runs as: this one, but never root, which no server wants to be run by.

    In place of root it is the user of the engine's own package, who sees such data anyway, or ``nobody``. Raises
    DrillError.
    """
    if os.geteuid() != 0:
        return _user_of_this_process()
    for name in (_PACKAGE_USERS.get(engine, ""), "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DrillError("No database server wants to be run by root, and there is no user nobody on this machine.")


_PACKAGE_USERS = {"postgres": "postgres", "mariadb": "mysql"}


def _user_of_this_process() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        raise DrillError(
            f"The user number {os.geteuid()} has no name on this machine, so it can start no database server."
        ) from None


def in_batches(names: Sequence[_Name], size: int) -> Iterator[Sequence[_Name]]:
    """So many at a time: an argument of a program has an end."""
    return (names[start : start + size] for start in range(0, len(names), size))
