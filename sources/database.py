"""The contract of a database engine: what its one file in ``sources/`` must offer, and how it is found.

docs/adding-a-database.md walks through writing one.
"""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from hosts.command import CommandHost
from model import DatabaseSource, Member, Note

_CHOSEN = "restored/databases/FILE"

_CHOOSE = """\
Choose a database. Each file below restored/databases is one, and databases.json says which. FILE is the one that you
   choose, its path there: "shop.dump", for example.

       find restored/databases -type f
       cat restored/databases.json
"""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known before the first byte is dumped.

    ``size`` is an estimate of all dumps in bytes, for the progress. ``description`` becomes the member
    ``databases.json``: ``engine``, ``server_version``, ``databases``, each with its ``name`` and ``member``, and where
    the engine has such ``accounts``, the member that holds its roles or users.
    """

    size: int
    description: Mapping[str, Any]


class Database(Protocol):
    """One ``DatabaseSource`` on one host."""

    accounts_come_first: bool
    """Whether roles or users are restored before the databases, which name them as owners, or after, as they have
    rights to single tables."""

    def preflight(self) -> Preflight:
        """Everything that can be known to fail is found here, before anything is written anywhere.

        Raises SourceError where the server cannot be reached, a database is missing, the user lacks a right, or the
        program that dumps does not suit the server. The message names the host and the cause.
        """

    def members(self) -> Iterator[Member]:
        """``databases.json`` first, then what belongs to the whole server, then each database as one member.

        Runs the pre-flight where nobody has yet. A dump that fails raises SourceError where its stream ends.
        """

    def restore(
        self, chunks: Iterable[bytes], name: str, original: Mapping[str, Any] | None = None, *, replace: bool = False
    ) -> None:
        """Put a dump into the database ``name``, which is made for it.

        ``original`` is its entry in ``databases.json``: the owner, the encoding and what else the dump does not hold.
        Raises SourceError where the server cannot be used, RestoreError where the database exists already and
        ``replace`` is false, and where anything fails: then what was made is removed, and with ``replace`` the old
        database is what it was. What ``chunks`` raises passes.
        """

    def exists(self, name: str) -> bool:
        """Whether there is a database ``name``, so that a restore needs ``replace``. Raises SourceError."""

    def leftovers(self, name: str) -> list[str]:
        """What restores that were killed have left on the server, or beside the file ``name``, and nobody uses now.

        A sentence for each, with what removes it. Raises SourceError.
        """

    def restore_accounts(self, chunks: Iterable[bytes]) -> list[str]:
        """Make the roles or users of the member ``accounts`` that are missing; those that are there stay as they are.

        The answer names those that were made. Raises RestoreError.
        """


def open_database(source: DatabaseSource, host: CommandHost, note: Callable[[Note], None], spool: Path) -> Database:
    """The engine of a source: the module of its name. Nothing is connected yet.

    ``note`` is told what is left out. ``spool`` is a folder of ours on this machine, for what cannot be streamed.
    """
    return cast("Database", _engine(source.engine).open_database(source, host, note, spool))


def product(engine: str) -> str:
    """What people call it."""
    return cast("str", _engine(engine).PRODUCT)


def restore_steps(engine: str, database: str | None = None) -> list[str]:
    """How its dumps are put back without Holdfast: steps for HOW-TO-RESTORE.txt, without their numbers.

    ``restored`` is the folder of the unpacked archive. Where ``database`` is None, a step shows how one is chosen.
    """
    module = _engine(engine)
    steps = cast("str", module.RESTORE_STEPS)
    if _CHOSEN not in steps:
        return [steps]
    if database is None:
        return [_CHOOSE, steps]
    member = os.fsdecode(module.member_path(database))
    return [steps.replace(_CHOSEN, shlex.quote(f"restored/{member}"))]


def _engine(name: str) -> ModuleType:
    return importlib.import_module(f"sources.{name}")
